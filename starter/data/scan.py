"""One pass over a matrix, block by block: what its values are, and what is wrong with them in any season."""

from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse

from starter import progress
from starter.data.blocks import Cells
from starter.data.h5ad import CELLS_PER_BLOCK
from starter.data.scale import FRACTION, LOG_LIMIT
from starter.data.transforms import FEWEST_VALUES, NO_MULTIPLES, transform_of
from starter.errors import InputError

ASKED = 2_000
"""Cells, evenly spaced among those that are weighed, whose transform is looked for."""


class Scan(NamedTuple):
    """What one pass over the stored values of some cells tells."""

    n_values: np.ndarray
    """Values above 0 of each gene, int64."""
    totals: np.ndarray
    """Sum of each cell's values, float64; 0 for cells that were not looked at."""
    natural_totals: np.ndarray
    """Sum of expm1 of each cell's values, for the `weighed` cells; else 0."""
    weighed: np.ndarray
    """Of which cells the natural total was asked for and taken, boolean: it is, as long as the values can be logs."""
    binary_totals: np.ndarray
    """Sum of 2^x - 1 of each cell's values, for cells that were weighed and are no multiples of a count; else 0."""
    kinds: np.ndarray
    """How some of them came from counts, int8 (`starter.data.transforms`); 0 for cells not looked at so."""
    fractions: np.ndarray
    """Largest distance of a cell's values from the whole number towards 0; negative for cells with few values."""
    highest: np.ndarray
    """Largest value of each cell that was weighed, else 0."""
    looked: np.ndarray
    """Which cells were looked at, boolean."""
    lowest: float
    """Of the finite values and 0."""
    largest: float
    fraction: float
    """Largest distance of a value from the whole number towards 0."""
    off_whole: float
    """Largest distance of a value from the nearest whole number."""
    n_stored: int
    n_nan: int
    n_infinite: int
    n_negative: int
    n_zeros: int
    """Zeros that are stored."""
    canonical: bool
    """Whether indices are sorted and no entry is stored twice."""
    itemsize: int
    """Bytes of a value."""

    @property
    def n_not_finite(self) -> int:
        """NaN and infinite values."""
        return self.n_nan + self.n_infinite

    @property
    def fractional(self) -> bool:
        """Whether a value has a fractional part, by cell-eval's rule."""
        return self.fraction > FRACTION


