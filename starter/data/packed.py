"""Values that grow in a file and are compressed by threads, while others are still being read."""

import os
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import h5py
import numpy as np

CHUNK = 1 << 17
"""Values of a chunk of the file."""
LEVEL = 4
"""Of gzip, as HDF5 takes it where none is named."""
MOST_THREADS = 4


def pool_of_threads() -> ThreadPoolExecutor:
    """Give threads for as many chunks as are compressed at once."""
    return ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))


class Growing:
    """A data set of one dimension that takes values at its end.

    Compressed chunks are those that HDF5 itself would write, gzip after a shuffle, so that any tool reads them; HDF5
    compresses in one thread, and the processor is what holds up a conversion.

    Parameters
    ----------
    group, name, dtype
        What to make.
    compression
        "gzip", one of its levels, or None.
    pool
        Compresses the chunks.
    """

    def __init__(
        self, group: h5py.Group, name: str, dtype: type, compression: str | int | None, pool: ThreadPoolExecutor
    ) -> None:
        # shuffled, numbers whose upper bytes are alike are packed in half the time, and smaller
        filters = {} if compression is None else {"compression": compression, "shuffle": True}
        self._dataset = group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), **filters)
        self._level = None if compression is None else LEVEL if compression == "gzip" else int(compression)
        self._pool, self._packing = pool, deque[Future[bytes]]()
        self._rest, self._written = np.empty(0, dtype), 0
        self.size = 0
        """Values that were taken."""

    def append(self, values: np.ndarray) -> None:
        """Take values."""
        self.size += len(values)
        if self._level is None:
            self._dataset.resize((self.size,))
            self._dataset[self.size - len(values) :] = values
            return
        rest = np.concatenate([self._rest, values.astype(self._rest.dtype, copy=False)])
        whole = len(rest) // CHUNK * CHUNK
        for start in range(0, whole, CHUNK):
            self._pack(rest[start : start + CHUNK])
        self._rest = rest[whole:].copy()

    def finish(self) -> None:
        """Write what is still to be written."""
        if len(self._rest):
            self._pack(np.pad(self._rest, (0, CHUNK - len(self._rest))))
        while self._packing:
            self._write_one()
        self._dataset.resize((self.size,))

    def _pack(self, chunk: np.ndarray) -> None:
        self._packing.append(self._pool.submit(packed, chunk, self._level or 0))
        if len(self._packing) > 2 * MOST_THREADS:
            self._write_one()

    def _write_one(self) -> None:
        content = self._packing.popleft().result()
        self._dataset.resize(((self._written + 1) * CHUNK,))
        self._dataset.id.write_direct_chunk((self._written * CHUNK,), content)
        self._written += 1


def packed(chunk: np.ndarray, level: int) -> bytes:
    """Compress values as HDF5's shuffle and gzip do: the first bytes of all, then their second bytes, and so on."""
    bytes_of = chunk.view(np.uint8).reshape(len(chunk), chunk.itemsize)
    return zlib.compress(bytes_of.T.tobytes(), level)
