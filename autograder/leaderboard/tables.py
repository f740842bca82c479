"""What the leaderboard keeps, as tables: accounts, visits, uploads, entries, standings and fixed rows.

The web process reads and writes them, and so do scoring workers. No truth is ever in them, and no score on the private
half before it is revealed.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

TEAM, INSTRUCTOR = "team", "instructor"
"""Roles of accounts."""
QUEUED, SCORING, SCORED, REFUSED, WITHDRAWN = "queued", "scoring", "scored", "refused", "withdrawn"
"""States of an entry. `refused` is the file's fault, and its `reason` says what to do; where something of ours failed
it is `queued` again."""
LONGEST_NOTE = 200
PUBLIC, PRIVATE = "public", "private"
"""Boards: each ranks by one half of the hidden perturbations."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC, with its zone wherever the database keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the database UTC."""
        del dialect
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        del dialect
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC) if value else None


class Table(DeclarativeBase):
    """What all tables share."""

    type_annotation_map = {datetime: Moment(), dict[str, Any]: JSON(none_as_null=True), list[Any]: JSON()}  # noqa: RUF012


class Account(Table):
    """A team, or an instructor, who shows a token."""

    __tablename__ = "accounts"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A team of the roster, or the id of a student who is alone."""
    role: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of a token of 256 random bits."""
    made: Mapped[datetime]
    """When the token was."""


class Visit(Table):
    """A browser that showed a token."""

    __tablename__ = "visits"
    cookie_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name", ondelete="CASCADE"))
    csrf: Mapped[str] = mapped_column(String(64))
    """What its forms must send along."""
    ends: Mapped[datetime]


class Upload(Table):
    """A file that is arriving; its bytes are in `arriving/<id>`."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name", ondelete="CASCADE"))
    file: Mapped[str] = mapped_column(String(255))
    note: Mapped[str] = mapped_column(String(LONGEST_NOTE), default="")
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    """Of the file that is sent, if its sender said it: by it who sends the file again finds what came before."""
    begun: Mapped[datetime]
    entry: Mapped[int | None] = mapped_column(ForeignKey("entries.id"))
    """What it became."""


class Entry(Table):
    """A file that was accepted; its bytes are in `entries/<id>/`, and it is scored once."""

    __tablename__ = "entries"
    __table_args__ = (Index("by_account", "account", "received"), Index("by_state", "state", "id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    """Entries are scored in this order."""
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"))
    file: Mapped[str] = mapped_column(String(255))
    note: Mapped[str] = mapped_column(String(LONGEST_NOTE), default="")
    """What the team says of it."""
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    received: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default=QUEUED)
    worker: Mapped[str | None] = mapped_column(String(64))
    """Who scores it, and since when."""
    begun: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(String(2000), default="")
    """Why it was refused, or what of ours failed last."""
    public: Mapped[dict[str, Any] | None]
    """Its scores on the public half: `overall`, `low`, `high`, and `metrics`, by name `title`, `value`, `low`, `high`,
    `scaled`, `direction`, `baseline`, `replicate`. Numbers may be null."""
    private: Mapped[dict[str, Any] | None]
    """The same on the private half, once revealed."""
    moved: Mapped[bool | None]
    """Whether it became the team's standing entry: better than the one before by more than noise."""
    flags: Mapped[list[Any]] = mapped_column(default=list)
    """Names and sentences, for the instructor alone."""
    chosen: Mapped[bool] = mapped_column(default=False)
    """The team's submission: what `autograder grade` grades."""


class Standing(Table):
    """A team's place on a board."""

    __tablename__ = "standings"
    board: Mapped[str] = mapped_column(String(8), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"), primary_key=True)
    entry: Mapped[int] = mapped_column(ForeignKey("entries.id"))
    rank: Mapped[int]
    """Shared by those whom noise may order otherwise."""
    score: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]


class FixedRow(Table):
    """A baseline, a model of the kit or the replicate, among which teams stand without competing."""

    __tablename__ = "fixed_rows"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    public: Mapped[dict[str, Any]]
    """As `Entry.public`."""
    private: Mapped[dict[str, Any] | None]


class Fact(Table):
    """What holds of the whole board.

    Names: `stage`, `title`, `n_public`, `n_private` (0 where there is one board alone), `ends`, `revealed`.
    """

    __tablename__ = "facts"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[dict[str, Any]]
    """`{"is": ...}`."""
