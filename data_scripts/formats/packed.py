"""Text files as publishers pack them, read line by line within a limit on what they may unpack to."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starter.errors import InputError

GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
"""How packed files begin; the second of ZIP is an empty one."""


def lines(path: str | Path, limit: int) -> Iterator[str]:
    """Read a text file that may be packed by gzip, or alone in a zip.

    Parameters
    ----------
    path
        The file; how it is packed is told from its content.
    limit
        Bytes that it may unpack to. A small archive can hide a file that fills the disk or the memory, so nothing is
        unpacked to disk and no more than this is read.

    Yields
    ------
    One line after the other, without its end.

    Raises
    ------
    InputError
        If it cannot be read or unpacked, is longer, or is no UTF-8 text.
    """
    left = limit
    try:
        with _unpacked(Path(path)) as stream:
            while line := stream.readline(left + 1):
                left -= len(line)
                if left < 0:
                    msg = f"{path} unpacks to more than {limit:,} bytes, so it is not what was expected"
                    raise InputError(msg)
                yield line.decode("utf-8").rstrip("\r\n")
    except InputError:
        raise
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        msg = f"{path} cannot be read ({error}); download it again"
        raise InputError(msg) from error


@contextmanager
def _unpacked(path: Path) -> Iterator[io.BufferedIOBase]:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith(GZIP):
            with gzip.open(file) as stream:
                yield stream
        elif start in ZIP:
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                if len(members) != 1:
                    msg = f"{path} holds {len(members)} files where one is due; download it again"
                    raise InputError(msg)
                with archive.open(members[0]) as stream:
                    yield io.BufferedReader(stream)  # pyright: ignore[reportArgumentType] (it is no mere IO[bytes])
        else:
            yield file
