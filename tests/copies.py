"""Copies of a released course, for tests that write to it."""

import os
import shutil
from pathlib import Path

from autograder.course import Course, read_course
from autograder.folders import CACHE


def copied(course: Course, root: Path) -> Course:
    """Copy a course; its compiled kits, most of its files, are linked, since nobody changes one that is there."""

    def copy(source: str, target: str) -> None:
        (os.link if CACHE in Path(source).parts else shutil.copy2)(source, target)

    shutil.copytree(course.root, root, copy_function=copy)
    return read_course(root)
