"""What a command is about to change, kept as it is, so that the command can be taken back.

`grading/undo/` holds it: small files as copies, large ones as links to the same content, which commands replace and
never write into; and the gradebook. `running` is of a command that has not ended, or was stopped; `last` of the last
one that ended and changed something.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import filelock
from pydantic import AwareDatetime, TypeAdapter
from pydantic.dataclasses import dataclass

from autograder.course import Course
from autograder.folders import (
    ASSIGNMENTS,
    ATTEMPTS,
    AUTOGRADED,
    GENERATED,
    GRADEBOOK,
    GRADING,
    NORMALISED,
    RESULTS,
    SCORECARDS,
    SUBMITTED,
    UNDO,
    WORK,
)
from autograder.safekeeping.book_copy import copy_gradebook, hash_gradebook
from starter.errors import InputError
from starter.files import check_room, reason_of

LINKED = 1 << 20
"""Bytes from which on a file is linked."""
LAST, RUNNING, NEW = "last", "running", "new"
RECORD, FILES = "step.json", "files"
BESIDE = "beside"
"""Below a step: another command ran at the same time."""
TAKING_BACK = "taking back"
"""Below a step: it is being taken back."""
Command: TypeAlias = Literal["collect", "grade", "release"]
Listing: TypeAlias = dict[str, tuple[int, int] | None]
"""Name from the course's folder to a file's size and time of change in nanoseconds, or None for a folder."""


@dataclass
class Step:
    """A command and what it changed."""

    command: Command
    stage: str
    """Empty where a command is about all of them."""
    began: AwareDatetime
    before: Listing
    book_before: str | None
    """Hash of what the gradebook said; None if there was none, or the command does not touch it."""
    after: Listing | None = None
    """None while it runs, and if it was killed."""
    book_after: str | None = None

    def __str__(self) -> str:
        """Give it as it was typed."""
        return f"autograder {self.command} {self.stage}".rstrip()


@contextmanager
def step(course: Course, command: Command, stage: str = "") -> Iterator[None]:
    """Keep what the block changes, so that it can be taken back; a block that changes nothing leaves the last step.

    A command that was stopped and is given again is one step. One that runs while another does is not kept, and then
    neither can be taken back.

    Raises
    ------
    InputError
        If there is no room to keep it; nothing was changed then.
    """
    folder = course.grading / UNDO
    with only_one(course) as alone:
        if not alone:
            with suppress(OSError):
                (folder / RUNNING / BESIDE).write_text(f"autograder {command} {stage}".rstrip())
            yield
            return
        if (folder / LAST / TAKING_BACK).exists() or (folder / RUNNING / TAKING_BACK).exists():
            msg = "autograder undo was stopped half-way; finish it first: autograder undo"
            raise InputError(msg)
        kept = _begin(course, command, stage)
        stopped = True
        try:
            yield
            stopped = False
        finally:
            kept.after, kept.book_after = look(course, kept), _hash_book(course, command)
            if (kept.after, kept.book_after) == (kept.before, kept.book_before):
                shutil.rmtree(folder / RUNNING)
            else:
                write_step(folder / RUNNING, kept)
                if not stopped:
                    _promote(folder)


def look(course: Course, of: Step) -> Listing:
    """List the files and folders that a step's command may change, as they are now; links are left alone."""
    listing: Listing = {}
    for pattern in _patterns(course, of.command, of.stage):
        for root in sorted(course.root.glob(pattern)):
            if root.is_symlink():
                continue
            _list(root, course.root, listing)
            for place, folders, names in os.walk(root):
                for name in [*folders, *names]:
                    _list(Path(place, name), course.root, listing)
    return listing


def read_step(folder: Path) -> Step | None:
    """Read a step; None if there is none, or it was being written when the machine stopped."""
    try:
        return TypeAdapter(Step).validate_json((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None


def write_step(folder: Path, kept: Step) -> None:
    """Write a step's record, whole."""
    part = folder / f"{RECORD}.part"
    part.write_bytes(TypeAdapter(Step).dump_json(kept))
    part.replace(folder / RECORD)


def bring(source: Path, target: Path) -> None:
    """Link a large file, copy a small one or where links cannot be; times and modes stay."""
    if source.stat().st_size >= LINKED:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


@contextmanager
def only_one(course: Course) -> Iterator[bool]:
    """Say whether no other command is at work in this course, and hold it for the block if so."""
    work = course.grading / WORK
    work.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(work / ".course.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _begin(course: Course, command: Command, stage: str) -> Step:
    folder = course.grading / UNDO
    if (stopped := read_step(folder / RUNNING)) is not None:
        if (stopped.command, stopped.stage) == (command, stage):
            return stopped
        _promote(folder)
    new, book = folder / NEW, course.grading / GRADEBOOK
    kept = Step(command, stage, datetime.now(UTC), {}, _hash_book(course, command))
    kept.before = look(course, kept)
    copied = sum(about[0] for about in kept.before.values() if about and about[0] < LINKED)
    check_room(course.grading, copied + (0 if kept.book_before is None else book.stat().st_size))
    try:
        shutil.rmtree(new, ignore_errors=True)
        (new / FILES).mkdir(parents=True)
        for name, about in kept.before.items():
            if about is None:
                (new / FILES / name).mkdir(parents=True, exist_ok=True)
            else:
                (new / FILES / name).parent.mkdir(parents=True, exist_ok=True)
                bring(course.root / name, new / FILES / name)
        if kept.book_before is not None:
            copy_gradebook(book, new / GRADEBOOK)
        write_step(new, kept)
        shutil.rmtree(folder / RUNNING, ignore_errors=True)
        new.rename(folder / RUNNING)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        msg = f"cannot keep what {kept} changes in {folder} ({reason_of(error)}); make room, or see who may write there"
        raise InputError(msg) from error
    return kept


def _hash_book(course: Course, command: Command) -> str | None:
    return None if command == "collect" else hash_gradebook(course.grading / GRADEBOOK)


def _promote(folder: Path) -> None:
    shutil.rmtree(folder / LAST, ignore_errors=True)
    (folder / RUNNING).rename(folder / LAST)


def _patterns(course: Course, command: Command, stage: str) -> list[str]:
    """Name what a command may change, from the course's folder."""
    of_stage = {
        "collect": [f"{GRADING}/{ATTEMPTS}/{stage}", f"{GRADING}/{SUBMITTED}/*/{stage}"],
        "grade": [
            *(f"{GRADING}/{name}/{stage}" for name in (RESULTS, SCORECARDS)),
            *(f"{GRADING}/{name}/*/{stage}" for name in (SUBMITTED, NORMALISED, AUTOGRADED)),
        ],
        "release": [ASSIGNMENTS, f"data/{course.name}", f"{GRADING}/{course.name}", f"{GRADING}/{GENERATED}"],
    }
    return [*of_stage[command], "nbgrader_config.py"]


def _list(path: Path, root: Path, listing: Listing) -> None:
    about = path.lstat()
    if stat.S_ISDIR(about.st_mode):
        listing[path.relative_to(root).as_posix()] = None
    elif stat.S_ISREG(about.st_mode):
        listing[path.relative_to(root).as_posix()] = (about.st_size, about.st_mtime_ns)
