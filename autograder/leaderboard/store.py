"""The database of the leaderboard: opened, an upload accepted, the queue, and what survives a process that dies.

A file is on the disk before the row that says that it was accepted. Whoever asks again, because a process died or a
connection broke before the answer came, gets the same answer.
"""

import errno
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from autograder.folders import ARRIVING, ENTRIES
from autograder.leaderboard.tables import (
    QUEUED,
    REFUSED,
    SCORING,
    WITHDRAWN,
    Account,
    Entry,
    Fact,
    Table,
    Upload,
)
from starter.errors import InputError
from starter.files import reason_of

BUSY_SECONDS = 30
"""How long one who writes waits for another, and how long a database that went away is waited for."""
WRITES = "writes"
"""Option of a connection: what it begins may write, so that SQLite locks at once instead of failing half-way."""
ENDINGS = (".h5ad", ".vcc")
FULL = ("disk is full", "No space left")
"""What databases say of a full disk, which does not mend itself in seconds."""
OF_A_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
T = TypeVar("T")


class TooManyError(InputError):
    """A team has made its entries of this day."""

    def __init__(self, per_day: int, until: datetime) -> None:
        self.until = until
        """When the next is taken."""
        super().__init__(
            f"your team made its {per_day} entries of today; the next is taken from {until:%Y-%m-%d %H:%M} UTC on"
        )


class ChangedError(InputError):
    """What came is not the file that its sender hashed."""


