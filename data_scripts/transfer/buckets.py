"""Objects in public buckets, gs:// and s3://, read without an account."""

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from data_scripts.catalogue import RemoteFile
from data_scripts.transfer.address import Again, Answer, Fault, Stale
from starter.errors import InputError

ANONYMOUS = {"gs": {"token": "anon"}, "s3": {"anon": True}}
"""Protocols, and how fsspec's file systems are told to ask without an account."""
CHUNK = 1 << 23
"""Bytes that are asked for at a time."""


def is_object(url: str) -> bool:
    """Tell an object in a bucket from an address of the web."""
    return url.partition("://")[0] in ANONYMOUS


def expand(file: RemoteFile) -> list[RemoteFile]:
    """List the objects that a name with `*` stands for; a file that is one is its own list.

    Raises
    ------
    InputError
        If the bucket cannot be read, or has none.
    """
    if "*" not in file.name:
        return [file]
    url = file.urls[0]
    try:
        system, path = _opened(url)
        found = system.glob(path, detail=True)
    except Exception as error:  # whatever a library of a cloud raises
        msg = f"{url} cannot be listed: {_why(error)}"
        raise InputError(msg) from error
    if not found:
        msg = f"{url} matches no object; the bucket may have moved, see the data set's source"
        raise InputError(msg)
    scheme = url.partition("://")[0]
    return [
        replace(
            file,
            name=path.rpartition("/")[2],
            urls=(f"{scheme}://{path}",),
            local=None,
            bytes=info["size"],
            crc32c=info.get("crc32c"),
        )
        for path, info in sorted(found.items())
    ]


def chosen(files: list[RemoteFile], patterns: list[str]) -> list[RemoteFile]:
    """Take the files whose names match a pattern; all of them if there is none.

    Raises
    ------
    InputError
        If a pattern matches no name.
    """
    for pattern in patterns:
        if not fnmatch.filter([file.name for file in files], pattern):
            msg = f"no file is named {pattern!r}; there are {', '.join(file.name for file in files)}"
            raise InputError(msg)
    return [file for file in files if not patterns or any(fnmatch.fnmatch(file.name, p) for p in patterns)]


@contextmanager
def asked(url: str, have: int, begun: dict[str, str]) -> Iterator[Answer]:
    """Ask for an object from a byte on.

    Yields
    ------
    What comes.

    Raises
    ------
    Again, Fault
        If it cannot be had.
    """
    try:
        system, path = _opened(url)
        info = system.info(path)
    except Exception as error:  # whatever a library of a cloud raises
        msg = _why(error)
        raise Fault(msg) from error
    etag = str(info.get("etag") or info.get("ETag") or info.get("generation") or "")
    marks = {"etag": etag} if etag else {}
    if have and begun.get("etag", etag) != etag:
        msg = "the object has changed since the download began"
        raise Stale(msg)
    yield Answer(have, info["size"], marks, _chunks(system, path, have, info["size"]))


def _chunks(system: Any, path: str, start: int, total: int) -> Iterator[bytes]:
    for begin in range(start, total, CHUNK):
        try:
            yield system.cat_file(path, start=begin, end=min(begin + CHUNK, total))
        except Exception as error:  # whatever a library of a cloud raises
            msg = f"the connection broke ({type(error).__name__})"
            raise Again(msg) from error


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    scheme, _, path = url.partition("://")
    try:
        return fsspec.filesystem(scheme, **ANONYMOUS[scheme]), path
    except ImportError as error:
        package = {"gs": "gcsfs", "s3": "s3fs"}[scheme]
        msg = f"{scheme}:// needs {package}, which is not installed here; run: python -m pip install {package}"
        raise InputError(msg) from error


def _why(error: Exception) -> str:
    said = " ".join(str(error).split())[:200]
    if "requester pays" in said.lower() or "user project" in said.lower():
        return (
            "the bucket is requester-pays, so it is not read without an account; with one, copy the object by "
            "gcloud storage cp --billing-project PROJECT (or aws s3 cp --request-payer requester)"
        )
    if isinstance(error, FileNotFoundError):
        return f"there is no such object ({said})"
    if isinstance(error, PermissionError):
        return f"the bucket is not open to all, or it is requester-pays ({said})"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
