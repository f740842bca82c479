"""Who may enter the leaderboard: teams and the instructor, each with a token that is kept as a hash alone."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from autograder.course import Course
from autograder.leaderboard.store import keep_trying
from autograder.leaderboard.tables import INSTRUCTOR, Account, Visit
from starter.errors import InputError

BYTES = 32
"""Random bytes of a token, so that nobody guesses one and a plain hash of it tells nothing."""
LONGEST = 64


def teams_of(course: Course) -> list[str]:
    """List the accounts of a roster: its teams, and the ids of students who are in none.

    Raises
    ------
    InputError
        If a team has a student's name, or one that cannot be an account's.
    """
    students = course.students.values()
    teams = dict.fromkeys(student.team for student in students if student.team)
    alone = [student.id for student in students if not student.team]
    if twice := [name for name in alone if name in teams]:
        msg = f"{twice[0]} is a team and a student who is in no team; rename the team in course.toml"
        raise InputError(msg)
    names = [*teams, *alone]
    for name in names:
        check_name(name)
    return names


def check_name(name: str) -> None:
    """Refuse what cannot be a team's account.

    Raises
    ------
    InputError
        With what a name may be.
    """
    if not name.isprintable() or not name.strip() or len(name) > LONGEST or name == INSTRUCTOR:
        msg = f"{name!r} cannot be a team of the leaderboard: at most {LONGEST} characters, and not {INSTRUCTOR!r}"
        raise InputError(msg)


def make_tokens(engine: Engine, names: Sequence[str], role: str) -> dict[str, str]:
    """Make tokens; a token that an account had is void, and its visits end.

    Returns
    -------
    Name to token, which is nowhere else: the database has its hash.
    """
    tokens = {name: secrets.token_urlsafe(BYTES) for name in names}

    def work(now: Session) -> None:
        made = datetime.now(UTC)
        now.execute(delete(Visit).where(Visit.account.in_(names)))
        for name, token in tokens.items():
            account = now.get(Account, name)
            if account is None:
                now.add(Account(name=name, role=role, token_hash=hash_token(token), made=made))
            else:
                account.role, account.token_hash, account.made = role, hash_token(token), made

    keep_trying(engine, work)
    return tokens


def find(session: Session, token: str) -> Account | None:
    """Find whose token this is."""
    return session.scalar(select(Account).where(Account.token_hash == hash_token(token)))


def hash_token(token: str) -> str:
    """Hash a token as the database has it, to 64 hexadecimal digits."""
    return hashlib.sha256(token.strip().encode(errors="surrogatepass")).hexdigest()
