"""Files that arrive in parts, by the tus protocol 1.0 (core and creation, https://tus.io/protocols/resumable-upload).

A part that came stays when the connection breaks or this process is killed: the next part goes on where the file ends.
What is whole becomes an entry; where this process ended just before, it does when the process starts again.
"""

import asyncio
import base64
import binascii
import os
import re
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from autograder.folders import ARRIVING
from autograder.leaderboard import store
from autograder.leaderboard.tables import LONGEST_NOTE, Entry, Upload
from autograder.leaderboard.web.security import FORM, Changing, RefusalError, Visitor
from autograder.leaderboard.web.site import Site
from starter.errors import InputError

TUS = {"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0", "Tus-Extension": "creation"}
BEGINNINGS = {".h5ad": (0, b"\x89HDF\r\n\x1a\n"), ".vcc": (257, b"ustar")}
"""Kind of file to what stands where in it."""
AT_ONCE = 3
"""Files of a team that may be under way; of more, the oldest is given up."""
OLD = timedelta(days=2)
"""After which a file that stopped arriving is given up."""
SPARE = 256 << 20
"""Bytes of the disk that uploads leave free."""
PIECE = 1 << 20
"""Bytes that are written at a time."""
SILENCE = 60
"""Seconds after which a sender of whom nothing comes is let go."""
router = APIRouter()


@dataclass
class Arriving:
    """Who writes each file now: a sender who comes again takes the place of one whose connection broke unseen."""

    holders: dict[str, object] = field(default_factory=dict)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def lock(self, name: str) -> asyncio.Lock:
        """Give a file's lock."""
        return self.locks.setdefault(name, asyncio.Lock())


def safe_name(name: str) -> str:
    """Leave of a file's name what is no path and steers nothing; its ending in small letters, as graders look for it.

    >>> safe_name("../../etc/my file.H5AD")
    'my file.h5ad'
    """
    last = PureWindowsPath(PurePosixPath(name).name).name
    last = re.sub(r"[^\w .()+-]", "_", last).strip(" .")
    stem, dot, suffix = last.rpartition(".")
    return f"{stem[:100]}{dot}{suffix.lower()}" if len(suffix) < 10 else last[:100]


def metadata(header: str) -> dict[str, str]:
    """Read tus' `Upload-Metadata`: names and base64 of their values.

    Raises
    ------
    RefusalError
        If it is none.
    """
    values = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        name, _, value = pair.partition(" ")
        try:
            values[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RefusalError(400, "bad metadata") from error
    return values


def _site(request: Request) -> Site:
    if request.headers.get("tus-resumable") != TUS["Tus-Resumable"]:
        raise RefusalError(412, "other tus", {"Tus-Version": TUS["Tus-Version"]})
    return request.app.state.site


def _check_open(site: Site, account: str) -> None:
    now = datetime.now(UTC)
    if site.ends and now >= site.ends:
        raise RefusalError(403, "board ended", time=site.ends)
    with store.session(site.engine) as session:
        used = store.used_today(session, account, now)
    if used >= site.per_day:
        refuse_today(site, now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))


def refuse_today(site: Site, until: datetime) -> None:
    """Say that a team handed in enough for a day.

    Raises
    ------
    RefusalError
        Always.
    """
    seconds = max(1, int((until - datetime.now(UTC)).total_seconds()))
    raise RefusalError(429, "enough today", {"Retry-After": str(seconds)}, n=site.per_day, time=until)


def place_of(site: Site, upload: str) -> Path:
    """Name the file that arrives."""
    return site.folder / ARRIVING / upload


def give_up_old(site: Site, account: str | None = None) -> None:
    """Remove files that stopped arriving, and of one team all but the latest few."""
    with store.writing(site.engine) as session:
        query = select(Upload).where(Upload.entry.is_(None)).order_by(Upload.begun.desc())
        if account is None:
            gone = list(session.scalars(query.where(Upload.begun < datetime.now(UTC) - OLD)))
        else:
            gone = list(session.scalars(query.where(Upload.account == account)))[AT_ONCE - 1 :]
        for upload in gone:
            place_of(site, upload.id).unlink(missing_ok=True)
            session.delete(upload)


def accept_whole(site: Site) -> list[int]:
    """Make entries of files that were whole when this process ended.

    Returns
    -------
    The entries.
    """
    with store.session(site.engine) as session:
        waiting = list(session.scalars(select(Upload).where(Upload.entry.is_(None)).order_by(Upload.begun)))
        session.expunge_all()
    made = []
    for upload in waiting:
        place = place_of(site, upload.id)
        if place.is_file() and place.stat().st_size == upload.size:
            try:
                made.append(store.accept(site.engine, site.folder, upload, datetime.now(UTC), site.per_day).id)
            except InputError:  # it waits, and the team's next request says why
                continue
    return made


