"""What names the content of a file: its size and SHA-256, read once as long as the file stays as it is."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from data_scripts.transfer.hashes import hashes_of
from starter import progress
from starter.errors import InputError
from starter.files import reason_of

Description = dict[str, object]
"""Of a file: name, bytes, sha256, date (when it was last changed) and hashed (when its content was read)."""
_read_before: dict[Path, Description] = {}


def describe(path: str | Path, recorded: Iterable[Mapping[str, object]] = ()) -> Description:
    """Describe a file, or a folder with all files in it.

    A file is read once in a process, and not at all if one of `recorded` describes it: the same name, size and date of
    change. `hashed` then says when it was read.

    Parameters
    ----------
    path
        What to describe.
    recorded
        Descriptions that were made before.

    Returns
    -------
    `name`, `bytes`, `sha256`, `date` and `hashed` (UTC, ISO 8601); of a folder also the number of its `files`. Its
    SHA-256 is then that of lines "name SHA-256", a file each, in the order of their names.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _describe_folder(path)
        now = outside(path)
        for known in (_read_before.get(path.absolute(), {}), *recorded):
            if now.items() <= known.items() and "sha256" in known:
                return {**now, "sha256": known["sha256"], "hashed": known.get("hashed")}
        found = {**now, "sha256": read_hash(path), "hashed": _time()}
    except OSError as error:
        msg = f"cannot read {path}: {reason_of(error)}"
        raise InputError(msg) from error
    _read_before[path.absolute()] = found
    return found


def read_hash(path: Path) -> str:
    """Read a file to its end, with a progress bar where that takes a while.

    Returns
    -------
    The SHA-256 of its content as 64 hexadecimal digits.
    """
    return hashes_of(path, ("sha256",), afresh=True)["sha256"]


def _describe_folder(folder: Path) -> Description:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    digest, dates, n_bytes = hashlib.sha256(), [], 0
    with progress.bar(f"hash {folder.name}", len(files)) as advance:
        for file in files:
            n_bytes += file.stat().st_size
            dates.append(str(outside(file)["date"]))
            digest.update(f"{file.relative_to(folder).as_posix()} {read_hash(file)}\n".encode())
            advance()
    return {
        "name": folder.name,
        "bytes": n_bytes,
        "files": len(files),
        "date": max(dates, default=""),
        "sha256": digest.hexdigest(),
        "hashed": _time(),
    }


def outside(path: Path) -> Description:
    """Describe a file without reading it."""
    state = path.stat()
    changed = datetime.fromtimestamp(state.st_mtime_ns // 1_000_000_000, UTC)
    changed = changed.replace(microsecond=state.st_mtime_ns % 1_000_000_000 // 1000)  # exact, as a float is not
    return {"name": path.name, "bytes": state.st_size, "date": changed.isoformat(timespec="microseconds")}


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
