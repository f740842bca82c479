"""The control cells' values of each gene, sorted once for all rank sums."""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse
import scipy.special

from starter.data.blocks import Cells, in_memory
from starter.statistics.columns import Columns, columns

GENES_PER_BLOCK = 16
"""Genes whose sorted values are in memory at once."""
SHORT = 64
"""Values that agree in their leading bits are put in order by insertion if they are so few."""


class SortedControls(NamedTuple):
    """Control cells sorted gene by gene, to test other cells against."""

    values: np.ndarray
    """The non-zeros, gene after gene, ascending."""
    pointers: np.ndarray
    """Where each gene begins, and the last one ends, int64."""
    n_cells: int


def sort_controls(x: Cells | scipy.sparse.spmatrix | np.ndarray, cells: np.ndarray) -> SortedControls:
    """Sort control cells once, for many tests against them.

    Parameters
    ----------
    x
        Cells x genes, as `rank_sum` takes them.
    cells
        Which of them are control cells, boolean.

    Raises
    ------
    InputError
        If a value is negative or NaN.
    """
    source = x if isinstance(x, Cells) else in_memory(x)
    return join_genes([sort_part(part, cells) for _, part in columns(source, cells)])


def sort_part(part: Columns, cells: np.ndarray) -> SortedControls:
    """Sort control cells of some genes; `cells` says which they are, boolean."""
    n_values = np.zeros(len(part.pointers) - 1, np.int64)
    _count_of(part.cells, part.pointers, cells, n_values)
    pointers = np.concatenate([[0], np.cumsum(n_values)])
    values = np.empty(pointers[-1], part.values.dtype)
    _sort_columns(bits_of(part.values), part.cells, part.pointers, cells, bits_of(values), pointers)
    return SortedControls(values, pointers, int(cells.sum()))


def join_genes(parts: Sequence[SortedControls]) -> SortedControls:
    """Put parts of the genes together, in order."""
    starts = np.cumsum([0, *(part.pointers[-1] for part in parts[:-1])])
    pointers = [[0], *(part.pointers[1:] + start for part, start in zip(parts, starts, strict=True))]
    return SortedControls(np.concatenate([part.values for part in parts]), np.concatenate(pointers), parts[0].n_cells)


def take_genes(controls: SortedControls, genes: slice) -> SortedControls:
    """Take a range of the genes."""
    pointers = controls.pointers[genes.start : genes.stop + 1]
    return SortedControls(controls.values[pointers[0] : pointers[-1]], pointers - pointers[0], controls.n_cells)


def bits_of(values: np.ndarray) -> np.ndarray:
    """See positive floats as the unsigned integers of their bits, which are in the same order."""
    return values.view(f"u{values.itemsize}")


@numba.njit(parallel=True, cache=True, nogil=True)
def _count_of(
    cells: np.ndarray, pointers: np.ndarray, wanted: np.ndarray, n_values: np.ndarray
) -> None:  # pragma: no cover (compiled)
    for gene in numba.prange(len(n_values)):
        for i in range(pointers[gene], pointers[gene + 1]):
            n_values[gene] += wanted[cells[i]]


