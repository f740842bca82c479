"""Values compressed by threads, against those that HDF5 compresses itself."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from starter.data import packed
from starter.data.packed import Growing


@pytest.mark.parametrize("compression", ["gzip", 1, 9, None])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
@pytest.mark.parametrize("size", [0, 1, 1000, 1001, 4999])
def test_hdf5_reads_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | int | None, dtype: type, size: int
):
    monkeypatch.setattr(packed, "CHUNK", 1000)
    values = np.random.default_rng(size).poisson(300, size).astype(dtype)
    with h5py.File(tmp_path / "values.h5", "w", rdcc_nbytes=0) as file, ThreadPoolExecutor(3) as pool:
        growing = Growing(file, "values", dtype, compression, pool)
        for piece in np.array_split(values, 7):
            growing.append(piece)
        growing.finish()
        assert growing.size == size
    with h5py.File(tmp_path / "values.h5") as file:
        written = file["values"]
        assert written.dtype == dtype
        assert written.shape == (size,)
        np.testing.assert_array_equal(written[:], values)
        assert written.compression == (None if compression is None else "gzip")
        assert written.shuffle == (compression is not None)


def test_a_chunk_is_byte_for_byte_hdf5s(tmp_path: Path):
    values = np.random.default_rng(1).poisson(3, 5000).astype(np.float32)
    with h5py.File(tmp_path / "values.h5", "w") as file:
        theirs = file.create_dataset("values", data=values, chunks=(5000,), compression=4, shuffle=True)
        _, content = theirs.id.read_direct_chunk((0,))
    assert zlib.decompress(packed.packed(values, 4)) == zlib.decompress(content)


def test_a_fault_of_a_thread_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(chunk: np.ndarray, level: int) -> bytes:
        raise MemoryError

    monkeypatch.setattr(packed, "packed", fails)
    with h5py.File(tmp_path / "values.h5", "w") as file, ThreadPoolExecutor(1) as pool:
        growing = Growing(file, "values", np.float32, "gzip", pool)
        growing.append(np.ones(5, np.float32))
        with pytest.raises(MemoryError):
            growing.finish()
