"""A matrix that is stored by genes (CSC), given by cells in bounded memory: it is read as often as that needs."""

from collections.abc import Iterator

import h5py
import numpy as np
import scipy.sparse

from starter.data.h5ad import CELLS_PER_BLOCK, name_of, shape_of
from starter.errors import InputError

VALUES = 1 << 25
"""Values of cells that are in memory at once, some 30 bytes each while they are turned around."""
STEP = 1 << 22
"""Values that are read at once."""


def read_by_genes(x: h5py.Group, keep: np.ndarray, values: int = VALUES) -> Iterator[scipy.sparse.csr_matrix]:
    """Give the cells of a CSC matrix in order, a block at a time, as `starter.data.h5ad.read_blocks` does.

    Parameters
    ----------
    x
        The matrix.
    keep
        Which cells are needed, boolean; others may come empty.
    values
        About how many values may be in memory at once.

    Raises
    ------
    InputError
        If its parts do not fit together.
    """
    n_cells, n_genes = shape_of(x)
    pointers = np.asarray(x["indptr"][:]).astype(np.int64)
    n_values = int(x["data"].size)
    fits = len(pointers) == n_genes + 1 and pointers[0] == 0 and pointers[-1] == n_values == x["indices"].size
    if not fits or (np.diff(pointers) < 0).any():
        msg = f"{name_of(x)}: a matrix is damaged (its pointers do not fit its {n_cells} cells x {n_genes} genes)"
        raise InputError(msg)
    blocks_at_once = max(1, int(values / max(n_values, 1) * n_cells / CELLS_PER_BLOCK))
    for first in range(0, n_cells, blocks_at_once * CELLS_PER_BLOCK):
        last = min(first + blocks_at_once * CELLS_PER_BLOCK, n_cells)
        some = _cells_of(x, pointers, first, last) if keep[first:last].any() else None
        for start in range(first, last, CELLS_PER_BLOCK):
            stop = min(start + CELLS_PER_BLOCK, last)
            empty = scipy.sparse.csr_matrix((stop - start, n_genes), dtype=np.float32)
            yield empty if some is None else some[start - first : stop - first]


def _cells_of(x: h5py.Group, pointers: np.ndarray, first: int, last: int) -> scipy.sparse.csr_matrix:
    """Read through the whole matrix, and take the values of some cells."""
    n_cells, n_genes = shape_of(x)
    data, cells, genes = [], [], []
    for start in range(0, int(pointers[-1]), STEP):
        rows = np.asarray(x["indices"][start : start + STEP])
        if rows.min() < 0 or rows.max() >= n_cells:
            msg = f"{name_of(x)}: a matrix is damaged (values of cells beyond its {n_cells:,})"
            raise InputError(msg)
        here = np.flatnonzero((rows >= first) & (rows < last))
        data.append(np.asarray(x["data"][start : start + STEP])[here])
        cells.append((rows[here] - first).astype(np.int32))
        genes.append((np.searchsorted(pointers, start + here, side="right") - 1).astype(np.int32))
    if not data:
        return scipy.sparse.csr_matrix((last - first, n_genes), dtype=np.float32)
    parts = np.concatenate(data), (np.concatenate(cells), np.concatenate(genes))
    return scipy.sparse.coo_matrix(parts, shape=(last - first, n_genes)).tocsr()
