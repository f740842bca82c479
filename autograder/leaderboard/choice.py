"""Which of its entries a team made its submission."""

from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from autograder.leaderboard.store import read_fact
from autograder.leaderboard.tables import PUBLIC, SCORED, Entry, Standing
from starter.errors import InputError


def choose(session: Session, entry: Entry) -> None:
    """Make an entry its team's submission instead of any other.

    Raises
    ------
    InputError
        If it was not scored, or the board has closed: who chooses then would know the private half.
    """
    if entry.state != SCORED:
        msg = f"entry {entry.id} is {entry.state}; choose one that was scored"
        raise InputError(msg)
    ends = read_fact(session, "ends")
    if read_fact(session, "revealed") or (isinstance(ends, str) and datetime.now(UTC) > datetime.fromisoformat(ends)):
        msg = "the board has closed, and so has the choice; ask your instructor"
        raise InputError(msg)
    session.execute(update(Entry).where(Entry.account == entry.account).values(chosen=False))
    session.execute(update(Entry).where(Entry.id == entry.id).values(chosen=True))


def chosen_entries(now: Session) -> dict[str, Entry]:
    """Give each team's submission: the entry that it chose, else the one by which it stands on the public board."""
    chosen = now.scalars(select(Entry).where(Entry.chosen, Entry.state == SCORED))
    standing = now.scalars(select(Entry).join(Standing, Standing.entry == Entry.id).where(Standing.board == PUBLIC))
    return {entry.account: entry for entry in standing} | {entry.account: entry for entry in chosen}