@router.options("/uploads")
def options(request: Request) -> Response:
    """Tell what of tus there is."""
    site: Site = request.app.state.site
    return Response(status_code=204, headers={**TUS, "Tus-Max-Size": str(site.max_bytes)})


@router.post("/uploads")
def create(request: Request, who: Changing) -> Response:
    """Begin a file, or tell where the same file that the team sent before is."""
    site = _site(request)
    request.app.state.allowances.use(request.app.state.allowances.uploads, who.account)
    length = request.headers.get("upload-length", "")
    if not re.fullmatch(r"[0-9]{1,15}", length):
        raise RefusalError(400, "no length")
    size, given = int(length), metadata(request.headers.get("upload-metadata", ""))
    name = safe_name(given.get("filename", ""))
    note, digest = " ".join(given.get("note", "").split()), given.get("sha256", "")
    if not re.fullmatch(r"([0-9a-f]{64})?", digest):
        raise RefusalError(400, "bad metadata")
    _check(site, name, size, note)
    if digest:
        with store.session(site.engine) as session:
            before = store.sent_before(session, who.account, name, size, digest)
        if before is not None and (before.entry is not None or place_of(site, before.id).is_file()):
            return Response(headers={**_standing(site, before), "Location": f"/uploads/{before.id}"})
    upload = _begin(site, who.account, name, size, note, digest)
    return Response(status_code=201, headers={**TUS, "Location": f"/uploads/{upload.id}", "Upload-Offset": "0"})


@router.post(FORM)
async def take_form(request: Request, who: Changing) -> Response:
    """Take a whole file of the page's form, where no script sends it in parts."""
    site: Site = request.app.state.site
    request.app.state.allowances.use(request.app.state.allowances.uploads, who.account)
    async with request.form() as form:
        file, note = form.get("file"), " ".join(str(form.get("note", "")).split())
        if not isinstance(file, UploadFile) or not file.filename:
            raise RefusalError(422, "empty file")
        entry = await to_thread.run_sync(_take, site, who.account, file, note)
    return RedirectResponse(f"/entries/{entry.id}", 303)


def _take(site: Site, account: str, file: UploadFile, note: str) -> Entry:
    name, size = safe_name(file.filename or ""), file.size or 0
    _check(site, name, size, note)
    upload = _begin(site, account, name, size, note)
    place = place_of(site, upload.id)
    try:
        with place.open("wb") as whole:
            shutil.copyfileobj(file.file, whole, PIECE)
        if not _is_what_it_says(place, name):
            raise RefusalError(422, "not what it says", kind=Path(name).suffix)
        return _accept(site, upload)
    except OSError as error:
        _drop(site, upload)
        raise RefusalError(507, "disk full") from error
    except (RefusalError, InputError):  # nobody goes on with it
        _drop(site, upload)
        raise


def _check(site: Site, name: str, size: int, note: str) -> None:
    if Path(name).suffix not in BEGINNINGS or not Path(name).stem:
        raise RefusalError(415, "other file")
    if size > site.max_bytes:
        raise RefusalError(413, "file too large", mib=size / 2**20, most=site.max_bytes >> 20)
    if size == 0:
        raise RefusalError(422, "empty file")
    if not note.isprintable():
        raise RefusalError(400, "bad metadata")
    if len(note) > LONGEST_NOTE:
        raise RefusalError(422, "long note", most=LONGEST_NOTE)


def _begin(site: Site, account: str, name: str, size: int, note: str, digest: str = "") -> Upload:
    _check_open(site, account)
    give_up_old(site, account)
    identity = secrets.token_hex(16)
    try:
        place = place_of(site, identity)
        place.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(place.parent).free < size + SPARE:
            raise RefusalError(507, "disk full")
        place.touch(mode=0o600)
    except OSError as error:
        raise RefusalError(507, "disk full") from error
    about = {"file": name, "note": note, "size": size, "sha256": digest}
    upload = Upload(id=identity, account=account, begun=datetime.now(UTC), **about)
    with store.writing(site.engine) as session:
        session.add(upload)
    return upload


def _is_what_it_says(place: Path, name: str) -> bool:
    start, due = BEGINNINGS[Path(name).suffix]
    with place.open("rb") as file:
        file.seek(start)
        return file.read(len(due)) == due


def _find(site: Site, who: Visitor, name: str) -> Upload:
    with store.session(site.engine) as session:
        upload = session.get(Upload, name)
        if upload is None or upload.account != who.account:
            raise RefusalError(404, "not there")
        session.expunge(upload)
        return upload


def _offset(site: Site, upload: Upload) -> int:
    if upload.entry is not None:
        return upload.size
    try:
        return place_of(site, upload.id).stat().st_size
    except FileNotFoundError as error:
        raise RefusalError(410, "upload gone") from error


