"""log1p expression of counts, and its sums: counts are small whole numbers, so few logs need be taken of a cell."""

from collections.abc import Iterable

import numba
import numpy as np
import scipy.sparse

TABLE = 256
"""Counts whose logs are taken once a cell; nearly all counts are below."""
CELLS_AT_ONCE = 1024
"""Cells whose tables are in memory together."""


def logs_of(counts: scipy.sparse.csr_matrix, scale: np.ndarray) -> scipy.sparse.csr_matrix:
    """Make log1p(scale x count), computed in float64.

    Parameters
    ----------
    counts
        Cells x genes; of any type, fractions too.
    scale
        What one UMI of each cell is on the scale before the log.

    Returns
    -------
    Cells x genes, CSR float32, of the same sparsity.
    """
    logs = scipy.sparse.csr_matrix(counts.shape, dtype=np.float32)
    logs.data, logs.indices, logs.indptr = log_values(counts, scale), counts.indices.copy(), counts.indptr.copy()
    return logs


def log_values(counts: scipy.sparse.csr_matrix, scale: np.ndarray) -> np.ndarray:
    """Give the stored values of `logs_of`, in the order in which the counts are stored."""
    values = np.empty(counts.nnz, np.float32)
    for start in range(0, len(scale), CELLS_AT_ONCE):
        pointers = counts.indptr[start : start + CELLS_AT_ONCE + 1].astype(np.int64)
        span = slice(pointers[0], pointers[-1])
        of_cells, pointers = scale[start : start + CELLS_AT_ONCE], pointers - pointers[0]
        data = counts.data[span]
        if _look_up(data, pointers, _logs_of_counts(of_cells), values[span]):
            other = np.flatnonzero(np.isnan(values[span]))
            unit = of_cells[np.searchsorted(pointers, other, "right") - 1]
            values[span][other] = np.log1p(data[other].astype(np.float64) * unit)
    return values


def log_sums(
    blocks: Iterable[tuple[scipy.sparse.csr_matrix, np.ndarray, np.ndarray]], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Sum log1p(scale x count) of each group of cells and its squares, gene by gene.

    Logs are rounded to float32, as `starter.data.preprocess.log_expression` gives them, and added in the order of the
    cells in float64, whatever the number of threads.

    Parameters
    ----------
    blocks
        Counts (cells x genes, indices sorted and within the genes), the group of each cell (negative: left out), and
        what one UMI of each cell is on the scale before the log, target_sum / n_umis.
    shape
        Groups and genes.

    Returns
    -------
    Sums and sums of squares, groups x genes, float64.
    """
    sums, squares = np.zeros((2, *shape))
    n_threads = numba.get_num_threads()
    bounds = np.arange(n_threads + 1) * shape[1] // n_threads
    for block, groups, scale in blocks:
        # one type of each, so that one machine code is compiled
        values, columns = block.data.astype(np.float32, copy=False), block.indices.astype(np.int32, copy=False)
        pointers = block.indptr.astype(np.int64)
        _add(bounds, values, columns, pointers, groups, scale, _logs_of_counts(scale), sums, squares)
    return sums, squares


def _logs_of_counts(scale: np.ndarray) -> np.ndarray:
    """Give log1p(scale x count) of the counts 0 to `TABLE` - 1 in each cell."""
    return np.log1p(scale[:, None] * np.arange(TABLE, dtype=np.float64)).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _look_up(
    data: np.ndarray, pointers: np.ndarray, table: np.ndarray, logs: np.ndarray
) -> int:  # pragma: no cover (compiled)
    """Take logs from each cell's table; values that are not in it give NaN, and are counted."""
    n_other, width = 0, table.shape[1]
    for cell in range(len(pointers) - 1):
        row = table[cell]
        for i in range(pointers[cell], pointers[cell + 1]):
            value = data[i]
            count = np.uint32(value) if value >= 0 and value < width else np.uint32(0)
            if count == value:
                logs[i] = row[count]
            else:
                logs[i] = np.nan
                n_other += 1
    return n_other


@numba.njit(parallel=True, cache=True, nogil=True)
def _add(
    bounds: np.ndarray,
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    groups: np.ndarray,
    scale: np.ndarray,
    table: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Add a block; each thread has the genes between two bounds."""
    for thread in numba.prange(len(bounds) - 1):
        _add_genes(bounds[thread], bounds[thread + 1], data, indices, indptr, groups, scale, table, sums, squares)


@numba.njit(cache=True, nogil=True)  # by itself, since what runs in parallel takes far longer to compile
def _add_genes(
    low: int,
    high: int,
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    groups: np.ndarray,
    scale: np.ndarray,
    table: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    for cell in range(len(indptr) - 1):
        group = groups[cell]
        if group < 0:
            continue
        end = indptr[cell + 1]
        i = indptr[cell] + np.searchsorted(indices[indptr[cell] : end], low)
        while i < end and indices[i] < high:
            count = int(data[i])
            if count < table.shape[1] and count == data[i]:  # corrected counts may be fractions
                log = np.float64(table[cell, count])
            else:
                log = np.float64(np.float32(np.log1p(scale[cell] * np.float64(data[i]))))
            sums[group, indices[i]] += log
            squares[group, indices[i]] += log * log
            i += 1
