"""What a prediction must hold: genes, perturbations, and the scale of the course's controls."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from starter.data.course import open_course
from starter.data.logs_of_counts import logs_of
from starter.data.scale import natural_totals
from starter.data.targets import like_control
from starter.errors import InputError
from starter.prediction.controls import read_controls
from starter.prediction.lists import read_list
from starter.schema import CONTROL, TARGET_GENE

MANIFEST = "manifest.json"
"""What the challenge puts beside its lists: the contexts of the phase, and the panel's name."""
GENE_HEADERS = ("gene_name", "gene_names", "gene_symbol", "gene_symbols", "symbol", "symbols", "feature_name",
                "gene_short_name", "hgnc_symbol", "gene", "genes", "name", "names", "gene_id", "gene_ids",
                "ensembl_id")  # fmt: skip
"""How a list's column of genes may be headed, the best first."""
PERTURBATION_HEADERS = (TARGET_GENE, "target_genes", "perturbation", "perturbations", "pert", "perts", "gene_target",
                        "target", "targets", "condition", "gene", "genes", "gene_name", "gene_symbol")  # fmt: skip
"""How a list's column of perturbations may be headed, the best first."""
COUNT_HEADERS = ("n_cells", "n_cell", "num_cells", "cells", "cell_count", "count", "counts")
"""How its column of numbers of cells may be headed."""


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
    n_cells = course.split().n_cells("hidden")
    by_context, target = read_controls(course.train_path)
    totals = [natural_totals(logs_of(*block)) for controls in by_context.values() for block in controls.blocks()]
    genes = next(iter(by_context.values())).genes or ()
    return Requirements(genes, n_cells, np.concatenate(totals), target, of_course=True)


def requirements_of_lists(genes: str | Path | Sequence[str], perturbations: str | Path) -> Requirements:
    """Say what the challenge's two lists ask for.

    Parameters
    ----------
    genes
        `gene_names.csv`: one symbol a line, with or without a header, or a table with a column of them; see
        `starter.prediction.lists.read_list`. The challenge's `manifest.json` beside it or
        beside the perturbations tells the contexts. Or the genes themselves.
    perturbations
        `pert_counts.csv` with the columns target_gene and, optionally, n_cells; or one symbol a line. Likewise.

    Raises
    ------
    InputError
        If a list cannot be read, is empty, or holds a name twice.
    """
    of_file = isinstance(genes, str | Path)
    names = read_list(genes, GENE_HEADERS, "gene").names if of_file else list(genes)
    table = read_list(perturbations, PERTURBATION_HEADERS, "perturbation")
    counts = next((table.others[name] for name in COUNT_HEADERS if name in table.others), None)
    n_cells: dict[str, int | None] = {}
    for row, label in enumerate(table.names):
        if counts is None:
            count = None
        elif (count := _whole(counts[row])) is None:
            msg = f"{perturbations}: '{label},{counts[row]}' is no perturbation with its number of cells"
            raise InputError(msg)
        if label in n_cells or (count is not None and count < 0):
            msg = (
                f"{perturbations} lists {label} twice"
                if label in n_cells
                else f"{perturbations}: {label} has {count} cells"
            )
            raise InputError(msg)
        if like_control(label, names) and label != CONTROL:
            msg = f"{perturbations} lists {label!r}, which looks like the control; name it {CONTROL!r}, or leave it out"
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
    contexts, panel_id = _manifest(
        *(Path(path).parent for path in (perturbations, genes) if isinstance(path, str | Path))
    )
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


def _whole(text: str) -> int | None:
    """Read a whole number, which pandas may have written with a point; None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
