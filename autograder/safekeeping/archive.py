"""What a backup holds: one .zip, with a list of its files and their hashes.

In it is what cannot be made again, and what was made of it and grades depend on: the settings, the instructor's
notebooks and questions, the notebooks and data that students were given, the hidden cells, and of `grading/` the
secret, all that was handed in, results, points and feedback pages. Left out are what commands make of these, and the
screen, which only a new release would cut.
"""

import os
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from pydantic import AwareDatetime
from pydantic.dataclasses import dataclass

from autograder.course import FILE, Course
from autograder.folders import (
    ASSIGNMENTS,
    ATTEMPTS,
    AUTOGRADED,
    BOARD_DATABASE,
    FEEDBACK,
    GRADEBOOK,
    GRADING,
    LEADERBOARD,
    NORMALISED,
    QUESTIONS,
    RESULTS,
    SCORECARDS,
    SECRET,
    SOLUTIONS,
    SUBMITTED,
)

MANIFEST = "manifest.json"
FORMAT = 1
"""Of the archive."""
SETTINGS = (FILE, "nbgrader_config.py")
BOARD = tuple(f"{LEADERBOARD}/{name}" for name in ("web/entries", "web/pictures", "private"))
"""What belongs to the leaderboard's tables: files that were accepted, and what workers know of them."""
FOLDERS = (ATTEMPTS, SUBMITTED, NORMALISED, AUTOGRADED, RESULTS, SCORECARDS, FEEDBACK, *BOARD)
"""Of `grading/`. Notebooks and scorecards of a result would only be made anew with the result."""
MADE = ("__pycache__", ".ipynb_checkpoints")
"""Folders beside the instructor's files that programs leave there."""
SCREEN = "screen"
"""Of the hidden data: the simulated screen before it was cut, which follows from the secret."""
DATABASES = (f"{GRADING}/{LEADERBOARD}/{BOARD_DATABASE}", f"{GRADING}/{GRADEBOOK}")
"""Which others may have open."""
Files: TypeAlias = dict[str, Path]


@dataclass(frozen=True)
class Kept:
    """One file in a backup."""

    sha256: str
    size: int
    """In bytes."""
    mode: int
    """Who may read, write and run it."""
    changed: int
    """When, in nanoseconds since 1970: which file is the newer decides what is graded again."""


@dataclass(frozen=True)
class Manifest:
    """The list of a backup's files."""

    format: int
    course: str
    made: AwareDatetime
    kit: str
    """Version of the kit that made it."""
    files: dict[str, Kept]


def files_of(course: Course) -> tuple[Files, list[str]]:
    """List the files of a course that a backup holds, but for its databases.

    Returns
    -------
    Name from the course's folder to path; and the names that are left out: links, special files, odd names.
    """
    files: Files = {}
    left_out: list[str] = []
    roots = [*SETTINGS, SOLUTIONS, QUESTIONS, ASSIGNMENTS, f"data/{course.name}", f"{GRADING}/{course.name}"]
    roots += [f"{GRADING}/{name}" for name in (SECRET, *FOLDERS)]
    if course.data.split is not None:
        roots.append(course.data.split)
    for name in roots:
        path = course.root / name
        if path.is_dir():
            for place, folders, names in os.walk(path):
                here = Path(place).relative_to(course.root)
                kept = [inner for inner in folders if inner not in MADE or GRADING in here.parts]
                kept = [inner for inner in kept if (here / inner).as_posix() != f"{GRADING}/{course.name}/{SCREEN}"]
                left_out += [(here / inner).as_posix() for inner in kept if Path(place, inner).is_symlink()]
                folders[:] = [inner for inner in kept if not Path(place, inner).is_symlink()]
                for inner in names:
                    _sort_in((here / inner).as_posix(), Path(place, inner), files, left_out)
        elif path.exists():
            _sort_in(PurePosixPath(name).as_posix(), path.resolve() if name in SETTINGS else path, files, left_out)
    return files, [name.encode(errors="replace").decode() for name in left_out]


def is_plain(name: str) -> bool:
    """Tell whether a name stays within the folder where it is unpacked, and means the same everywhere."""
    parts = name.split("/")
    return bool(name) and name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def _sort_in(name: str, path: Path, files: Files, left_out: list[str]) -> None:
    if is_plain(name) and path.is_file() and not path.is_symlink():
        files[name] = path
    else:
        left_out.append(name)
