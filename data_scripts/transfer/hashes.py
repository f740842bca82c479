"""What a downloaded file must be: its size, how it begins, and its hash."""

import base64
import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import google_crc32c

from data_scripts.catalogue import RemoteFile
from starter.files import whole
from starter.progress import bar

CHUNK = 1 << 22
LARGE = 1 << 28
"""Bytes from which on hashing shows its progress."""
RECEIPT = ".received.json"
"""Ends the name of the file that says when and from where a file came, and what its hashes are."""


def fault_of(path: Path, file: RemoteFile, *, afresh: bool = False) -> str | None:
    """Say what is wrong with a complete file, if anything.

    Parameters
    ----------
    path
        The file.
    file
        What it should be. A hash that only a third party has stated does not make a file wrong.
    afresh
        Whether to read the file even if its hashes were recorded when it was received.
    """
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"it has {size:,} bytes and should have {file.bytes:,}"
    with path.open("rb") as content:
        if file.magic and content.read(len(file.magic) // 2).hex() != file.magic:
            return "its content is of another kind (an error page?)"
    return None if file.third_party else differing_hash(hashes_of(path, tuple(file.hashes), afresh=afresh), file)


def differing_hash(found: Mapping[str, str], file: RemoteFile) -> str | None:
    """Say which hash is not as the catalogue has it, if one is not."""
    for algorithm, due in file.hashes.items():
        if found[algorithm] != due:
            return f"its {NAMES[algorithm]} is {found[algorithm]}, and should be {due}"
    return None


def hashes_of(path: Path, algorithms: tuple[str, ...], *, afresh: bool = False) -> dict[str, str]:
    """Hash a file by several algorithms in one reading.

    Parameters
    ----------
    path
        The file.
    algorithms
        Of `NAMES`.
    afresh
        Whether to read the file even if its hashes were recorded when it was received.

    Returns
    -------
    Algorithm to hash: hexadecimal, and base64 for CRC32C.
    """
    if not algorithms:
        return {}
    if not afresh and (known := _recorded(path, algorithms)):
        return known
    running = {name: google_crc32c.Checksum() if name == "crc32c" else hashlib.new(name) for name in algorithms}
    size = path.stat().st_size
    shown = bar(f"check {path.name}", -(-size // CHUNK)) if size > LARGE else nullcontext(lambda: None)
    with path.open("rb") as content, shown as advance:
        while chunk := content.read(CHUNK):
            for one in running.values():
                one.update(chunk)
            advance()
    return {
        name: base64.b64encode(one.digest()).decode() if name == "crc32c" else one.digest().hex()
        for name, one in running.items()
    }


NAMES = {"sha256": "SHA-256", "md5": "MD5", "crc32c": "CRC32C"}
"""Algorithms, and how they are written."""


def write_receipt(path: Path, url: str, hashes: Mapping[str, str], marks: Mapping[str, str]) -> None:
    """Record what was received: address, date, size, hashes.

    Parameters
    ----------
    path
        The complete file.
    url
        Where it came from.
    hashes
        Its hashes, by algorithm.
    marks
        What the server said of its version, such as the ETag.
    """
    status = path.stat()
    content = {
        "url": url,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        **hashes,
        **marks,
    }
    with whole(path.with_name(path.name + RECEIPT)) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_receipt(path: Path) -> dict:
    """Read what was recorded of a download; nothing if nothing was, or if the file has changed since."""
    try:
        content = json.loads(path.with_name(path.name + RECEIPT).read_text(encoding="utf-8"))
        status = path.stat()
        unchanged = (content["bytes"], content["modified_ns"]) == (status.st_size, status.st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return content if unchanged else {}


def _recorded(path: Path, algorithms: tuple[str, ...]) -> dict[str, str] | None:
    """Give the hashes that were computed when an unchanged file was received: of 65 GB that saves minutes."""
    receipt = read_receipt(path)
    return {name: receipt[name] for name in algorithms} if all(name in receipt for name in algorithms) else None
