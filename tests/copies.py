"""Courses of tests: a secret that is not drawn by chance, and copies of a released course to write to."""

import hashlib
import os
import shutil
from pathlib import Path

from autograder.course import Course, read_course
from autograder.folders import CACHE, GRADING, SECRET


def give_secret(root: Path) -> None:
    """Give a course the secret of all tests: one drawn by chance would fail some test now and then."""
    path = root / GRADING / SECRET
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(hashlib.sha256(b"tests").hexdigest() + "\n")
    path.chmod(0o600)


def unfinished(folder: str, names: list[str]) -> list[str]:
    """Name the kits that another worker compiles just now, whose files come and go; for `shutil.copytree`."""
    return [name for name in names if Path(folder).name == CACHE and name.startswith(".")]


def copied(course: Course, root: Path) -> Course:
    """Copy a course; its compiled kits, most of its files, are linked, since nobody changes one that is there."""

    def copy(source: str, target: str) -> None:
        (os.link if CACHE in Path(source).parts else shutil.copy2)(source, target)

    shutil.copytree(course.root, root, copy_function=copy, ignore=unfinished)
    return read_course(root)
