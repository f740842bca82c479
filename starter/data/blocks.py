"""Cells x genes that are read again and again, a block of cells at a time, from memory or from a file."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
import scipy.sparse

from starter.data.h5ad import CELLS_PER_BLOCK, check_sparse, csr_of, layout_of, read_blocks
from starter.data.zarr_store import is_array

BYTES = 4 << 30
"""Memory for the columns of one part of the genes."""
PART_IN_MEMORY = 1 << 29
"""The same for cells that are in memory, which cost little to read again."""
WHOLE_IN_FLOAT32 = 1 << 24
"""Up to here float32 tells whole numbers apart."""


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

    def kept(self, n_bytes: int) -> "Cells":
        """Keep what is read once in memory, as long as it takes no more than so many bytes; all cells are needed."""
        held: list[scipy.sparse.csr_matrix] = []
        whole = False

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            nonlocal whole
            if whole:
                yield from held
                return
            held.clear()
            size, fits = 0, True
            for block in self.read(keep):
                size += block.data.nbytes + block.indices.nbytes
                if fits := fits and size <= n_bytes:
                    held.append(block)
                else:
                    held.clear()
                yield block
            whole = fits

        return replace(self, read=read)


def in_memory(x: scipy.sparse.spmatrix | np.ndarray) -> Cells:
    """Read a matrix that is in memory, cells x genes; float64 and large whole numbers as float64, others as float32."""
    if x.dtype.kind in "iu" and 0 not in x.shape and x.max() > WHOLE_IN_FLOAT32:
        x = x.astype(np.float64)
    if scipy.sparse.issparse(x):
        csr = scipy.sparse.csr_matrix(x)
        if not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
        csr = float_csr(csr)
        return Cells(csr.shape, lambda keep: views(csr), part_bytes=PART_IN_MEMORY)

    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        for start in range(0, x.shape[0], CELLS_PER_BLOCK):
            yield float_csr(x[start : start + CELLS_PER_BLOCK])

    return Cells(x.shape, read, dense=True)


def views(x: scipy.sparse.csr_matrix, cells: int = CELLS_PER_BLOCK) -> Iterator[scipy.sparse.csr_matrix]:
    """Cut a matrix into blocks of cells without copying its values."""
    for start in range(0, x.shape[0], cells):
        pointers = x.indptr[start : start + cells + 1]
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


def stored_cells(x: h5py.Group | h5py.Dataset, shape: tuple[int, int]) -> Cells:
    """Read the stored `X` of an open `.h5ad` or Zarr store, in any layout that AnnData writes."""
    kind = layout_of(x)
    if kind == "csc_matrix":
        # genes first: only the whole matrix can be turned
        whole = scipy.sparse.vstack(list(read_blocks(x)), format="csr")
        whole.sum_duplicates()

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            del keep
            for start in range(0, shape[0], CELLS_PER_BLOCK):
                yield float_csr(whole[start : start + CELLS_PER_BLOCK])
    else:

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            return read_ahead(map(float_csr, read_blocks(x, keep=keep, checked=False)))

    return Cells(shape, read, dense=is_array(x))


def read_ahead(blocks: Iterator[scipy.sparse.csr_matrix]) -> Iterator[scipy.sparse.csr_matrix]:
    """Read the next block while one is worked on: HDF5 reads and decompresses on one core, without Python's lock."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block


def held_cells(x: scipy.sparse.spmatrix | np.ndarray) -> Cells:
    """Read a matrix that is in memory as `stored_cells` reads the file that AnnData writes of it, bit by bit.

    Raises
    ------
    InputError
        If the parts of a sparse matrix do not fit together.
    """
    check_sparse(x)
    rows: Any = x
    if scipy.sparse.issparse(x):
        rows = scipy.sparse.csr_matrix(x)
        if getattr(x, "format", None) == "csc":
            rows.sum_duplicates()

    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        for start in range(0, rows.shape[0], CELLS_PER_BLOCK):
            yield float_csr(rows[start : start + CELLS_PER_BLOCK])

    return Cells(rows.shape, read, dense=isinstance(x, np.ndarray))


def gather(cells: Cells, keep: np.ndarray) -> scipy.sparse.csr_matrix:
    """Bring some cells into memory, in order."""
    kept, start = [], 0
    for block in cells.read(keep):
        kept.append(block[keep[start : start + block.shape[0]]])
        start += block.shape[0]
    return scipy.sparse.vstack(kept, format="csr")
