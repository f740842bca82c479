"""Downloads that resume, are verified, and appear under their name only when they are complete and right."""

import hashlib
import os
import time
from pathlib import Path

import requests
import urllib3
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from data_scripts.catalogue import DataSet, RemoteFile, data_set
from starter.errors import InputError

LOCAL_VARIABLE = "VCC_DATA"
"""Environment variable that names a folder with data downloaded before."""
TRIES = 5
"""Attempts for each address; each goes on where the last one broke off."""
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = 60
"""Seconds without a byte after which an attempt is given up."""
CHUNK = 1 << 16
"""Bytes that are saved at a time; a broken connection loses less than that."""


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}; choose another folder"
        raise DownloadError(msg) from error
    path, faults = folder / file.name, []
    for url in file.urls:
        fault = _download(url, file, path)
        if fault is None:
            return path
        faults.append(f"{url}: {fault}")
    local = f", or set {LOCAL_VARIABLE} to a folder that has {file.local}" if file.local else ""
    msg = (
        f"{file.name} could not be downloaded ({'; '.join(faults)}); try again later, put the file into {folder}{local}"
    )
    raise DownloadError(msg)


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
    if path.is_file() and not _fault(path, file):
        return path
    root = os.environ.get(LOCAL_VARIABLE)
    if not root or not file.local:
        return None
    path = Path(root) / file.local
    if not path.is_file():
        return None
    if fault := _fault(path, file):
        msg = f"{path}: {fault}; replace it, or unset {LOCAL_VARIABLE} to download"
        raise DownloadError(msg)
    return path


def _fault(path: Path, file: RemoteFile) -> str | None:
    """Say what is wrong with a complete file, if anything."""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"it has {size:,} bytes and should have {file.bytes:,}"
    with path.open("rb") as content:
        if file.magic and content.read(len(file.magic) // 2).hex() != file.magic:
            return "its content is of another kind (an error page?)"
        content.seek(0)
        if file.sha256 and (found := hashlib.file_digest(content, "sha256").hexdigest()) != file.sha256:
            return f"its SHA-256 is {found}, and should be {file.sha256}"
    return None


def _download(url: str, file: RemoteFile, path: Path) -> str | None:
    """Try one address; give the fault, or None when the file is in place."""
    part = path.with_name(path.name + ".part")
    fault = "no attempt was made"
    if not file.sha256:
        part.unlink(missing_ok=True)  # without a hash nobody would notice two versions in one file
    for attempt in range(TRIES):
        if attempt:
            pause = PAUSE * 2 ** (attempt - 1)
            with Console(stderr=True).status(Text(f"{file.name}: {fault}; trying again in {pause:.0f} s")):
                time.sleep(pause)
        try:
            fault = _continue(url, file, part)
        except OSError as error:  # requests' own errors are OSErrors too
            if not isinstance(error, requests.RequestException):
                return f"cannot write {part}: {error.strerror or error}"
            if _unknown_host(error):
                return "no such host is known (is this machine online?)"
            fault = f"the connection broke ({type(error).__name__})"
            continue
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            return f"the server's answer makes no sense ({type(error).__name__}: {error})"
        if fault is not None:
            return fault
        if file.bytes is not None and part.stat().st_size < file.bytes:
            fault = f"the body ended after {part.stat().st_size:,} of {file.bytes:,} bytes"
            continue
        fault = _fault(part, file)
        if fault is None:
            part.replace(path)
            return None
        part.unlink(missing_ok=True)  # wrong content cannot be resumed
        return fault
    return f"{fault}, {TRIES} times"


def _unknown_host(error: requests.RequestException) -> bool:
    """Tell whether the address could not be looked up: waiting for a server does not help then."""
    return isinstance(getattr(next(iter(error.args), None), "reason", None), urllib3.exceptions.NameResolutionError)


def _continue(url: str, file: RemoteFile, part: Path) -> str | None:
    """Get what is missing of an unfinished file; give a fault that another attempt would not mend."""
    have = part.stat().st_size if part.exists() else 0
    if file.bytes is not None and have >= file.bytes:
        return None
    headers = {"Range": f"bytes={have}-"} if have else {}
    # "identity": a compressed transfer would make byte ranges and sizes mean something else
    with requests.get(url, headers={**headers, "Accept-Encoding": "identity"}, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink(missing_ok=True)
            msg = "the server has less than was downloaded before"
            raise requests.ConnectionError(msg)
        if answer.status_code >= 500:
            msg = f"the server answered {answer.status_code}"
            raise requests.ConnectionError(msg)
        if answer.status_code not in (requests.codes.ok, requests.codes.partial_content):
            return f"the server answered {answer.status_code} {answer.reason}"
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            return "the server sent a web page instead of the file"
        resumed = answer.status_code == requests.codes.partial_content
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            msg = "the server sent another range than was asked for"
            raise requests.ConnectionError(msg)
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else file.bytes
        if file.bytes is not None and total != file.bytes:
            return f"the server offers {total:,} bytes where {file.bytes:,} are due"
        _save(answer, part, start, total, file.name)
    return None


def _save(answer: requests.Response, part: Path, start: int, total: int | None, name: str) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with (
        part.open("ab" if start else "wb") as sink,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task(f"download {name}", completed=start, total=total)
        for chunk in answer.iter_content(CHUNK):
            sink.write(chunk)
            progress.advance(task, len(chunk))
            if total is not None and sink.tell() > total:
                msg = f"the server sent more than {total:,} bytes"
                raise ValueError(msg)
    if total is not None and part.stat().st_size < total:
        msg = "the body was cut short"
        raise requests.ConnectionError(msg)