def open_board(url: str) -> Engine:
    """Open the database, and make its tables where there are none.

    Parameters
    ----------
    url
        As SQLAlchemy writes it: `sqlite:///FILE`, or `postgresql+psycopg://...`.

    Raises
    ------
    InputError
        If it cannot be opened, or another version of the kit made it.
    """
    try:
        shown = make_url(url).render_as_string(hide_password=True)
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
            if engine.dialect.name == "postgresql":  # of two who make the tables at once the second waits
                connection.execute(select(func.pg_advisory_xact_lock(0x76636B)))
            Table.metadata.create_all(connection)
            _check_columns(connection, shown)
    except ArgumentError as error:
        msg = f"[leaderboard] database is no URL of a database ({error}); docs/instructor.md shows one"
        raise InputError(msg) from error
    except (SQLAlchemyError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        msg = f"the leaderboard's database {shown} cannot be opened: {cause}; see [leaderboard] database in course.toml"
        raise InputError(msg) from error
    return engine


def _check_columns(connection: Connection, shown: str) -> None:
    there = inspect(connection)
    for table in Table.metadata.sorted_tables:
        missing = set(table.columns.keys()) - {column["name"] for column in there.get_columns(table.name)}
        if missing:
            msg = (
                f"the leaderboard's database {shown} was made by another version of the kit: its table {table.name} "
                f"has no column {min(missing)}; go on with that version, or name a new one as [leaderboard] database"
            )
            raise InputError(msg)


def session(engine: Engine) -> Session:
    """Begin to read: what is read is as it was at one moment. What writes uses `writing`."""
    return Session(engine, expire_on_commit=False)


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """Read and write in one transaction, which ends with the block: all of it is kept, or after an error nothing."""
    with session(engine) as now, now.begin():
        now.connection(execution_options={WRITES: True})
        yield now


def keep_trying(engine: Engine, work: Callable[[Session], T], seconds: float = BUSY_SECONDS) -> T:
    """Do some work in a transaction, and again if the connection is lost or the database is busy.

    Parameters
    ----------
    work
        What is done. It may be done twice, where the connection broke while it was kept, so it must then find that.
    seconds
        How long to go on.

    Raises
    ------
    InputError
        If the database does not come back.
    """
    end, pause = time.monotonic() + seconds, 0.05
    while True:
        try:
            with writing(engine) as now:
                return work(now)
        except DBAPIError as error:
            if not (error.connection_invalidated or isinstance(error, OperationalError)):
                raise
            if is_full(error) or time.monotonic() + pause > end:
                msg = f"the leaderboard's database does not answer or cannot write: {error.orig}".strip()
                raise InputError(msg) from error
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def is_full(error: BaseException | None) -> bool:
    """Tell whether a disk is full, whoever says so."""
    if isinstance(error, DBAPIError):
        return any(word in str(error.orig) for word in FULL)
    return isinstance(error, OSError) and error.errno in OF_A_FULL_DISK


def accept(engine: Engine, folder: Path, upload: Upload, received: datetime, per_day: int) -> Entry:
    """Make an entry of a file that has arrived whole: on the disk first, then in the queue.

    Parameters
    ----------
    folder
        The web folder, in which `arriving/<upload id>` lies and the entry will.
    upload
        The upload; one that became an entry before gives that entry.
    received
        When its last byte came.
    per_day
        Entries that a team may make a day.

    Raises
    ------
    TooManyError
        If the team has made them; the file stays where it is.
    ChangedError
        If the file has not the hash that its sender said.
    InputError
        If the board has closed, the file is not whole or has no name that is taken, or the disk is full; nothing was
        accepted then.
    """
    file = folder / ARRIVING / upload.id
    identity, account, name = upload.id, upload.account, upload.file
    try:
        there = file.is_file() and not file.is_symlink()
        digest, size = (_flushed_hash(file), file.stat().st_size) if there else ("", 0)

        def work(now: Session) -> Entry:
            # one account's entries are counted one after the other
            now.execute(select(Account).where(Account.name == account).with_for_update())
            known = now.get(Upload, identity, with_for_update=True)
            if known is not None and known.entry is not None:
                return now.get_one(Entry, known.entry)
            if known is None or not there:
                msg = f"the upload of {name} is not known here; begin it again"
                raise InputError(msg)
            _check_upload(known, size, digest)
            _check_open(now, received)
            if used_today(now, account, received) >= per_day:
                raise TooManyError(per_day, _next_day(received))
            entry = Entry(
                account=account, file=name, note=known.note, size=size, sha256=digest, received=received, flags=[]
            )
            now.add(entry)
            now.flush()
            known.entry = entry.id
            _lay(file, folder / ENTRIES / str(entry.id), name)
            return entry

        entry = keep_trying(engine, work)
    except OSError as error:
        msg = (
            f"{name} could not be kept ({reason_of(error)}), so it was not accepted; try again, or tell your instructor"
        )
        raise InputError(msg) from error
    file.unlink(missing_ok=True)
    return entry


def sent_before(session: Session, account: str, file: str, size: int, sha256: str) -> Upload | None:
    """Find a team's upload of the same file, by its hash: one that stopped half-way, or one that became an entry.

    A file whose entry was withdrawn may come again.
    """
    query = select(Upload).outerjoin(Entry, Upload.entry == Entry.id).where(
        Upload.account == account, Upload.file == file, Upload.size == size, Upload.sha256 == sha256,
        Upload.entry.is_(None) | (Entry.state != WITHDRAWN),
    )  # fmt: skip
    return session.scalar(query.order_by(Upload.begun.desc()).limit(1))


def used_today(session: Session, account: str, now: datetime) -> int:
    """Count a team's entries of a day in UTC, but for those that were refused."""
    end = _next_day(now)
    mine = (Entry.account == account, Entry.received >= end - timedelta(days=1), Entry.received < end)
    return session.scalar(select(func.count()).select_from(Entry).where(*mine, Entry.state != REFUSED)) or 0


def places(session: Session, account: str) -> dict[int, int]:
    """Say of each queued entry of a team how many are scored until it is, itself counted."""
    order = func.row_number().over(order_by=(Entry.tries, Entry.id)).label("place")
    waiting = select(Entry.id, Entry.account, order).where(Entry.state == QUEUED).subquery()
    scoring = select(func.count()).select_from(Entry).where(Entry.state == SCORING).scalar_subquery()
    found = session.execute(select(waiting.c.id, waiting.c.place + scoring).where(waiting.c.account == account))
    return {identity: place for identity, place in found}


def claim(engine: Engine, worker: str) -> Entry | None:
    """Take the next entry of the queue, which no other worker gets; the one that is held already if there is one.

    Those that failed by a fault of ours come after all that were not tried.
    """

    def work(now: Session) -> Entry | None:
        held = now.scalar(select(Entry).where(Entry.state == SCORING, Entry.worker == worker).limit(1))
        if held is not None:
            return held
        waiting = select(Entry).where(Entry.state == QUEUED).order_by(Entry.tries, Entry.id).limit(1)
        entry = now.scalar(waiting.with_for_update(skip_locked=True))
        if entry is not None:
            entry.state, entry.worker, entry.begun, entry.tries = SCORING, worker, datetime.now(UTC), entry.tries + 1
        return entry

    return keep_trying(engine, work)


def held_by(now: Session, entry_id: int, worker: str) -> Entry | None:
    """Give an entry if a worker still holds it: nobody withdrew it or gave it back."""
    return now.scalar(
        select(Entry).where(Entry.id == entry_id, Entry.state == SCORING, Entry.worker == worker).with_for_update()
    )


def give_back(now: Session, worker: str, reason: str) -> list[int]:
    """Put what a worker holds into the queue again."""
    entries = now.scalars(select(Entry).where(Entry.state == SCORING, Entry.worker == worker).with_for_update()).all()
    for entry in entries:
        entry.state, entry.worker, entry.begun, entry.reason = QUEUED, None, None, reason[:2000]
    return [entry.id for entry in entries]


def read_fact(now: Session, name: str) -> object:
    """Read what holds of the whole board; None if it is not there."""
    fact = now.get(Fact, name)
    return None if fact is None else fact.value["is"]


def _check_upload(upload: Upload, size: int, digest: str) -> None:
    name = PurePosixPath(upload.file)
    if name.name != upload.file or not upload.file.isprintable() or "\\" in upload.file or upload.file.startswith("."):
        msg = f"{upload.file!r} is no file name that is taken; name the file as prediction.vcc"
        raise InputError(msg)
    if name.suffix not in ENDINGS:
        msg = f"{upload.file} is no prediction file: its name ends with {' or '.join(ENDINGS)}"
        raise InputError(msg)
    if size != upload.size:
        msg = f"{size:,} of the {upload.size:,} bytes of {upload.file} arrived; send the rest"
        raise InputError(msg)
    if upload.sha256 not in ("", digest):
        msg = f"what arrived is not {upload.file} as it was when the upload began; send it again"
        raise ChangedError(msg)


def _check_open(now: Session, received: datetime) -> None:
    ends = read_fact(now, "ends")
    if isinstance(ends, str) and received > datetime.fromisoformat(ends):
        msg = f"no more entries are taken: the board closed at {datetime.fromisoformat(ends):%Y-%m-%d %H:%M %Z}"
        raise InputError(msg)


def _next_day(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _flushed_hash(file: Path) -> str:
    """Bring a file onto the disk, and hash it."""
    with file.open("rb") as content:
        os.fsync(content.fileno())
        return hashlib.file_digest(content, "sha256").hexdigest()


def _lay(file: Path, folder: Path, name: str) -> None:
    """Give a file a second name in an entry's folder; what a process that died left there goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.link(file, folder / name)
    for place in (folder, folder.parent):
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _set_up_sqlite(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None  # SQLAlchemy says when a transaction begins
    for setting in (f"busy_timeout = {1000 * BUSY_SECONDS}", "journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
