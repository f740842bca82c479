"""Files on the web, asked for from a byte on."""

import email.utils
import html
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import requests
import urllib3

from data_scripts.transfer.address import Again, Answer, Fault, Stale

TIMEOUT = 60
"""Seconds without a byte after which an attempt is given up."""
CHUNK = 1 << 16
"""Bytes that are taken at a time; a broken connection loses less than that."""
LONGEST_WAIT = 600
"""Seconds; a server that asks for a longer pause is given up for now."""
SAID = 200
"""Characters of an error page that are shown."""
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses that another attempt may mend."""
VERSION = {"etag": "ETag", "last_modified": "Last-Modified"}
"""How a server names a version of a file: our word, and the header."""


@contextmanager
def asked(url: str, have: int, begun: Mapping[str, str]) -> Iterator[Answer]:
    """Ask for a file from a byte on.

    Parameters
    ----------
    url
        Its address.
    have
        Bytes that are there already.
    begun
        What the server said of the version that these are of.

    Yields
    ------
    What comes: from that byte on, or all of it where the server knows no ranges or has another version.

    Raises
    ------
    Again, Fault
        If it cannot be had.
    """
    # "identity": a compressed transfer would make byte ranges and sizes mean something else
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version := _strong(begun):
            headers["If-Range"] = version
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise broken(error) from error
    with answer:
        _refuse(answer)
        marks = {key: answer.headers[name] for key, name in VERSION.items() if name in answer.headers}
        marks |= _stated_hashes(answer.headers.get("x-goog-hash", ""))
        start = 0
        if answer.status_code == requests.codes.partial_content:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                msg = "the server sent another range than was asked for"
                raise Stale(msg)
            if any(begun.get(key, value) != value for key, value in marks.items()):
                msg = "the file has changed since the download began"
                raise Stale(msg)
            start = have
        length = answer.headers.get("Content-Length")
        if length is not None and not length.strip().isdigit():
            msg = f"the server's answer makes no sense (a length of {length[:20]!r})"
            raise Fault(msg)
        yield Answer(start, None if length is None else start + int(length), marks, _chunks(answer))


class Piece(NamedTuple):
    """Some bytes of a file."""

    content: bytes
    """Fewer than were asked for where the file ends before."""
    size: int
    """Bytes of the whole file."""
    marks: dict[str, str]
    """What names its version."""
    url: str
    """Where it came from in the end, if the address sent on to another."""


def piece(session: requests.Session, url: str, start: int, end: int) -> Piece:
    """Get some bytes of a file.

    Parameters
    ----------
    session
        Keeps the connection open from one piece to the next.
    url
        Its address.
    start, end
        The first byte, and the one behind the last.

    Raises
    ------
    Again, Fault
        If they cannot be had.
    """
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.ok:
                msg = "the server knows no byte ranges; download the whole file"
                raise Fault(msg)
            _refuse(answer)
            told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
            if told is None or int(told[1]) != start or int(told[2]) >= end:
                msg = "the server sent another range than was asked for"
                raise Fault(msg)
            content = answer.content
    except requests.RequestException as error:
        raise broken(error) from error
    if len(content) != int(told[2]) - start + 1:
        msg = "the connection broke in a piece"
        raise Again(msg)
    marks = {key: answer.headers[name] for key, name in VERSION.items() if name in answer.headers}
    return Piece(content, int(told[3]), marks, answer.url)


def _stated_hashes(header: str) -> dict[str, str]:
    """Read the CRC32C that Google's buckets state of the whole object."""
    stated = dict(part.strip().split("=", 1) for part in header.split(",") if "=" in part)
    return {"crc32c": stated["crc32c"]} if "crc32c" in stated else {}


def _refuse(answer: requests.Response) -> None:
    """Refuse what is not the file, or a part of it."""
    status = answer.status_code
    if status == requests.codes.requested_range_not_satisfiable:
        msg = "the server has less than was downloaded before"
        raise Stale(msg)
    if status in BUSY:
        msg = f"the server answered {status} {answer.reason}"
        raise Again(msg, _wait(answer.headers.get("Retry-After")))
    if status not in (requests.codes.ok, requests.codes.partial_content):
        msg = f"the server answered {status} {answer.reason}{_page(answer)}"
        raise Fault(msg)
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        msg = f"the server sent a web page instead of the file{_page(answer)}"
        raise Fault(msg)


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(CHUNK)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        msg = f"the connection broke ({type(error).__name__})"
        raise Again(msg) from error


def _strong(begun: Mapping[str, str]) -> str | None:
    """Give what `If-Range` may hold: a strong ETag, or a date."""
    etag = begun.get("etag", "")
    return etag if etag and not etag.startswith("W/") else begun.get("last_modified")


def broken(error: requests.RequestException) -> Again | Fault:
    """Say what an error of the connection means."""
    if isinstance(getattr(next(iter(error.args), None), "reason", None), urllib3.exceptions.NameResolutionError):
        return Fault("no such host is known (is this machine online?)")  # waiting does not help then
    if isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError):
        return Again(f"the connection broke ({type(error).__name__})")
    return Fault(f"the server's answer makes no sense ({type(error).__name__}: {error})")


def _wait(asked: str | None) -> float | None:
    """Read `Retry-After`: seconds, or a date."""
    if not asked:
        return None
    if asked.strip().isdigit():
        wait = float(asked)
    else:
        try:
            wait = email.utils.parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return None
    if wait > LONGEST_WAIT:
        msg = f"the server is busy and asks to come back in {wait / 60:.0f} minutes"
        raise Fault(msg)
    return max(wait, 0.0)


def _page(answer: requests.Response) -> str:
    """Say what an error page says: its title, or how its text begins."""
    if answer.headers.get("Content-Length") == "0":
        return " with an empty body (some sites send that to programs in place of a question for a person)"
    try:
        text = next(answer.iter_content(1 << 14), b"").decode("utf-8", errors="replace")
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        return ""
    titled = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    bare = titled[1] if titled else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    said = " ".join(html.unescape(bare).split())[:SAID]
    return f", saying: {said}" if said else ""
