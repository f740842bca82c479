"""Copies of a released course, for tests that write to it."""

import os
import shutil
from pathlib import Path

from autograder.course import Course, read_course
from autograder.folders import CACHE


def unfinished(folder: str, names: list[str]) -> list[str]:
    """Name the kits that another worker compiles just now, whose files come and go; for `shutil.copytree`."""
    return [name for name in names if Path(folder).name == CACHE and name.startswith(".")]


def copied(course: Course, root: Path) -> Course:
    """Copy a course; its compiled kits, most of its files, are linked, since nobody changes one that is there."""

    def copy(source: str, target: str) -> None:
        (os.link if CACHE in Path(source).parts else shutil.copy2)(source, target)

    shutil.copytree(course.root, root, copy_function=copy, ignore=unfinished)
    return read_course(root)
