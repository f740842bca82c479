"""By which transform the values of a cell came from counts, as the values themselves show it.

Counts of one cell are whole multiples of one UMI, and stay multiples of their smallest when the cell is scaled. So the
right way back from a transform makes the values of a cell whole multiples of the smallest, and no other way does. What
a model gave, or what was corrected, is no multiple in any way, and is judged by its totals.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

NOT_ASKED, UNDECIDED, COUNTS, LOG1P, LOG2, LOG10, SCALED, SQRT, LOG_TWICE, NO_MULTIPLES = range(10)
"""What is known of a cell. Undecided: it has too few values, or they are all the same."""
FEWEST_VALUES = 3
"""Values above 0 that a cell must have."""
LARGEST_COUNT = 20_000
"""A gene has hardly more UMIs in a cell."""
CLEARLY = 1.5
"""The largest value of a cell must be so many times the smallest on the natural scale."""


class Transform(NamedTuple):
    """A transform that is taken for log1p."""

    what: str
    way_out: str


TRANSFORMS = {
    COUNTS: Transform("raw counts, not logged", "scale every cell to one total, then take log1p once"),
    LOG2: Transform("log2(1 + x) in place of log1p", "adata.X = adata.X * numpy.log(2)"),
    LOG10: Transform("log10(1 + x) in place of log1p", "adata.X = adata.X * numpy.log(10)"),
    SCALED: Transform("scaled counts (such as counts per 10,000) that were not logged", "scanpy.pp.log1p(adata)"),
    SQRT: Transform("square roots in place of log1p", "adata.X = adata.X.power(2).log1p() of the sparse matrix"),
    LOG_TWICE: Transform("log1p taken twice", "take it once: adata.X = adata.X.expm1() of the sparse matrix"),
}
"""What else than log1p expression cells may hold, and how it becomes that."""


@numba.njit(cache=True, nogil=True)
def transform_of(values: np.ndarray) -> int:  # pragma: no cover (compiled)
    """Tell by which transform the values of one cell came from counts.

    Parameters
    ----------
    values
        What is stored of the cell, zeros or not.

    Returns
    -------
    One of the codes of this module. Log1p is tried first, since it is what is due.
    """
    smallest, n, whole = np.inf, 0, True
    for value in values:
        if value < 0 or not np.isfinite(value):
            return NO_MULTIPLES
        if value > 0:
            n += 1
            smallest = min(smallest, np.float64(value))
            whole = whole and abs(value - np.rint(value)) <= 1e-3
    if n < FEWEST_VALUES:
        return UNDECIDED
    if whole:
        return COUNTS
    undecided = False
    for code in range(LOG1P, LOG_TWICE + 1):
        unit, top, fits = _natural(smallest, code), 1.0, True
        for value in values:
            if value > 0:
                multiple = _natural(np.float64(value), code) / unit
                nearest = np.rint(multiple)
                # rounding to float32 costs a large value more, and among very large ones all are near a multiple
                if not (multiple <= LARGEST_COUNT and abs(multiple - nearest) <= 0.02 + 2e-5 * nearest):
                    fits = False
                    break
                top = max(top, multiple)
        if fits and top >= CLEARLY:
            return code
        undecided = undecided or (fits and code == LOG1P)
    return UNDECIDED if undecided else NO_MULTIPLES


@numba.njit(cache=True, nogil=True)
def _natural(value: float, code: int) -> float:  # pragma: no cover (compiled)
    """Take back a transform."""
    if code == LOG1P:
        return np.expm1(value)
    if code == LOG2:
        return np.expm1(value * 0.6931471805599453)
    if code == LOG10:
        return np.expm1(value * 2.302585092994046)
    if code == SQRT:
        return value * value
    if code == LOG_TWICE:
        return np.expm1(np.expm1(value))
    return value
