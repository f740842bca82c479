"""Raw counts of a stored matrix, a block of cells at a time."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.adoption.by_genes import read_by_genes
from data_scripts.adoption.logs import scaled_back
from starter import progress
from starter.data.blocks import read_ahead
from starter.data.h5ad import CELLS_PER_BLOCK, check_matrix, layout_of, read_blocks, read_frame, shape_of
from starter.data.zarr_store import is_array
from starter.errors import InputError, listed

SAMPLED = 1024
"""Cells of a dense matrix by which the number of its values is estimated."""
AWAY = 1e-3
"""A count may be so far from a whole number, as where it was written as a sum of parts."""


def list_matrices(file: Any) -> dict[str, h5py.Group | h5py.Dataset]:
    """List the matrices of an open file that may hold counts, by the names that a layout gives them."""
    found = {"X": file["X"]}
    if (raw := file.get("raw/X", file.get("raw.X"))) is not None:  # AnnData up to 0.6 wrote raw.X
        found["raw/X"] = raw
    return found | {f"layers/{name}": file[f"layers/{name}"] for name in file.get("layers", ())}


def find_matrix(file: Any, counts: str, n_cells: int) -> tuple[h5py.Group | h5py.Dataset, pd.DataFrame]:
    """Find a matrix of an open file, and what describes its genes.

    Parameters
    ----------
    file
        An open `.h5ad` or Zarr store.
    counts
        `X`, `raw/X` or `layers/NAME`.
    n_cells
        How many cells obs describes.

    Raises
    ------
    InputError
        If it is not there, or has another shape than the cells and genes that the file describes.
    """
    matrices = list_matrices(file)
    if counts not in matrices:
        msg = f"the file has no matrix {counts!r}; it has {listed(list(matrices))}"
        raise InputError(msg)
    genes = "var" if not counts.startswith("raw") else "raw/var" if "raw/var" in file else "raw.var"
    x, var = matrices[counts], read_frame(file, genes)
    if (fault := check_matrix(x, (n_cells, len(var)))) is not None:
        msg = f"{counts} cannot be used: {fault}"
        raise InputError(msg)
    return x, var


def values_at_most(x: h5py.Group | h5py.Dataset, n_kept: int) -> int:
    """Give how many values a matrix stores; of a dense one, by its cells here and there, and half as many more."""
    if not is_array(x):
        return int(x["data"].size)
    n_cells, n_genes = shape_of(x)
    rows = np.unique(np.linspace(0, max(n_cells - 1, 0), SAMPLED).astype(int)) if n_cells else np.empty(0, int)
    per_cell = np.mean([np.count_nonzero(x[int(row)]) for row in rows]) if len(rows) else 0
    return int(min(1.5 * per_cell, n_genes) * n_kept)


def read_kept(
    x: h5py.Group | h5py.Dataset, keep: np.ndarray, what: str
) -> Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]]:
    """Give some cells of a stored matrix, a block at a time, with a bar.

    Yields
    ------
    Numbers of the cells, and their values as they are stored; blocks without any of these cells are left out.
    """
    start = 0
    with progress.bar(what, -(-len(keep) // CELLS_PER_BLOCK)) as advance:
        by_genes = layout_of(x) == "csc_matrix"
        for block in read_ahead(read_by_genes(x, keep) if by_genes else read_blocks(x, keep=keep)):
            here = np.flatnonzero(keep[start : start + block.shape[0]])
            if len(here):
                yield start + here, block if len(here) == block.shape[0] else block[here]
            start += block.shape[0]
            advance()


def read_counts(
    x: h5py.Group | h5py.Dataset, keep: np.ndarray, cells: pd.Index, genes: np.ndarray, units: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]]:
    """Give the counts of some cells, a block at a time.

    Parameters
    ----------
    x
        A matrix of an open file: counts, or logs if there are `units`.
    keep
        Which cells, boolean.
    cells, genes
        The names of all, for messages.
    units
        What one UMI is on the natural scale in each cell, as `data_scripts.adoption.logs` finds it.

    Yields
    ------
    Numbers of the cells, and their counts: float32 CSR (cells x genes) of whole numbers above 0.

    Raises
    ------
    InputError
        At the first value that is no count, with its cell and gene.
    """
    for here, block in read_kept(x, keep, "convert"):
        refuse_faults(block, cells[here], genes)
        yield here, _whole(block, cells[here], genes) if units is None else scaled_back(block, units[here])


def refuse_faults(block: scipy.sparse.csr_matrix, cells: pd.Index, genes: np.ndarray) -> None:
    """Refuse values that are neither counts nor logs of them: NaN, infinite, below 0."""
    if block.data.dtype.kind not in "biuf":
        msg = f"the matrix holds {block.data.dtype}, not numbers; name the matrix that holds raw counts"
        raise InputError(msg)
    with np.errstate(invalid="ignore"):
        fits = np.isfinite(block.data) & (block.data >= 0)
    if not fits.all():
        where, value = _place(block, int(np.argmin(fits)), cells, genes)
        msg = (
            f"{where} holds {value}, which is no count; name the matrix that holds raw counts, or leave such cells out"
        )
        raise InputError(msg)


def _whole(block: scipy.sparse.csr_matrix, cells: pd.Index, genes: np.ndarray) -> scipy.sparse.csr_matrix:
    rounded = np.rint(block.data)
    fits = np.abs(block.data - rounded) <= AWAY
    if not fits.all():
        where, value = _place(block, int(np.argmin(fits)), cells, genes)
        msg = (
            f"{where} holds {value}, no whole number, so these are not raw counts; name the matrix that holds them, or "
            "say that these are logs (log1p of scaled counts)"
        )
        raise InputError(msg)
    counts = scipy.sparse.csr_matrix((rounded.astype(np.float32), block.indices, block.indptr), shape=block.shape)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _place(block: scipy.sparse.csr_matrix, number: int, cells: pd.Index, genes: np.ndarray) -> tuple[str, str]:
    """Say where a stored value is, and what it is."""
    row = int(np.searchsorted(block.indptr, number, side="right")) - 1
    return f"cell {cells[row]}, gene {genes[block.indices[number]]}", f"{block.data[number]:.6g}"
