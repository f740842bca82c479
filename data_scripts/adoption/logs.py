"""Logs of scaled counts undone: the counts of a cell are whole multiples of what one UMI is in it.

A cell was scaled to a common total, so one UMI is `total / (UMIs of the cell)` on the natural scale. The values of the
cell show it by themselves: all are whole multiples of it. Where the cell's total of UMIs is known, both must agree.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse

from starter.errors import InputError, counted

MOST_PARTS = 6
"""The smallest value of a cell stands for so many UMIs at most."""
ROUNDING = 0.01
"""So far a multiple may be from a whole number, ..."""
ROUNDING_SHARE = 2e-6
"""... and by this share of itself more, since float32 keeps seven digits."""
LARGEST_COUNT = 20_000
"""Among larger multiples all are near a whole number; a gene has hardly more UMIs in a cell."""
MOST_UNITS = 3
"""All counts of a cell can be multiples of so many UMIs, where its total tells."""
SAME_UNIT = 0.05
"""Relative difference between one UMI as the values of a cell show it, and as its total of UMIs does."""
WITHOUT_TOTAL = 20
"""Values that a cell must have where no total is known: of fewer, all counts may be multiples of 2."""
FEW = 0.01
"""At most this share of the cells is left out because their counts cannot be told; more are refused."""


def find_units(
    blocks: Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]], n_cells: int, totals: np.ndarray | None
) -> np.ndarray:
    """Find what one UMI is in each cell, on the natural scale (expm1).

    Parameters
    ----------
    blocks
        Numbers of cells, and their log1p values (cells x genes).
    n_cells
        Of the file.
    totals
        UMIs of each cell over the whole transcriptome; None if they are not known.

    Returns
    -------
    float64, one a cell: NaN where counts do not come out, 1 where a cell has no values, 0 where it is in no block.
    """
    units, n_values = np.zeros(n_cells), np.zeros(n_cells, np.int64)
    for here, block in blocks:
        natural = _natural(block)
        units[here], n_values[here] = _units(natural), np.diff(natural.indptr)
    found = (n_values > 0) & np.isfinite(units)
    if totals is None:
        units[found & (n_values < WITHOUT_TOTAL)] = np.nan
        return units
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = units * totals
        common = np.median(scaled[found]) if found.any() else 1.0
        ratio = scaled / common
        whole = np.rint(ratio).clip(1, MOST_UNITS)
        agrees = np.abs(ratio / whole - 1) <= SAME_UNIT
    units[found] = np.where(agrees, units / whole, np.nan)[found]
    return units


def cells_without_counts(units: np.ndarray, keep: np.ndarray, *, with_totals: bool) -> np.ndarray:
    """Tell which cells have logs that do not come out as counts.

    Parameters
    ----------
    units
        As `find_units` gives them.
    keep
        Which cells are wanted, boolean.
    with_totals
        Whether the cells' totals were known.

    Returns
    -------
    Boolean, one a cell; these are to be left out.

    Raises
    ------
    InputError
        If they are more than `FEW`.
    """
    lost = keep & np.isnan(units)
    if lost.sum() > FEW * keep.sum():
        known = "and agree with the column of UMI counts" if with_totals else f"of {WITHOUT_TOTAL} values or more"
        msg = (
            f"{int(lost.sum()):,} of {counted(int(keep.sum()), 'cell')} do not come out as counts when their logs are "
            f"undone (whole multiples of one UMI {known}), so this is refused; take the raw file, or keep other cells"
        )
        raise InputError(msg)
    return lost


def scaled_back(block: scipy.sparse.csr_matrix, units: np.ndarray) -> scipy.sparse.csr_matrix:
    """Undo the logs of some cells, given what one UMI is in each."""
    natural = _natural(block)
    counts = np.rint(natural.data / np.repeat(units, np.diff(natural.indptr)))
    return scipy.sparse.csr_matrix((counts.astype(np.float32), natural.indices, natural.indptr), shape=block.shape)


def _natural(block: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    natural = scipy.sparse.csr_matrix(block, dtype=np.float64)
    natural.sum_duplicates()
    natural.eliminate_zeros()
    natural.data = np.expm1(natural.data)
    return natural


def _units(natural: scipy.sparse.csr_matrix) -> np.ndarray:
    """Find the largest unit of which all values of a cell are whole multiples; NaN if none, 1 without values."""
    n_values = np.diff(natural.indptr)
    units = np.ones(natural.shape[0])
    filled = np.flatnonzero(n_values)
    smallest = np.minimum.reduceat(natural.data, natural.indptr[filled]) if len(filled) else np.empty(0)
    units[filled] = np.nan
    left, starts = np.arange(len(filled)), natural.indptr[filled]
    of_value = np.repeat(np.arange(len(filled)), n_values[filled])
    for parts in range(1, MOST_PARTS + 1):
        multiple = natural.data * parts / smallest[of_value]
        whole = np.rint(multiple)
        away = np.abs(multiple - whole) > ROUNDING + ROUNDING_SHARE * whole
        bad = np.add.reduceat((away | (multiple > LARGEST_COUNT)).astype(np.int64), starts) if len(starts) else starts
        done = left[bad[left] == 0]
        units[filled[done]] = smallest[done] / parts
        left = left[bad[left] > 0]
        if not len(left):
            break
    return units
