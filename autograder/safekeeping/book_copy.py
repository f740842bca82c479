"""Copies of nbgrader's gradebook, which others may have open, and what in it was given by hand."""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from starter.errors import InputError

SECONDS = 30.0
"""To wait for another program that writes into the gradebook."""
MARKS = """
WITH given (notebook, cell, kind, value) AS (
  SELECT notebook_id, cell_id, 'points', manual_score FROM grade WHERE manual_score IS NOT NULL
  UNION ALL SELECT notebook_id, cell_id, 'extra credit', extra_credit FROM grade WHERE extra_credit
  UNION ALL SELECT notebook_id, cell_id, 'comment', manual_comment FROM comment WHERE manual_comment <> ''
)
SELECT student_id, assignment.name, base_cell.name, kind, value FROM given
  JOIN base_cell ON base_cell.id = cell
  JOIN submitted_notebook ON submitted_notebook.id = notebook
  JOIN submitted_assignment ON submitted_assignment.id = submitted_notebook.assignment_id
  JOIN assignment ON assignment.id = submitted_assignment.assignment_id
"""
"""What an instructor gave, by nbgrader's tables: student, stage, cell, kind, value."""


def copy_gradebook(source: Path, target: Path) -> None:
    """Copy a gradebook as it is at one moment, by SQLite's own way, whoever has it open.

    Parameters
    ----------
    source
        The gradebook.
    target
        A new file, or a gradebook, which becomes the copy all at once or not at all.

    Raises
    ------
    InputError
        If the source is damaged, or another program does not let go of one of them.
    """
    with _opened(source) as book, closing(sqlite3.connect(target, timeout=SECONDS)) as copy:
        fault = book.execute("PRAGMA quick_check").fetchone()[0]
        if fault != "ok":
            msg = f"{source} is damaged ({fault}); restore it from a backup, or move it away"
            raise InputError(msg)
        end = time.monotonic() + SECONDS

        def give_up(*_: int) -> None:
            if time.monotonic() > end:  # by itself it would wait for ever
                msg = "another program writes into it"
                raise sqlite3.OperationalError(msg)

        book.backup(copy, progress=give_up)


def replace_gradebook(source: Path, target: Path) -> None:
    """Make a gradebook say what a copy says, also where it is damaged; whoever has it open sees it at once."""
    try:
        with closing(sqlite3.connect(target, timeout=SECONDS)) as book:
            damaged = book.execute("PRAGMA quick_check").fetchone()[0] != "ok"
    except sqlite3.OperationalError:
        damaged = False  # it is in use, which copying says
    except sqlite3.DatabaseError:
        damaged = True
    if damaged:
        target.unlink()
    copy_gradebook(source, target)


def hash_gradebook(path: Path) -> str | None:
    """Hash what a gradebook says, however it lies in the file; None if there is none."""
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with _opened(path) as book:
        for line in book.iterdump():
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def given_by_hand(path: Path) -> set[tuple[str, str, str, str, str]]:
    """Read what an instructor gave: student, stage, cell, `points`, `extra credit` or `comment`, and the value."""
    if not path.is_file():
        return set()
    with _opened(path) as book:
        if not book.execute("SELECT 1 FROM sqlite_master WHERE name = 'grade'").fetchone():
            return set()
        return {(*names, str(value)) for *names, value in book.execute(MARKS)}


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=SECONDS)) as book:
            yield book
    except sqlite3.OperationalError as error:
        msg = f"{path} cannot be read or written ({error}); close what has it open, or make room, and try again"
        raise InputError(msg) from error
    except sqlite3.DatabaseError as error:
        msg = f"{path} is damaged ({error}); restore it from a backup, or move it away"
        raise InputError(msg) from error
