"""What a prediction must hold: genes, perturbations, and the scale of the course's controls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from starter.dataset import open_course
from starter.preprocess import expression, natural_totals, target_sum
from starter.schema import CONTROL, TARGET_GENE, InputError


@dataclass(frozen=True)
class Due:
    """What a prediction must hold."""

    genes: tuple[str, ...]
    n_cells: Mapping[str, int | None]
    """Perturbations to predict, with the measured number of cells where known."""
    control_totals: np.ndarray | None = field(default=None, compare=False)
    """Natural totals of the course's control cells, if known."""
    target_sum: float | None = None
    """UMIs to which the course scales cells, if known."""


def due_in_course(folder: str | Path | None = None) -> Due:
    """Say what the hidden part of a course asks for.

    Parameters
    ----------
    folder
        The course's data folder, as `starter.dataset.open_course` takes it.
    """
    course = open_course(folder)
    train = course.train()
    control = train[train.obs[TARGET_GENE] == CONTROL].copy()
    totals = natural_totals(expression(control))
    return Due(tuple(train.var_names), course.split().n_cells("hidden"), totals, target_sum(train))


def due_in_lists(genes: str | Path, perturbations: str | Path) -> Due:
    """Say what the challenge's two lists ask for.

    Parameters
    ----------
    genes
        `gene_names.csv`: one symbol a line, no header.
    perturbations
        `pert_counts.csv` with the columns target_gene and, optionally, n_cells; or one symbol a line.

    Raises
    ------
    InputError
        If a list cannot be read, is empty, or holds a name twice.
    """
    names = _lines(genes)
    rows = [line.split(",") for line in _lines(perturbations)]
    n_cells: dict[str, int | None] = {}
    header = rows[0] if rows[0][0].strip('"') == TARGET_GENE else None
    column = header.index("n_cells") if header and "n_cells" in header else None
    for row in rows[1:] if header else rows:
        label = row[0].strip('"')
        if label in n_cells:
            msg = f"{perturbations} lists {label} twice"
            raise InputError(msg)
        try:
            n_cells[label] = int(row[column]) if column is not None else None
        except (ValueError, IndexError) as error:
            msg = f"{perturbations}: n_cells of {label} is not a number in {','.join(row)!r}"
            raise InputError(msg) from error
    n_cells.pop(CONTROL, None)
    if len(set(names)) < len(names) or not n_cells:
        msg = f"{genes} holds a gene twice" if n_cells else f"{perturbations} names no perturbation"
        raise InputError(msg)
    return Due(tuple(name.strip('"') for name in names), n_cells)


def _lines(path: str | Path) -> list[str]:
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the list {path}: {error}"
        raise InputError(msg) from error
    if not lines:
        msg = f"the list {path} is empty"
        raise InputError(msg)
    return lines
