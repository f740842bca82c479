"""Who stands where on a board, and by which entry: teams on the public half by the Ladder, on the private at the end.

What is called here stands within a transaction of the scoring workers, who alone write standings.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from autograder.leaderboard import ladder
from autograder.leaderboard.board import Board
from autograder.leaderboard.choice import chosen_entries
from autograder.leaderboard.entry_score import HalfScore, halves_of, read_score
from autograder.leaderboard.tables import PRIVATE, PUBLIC, QUEUED, REFUSED, SCORED, Entry, Fact, Standing

BOARD_LOCK = 0x626F6172


def alone(now: Session) -> None:
    """Let nobody else change standings until this transaction ends; SQLite has one writer anyway."""
    if now.get_bind().dialect.name == "postgresql":
        now.execute(select(func.pg_advisory_xact_lock(BOARD_LOCK)))


def score_again(now: Session) -> None:
    """Put into the queue again all that was scored, by another truth than now."""
    now.execute(delete(Standing))
    again = {"state": QUEUED, "tries": 0, "public": None, "private": None, "moved": None, "flags": []}
    now.execute(update(Entry).where(Entry.state.in_((SCORED, REFUSED))).values(**again))


def reveal(now: Session, board: Board) -> None:
    """Show the private half: of all entries, and with ranks by those that teams chose."""
    halves = halves_of(board)
    now.merge(Fact(name="revealed", value={"is": True}))
    if halves.private is None:
        return
    for identity in now.scalars(select(Entry.id).where(Entry.state == SCORED)).all():
        row = _half(score_file(board, identity), PRIVATE).row
        now.execute(update(Entry).where(Entry.id == identity).values(private=row))
    now.execute(delete(Standing).where(Standing.board == PRIVATE))
    for account, entry in chosen_entries(now).items():
        _place(now, board, PRIVATE, account, entry.id)
    now.flush()
    rank(now, board, PRIVATE)


def stand(now: Session, board: Board, account: str) -> None:
    """Go through a team's entries in their order, by the Ladder, and let it stand by the one that it gives."""
    mine = select(Entry).where(Entry.account == account, Entry.state == SCORED).order_by(Entry.id)
    entries = now.scalars(mine).all()
    values = [_of(board, entry.id, PUBLIC).values for entry in entries]
    place, moved = ladder.standing_of(values)
    for entry, did in zip(entries, moved, strict=True):
        entry.moved = did
    now.execute(delete(Standing).where(Standing.board == PUBLIC, Standing.account == account))
    if place is not None:
        _place(now, board, PUBLIC, account, entries[place].id)
    now.flush()


def _place(now: Session, board: Board, name: str, account: str, entry: int) -> None:
    found = _of(board, entry, name)
    if found.score is not None:
        score = {"score": found.score, "low": found.low, "high": found.high}
        now.add(Standing(board=name, account=account, entry=entry, rank=0, **score))


def rank(now: Session, board: Board, name: str) -> None:
    """Give all who stand on a board (public or private) their ranks."""
    standings = now.scalars(select(Standing).where(Standing.board == name).order_by(Standing.entry)).all()
    if standings:
        values = np.array([_of(board, standing.entry, name).values for standing in standings])
        ranks = ladder.ranks(values, intervals=halves_of(board).private is not None)
        for standing, rank in zip(standings, ranks, strict=True):
            standing.rank = int(rank)


class _Ranked(NamedTuple):
    """What ranks are made of, which is kept in memory of every entry."""

    values: np.ndarray
    score: float | None
    low: float | None
    high: float | None


def _of(board: Board, entry: int, name: str) -> _Ranked:
    path = score_file(board, entry)
    return _read(path, path.stat().st_mtime_ns, name)


@functools.lru_cache(maxsize=1 << 14)
def _read(path: Path, changed: int, name: str) -> _Ranked:
    del changed
    half = _half(path, name)
    return _Ranked(half.array(), half.row["overall"], half.row["low"], half.row["high"])


def _half(path: Path, name: str) -> HalfScore:
    score = read_score(path)
    half = score.public if name == PUBLIC else score.private
    assert half is not None  # nothing is ranked by a half that is not there
    return half


def score_file(board: Board, entry: int) -> Path:
    """Say where the scores of an entry on both halves are, which only workers read."""
    return board.private / "scores" / f"{entry}.json"
