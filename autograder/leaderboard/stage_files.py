"""Whether a stage changed: the files on which its numbers and pages depend."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from autograder.course import FILE, Course
from autograder.folders import ASSIGNMENTS, ATTEMPTS, FEEDBACK, RESULTS, SCORECARDS, SUBMITTED


def files_seen(course: Course, stage: str) -> str:
    """Hash names, sizes and times of the files on which a stage's numbers and pages depend, but for the gradebook."""
    digest = hashlib.sha256()
    for path in _files(course, stage):
        try:
            about = path.lstat()
        except FileNotFoundError:
            continue
        digest.update(f"{path}\0{about.st_mtime_ns}\0{about.st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(course: Course, stage: str) -> Iterator[Path]:
    yield course.root / FILE
    yield course.root / ASSIGNMENTS / stage / f"{stage}.ipynb"
    yield from sorted((course.grading / RESULTS / stage).glob("*.json"))
    yield from sorted((course.grading / SCORECARDS / stage).glob("*/scorecard.json"))
    yield from sorted((course.grading / ATTEMPTS / stage).glob("*/*.json"))
    yield from sorted((course.grading / FEEDBACK).glob(f"*/{stage}/{stage}.html"))
    for folder in sorted((course.grading / SUBMITTED).glob(f"*/{stage}")):
        yield folder
        yield from sorted(folder.rglob("*"))
