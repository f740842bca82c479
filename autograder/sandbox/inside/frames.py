"""The stream that comes out of the sandbox: frames of a name, a length and the content. Runs on both sides."""

import io
import shutil
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct(">HQ")
MAX_FRAMES = 10_000
"""That are read of a stream; an honest one has a few dozen."""


def write_frame(file: BinaryIO, name: str, content: bytes) -> None:
    """Write one frame at once."""
    encoded = name.encode()
    file.write(HEADER.pack(len(encoded), len(content)) + encoded + content)
    file.flush()


def write_file(file: BinaryIO, name: str, path: Path) -> None:
    """Write one frame with what a file holds, a part at a time."""
    encoded = name.encode()
    with path.open("rb") as content:
        file.write(HEADER.pack(len(encoded), path.stat().st_size) + encoded)
        shutil.copyfileobj(content, file)
    file.flush()


def read_frames(stream: bytes) -> tuple[dict[str, bytes], set[str]]:
    """Take apart what came out, up to the first damaged frame.

    Parameters
    ----------
    stream
        What the kit's own code in the sandbox sent, and whatever a student's code may have written between.

    Returns
    -------
    Name to content, and the names that came more than once: those have their first content, and only a forged stream
    has them.
    """
    frames: dict[str, bytes] = {}
    repeated: set[str] = set()
    for name, content in islice(each_frame(io.BytesIO(stream), len(stream)), MAX_FRAMES):
        if name in frames:
            repeated.add(name)
        else:
            frames[name] = content
    return frames, repeated


def each_frame(file: BinaryIO, longest: int) -> Iterator[tuple[str, bytes]]:
    """Read frames one by one, up to the first that is damaged or longer than so many bytes."""
    while len(header := file.read(HEADER.size)) == HEADER.size:
        name_length, length = HEADER.unpack(header)
        if length > longest:
            return
        name, content = file.read(name_length), file.read(length)
        if len(content) < length:
            return
        yield name.decode(errors="replace"), content
