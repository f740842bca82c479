"""One pass over a stored matrix, block by block: what its values are, and what is wrong with them in any season."""

from dataclasses import dataclass, field
from typing import NamedTuple

import h5py
import numba
import numpy as np
import scipy.sparse

from starter import progress
from starter.data.blocks import Cells
from starter.data.h5ad import CELLS_PER_BLOCK, read_blocks
from starter.data.scale import FRACTION, LOG_LIMIT, natural_totals
from starter.errors import InputError


class Seen(NamedTuple):
    """What one pass over the values tells, of the cells that are kept."""

    n_values: np.ndarray
    """Values above 0 of each gene, int64."""
    totals: np.ndarray
    """Sum of each cell's values, float64; 0 for cells that are not kept."""
    natural_totals: np.ndarray
    """Sum of expm1 of each cell's values, for those cells of which it was asked for; else 0."""
    lowest: float
    highest: float
    n_odd: int
    """NaN and infinite values."""
    fractional: bool
    """Whether a value has a fractional part above the limit that was given."""
    off_whole: float
    """Largest distance of a value from a whole number."""
    canonical: bool
    """Whether indices are sorted and no entry is stored twice."""
    itemsize: int
    """Bytes of a value."""


def scan(cells: Cells, keep: np.ndarray, weigh: np.ndarray | None = None, fraction: float = 0.0) -> Seen:
    """Look at every value once.

    Parameters
    ----------
    cells
        Cells x genes.
    keep
        Which cells to look at, boolean.
    weigh
        Of which cells the natural total is needed, boolean; default: of none.
    fraction
        A fractional part above this makes the values `fractional`.

    Raises
    ------
    InputError
        If the matrix is damaged: a column index beyond the genes.
    """
    n_threads = numba.get_num_threads()
    n_values = np.zeros((n_threads, cells.shape[1]), np.int64)
    totals, natural_totals = np.zeros(cells.shape[0]), np.zeros(cells.shape[0])
    found = np.tile([np.inf, -np.inf, 0, 0, 0, 0, 0], (n_threads, 1))
    start, itemsize = 0, 4
    for block in cells.read(keep):
        span = slice(start, start + block.shape[0])
        weighed = np.zeros(block.shape[0], bool) if weigh is None else weigh[span]
        _scan(
            block.data,
            block.indices,
            block.indptr,
            keep[span],
            weighed,
            fraction,
            n_values,
            totals[span],
            natural_totals[span],
            found,
        )
        start, itemsize = span.stop, block.dtype.itemsize
    n_odd, n_fractional, n_out_of_order, n_beyond = found[:, 3:].sum(axis=0)
    if n_beyond:
        msg = f"X is damaged: {int(n_beyond):,} of its column indices lie beyond its {cells.shape[1]:,} genes"
        raise InputError(msg)
    lowest, highest = found[:, 0].min(), found[:, 1].max()
    return Seen(
        n_values=n_values.sum(axis=0),
        totals=totals,
        natural_totals=natural_totals,
        lowest=float(min(lowest, 0)),
        highest=float(max(highest, 0)),
        n_odd=int(n_odd),
        fractional=bool(n_fractional > 0),
        off_whole=float(found[:, 2].max()),
        canonical=bool(n_out_of_order == 0),
        itemsize=itemsize,
    )


