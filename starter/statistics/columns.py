"""The non-zeros of a screen gene by gene: from blocks of cells to columns, in bounded memory.

A file stores its cells one after the other; tests and means want one gene of all cells. The cells are read once to
count, and once more for every part of the genes whose values fit into memory together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numba
import numpy as np

from starter.data.blocks import Cells
from starter.data.scan import Scan, scan_cells
from starter.errors import InputError

OTHER_VALUES = (
    "the values of a gene are not as many as were counted: the file changed while it was read, or holds values too "
    "small for float32, or control cells that only look like the course's; write it again"
)
GENES_PER_STRIP = 256
"""Genes that are written side by side: so few that the ends of their columns stay in the processor's cache."""


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


def columns(cells: Cells, keep: np.ndarray, known: Scan | None = None) -> Iterator[tuple[slice, Columns]]:
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
    known = known or scan_cells(cells, keep)
    if (known.n_values < 0).any():
        raise InputError(OTHER_VALUES)
    if known.n_not_finite or known.lowest < 0:
        msg = "expression is never negative, NaN or infinite, and there are such values; mend the data first"
        raise InputError(msg)
    begin, n_genes = 0, cells.shape[1]
    while begin < n_genes:
        pointers = np.concatenate([[0], np.cumsum(known.n_values[begin:])])
        n_fit = int(np.searchsorted(pointers, cells.part_bytes // (known.itemsize + 4), side="right")) - 1
        end = min(begin + max(1, n_fit), n_genes)
        yield slice(begin, end), _part(cells, keep, begin, pointers[: end - begin + 1])
        begin = end


def _part(cells: Cells, keep: np.ndarray, begin: int, pointers: np.ndarray) -> Columns:
    """Read the cells and keep what belongs to some genes."""
    values = rows = None  # made by the first block, whose dtype they take
    heads = pointers[:-1].copy()
    start = 0
    for block in cells.read(keep):
        if values is None or rows is None:
            values, rows = np.empty(pointers[-1], block.dtype), np.empty(pointers[-1], np.uint32)
        kept = keep[start : start + block.shape[0]]
        fits = _scatter(block.data, block.indices, block.indptr, kept, start, begin, heads, pointers[1:], values, rows)
        if not fits:
            raise InputError(OTHER_VALUES)
        start += block.shape[0]
    if values is None or rows is None:
        values, rows = np.empty(0, np.float32), np.empty(0, np.uint32)
    if not (heads == pointers[1:]).all():  # places that nothing was written to hold anything
        raise InputError(OTHER_VALUES)
    return Columns(values, rows, pointers)


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
    n_strips = -(-len(heads) // GENES_PER_STRIP)
    fits = np.zeros(n_strips, np.bool_)
    for strip in numba.prange(n_strips):
        fits[strip] = _scatter_strip(
            strip * GENES_PER_STRIP, data, indices, indptr, keep, first_cell, begin, heads, ends, values, rows
        )
    return bool(fits.all())


@numba.njit(cache=True, nogil=True)
def _scatter_strip(
    strip: int,
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
    """Write the values of a strip of genes, which begins at gene `strip` of the part; say whether they fitted."""
    low = begin + strip
    high = begin + min(strip + GENES_PER_STRIP, len(heads))
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
                    return False
                head = heads[gene]
                values[head] = value
                rows[head] = first_cell + cell
                heads[gene] = head + 1
            i += 1
    return True