@numba.njit(parallel=True, cache=True, nogil=True)
def _sort_columns(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    wanted: np.ndarray,
    in_order: np.ndarray,
    ends: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_genes = len(pointers) - 1
    for block in numba.prange(-(-n_genes // GENES_PER_BLOCK)):
        low, high = block * GENES_PER_BLOCK, min((block + 1) * GENES_PER_BLOCK, n_genes)
        _sort_block(low, high, values, cells, pointers, wanted, in_order, ends)


@numba.njit(cache=True, nogil=True)
def _sort_block(
    low: int,
    high: int,
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    wanted: np.ndarray,
    in_order: np.ndarray,
    ends: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Write the wanted cells' values of each gene in order, gene after gene."""
    size = longest(ends, low, high)
    keys, spare_keys = np.empty(size, values.dtype), np.empty(size, values.dtype)
    order, spare_order = np.zeros(size, np.uint8), np.zeros(size, np.uint8)  # whose value it is does not matter
    for gene in range(low, high):
        n = int(np.int64(0))  # not the literal 0, for which numba compiles everything once more
        for i in range(pointers[gene], pointers[gene + 1]):
            if wanted[cells[i]]:
                keys[n] = values[i]
                n += 1
        if n:
            ranked, _ = sort_bits(keys, order, spare_keys, spare_order, n)
            for i in range(n):
                in_order[ends[gene] + i] = ranked[i]


@numba.njit(cache=True, nogil=True)
def longest(pointers: np.ndarray, low: int, high: int) -> int:  # pragma: no cover (compiled)
    """Give the number of values of the gene that has most of them, among those from `low` to below `high`."""
    size = 0
    for gene in range(low, high):
        size = max(size, pointers[gene + 1] - pointers[gene])
    return size


@numba.njit(cache=True, nogil=True)
def sort_bits(
    bits: np.ndarray, owner: np.ndarray, spare_bits: np.ndarray, spare_owner: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover (compiled)
    """Sort by the leading bits that differ, 11 at a time, and mend what these leave open.

    Returns
    -------
    Which of the two pairs of arrays holds the result.
    """
    lowest, highest = bits[0], bits[0]
    for i in range(1, n):
        lowest = min(lowest, bits[i])
        highest = max(highest, bits[i])
    span = np.uint64(highest - lowest)
    width = 0
    while width < 64 and span >> np.uint64(width):
        width += 1
    leading = max(0, width - (33 if bits.itemsize == 8 else 22))
    low, digit = leading, _digit(width - leading)
    while low < width:
        _pass(bits, owner, spare_bits, spare_owner, n, lowest, low, digit)
        bits, owner, spare_bits, spare_owner = spare_bits, spare_owner, bits, owner
        low += digit
    if leading and not _mend(bits, owner, n):
        low, digit = int(np.int64(0)), _digit(width)
        while low < width:
            _pass(bits, owner, spare_bits, spare_owner, n, lowest, low, digit)
            bits, owner, spare_bits, spare_owner = spare_bits, spare_owner, bits, owner
            low += digit
    return bits, owner


@numba.njit(cache=True, nogil=True)
def _digit(width: int) -> int:  # pragma: no cover (compiled)
    """Share bits out to as few passes as 11 bits at a time need, so that each has as few digits as can be."""
    n_passes = max(1, -(-width // 11))
    return max(1, -(-width // n_passes))


@numba.njit(cache=True, nogil=True)
def _pass(
    bits: np.ndarray,
    owner: np.ndarray,
    spare_bits: np.ndarray,
    spare_owner: np.ndarray,
    n: int,
    lowest: int,
    low: int,
    n_bits: int,
) -> None:  # pragma: no cover (compiled)
    """Sort stably by the n_bits from `low` on into the spare arrays (one pass of a radix sort)."""
    shift, mask = np.uint64(low), np.uint64((1 << n_bits) - 1)
    heads = np.zeros((1 << n_bits) + 1, np.int64)
    for i in range(n):
        heads[np.int64(np.uint64(bits[i] - lowest) >> shift & mask) + 1] += 1
    for digit in range(1 << n_bits):
        heads[digit + 1] += heads[digit]
    for i in range(n):
        digit = np.int64(np.uint64(bits[i] - lowest) >> shift & mask)
        head = heads[digit]
        heads[digit] = head + 1
        spare_bits[head] = bits[i]
        spare_owner[head] = owner[i]


@numba.njit(cache=True, nogil=True)
def _mend(bits: np.ndarray, owner: np.ndarray, n: int) -> bool:  # pragma: no cover (compiled)
    """Put values in order that are nearly so; give up if one has far to go, and leave a permutation."""
    for i in range(1, n):
        if bits[i] >= bits[i - 1]:
            continue
        value, cell = bits[i], owner[i]
        j = i
        while j > 0 and bits[j - 1] > value:
            if i - j > SHORT:
                bits[j], owner[j] = value, cell
                return False
            bits[j], owner[j] = bits[j - 1], owner[j - 1]
            j -= 1
        bits[j], owner[j] = value, cell
    return True
