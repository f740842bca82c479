"""The non-zeros of a screen gene by gene: from blocks of cells to columns, in bounded memory.

A file stores its cells one after the other; tests and means want one gene of all cells. The cells are read once to
count, and once more for every part of the genes whose values fit into memory together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse

from starter.blocks import csr_of
from starter.schema import InputError

BYTES = 4 << 30
"""Memory for the columns of one part of the genes."""
PART_IN_MEMORY = 1 << 26
"""The same for cells that are in memory, which costs nothing to read again."""
CELLS_PER_BLOCK = 2048
OTHER_VALUES = (
    "the values of a gene are not as many as were counted: the file changed while it was read, or holds values too "
    "small for float32, or control cells that only look like the course's; write it again"
)
WHOLE_IN_FLOAT32 = 1 << 24
"""Up to here float32 tells whole numbers apart."""
GENES_PER_STRIP = 256
"""Genes that are written side by side: so few that the ends of their columns stay in the processor's cache."""


@dataclass(frozen=True)
class Cells:
    """Cells x genes that can be read again and again, a block of cells at a time."""

    shape: tuple[int, int]
    read: Callable[[np.ndarray], Iterator[scipy.sparse.csr_matrix]]
    """Gives all cells in order as CSR blocks of one dtype, with sorted indices and without duplicates. Its argument
    says which cells are needed (boolean); the others may come empty."""
    dense: bool = False
    """Whether the matrix is stored with its zeros: the reference tools sum those in another order."""
    part_bytes: int = BYTES
    """Memory for the columns of one part of the genes; the cells are read once for each part."""

    def mapped(self, change: Callable[[scipy.sparse.csr_matrix, int], scipy.sparse.csr_matrix]) -> "Cells":
        """Change every block when it is read; `change` gets the block and the number of its first cell."""

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            start = 0
            for block in self.read(keep):
                yield change(block, start)
                start += block.shape[0]

        return replace(self, read=read)


class Columns(NamedTuple):
    """The non-zeros of some genes, gene after gene, each gene's in the order of the cells."""

    values: np.ndarray
    cells: np.ndarray
    """The cell of each value, uint32."""
    pointers: np.ndarray
    """Where each gene begins, and the last one ends."""

    def genes(self, begin: int, end: int) -> "Columns":
        """Take some of the genes."""
        first, last = self.pointers[begin], self.pointers[end]
        return Columns(self.values[first:last], self.cells[first:last], self.pointers[begin : end + 1] - first)


def in_memory(x: scipy.sparse.spmatrix | np.ndarray) -> Cells:
    """Read a matrix that is in memory, cells x genes; float64 and large whole numbers as float64, others as float32."""
    if x.dtype.kind in "iu" and 0 not in x.shape and x.max() > WHOLE_IN_FLOAT32:
        x = x.astype(np.float64)
    if scipy.sparse.issparse(x):
        x = scipy.sparse.csr_matrix(x)
        if not x.has_canonical_format:
            x = x.copy()
            x.sum_duplicates()
        x = float_csr(x)
        return Cells(x.shape, lambda keep: _views(x), part_bytes=PART_IN_MEMORY)

    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        for start in range(0, x.shape[0], CELLS_PER_BLOCK):
            yield float_csr(x[start : start + CELLS_PER_BLOCK])

    return Cells(x.shape, read, dense=True)


def _views(x: scipy.sparse.csr_matrix) -> Iterator[scipy.sparse.csr_matrix]:
    """Cut a matrix into blocks of cells without copying its values."""
    for start in range(0, x.shape[0], CELLS_PER_BLOCK):
        pointers = x.indptr[start : start + CELLS_PER_BLOCK + 1]
        values = slice(pointers[0], pointers[-1])
        block = scipy.sparse.csr_matrix((len(pointers) - 1, x.shape[1]), dtype=x.dtype)
        # given to the constructor, small parts of large arrays would be copied
        block.data, block.indices, block.indptr = x.data[values], x.indices[values], pointers - pointers[0]
        yield block


