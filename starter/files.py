"""Files that are written whole or not at all, and the hash that names their content."""

import hashlib
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from starter.errors import InputError, listed

ERRNO = re.compile(r"^\[Errno \d+\] ")
DONE = b"done"
REAPER = f"""
import shutil, sys
if sys.stdin.buffer.read() != {DONE!r}:  # it ends without a word where the other process was killed
    shutil.rmtree(sys.argv[1], ignore_errors=True)
"""
"""Waits until its standard input ends, and removes a folder."""


def check_room(folder: str | Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Parameters
    ----------
    folder
        Where the file will go.
    needed
        Its size in bytes.

    Raises
    ------
    InputError
        If less is free.
    """
    folder = Path(folder)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        msg = f"{folder} has {free / 1e9:.1f} GB free, and this needs {needed / 1e9:.1f} GB; make room there"
        raise InputError(msg)


def reason_of(error: OSError) -> str:
    """Say in a few words why a file could not be written or read; of many files, why the first could not.

    >>> reason_of(shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]))
    'No space left on device'
    """
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        why = str(error.args[0][0][-1])
        return ERRNO.sub("", why).partition(": '")[0]
    # what HDF5 says of a full disk fills a screen
    return os.strerror(error.errno) if error.errno else error.strerror or str(error)


@contextmanager
def whole(path: str | Path, replaces: Sequence[str] = ()) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` only if the block ends well.

    Parameters
    ----------
    path
        The file (or folder) to be written. What stood there stays until the new one is complete.
    replaces
        For a folder: an earlier one is replaced only if it holds the first of these names, and nothing but these
        names; or nothing at all.

    Yields
    ------
    A path in the same folder. Write there a file, or make a folder.

    Raises
    ------
    InputError
        If the folder cannot be written, or something else is in the way.
    """
    path = Path(path)
    if path.is_symlink():
        path = path.resolve()
    if path.is_dir() and (there := sorted(entry.name for entry in path.iterdir())):
        other = [name for name in there if name not in replaces or replaces[0] not in there]
        if other:
            msg = f"{path} is a folder that holds {listed(other)}, so it is not replaced; choose another name"
            raise InputError(msg)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}; choose another folder"
        raise InputError(msg) from error
    os.close(handle)
    part = Path(name)
    part.unlink()
    try:
        yield part
        if part.is_dir() and path.is_dir():
            old = part.with_suffix(".old")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.replace(path)
    except BaseException as error:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, InputError):
            msg = f"cannot write {path}: {reason_of(error)}"
            raise InputError(msg) from error
        raise


def check_file(path: str | Path) -> None:
    """Refuse what cannot be read as a file: nothing, a folder, a pipe, a device.

    Raises
    ------
    InputError
        With the reason.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        msg = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        raise InputError(msg) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        store = "; a Zarr store has zarr.json or .zgroup in it" if stat.S_ISDIR(mode) else ""
        msg = f"cannot read {path}: it is {kind}, not a file{store}"
        raise InputError(msg)


def sha256(path: str | Path) -> str:
    """Hash a file's content, or the names and contents of all files in a folder.

    Returns
    -------
    The SHA-256 as 64 hexadecimal digits.
    """
    path = Path(path)
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()


@contextmanager
def workspace(path: str | Path) -> Iterator[Path]:
    """Give a folder beside `path` for what takes long to write; it is gone at the end, even if this process is killed.

    A second, small process waits for the end of this one, and is there before the folder is. Where it cannot be
    started, a killed process leaves its folder.

    Parameters
    ----------
    path
        The file that will be written; it is not touched.

    Yields
    ------
    An empty folder, hidden.

    Raises
    ------
    InputError
        If nothing can be written there, or the disk is full.
    """
    path = Path(path).resolve()
    folder = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    reaper = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            reaper = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", REAPER, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        folder.mkdir()
        yield folder
    except OSError as error:
        msg = f"cannot write {path}: {reason_of(error)}"
        raise InputError(msg) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if reaper is not None:
            with suppress(OSError):
                reaper.communicate(DONE)
