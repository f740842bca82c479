"""`.h5ad` files written by blocks of cells, whole or not at all, so that memory does not grow with the file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.h5ad import LOCKING
from starter.data.packed import Growing, pool_of_threads
from starter.files import whole


@contextmanager
def _created(path: Path) -> Iterator[h5py.File]:
    """Open a new file; what goes wrong with the disk is an OSError, also where HDF5 notices it late."""
    # without a cache of chunks, which HDF5 cannot part with on a full disk: it would crash the process at its end
    file = h5py.File(path, "w", locking=LOCKING, rdcc_nbytes=0)
    try:
        yield file
    except BaseException:
        with suppress(OSError, RuntimeError):  # the first error is the one to tell
            file.close()
        raise
    try:
        file.close()
    except RuntimeError as error:
        raise OSError(str(error)) from error


@contextmanager
def writing_h5ad(
    path: str | Path,
    obs: pd.DataFrame | Callable[[], pd.DataFrame],
    var: pd.DataFrame,
    uns: dict | Callable[[], dict] | None = None,
    compression: str | int | None = None,
    stored: int = 0,
) -> Iterator[Callable[[scipy.sparse.csr_matrix], scipy.sparse.csr_matrix]]:
    """Write an `.h5ad` whole or not at all, while the block runs.

    Parameters
    ----------
    path
        Where the file goes.
    obs
        What describes the cells, or a function that gives it at the end of the block.
    var
        What describes the genes.
    uns
        Anything else, or a function that gives it at the end of the block.
    compression
        An HDF5 filter such as "gzip", gzip's level, or None.
    stored
        How many values there can be. From 2^31 on the columns are int64 as the pointers are, since SciPy slices no
        matrix whose index arrays differ.

    Yields
    ------
    A function that takes the next cells, a CSR matrix (cells x genes) in the order of `obs`, and gives them back as
    they are stored: as float32 with sorted indices and without explicit zeros. Index pointers are int64, so that 2^31
    stored values are no limit.

    Raises
    ------
    InputError
        If the folder cannot be written.
    AssertionError
        If the cells do not add up to the shape.
    """
    with whole(path) as part, _created(part) as file, pool_of_threads() as pool:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        index = np.int32 if stored <= np.iinfo(np.int32).max else np.int64
        data = Growing(x, "data", np.float32, compression, pool)
        indices = Growing(x, "indices", index, compression, pool)
        indptr = [np.zeros(1, np.int64)]

        def append(block: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
            block = scipy.sparse.csr_matrix(block, dtype=np.float32)
            block.eliminate_zeros()
            block.sort_indices()
            if block.shape[1] != len(var):
                msg = f"a block has {block.shape[1]} genes, var has {len(var)}"
                raise AssertionError(msg)
            indptr.append(block.indptr[1:].astype(np.int64) + data.size)
            data.append(block.data)
            indices.append(block.indices)
            return block

        yield append
        data.finish()
        indices.finish()
        pointers = np.concatenate(indptr)
        cells = pd.DataFrame(obs() if callable(obs) else obs)
        if len(pointers) != len(cells) + 1:
            msg = f"the blocks have {len(pointers) - 1} cells, obs has {len(cells)}"
            raise AssertionError(msg)
        x.attrs["shape"] = (len(cells), len(var))
        # AnnData and SciPy want both index arrays of one type wherever int32 suffices
        x.create_dataset("indptr", data=pointers.astype(index) if pointers[-1] <= np.iinfo(np.int32).max else pointers)
        for key, element in (("obs", cells), ("var", var), ("uns", (uns() if callable(uns) else uns) or {})):
            anndata.io.write_elem(file, key, element)
        for key in ("obsm", "varm", "obsp", "varp", "layers"):
            anndata.io.write_elem(file, key, {})


def write_h5ad(
    path: str | Path,
    blocks: Iterable[scipy.sparse.csr_matrix],
    obs: pd.DataFrame | Callable[[], pd.DataFrame],
    var: pd.DataFrame,
    uns: dict | Callable[[], dict] | None = None,
    compression: str | int | None = None,
    stored: int = 0,
) -> None:
    """Write an `.h5ad` of blocks of cells, in the order of `obs`; all else as `writing_h5ad` takes it."""
    with writing_h5ad(path, obs, var, uns, compression, stored) as append:
        for block in blocks:
            append(block)
