"""How many cells of a perturbation were written, beside how many were measured: no points for cells with a pen."""

import numpy as np

from starter.errors import counted, listed

DRAW = 0
"""Seed of the draw; the position of a perturbation is its stream."""


def thin_to_measured(groups: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Leave cells out by chance where a perturbation has more than were measured.

    A rank test calls more genes the more cells it sees, whatever they hold.

    Parameters
    ----------
    groups
        Group of each cell: 0 for control, i + 1 for the i-th perturbation, negative for cells left out.
    measured
        Measured cells of each perturbation.

    Returns
    -------
    Group of each cell, negative for those left out.
    """
    kept = groups.copy()
    for row, n in enumerate(measured):
        cells = np.flatnonzero(groups == row + 1)
        if len(cells) > n:
            mixed = np.random.default_rng([DRAW, row]).permutation(cells)
            kept[mixed[n:]] = -1
    return kept


def say_numbers(written: np.ndarray, measured: np.ndarray, perturbations: np.ndarray, on_cells: str) -> list[str]:
    """Say where a prediction has more cells than were measured, or fewer.

    Parameters
    ----------
    written, measured
        Cells of each perturbation.
    perturbations
        Their labels.
    on_cells
        The metrics that hang on the number of cells.
    """
    notes = []
    for some, way in ((written > measured, "More"), (written < measured, "Fewer")):
        if not some.any():
            continue
        which = [f"{perturbations[i]} {written[i]:,} for {measured[i]:,}" for i in np.flatnonzero(some)]
        where = f"{way} cells than measured: {counted(int(some.sum()), 'perturbation')} ({listed(which)})"
        notes.append(
            f"{where}; as many as were measured are drawn at random and scored."
            if way == "More"
            else f"{where}; {on_cells} lose by it: write as many cells as were measured."
        )
    return notes
