"""Bytes from an address into an unfinished file, going on where an earlier attempt ended."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from data_scripts.catalogue import RemoteFile
from data_scripts.transfer import buckets, web
from data_scripts.transfer.address import Again, Fault
from starter.files import check_room

PART, MARKS = ".part", ".part.json"
"""How the name of an unfinished file ends, and that of the file that says of which version it is."""


def receive(url: str, file: RemoteFile, part: Path) -> dict[str, str]:
    """Get what is missing of an unfinished file.

    Parameters
    ----------
    url
        The address.
    file
        What to expect.
    part
        The unfinished file. It is gone on with if the address still has the version that it was begun with, or if a
        hash will tell in the end whether it is right.

    Returns
    -------
    What the server says of the file's version.

    Raises
    ------
    Again, Fault
        If it did not come whole.
    InputError
        If the disk has too little room.
    OSError
        If it cannot be written.
    """
    begun = _begun(url, file, part)
    have = part.stat().st_size if part.exists() else 0
    if file.bytes is not None and have == file.bytes:
        return begun
    with web.asked(buckets.address_of(url), have, begun) as answer:
        if file.bytes is not None and answer.total not in (None, file.bytes):
            msg = f"the server offers {answer.total:,} bytes where {file.bytes:,} are due"
            raise Fault(msg)
        total = answer.total if answer.total is not None else file.bytes
        if total is not None:
            check_room(part.parent, total - answer.start)
        marks_of(part).write_text(json.dumps({"url": url, **answer.marks}), encoding="utf-8")
        with part.open("r+b" if answer.start else "wb") as sink:
            sink.seek(answer.start)
            _save(answer.chunks, sink, total, file.name)
    if total is not None and (size := part.stat().st_size) < total:
        msg = f"the body ended after {size:,} of {total:,} bytes"
        raise Again(msg)
    return answer.marks


def discard(part: Path) -> None:
    """Throw an unfinished file away."""
    part.unlink(missing_ok=True)
    marks_of(part).unlink(missing_ok=True)


def marks_of(part: Path) -> Path:
    """Name the file that says of which version an unfinished file is."""
    return part.with_name(part.name.removesuffix(PART) + MARKS)


def _begun(url: str, file: RemoteFile, part: Path) -> dict[str, str]:
    """Say of which version the unfinished file is; throw it away if nobody could tell a mixture of two versions."""
    try:
        marks = {str(key): str(value) for key, value in json.loads(marks_of(part).read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        marks = {}
    same = marks.pop("url", None) == url
    checked = bool(file.hashes) and not file.third_party
    if not checked and not (same and marks):
        discard(part)
    return marks if same else {}


def _save(chunks: Iterator[bytes], sink: BinaryIO, total: int | None, name: str) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"download {name}", completed=sink.tell(), total=total)
        for chunk in chunks:
            sink.write(chunk)
            progress.advance(task, len(chunk))
            if total is not None and sink.tell() > total:
                msg = f"the server's answer makes no sense (it sent more than {total:,} bytes)"
                raise Fault(msg)
