"""Files as they were handed in, in a folder or an archive, listed without being trusted."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

from starter.assignment.files import MAX_DEPTH, MAX_NAME
from starter.errors import InputError


@dataclass(frozen=True)
class File:
    """A file of a student's."""

    size: int
    changed: datetime
    """Since when it is surely there as it is; a student cannot set this back."""
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def regular_files(folder: Path, left_out: list[str] | None = None) -> dict[str, File]:
    """List the regular files below a folder, by name; links and special files are named in `left_out`."""
    files = {}
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted([*names, *(name for name in folders if Path(place, name).is_symlink())]):
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            try:
                about = path.lstat()
            except OSError:
                continue  # it went away
            if stat.S_ISREG(about.st_mode):
                files[relative] = File(
                    about.st_size, utc_time(about.st_ctime), partial(_reading, folder, relative, about)
                )
            elif left_out is not None:
                left_out.append(relative)
    return files


def with_safe_names(files: Mapping[str, File], left_out: list[str]) -> dict[str, File]:
    """Take the files whose names mean the same everywhere and stay within their folder."""
    plain = {}
    for name, file in files.items():
        parts = name.split("/")
        if (
            name.isprintable()
            and "\\" not in name
            and len(name.encode()) <= MAX_NAME
            and len(parts) <= MAX_DEPTH
            and not {"", ".", ".."} & set(parts)
        ):
            plain[name] = file
        else:
            left_out.append(name)
    return plain


@contextmanager
def _reading(folder: Path, name: str, about: os.stat_result) -> Iterator[IO[bytes]]:
    """Read a file below a folder through no link, even one that a student sets at this moment.

    Raises
    ------
    InputError
        If the file changed since it was listed.
    """
    *folders, last = name.split("/")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)
    with os.fdopen(handle, "rb") as file:
        yield file
        now = os.fstat(file.fileno())
        if (now.st_ino, now.st_size, now.st_ctime_ns) != (about.st_ino, about.st_size, about.st_ctime_ns):
            msg = f"{name} changed while it was read; collect again"
            raise InputError(msg)


def utc_time(seconds: float) -> datetime:
    """Give a file's time as a date in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
