"""A file on the web that is read in pieces, as if it lay on this disk."""

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from data_scripts.catalogue import RemoteFile
from data_scripts.download import PAUSE, TRIES, DownloadError
from data_scripts.transfer import buckets, web
from data_scripts.transfer.address import Again, Fault

BLOCK = 1 << 20
"""Bytes that are read at a time where HDF5 looks for what describes the cells."""
BLOCKS = 64
"""How many of these are kept."""
AT_ONCE = 8
"""Pieces that are asked for at the same time."""


class Remote(io.RawIOBase):
    """The file; every piece is of one version, and a broken connection is taken up again.

    Parameters
    ----------
    file
        What the catalogue says of it. Its first address that answers with ranges is taken.

    Raises
    ------
    DownloadError
        If no address gives pieces of it, or it has another size than it should.
    """

    def __init__(self, file: RemoteFile) -> None:
        self._place, self._blocks = 0, OrderedDict[int, bytes]()
        self._lock, self._sessions = threading.Lock(), threading.local()
        self._pool = ThreadPoolExecutor(AT_ONCE)  # its threads keep their connections open
        self._marks: dict[str, str] = {}
        self._direct: str | None = None
        self.received = 0
        """Bytes that have come so far."""
        faults = []
        for url in file.urls:
            self.url = url
            try:
                first = self._ask(0, 8)
            except DownloadError as error:
                faults.append(str(error))
                continue
            self.size, self._marks = first.size, first.marks
            if file.bytes not in (None, self.size):
                faults.append(f"{url}: the server offers {self.size:,} bytes where {file.bytes:,} are due")
                continue
            return
        msg = (
            f"{file.name} cannot be read in pieces ({'; '.join(faults) or 'it has no address'}); try again later, or "
            "name a folder that has all of it by VCC_DATA"
        )
        raise DownloadError(msg)

    @property
    def version(self) -> dict[str, str]:
        """What the server says of the file's version."""
        return dict(self._marks)

    def pieces(self, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Get pieces, some at a time, in the order in which they are asked for.

        Parameters
        ----------
        spans
            Of each the first byte, and the one behind the last.
        """
        yield from self._pool.map(lambda span: self._checked(*span), spans)

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.shutdown(cancel_futures=True)
        super().close()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Give the place from which the next byte comes."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        return self._place

    def readinto(self, buffer: memoryview) -> int:
        """Read from the place on."""
        start, end = self._place, min(self._place + len(buffer), self.size)
        done = 0
        for number in range(start // BLOCK, -(-end // BLOCK)):
            block = self._block(number)
            part = block[max(start - number * BLOCK, 0) : end - number * BLOCK]
            buffer[done : done + len(part)] = part
            done += len(part)
        self._place += done
        return done

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
        else:
            self._blocks[number] = self._checked(number * BLOCK, min((number + 1) * BLOCK, self.size))
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        return self._blocks[number]

    def _checked(self, start: int, end: int) -> bytes:
        piece = self._ask(start, end)
        if piece.size != self.size or any(self._marks.get(key, value) != value for key, value in piece.marks.items()):
            msg = f"{self.url}: the file has changed meanwhile; begin again"
            raise DownloadError(msg)
        if len(piece.content) != end - start:
            msg = f"{self.url}: the server sent {len(piece.content):,} bytes where {end - start:,} were asked for"
            raise DownloadError(msg)
        return piece.content

    def _ask(self, start: int, end: int) -> web.Piece:
        if not hasattr(self._sessions, "own"):
            self._sessions.own = requests.Session()
        fault, attempt = "", 0
        while attempt < TRIES:
            direct, address = self._direct, buckets.address_of(self.url)
            try:
                piece = web.piece(self._sessions.own, direct or address, start, end)
            except Fault as error:
                if direct:  # where the address sent on to is open for some seconds only
                    self._direct = None
                    continue
                msg = f"{self.url}: {buckets.said_plainly(str(error), self.url)}"
                raise DownloadError(msg) from error
            except Again as error:
                fault = str(error)
                time.sleep(error.wait if error.wait is not None else PAUSE * 2**attempt)
                attempt += 1
                continue
            with self._lock:
                self.received += len(piece.content)
                # asking the publisher for the way once, and not for every cell
                self._direct = piece.url if piece.url != address else None
            return piece
        msg = f"{self.url}: {fault}, {TRIES} times; what has come is kept, so run this again"
        raise DownloadError(msg)
