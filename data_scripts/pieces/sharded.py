"""AnnData objects as sharded Zarr (version 3): small chunks to read, few files to store."""

from collections.abc import Callable, Iterable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import zarr
from zarr.codecs import BloscCodec

CHUNK = 1 << 17
"""Values that are compressed together, and read together: 512 kB of float32."""
SHARD = 1 << 23
"""Values of a file: 32 MB of float32 before they are compressed."""
COMPRESSION = BloscCodec(cname="lz4", shuffle="shuffle")


def write_sharded(
    path: str | Path,
    blocks: Iterable[scipy.sparse.csr_matrix],
    obs: Callable[[], pd.DataFrame],
    var: pd.DataFrame,
    uns: dict,
) -> None:
    """Write an AnnData object, taking the cells a block at a time; no more than a shard is held in memory.

    Parameters
    ----------
    path
        The folder to write, which must not be there.
    blocks
        CSR matrices (cells x genes). Stored as float32 with sorted indices and without explicit zeros.
    obs
        Gives what describes the cells, once all blocks are taken.
    var, uns
        What describes the genes, and anything else.
    """
    store = zarr.open_group(Path(path), mode="w-", zarr_format=3)
    store.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    x = store.create_group("X")
    data, indices = _Growing(x, "data", np.float32), _Growing(x, "indices", np.int32)
    pointers = [np.zeros(1, np.int64)]
    for block in blocks:
        block = scipy.sparse.csr_matrix(block, dtype=np.float32)
        block.eliminate_zeros()
        block.sort_indices()
        data.add(block.data)
        indices.add(block.indices)
        pointers.append(block.indptr[1:].astype(np.int64) + pointers[-1][-1])
    data.end()
    indices.end()
    indptr = np.concatenate(pointers)
    narrow = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64  # SciPy wants indices and pointers alike
    x.create_array("indptr", data=indptr.astype(narrow), chunks=(max(1, len(indptr)),), compressors=COMPRESSION)
    x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [len(indptr) - 1, len(var)]})
    with anndata.settings.override(auto_shard_zarr_v3=False):  # tables are small
        for key, element in (("obs", obs()), ("var", var), ("uns", uns)):
            anndata.io.write_elem(store, key, element)
        for key in ("obsm", "varm", "obsp", "varp", "layers"):
            anndata.io.write_elem(store, key, {})


class _Growing:
    """A sharded array that grows; each shard is written once, when it is full."""

    def __init__(self, group: zarr.Group, name: str, dtype: type) -> None:
        self._array = group.create_array(
            name, shape=(0,), dtype=dtype, chunks=(CHUNK,), shards=(SHARD,), compressors=COMPRESSION
        )
        self._held: list[np.ndarray] = []
        self._n_held = 0

    def add(self, values: np.ndarray) -> None:
        self._held.append(values)
        self._n_held += len(values)
        while self._n_held >= SHARD:
            self._write(SHARD)

    def end(self) -> None:
        if self._n_held:
            self._write(self._n_held)

    def _write(self, n: int) -> None:
        values = np.concatenate(self._held)
        start = self._array.shape[0]
        self._array.resize((start + n,))
        self._array[start : start + n] = values[:n]
        self._held, self._n_held = [values[n:]], self._n_held - n