def scan_cells(cells: Cells, keep: np.ndarray, weigh: np.ndarray | None = None) -> Scan:
    """Look at every stored value once.

    Parameters
    ----------
    cells
        Cells x genes.
    keep
        Which cells to look at, boolean.
    weigh
        Of which cells the natural total and the transform are needed, boolean; default: of none.

    Raises
    ------
    InputError
        If the matrix is damaged: a column index beyond the genes.
    """
    n_cells, n_genes = cells.shape
    n_threads = numba.get_num_threads()
    n_values = np.zeros((n_threads, n_genes), np.int64)
    totals, natural_totals, binary_totals = np.zeros((3, n_cells))
    kinds, fractions, highest = np.zeros(n_cells, np.int8), np.full(n_cells, -1.0, np.float32), np.zeros(n_cells)
    weighed = np.zeros(n_cells, bool) if weigh is None else weigh & keep
    extremes, faults = np.zeros((n_threads, 4)), np.zeros((n_threads, 5), np.int64)
    asked = np.zeros(n_cells, bool)
    asked[np.flatnonzero(weighed)[:: max(1, -(-int(weighed.sum()) // ASKED))]] = True
    start, itemsize, n_stored = 0, 4, 0
    for block in cells.read(keep):
        span = slice(start, start + block.shape[0])
        _scan_block(
            block.data,
            block.indices,
            block.indptr,
            keep[span],
            weighed[span],
            asked[span],
            n_values,
            totals[span],
            natural_totals[span],
            binary_totals[span],
            kinds[span],
            fractions[span],
            highest[span],
            extremes,
            faults,
        )
        n_stored += int(np.diff(block.indptr)[keep[span]].sum())
        if extremes[:, 1].max() >= LOG_LIMIT or faults[:, 0].any():
            weighed[start:] = natural_totals[start:] = binary_totals[start:] = 0
        start, itemsize = span.stop, block.dtype.itemsize
    n_nan, n_infinite, n_negative, n_out_of_order, n_beyond = faults.sum(axis=0).tolist()
    if n_beyond:
        msg = f"X is damaged: {n_beyond:,} of its column indices lie beyond its {n_genes:,} genes"
        raise InputError(msg)
    n_values = n_values.sum(axis=0)
    return Scan(
        n_values=n_values,
        totals=totals,
        natural_totals=natural_totals,
        weighed=weighed,
        binary_totals=binary_totals,
        kinds=kinds,
        fractions=fractions,
        highest=highest,
        looked=keep,
        lowest=float(extremes[:, 0].min()),
        largest=float(extremes[:, 1].max()),
        fraction=float(extremes[:, 2].max()),
        off_whole=float(extremes[:, 3].max()),
        n_stored=n_stored,
        n_nan=n_nan,
        n_infinite=n_infinite,
        n_negative=n_negative,
        n_zeros=n_stored - n_nan - n_infinite - n_negative - int(n_values.sum()),
        canonical=not n_out_of_order,
        itemsize=itemsize,
    )


@numba.njit(parallel=True, cache=True, nogil=True)
def _scan_block(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    keep: np.ndarray,
    weigh: np.ndarray,
    ask: np.ndarray,
    n_values: np.ndarray,
    totals: np.ndarray,
    natural_totals: np.ndarray,
    binary_totals: np.ndarray,
    kinds: np.ndarray,
    fractions: np.ndarray,
    highest: np.ndarray,
    extremes: np.ndarray,
    faults: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_threads, n_cells = len(n_values), len(indptr) - 1
    for thread in numba.prange(n_threads):
        _scan_span(
            thread * n_cells // n_threads,
            (thread + 1) * n_cells // n_threads,
            data,
            indices,
            indptr,
            keep,
            weigh,
            ask,
            n_values[thread],
            totals,
            natural_totals,
            binary_totals,
            kinds,
            fractions,
            highest,
            extremes[thread],
            faults[thread],
        )


@numba.njit(cache=True, nogil=True)  # by itself, since what runs in parallel takes far longer to compile
def _scan_span(
    first: int,
    last: int,
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    keep: np.ndarray,
    weigh: np.ndarray,
    ask: np.ndarray,
    n_values: np.ndarray,
    totals: np.ndarray,
    natural_totals: np.ndarray,
    binary_totals: np.ndarray,
    kinds: np.ndarray,
    fractions: np.ndarray,
    highest: np.ndarray,
    extremes: np.ndarray,
    faults: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Add some cells of a block to what a thread has found."""
    n_genes = len(n_values)
    lowest, largest, fraction, off_whole = extremes[0], extremes[1], extremes[2], extremes[3]
    n_nan = n_infinite = n_negative = n_out_of_order = n_beyond = n_positive = 0
    for cell in range(first, last):
        if not keep[cell]:
            continue
        total = natural = 0.0
        before, n_before, cell_fraction = -1, n_positive, 0.0
        for i in range(indptr[cell], indptr[cell + 1]):
            value, gene = data[i], indices[i]
            n_out_of_order += gene <= before
            before = gene
            if gene < 0 or gene >= n_genes:
                n_beyond += 1
                continue
            total += value
            if not np.isfinite(value):
                n_nan += np.isnan(value)
                n_infinite += np.isinf(value)
                continue
            n_values[gene] += value > 0
            n_positive += value > 0
            n_negative += value < 0
            lowest, largest = min(lowest, value), max(largest, value)
            part = abs(value - np.trunc(value))
            cell_fraction, off_whole = max(cell_fraction, part), max(off_whole, min(part, 1 - part))
            if weigh[cell]:
                natural += np.exp(np.float64(value)) - 1  # four times as fast as expm1, and as exact in a sum
        totals[cell] = total
        natural_totals[cell] = natural
        fraction = max(fraction, cell_fraction)
        if n_positive - n_before >= FEWEST_VALUES:
            fractions[cell] = cell_fraction
        if ask[cell]:
            values = data[indptr[cell] : indptr[cell + 1]]
            if len(values):
                highest[cell] = values.max()
            kinds[cell] = transform_of(values)
            if kinds[cell] == NO_MULTIPLES and weigh[cell]:
                for value in values:
                    binary_totals[cell] += np.expm1(np.float64(value) * np.log(2.0))
    extremes[0], extremes[1], extremes[2], extremes[3] = lowest, largest, fraction, off_whole
    faults[0] += n_nan
    faults[1] += n_infinite
    faults[2] += n_negative
    faults[3] += n_out_of_order
    faults[4] += n_beyond


def scan_upload(cells: Cells, weigh: np.ndarray) -> Scan:
    """Look at every value of a prediction once.

    Parameters
    ----------
    cells
        Its values `as_uploaded`.
    weigh
        Of which cells the natural total and the transform are needed, boolean.

    Returns
    -------
    What the values are. A cell's entries are in order, so what is not canonical is stored twice.
    """
    with progress.bar("check", -(-len(weigh) // CELLS_PER_BLOCK)) as advance:

        def see(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
            del start
            advance()
            return block

        return scan_cells(cells.mapped(see), np.ones(len(weigh), bool), weigh)


def as_uploaded(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
    """Take a block of cells as an upload stores it: float32, a cell's entries in order. For `Cells.mapped`."""
    del start
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and counted so
        block = block.astype(np.float32, copy=False)
    block.sort_indices()
    return block


def sample(groups: np.ndarray, n_controls: int, n_perturbed: int) -> np.ndarray:
    """Mark evenly spaced cells of each group, at most so many of the control (group 0) and of each perturbation."""
    marked = np.zeros(len(groups), bool)
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    for cells in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(cells):
            limit = n_perturbed if groups[cells[0]] else n_controls
            marked[cells[:: -(-len(cells) // limit)]] = True
    return marked


def tidied(cells: Cells, keep: np.ndarray, weigh: np.ndarray | None = None) -> tuple[Cells, Scan]:
    """Scan some cells, and mend what is merely untidy: unsorted indices, entries stored in pieces.

    Parameters
    ----------
    cells, keep, weigh
        As for `scan_cells`.

    Returns
    -------
    The cells, tidy, and what the scan of them tells.

    Raises
    ------
    InputError
        If the matrix is damaged.
    """
    scan = scan_cells(cells, keep, weigh)
    if scan.canonical:
        return cells, scan
    tidy = cells.mapped(_tidy)
    return tidy, scan_cells(tidy, keep, weigh)


def _tidy(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
    del start
    block.check_format(full_check=True)
    block.sum_duplicates()
    return block