def _standing(site: Site, upload: Upload) -> dict[str, str]:
    entry = {} if upload.entry is None else {"Entry-Location": f"/entries/{upload.entry}"}
    return {**TUS, "Upload-Offset": str(_offset(site, upload)), **entry}


@router.head("/uploads/{name}")
def head(request: Request, name: str, who: Changing) -> Response:
    """Tell how much of a file is here."""
    site = _site(request)
    upload = _find(site, who, name)
    return Response(headers={**_standing(site, upload), "Upload-Length": str(upload.size)})


@router.patch("/uploads/{name}")
async def append(request: Request, name: str, who: Changing) -> Response:
    """Take the next part of a file, and the whole as an entry."""
    site = _site(request)
    upload = await to_thread.run_sync(_find, site, who, name)
    if request.headers.get("content-type") != "application/offset+octet-stream":
        raise RefusalError(415, "no part")
    sent = request.headers.get("upload-offset", "")
    if not re.fullmatch(r"[0-9]{1,15}", sent):
        raise RefusalError(400, "no offset")
    if upload.entry is not None:
        if int(sent) != upload.size:
            raise RefusalError(409, "other offset", {"Upload-Offset": str(upload.size)})
        return Response(status_code=204, headers=_standing(site, upload))
    arriving: Arriving = request.app.state.arriving
    arriving.holders[name] = me = object()
    lock = arriving.lock(name)
    try:
        async with lock:
            offset = _offset(site, upload)
        if offset != int(sent):
            raise RefusalError(409, "other offset", {"Upload-Offset": str(offset)})
        offset = await _write(request, site, upload, lambda: arriving.holders.get(name) is me, lock, offset)
        if offset < upload.size:
            return Response(status_code=204, headers={**TUS, "Upload-Offset": str(offset)})
        async with lock:
            upload = await to_thread.run_sync(_find, site, who, name)  # another may have been quicker
            if upload.entry is None:
                entry = await to_thread.run_sync(_accept, site, upload)
                upload.entry = entry.id
        return Response(status_code=204, headers=_standing(site, upload))
    finally:
        if arriving.holders.get(name) is me:
            del arriving.holders[name]
            if not lock.locked():
                arriving.locks.pop(name, None)


async def _write(request, site: Site, upload: Upload, mine, lock: asyncio.Lock, offset: int) -> int:  # noqa: ANN001
    place, stream, ends = place_of(site, upload.id), request.stream(), False
    while not ends:
        piece = bytearray()
        try:
            while len(piece) < PIECE and not ends:
                try:
                    piece += await asyncio.wait_for(anext(stream), SILENCE)
                except StopAsyncIteration:
                    ends = True
        except (ClientDisconnect, TimeoutError):
            ends = True
        if offset + len(piece) > upload.size:
            raise RefusalError(413, "longer than said")
        async with lock:
            if not mine():
                raise RefusalError(409, "other offset")
            try:
                await to_thread.run_sync(_append, place, bytes(piece), offset, ends)
            except OSError as error:
                raise _failed(error) from error
        before, offset = offset, offset + len(piece)
        start, due = BEGINNINGS[Path(upload.file).suffix]
        seen = before < start + len(due) <= offset or (ends and offset == upload.size < start + len(due))
        if seen and not _is_what_it_says(place, upload.file):
            await to_thread.run_sync(_drop, site, upload)
            raise RefusalError(422, "not what it says", kind=Path(upload.file).suffix)
    return offset


def _append(place: Path, piece: bytes, offset: int, ends: bool) -> None:  # noqa: FBT001
    """Write at the end; of a piece that the disk does not hold, nothing stays."""
    with place.open("r+b") as file:
        try:
            file.seek(offset)
            file.write(piece)
            file.flush()
            if ends:
                os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), offset)
            raise


def _drop(site: Site, upload: Upload) -> None:
    with store.writing(site.engine) as session:
        session.delete(session.merge(upload))
    place_of(site, upload.id).unlink(missing_ok=True)


def _accept(site: Site, upload: Upload) -> Entry:
    if site.ends and upload.begun >= site.ends:
        raise RefusalError(403, "board ended", time=site.ends)
    try:
        return store.accept(site.engine, site.folder, upload, datetime.now(UTC), site.per_day)
    except store.TooManyError as error:
        refuse_today(site, error.until)
        raise
    except store.ChangedError as error:
        _drop(site, upload)
        raise RefusalError(422, "changed on the way") from error
    except InputError as error:
        if isinstance(error.__cause__, OSError | DBAPIError):
            raise _failed(error.__cause__) from error
        raise


def _failed(error: Exception) -> RefusalError:
    full = store.is_full(error)
    return RefusalError(507 if full else 503, "disk full" if full else "ours")
