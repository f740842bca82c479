"""Downloads that resume, are verified, and appear under their name only when they are complete and right."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.text import Text

from data_scripts.catalogue import DataSet, RemoteFile, data_set
from data_scripts.transfer.address import Again, Fault, Stale
from data_scripts.transfer.buckets import said_plainly
from data_scripts.transfer.hashes import NAMES, differing_hash, fault_of, hashes_of, write_receipt
from data_scripts.transfer.receive import PART, discard, receive
from starter.errors import InputError
from starter.files import reason_of

LOCAL_VARIABLE = "VCC_DATA"
"""Environment variable that names a folder with data downloaded before."""
TRIES = 5
"""Attempts for each address in a row that bring nothing; each goes on where the last one broke off."""
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""
console = Console(stderr=True)


class DownloadError(InputError):
    """A file that could not be had, with the reason and what to do."""


def obtain(name: str, folder: str | Path) -> tuple[DataSet, list[Path]]:
    """Get the files of a data set, or of the one that stands in for it where that is at hand and this one is not.

    Parameters
    ----------
    name
        The data set's name in the catalogue.
    folder
        Where downloads go.

    Returns
    -------
    The catalogue's entry that the files belong to, and their paths in its order.

    Raises
    ------
    DownloadError
        If a file cannot be had.
    """
    entry = data_set(name)
    for choice in (entry, data_set(entry.stand_in)) if entry.stand_in else ():
        paths = [path for file in choice.files if (path := at_hand(file, folder))]
        if len(paths) == len(choice.files):
            return choice, paths
    return entry, [fetch(file, folder) for file in entry.files]


def fetch(file: RemoteFile, folder: str | Path) -> Path:
    """Get a file of the catalogue.

    It is taken, in this order, from the folder if it is there already, from `VCC_DATA`, or from its addresses.

    Parameters
    ----------
    file
        What to get.
    folder
        Where downloads go; an unfinished one stays there as `<name>.part`.

    Returns
    -------
    The path of a file whose size and hash are as the catalogue says.

    Raises
    ------
    DownloadError
        If no source gives the right content.
    """
    folder = Path(folder)
    if found := at_hand(file, folder):
        return found
    if not file.urls:
        msg = f"{file.name} has no address; set {LOCAL_VARIABLE} to a folder that has {file.local}"
        raise DownloadError(msg)
    path, faults = folder / file.name, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{file.name}.lock")
        with _alone(lock, path):
            if found := at_hand(file, folder):  # another process has got it meanwhile
                return found
            for url in file.urls:
                fault = _download(url, file, path)
                if fault is None:
                    return path
                faults.append(f"{url}: {fault}")
    except OSError as error:
        msg = f"cannot write {error.filename or folder}: {reason_of(error)}; choose another folder"
        raise DownloadError(msg) from error
    local = f", or set {LOCAL_VARIABLE} to a folder that has {file.local}" if file.local else ""
    msg = (
        f"{file.name} could not be downloaded ({'; '.join(faults)}); try again later, put the file into {folder}{local}"
    )
    raise DownloadError(msg)


@contextmanager
def _alone(lock: FileLock, path: Path) -> Iterator[None]:
    """Wait until no other process downloads the same file."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with console.status(Text(f"another process downloads {path}; waiting for it")):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def at_hand(file: RemoteFile, folder: str | Path) -> Path | None:
    """Find a file that needs no download, in the folder or in `VCC_DATA`.

    Parameters
    ----------
    file
        What to find.
    folder
        Where downloads go.

    Returns
    -------
    The path of a file whose size and hash are as the catalogue says, or None.

    Raises
    ------
    DownloadError
        If something else is in the way, or the one in `VCC_DATA` is damaged.
    """
    path = Path(folder) / file.name
    if path.exists() and not path.is_file():
        msg = f"{path} is in the way and is no file; move it away"
        raise DownloadError(msg)
    if path.is_file() and not fault_of(path, file):
        return path
    root = os.environ.get(LOCAL_VARIABLE)
    if not root or not file.local:
        return None
    path = Path(root) / file.local
    if not path.is_file():
        return None
    if fault := fault_of(path, file):
        msg = f"{path}: {fault}; replace it, or unset {LOCAL_VARIABLE} to download"
        raise DownloadError(msg)
    return path


def _download(url: str, file: RemoteFile, path: Path) -> str | None:
    """Try one address; give the fault, or None when the file is in place."""
    part = path.with_name(path.name + PART)
    fault, wait, tries, have = "no attempt was made", None, 0, -1
    while tries < TRIES:
        if tries:
            pause = wait if wait is not None else PAUSE * 2 ** (tries - 1)
            with console.status(Text(f"{file.name}: {fault}; trying again in {pause:.0f} s")):
                time.sleep(pause)
        tries += 1
        try:
            marks = receive(url, file, part)
        except Fault as error:
            return said_plainly(str(error), url)
        except Again as error:
            fault, wait = str(error), error.wait
            if isinstance(error, Stale):
                discard(part)
            size = part.stat().st_size if part.exists() else 0
            if size > max(have, 0):  # a slow line that breaks off every minute gets there all the same
                tries, have = 1, size
            continue
        fault = _finish(url, file, part, path, marks)
        if fault is None:
            return None
        discard(part)  # wrong content cannot be resumed
        return fault
    return f"{fault}, {TRIES} times"


def _finish(url: str, file: RemoteFile, part: Path, path: Path, marks: dict[str, str]) -> str | None:
    """Check a file that came whole, and give it its name; say what is wrong, if anything is."""
    stated = {"crc32c"} & marks.keys()
    hashes = hashes_of(part, tuple({"sha256", *file.hashes, *stated}))
    unlike = differing_hash(hashes, file)
    for algorithm in stated:
        if hashes[algorithm] != marks[algorithm]:
            return f"it arrived damaged: its {NAMES[algorithm]} is {hashes[algorithm]}, the server's {marks[algorithm]}"
    fault = fault_of(part, replace(file, sha256=None, md5=None, crc32c=None)) or (None if file.third_party else unlike)
    if fault:
        return fault
    part.replace(path)
    discard(part)
    write_receipt(path, url, hashes, marks)
    if file.third_party or not file.hashes:
        got = ", ".join(f"{NAMES[algorithm]} {value}" for algorithm, value in sorted(hashes.items()))
        said = (
            f"a third party has stated another hash: {unlike}"
            if unlike
            else ("as a third party has stated" if file.hashes else "its publisher states no hash")
        )
        console.print(f"received {path.name}: {got} ({said})", markup=False, highlight=False)
    return None
