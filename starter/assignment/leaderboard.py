"""A prediction file on its way to the class's leaderboard, in parts that go on where a connection broke.

The protocol is tus 1.0 (https://tus.io/protocols/resumable-upload), its core and creation.
"""

import base64
import http.client
import json
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from starter import progress
from starter.errors import InputError
from starter.files import check_file, sha256

PART = 1 << 20
"""Bytes of a request."""
PATIENCE = 600
"""Seconds for which a broken connection is tried again."""
LONGEST_PAUSE = 20
WAITING_SECONDS = 60
"""Seconds until an answer must have begun."""
AGAIN = (409, 423, 500, 502, 503, 504)
"""Answers after which it is asked how much arrived, and gone on from there."""
BROKEN = (URLError, http.client.HTTPException, ConnectionError, TimeoutError)
LOCAL = ("localhost", "127.0.0.1", "::1")


class _NoRedirects(HTTPRedirectHandler):
    """Takes the token nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def submit(file: Path, url: str, token: str, note: str = "", patience: float = PATIENCE) -> str:
    """Send a prediction file to the leaderboard; what came of the same file before is not sent again.

    Parameters
    ----------
    file
        A `.vcc` or `.h5ad`.
    url
        The leaderboard's page.
    token
        Of the team.
    note
        What the team says of it, shown beside its scores to the team and the instructor.
    patience
        Seconds for which a broken connection is tried again.

    Returns
    -------
    The address of the entry that it became.

    Raises
    ------
    InputError
        If the board refuses it, with the reason; or cannot be reached.
    """
    check_file(file)
    where = urlsplit(url)
    if where.scheme != "https" and where.hostname not in LOCAL:
        msg = (
            f"{url} is not encrypted, and your token would be read on the way; ask your instructor for an https:// page"
        )
        raise InputError(msg)
    size = file.stat().st_size
    said = {"filename": file.name, "sha256": sha256(file)} | ({"note": note} if note else {})
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in said.items())
    headers = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0", "Accept": "application/json"}
    steps = max(1, -(-size // PART))
    place, offset, entry, done, there = "", 0, "", 0, None
    pause, end = 0.2, time.monotonic() + patience
    with file.open("rb") as content, progress.bar(f"sending {file.name} (MiB)", steps) as advance:
        while not entry:
            begins = not place
            try:
                if not place:
                    about = {"Upload-Length": str(size), "Upload-Metadata": metadata}
                    answer = _ask("POST", urljoin(url, "/uploads"), headers | about)
                    place = urljoin(url, answer["Location"] or "")
                elif offset < 0:
                    answer = _ask("HEAD", place, headers)
                else:
                    content.seek(offset)
                    part = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                    answer = _ask("PATCH", place, headers | part, content.read(PART))
                offset, entry = int(answer["Upload-Offset"] or 0), answer["Entry-Location"] or ""
                if begins and offset:
                    there = f"{offset / 2**20:,.1f} MiB were there already"
                pause, end = 0.2, time.monotonic() + patience
            except HTTPError as error:
                if error.code not in AGAIN:
                    raise InputError(_reason(error, url)) from error
                _wait(pause, end, f"{url} does not take it now ({_reason(error, url)}); run this again later")
                pause, offset = min(2 * pause, LONGEST_PAUSE), -1
            except BROKEN as error:
                why = getattr(error, "reason", error)
                if isinstance(why, ssl.SSLCertVerificationError):
                    raise InputError(_untrusted(url, why)) from error
                _wait(pause, end, f"{url} cannot be reached ({why}); see whether you are online, and run this again")
                pause, offset = min(2 * pause, LONGEST_PAUSE), -1
            while done < min(steps, max(0, offset) // PART if offset < size else steps):
                done += 1
                advance(there)
    return urljoin(url, entry)


def _ask(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    request = Request(url, data=body if method != "POST" else b"", headers=headers, method=method)
    with build_opener(_NoRedirects).open(request, timeout=WAITING_SECONDS) as answer:
        return answer.headers


def _reason(error: HTTPError, url: str) -> str:
    try:
        said = str(json.loads(error.read(64 << 10))["reason"])
    except (ValueError, KeyError, TypeError, OSError):
        said = f"{url} answers {error.code} {error.reason}; is it the leaderboard's page?"
    return "".join(character if character.isprintable() else " " for character in said)


def _untrusted(url: str, why: ssl.SSLCertVerificationError) -> str:
    return (
        f"the certificate of {url} is not one that this machine trusts ({why.verify_message}); if your instructor "
        "made it, ask for its file and name it in the environment variable SSL_CERT_FILE"
    )


def _wait(pause: float, end: float, message: str) -> None:
    if time.monotonic() + pause > end:
        raise InputError(message)
    time.sleep(pause)