def float_csr(block: scipy.sparse.spmatrix | np.ndarray) -> scipy.sparse.csr_matrix:
    """Make a CSR matrix of float64 if it is that, else of float32."""
    dtype = np.float64 if block.dtype == np.float64 else np.float32
    return (
        csr_of(block.astype(dtype, copy=False))
        if isinstance(block, np.ndarray)
        else scipy.sparse.csr_matrix(block, dtype=dtype)
    )


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


def columns(cells: Cells, keep: np.ndarray, known: Seen | None = None) -> Iterator[tuple[slice, Columns]]:
    """Give the genes in parts, each as columns.

    Parameters
    ----------
    cells
        Cells x genes.
    keep
        Which cells to take, boolean.
    known
        What `scan` told of these cells, if it was called.

    Yields
    ------
    Which genes, and their columns; the cells are numbered as in `cells`.

    Raises
    ------
    InputError
        If a value is negative or NaN, or the data change while they are read.
    """
    known = known or scan(cells, keep)
    if (known.n_values < 0).any():
        raise InputError(OTHER_VALUES)
    if known.n_odd or known.lowest < 0:
        msg = "expression is never negative, NaN or infinite, and there are such values; mend the data first"
        raise InputError(msg)
    begin, n_genes = 0, cells.shape[1]
    while begin < n_genes:
        pointers = np.concatenate([[0], np.cumsum(known.n_values[begin:])])
        n_fit = int(np.searchsorted(pointers, cells.part_bytes // (known.itemsize + 4), side="right")) - 1
        end = min(begin + max(1, n_fit), n_genes)
        yield slice(begin, end), _part(cells, keep, begin, pointers[: end - begin + 1])
        begin = end


def group_sums(part: Columns, groups: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum the values of each group of cells and their squares, gene by gene.

    Parameters
    ----------
    part
        The non-zeros of some genes.
    groups
        Group of each cell; negative cells are left out.
    n_groups
        How many groups there are.

    Returns
    -------
    Sums and sums of squares, n_groups x genes, float64.
    """
    sums = np.zeros((2, len(part.pointers) - 1, n_groups))
    _group_sums(part.values, part.cells, part.pointers, groups, sums)
    return np.ascontiguousarray(sums[0].T), np.ascontiguousarray(sums[1].T)


def sum_in_order(part: Columns, groups: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Sum share[group] x value of each group's cells, one after the other in their order, in the values' precision.

    Where the last bit of a mean matters, the order of summation is part of a rule.

    Parameters
    ----------
    part
        The non-zeros of some genes.
    groups
        Group of each cell; negative cells are left out.
    share
        What each value of a group is multiplied with, usually 1 / number of cells.

    Returns
    -------
    Groups x genes, of the values' dtype.
    """
    sums = np.zeros((len(part.pointers) - 1, len(share)), part.values.dtype)
    _sum_in_order(part.values, part.cells, part.pointers, groups, share.astype(sums.dtype), sums)
    return np.ascontiguousarray(sums.T)


def layer_sums(part: Columns, layers: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do `group_sums` and `sum_in_order` for several groupings of the same cells in one pass.

    Parameters
    ----------
    part
        The non-zeros of some genes.
    layers
        Group of each cell in each grouping, L x cells; negative cells are left out. The cells of group 0 must be the
        same in all groupings.
    shares
        L x groups, as for `sum_in_order`.

    Returns
    -------
    Sums and sums of squares (float64) and sums in order (of the values' dtype), each L x groups x genes.
    """
    n_layers, n_groups = shares.shape
    shape = (len(part.pointers) - 1, n_layers, n_groups)
    sums, squares, in_order = np.zeros(shape), np.zeros(shape), np.zeros(shape, part.values.dtype)
    layers = np.ascontiguousarray(layers.T, dtype=np.int32)
    shares = shares.astype(in_order.dtype)
    _layer_sums(part.values, part.cells, part.pointers, layers, shares, sums, squares, in_order)
    for array in (sums, squares, in_order):
        array[:, 1:, 0] = array[:, :1, 0]
    return tuple(np.ascontiguousarray(np.moveaxis(array, 0, 2)) for array in (sums, squares, in_order))


def _part(cells: Cells, keep: np.ndarray, begin: int, pointers: np.ndarray) -> Columns:
    """Read the cells and keep what belongs to some genes."""
    values = rows = None
    heads = pointers[:-1].copy()
    start = 0
    for block in cells.read(keep):
        if values is None:
            values, rows = np.empty(pointers[-1], block.dtype), np.empty(pointers[-1], np.uint32)
        kept = keep[start : start + block.shape[0]]
        fits = _scatter(block.data, block.indices, block.indptr, kept, start, begin, heads, pointers[1:], values, rows)
        if not fits:
            raise InputError(OTHER_VALUES)
        start += block.shape[0]
    if values is None:
        values, rows = np.empty(0, np.float32), np.empty(0, np.uint32)
    if not (heads == pointers[1:]).all():  # places that nothing was written to hold anything
        raise InputError(OTHER_VALUES)
    return Columns(values, rows, pointers)


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


@numba.njit(parallel=True, cache=True, nogil=True)
def _scatter(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    keep: np.ndarray,
    first_cell: int,
    begin: int,
    heads: np.ndarray,
    ends: np.ndarray,
    values: np.ndarray,
    rows: np.ndarray,
) -> bool:  # pragma: no cover (compiled)
    n_genes = len(heads)
    n_strips = -(-n_genes // GENES_PER_STRIP)
    fits = np.ones(n_strips, np.bool_)
    for strip in numba.prange(n_strips):
        low = begin + strip * GENES_PER_STRIP
        high = min(low + GENES_PER_STRIP, begin + n_genes)
        for cell in range(len(indptr) - 1):
            if not keep[cell]:
                continue
            end = indptr[cell + 1]
            i = indptr[cell] + np.searchsorted(indices[indptr[cell] : end], low)
            while i < end and indices[i] < high:
                value = data[i]
                if value > 0:
                    gene = indices[i] - begin
                    if indices[i] < low or heads[gene] >= ends[gene]:
                        fits[strip] = False
                        break
                    head = heads[gene]
                    values[head] = value
                    rows[head] = first_cell + cell
                    heads[gene] = head + 1
                i += 1
    return fits.all()


@numba.njit(parallel=True, cache=True, nogil=True)
def _group_sums(
    values: np.ndarray, cells: np.ndarray, pointers: np.ndarray, groups: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover (compiled)
    for gene in numba.prange(len(pointers) - 1):
        for i in range(pointers[gene], pointers[gene + 1]):
            group = groups[cells[i]]
            if group >= 0:
                value = np.float64(values[i])
                sums[0, gene, group] += value
                sums[1, gene, group] += value * value


@numba.njit(parallel=True, cache=True, nogil=True)
def _sum_in_order(
    values: np.ndarray, cells: np.ndarray, pointers: np.ndarray, groups: np.ndarray, share: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover (compiled)
    for gene in numba.prange(len(pointers) - 1):
        for i in range(pointers[gene], pointers[gene + 1]):
            group = groups[cells[i]]
            if group >= 0:
                sums[gene, group] += values[i] * share[group]


@numba.njit(parallel=True, cache=True, nogil=True)
def _layer_sums(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    layers: np.ndarray,
    shares: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
    in_order: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_layers = layers.shape[1]
    for gene in numba.prange(len(pointers) - 1):
        for i in range(pointers[gene], pointers[gene + 1]):
            cell = cells[i]
            value = np.float64(values[i])
            group = layers[cell, 0]
            if group == 0:  # the controls are the same in all groupings
                sums[gene, 0, 0] += value
                squares[gene, 0, 0] += value * value
                in_order[gene, 0, 0] += values[i] * shares[0, 0]
                continue
            for layer in range(n_layers):
                group = layers[cell, layer]
                if group >= 0:
                    sums[gene, layer, group] += value
                    squares[gene, layer, group] += value * value
                    in_order[gene, layer, group] += values[i] * shares[layer, group]