@numba.njit(parallel=True, cache=True, nogil=True)
def _scan(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    keep: np.ndarray,
    weigh: np.ndarray,
    fraction: float,
    n_values: np.ndarray,
    totals: np.ndarray,
    natural_totals: np.ndarray,
    found: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_threads, n_genes = n_values.shape
    n_cells = len(indptr) - 1
    for thread in numba.prange(n_threads):
        of_thread = n_values[thread]
        lowest, highest, off_whole = found[thread, 0], found[thread, 1], found[thread, 2]
        n_odd = n_fractional = n_out_of_order = n_beyond = 0
        for cell in range(thread * n_cells // n_threads, (thread + 1) * n_cells // n_threads):
            if not keep[cell]:
                continue
            total = natural = 0.0
            before = -1
            for i in range(indptr[cell], indptr[cell + 1]):
                value, gene = data[i], indices[i]
                n_out_of_order += gene <= before
                before = gene
                if gene < 0 or gene >= n_genes:
                    n_beyond += 1
                    continue
                if not np.isfinite(value):
                    n_odd += 1
                    continue
                of_thread[gene] += value > 0
                total += value
                lowest, highest = min(lowest, value), max(highest, value)
                part = value - np.floor(value)
                n_fractional += part > fraction
                off_whole = max(off_whole, min(part, 1 - part))
                if weigh[cell]:
                    natural += np.expm1(np.float64(value))
            totals[cell] = total
            natural_totals[cell] = natural
        found[thread, 0], found[thread, 1], found[thread, 2] = lowest, highest, off_whole
        found[thread, 3] += n_odd
        found[thread, 4] += n_fractional
        found[thread, 5] += n_out_of_order
        found[thread, 6] += n_beyond


@dataclass
class Scan:
    """What one pass over the matrix tells of its values, taken as float32 as an upload stores them."""

    stored: int = 0
    nan: int = 0
    infinite: int = 0
    negative: int = 0
    largest: float = 0.0
    lowest: float = 0.0
    fraction: float = 0.0
    """Largest distance of a value from the whole number towards 0."""
    zeros: int = 0
    twice: bool = False
    """Whether an entry of one cell and gene is stored more than once."""
    totals: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Sum of every cell."""
    natural_totals: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Totals of the control cells on the natural scale, as long as the values can be logs."""


def scan_matrix(x: h5py.Group | h5py.Dataset, control: np.ndarray) -> Scan:
    """Look at every stored value once.

    Parameters
    ----------
    x
        The element `X` of an open `.h5ad`.
    control
        Which cells are controls.
    """
    scan = Scan()
    totals, natural = [], []
    start = 0
    with progress.bar("check", -(-len(control) // CELLS_PER_BLOCK)) as advance:
        for block in read_blocks(x):
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and counted so
                block = block.astype(np.float32, copy=False)
            data = block.data
            finite = np.isfinite(data)
            n_finite = int(np.count_nonzero(finite))
            scan.stored += data.size
            if n_finite < data.size:
                nan = int(np.isnan(data).sum())
                scan.nan += nan
                scan.infinite += data.size - n_finite - nan
                data = data[finite]
            if data.size:
                scan.negative += int(np.count_nonzero(data < 0))
                scan.zeros += int(np.count_nonzero(data == 0))
                scan.largest = max(scan.largest, float(data.max()))
                scan.lowest = min(scan.lowest, float(data.min()))
                scan.fraction = max(scan.fraction, float(np.abs(data - np.trunc(data)).max()))
            block.sort_indices()
            scan.twice |= not block.has_canonical_format
            totals.append(block @ np.ones(block.shape[1]))
            of_controls = control[start : start + block.shape[0]]
            if scan.largest < LOG_LIMIT and not scan.nan and of_controls.any():
                natural.append(natural_totals(block[of_controls]))
            start += block.shape[0]
            advance()
    if totals:
        scan.totals = np.concatenate(totals)
    if natural:
        scan.natural_totals = np.concatenate(natural)
    return scan


def look(cells: Cells, keep: np.ndarray, weigh: np.ndarray | None = None) -> tuple[Cells, Seen]:
    """Look at all values once, and mend what is merely untidy: unsorted indices, entries stored in pieces.

    Parameters
    ----------
    cells
        Cells x genes.
    keep
        Which cells to look at, boolean.
    weigh
        Of which cells the natural total is needed, boolean.

    Returns
    -------
    The cells, tidy, and what was seen.

    Raises
    ------
    InputError
        If the matrix is damaged.
    """
    seen = scan(cells, keep, weigh, FRACTION)
    if seen.canonical:
        return cells, seen
    tidy = cells.mapped(_tidy)
    return tidy, scan(tidy, keep, weigh, FRACTION)


def _tidy(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
    del start
    block.check_format(full_check=True)
    block.sum_duplicates()
    return block
