"""What a prediction must hold: genes, perturbations, and the scale of the course's controls."""

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from starter.data.course import open_course
from starter.data.preprocess import expression, target_sum
from starter.data.scale import natural_totals
from starter.errors import InputError
from starter.files import check_file
from starter.schema import CONTROL, TARGET_GENE

MANIFEST = "manifest.json"
"""What the challenge puts beside its lists: the contexts of the phase, and the panel's name."""
GENE_HEADERS = {"gene", "genes", "gene_name", "gene_names", "gene_symbol"}
"""A list of genes may begin with one of these."""


@dataclass(frozen=True)
class Requirements:
    """What a prediction must hold."""

    genes: tuple[str, ...]
    n_cells: Mapping[str, int | None]
    """Perturbations to predict, with the measured number of cells where known."""
    control_totals: np.ndarray | None = field(default=None, compare=False)
    """Natural totals of the course's control cells, if known."""
    target_sum: float | None = None
    """UMIs to which the course scales cells, if known."""
    contexts: tuple[str, ...] | None = None
    """Contexts to predict, if the lists come with the challenge's manifest."""
    panel_id: str | None = None
    """The panel's name in that manifest."""
    fingerprint: str | None = field(default=None, compare=False)
    """Hash of the names in the list of perturbations, whatever their order."""
    of_course: bool = field(default=False, compare=False)
    """Whether a course asks, which takes fewer cells than the challenge's own tool, and no counts."""


def requirements_of_course(folder: str | Path | None = None) -> Requirements:
    """Say what the hidden part of a course asks for.

    Parameters
    ----------
    folder
        The course's data folder, as `starter.data.course.open_course` takes it.
    """
    course = open_course(folder)
    train = course.train()
    control = train[train.obs[TARGET_GENE] == CONTROL].copy()
    totals = natural_totals(expression(control))
    n_cells = course.split().n_cells("hidden")
    return Requirements(tuple(train.var_names), n_cells, totals, target_sum(train), of_course=True)


def requirements_of_lists(genes: str | Path, perturbations: str | Path) -> Requirements:
    """Say what the challenge's two lists ask for.

    Parameters
    ----------
    genes
        `gene_names.csv`: one symbol a line, with or without a header. The challenge's `manifest.json` beside it or
        beside the perturbations tells the contexts.
    perturbations
        `pert_counts.csv` with the columns target_gene and, optionally, n_cells; or one symbol a line.

    Raises
    ------
    InputError
        If a list cannot be read, is empty, or holds a name twice.
    """
    names = [row[0] for row in _rows(genes)]
    if names[0].lower() in GENE_HEADERS:
        names = names[1:]
    rows = _rows(perturbations)
    header = rows[0] if TARGET_GENE in rows[0] else None
    if header is None and any(len(row) > 1 for row in rows):
        msg = (
            f"{perturbations} has several columns and no header with {TARGET_GENE}; name the column of perturbations so"
        )
        raise InputError(msg)
    label_at = header.index(TARGET_GENE) if header else 0
    count_at = header.index("n_cells") if header and "n_cells" in header else None
    n_cells: dict[str, int | None] = {}
    for row in rows[1:] if header else rows:
        try:
            label, count = row[label_at], int(row[count_at]) if count_at is not None else None
        except (ValueError, IndexError) as error:
            msg = f"{perturbations}: {','.join(row)!r} is no perturbation with its number of cells"
            raise InputError(msg) from error
        if label in n_cells or (count is not None and count < 0):
            msg = (
                f"{perturbations} lists {label} twice"
                if label in n_cells
                else f"{perturbations}: {label} has {count} cells"
            )
            raise InputError(msg)
        n_cells[label] = count
    fingerprint = "sha256:" + hashlib.sha256("\n".join(sorted(n_cells)).encode()).hexdigest()
    n_cells.pop(CONTROL, None)
    if not names or not n_cells:
        msg = f"{perturbations} names no perturbation" if names else f"{genes} names no gene"
        raise InputError(msg)
    if len(set(names)) < len(names):
        msg = f"{genes} holds a gene twice"
        raise InputError(msg)
    contexts, panel_id = _manifest(Path(perturbations).parent, Path(genes).parent)
    return Requirements(tuple(names), n_cells, contexts=contexts, panel_id=panel_id, fingerprint=fingerprint)


def _manifest(*folders: Path) -> tuple[tuple[str, ...] | None, str | None]:
    """Read contexts and panel from the first manifest that tells them; other files of that name tell nothing."""
    for folder in folders:
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        contexts = manifest.get("contexts") if isinstance(manifest, dict) else None
        if isinstance(contexts, list) and contexts and all(isinstance(name, str) and name for name in contexts):
            panel_id = manifest.get("panel_id")
            return tuple(contexts), panel_id if isinstance(panel_id, str) and panel_id else None
    return None, None


def _rows(path: str | Path) -> list[list[str]]:
    """Read the filled lines of a list; spreadsheets may have written a byte order mark and quotes."""
    check_file(path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = [[field.strip() for field in row] for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot read the list {path}: {error}"
        raise InputError(msg) from error
    rows = [row for row in rows if row and row[0]]
    if not rows:
        msg = f"the list {path} is empty"
        raise InputError(msg)
    return rows
