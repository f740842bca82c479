"""On which scale values are: counts or log1p expression, and by which factor."""

import numpy as np
import scipy.sparse

from starter.errors import InputError

FRACTION = 1e-3
"""A fractional part above this makes data log-normalised (cell-eval's rule)."""
LOG_LIMIT = 15.0
"""Log-normalised data stays below this (cell-eval's rule)."""
SAME_CELL = 2e-6
"""Relative difference of a cell's natural total that float32 rounding can make."""
SCALE_TOLERANCE = 0.02
"""Different control cells on one scale agree in their median natural total up to this share."""
SAME_SCALE = 1e-3
"""Where the scale can be told exactly, it agrees up to this share."""


def judge_scale(lowest: float, highest: float, n_not_finite: int, name: str, *, fractional: bool) -> bool:
    """Tell log1p expression from counts by what was seen of the values, as cell-eval 0.8.2 does (`guess_is_lognorm`).

    Parameters
    ----------
    lowest, highest
        Of the finite values.
    n_not_finite
        NaN and infinite values.
    name
        What to call the data in a message.
    fractional
        Whether a value has a fractional part above `FRACTION`.

    Returns
    -------
    Whether it is log1p expression.

    Raises
    ------
    InputError
        If it is neither: a value is NaN or infinite, or negative, or there are fractions and a value reaches
        `LOG_LIMIT`.
    """
    if n_not_finite:
        msg = f"{name}: NaN or infinite values: {n_not_finite:,}; write finite numbers"
        raise InputError(msg)
    if lowest < 0:
        msg = f"{name} holds negative values (lowest {lowest:.3g}); expression is never below 0, so clip it there"
        raise InputError(msg)
    if fractional and highest >= LOG_LIMIT:
        msg = (
            f"{name} holds fractions and values up to {highest:.4g}, so it is neither counts nor log1p "
            f"expression (below {LOG_LIMIT:g}); write log1p expression"
        )
        raise InputError(msg)
    return fractional


def natural_totals(logs: scipy.sparse.spmatrix | np.ndarray) -> np.ndarray:
    """Total expression of each cell on the natural scale, sum over genes of expm1.

    Parameters
    ----------
    logs
        Cells x genes, log1p expression.

    Returns
    -------
    float64, one per cell.
    """
    if isinstance(logs, np.ndarray):
        return np.expm1(logs, dtype=np.float64).sum(axis=1)
    natural = logs.astype(np.float64)
    np.expm1(natural.data, out=natural.data)
    return np.asarray(natural.sum(axis=1)).ravel()


def has_one_total(totals: np.ndarray) -> bool:
    """Tell whether cells were all scaled to one total, by their natural totals."""
    return bool(np.ptp(totals) <= SAME_SCALE * np.median(totals))


def scale_ratio(totals: np.ndarray, reference: np.ndarray) -> float:
    """Tell by which factor control cells are scaled against the course's.

    The same cells at another scale, and cells that were all scaled to one total, tell it exactly; other cells of a part
    of the transcriptome only up to `SCALE_TOLERANCE`.

    Parameters
    ----------
    totals
        Natural totals of a prediction's control cells.
    reference
        Natural totals of the course's control cells.

    Returns
    -------
    Exactly 1 if most are cells of the course, unchanged, or no difference can be told; else the ratio of the medians.
    """
    ordered = np.sort(reference)
    right = np.searchsorted(ordered, totals).clip(1, len(ordered) - 1)
    nearest = np.minimum(np.abs(totals - ordered[right - 1]), np.abs(totals - ordered[right]))
    if (nearest <= SAME_CELL * totals).mean() > 0.5:
        return 1.0
    ratio = float(np.median(totals) / np.median(reference))
    scaled = has_one_total(totals) and has_one_total(reference)
    same_cells = len(totals) == len(ordered) and bool(
        (np.abs(np.sort(totals) - ratio * ordered) <= SAME_SCALE * ratio * ordered).all()
    )
    return 1.0 if abs(ratio - 1) <= (SAME_SCALE if scaled or same_cells else SCALE_TOLERANCE) else ratio
