"""What was found in an inbox: whole attempts, and why anything else was not taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from autograder.course import FILE, Course
from autograder.handed_in.files import MAX_FILES, File
from autograder.settings import STUDENT_NAME


@dataclass(frozen=True)
class Found:
    """One attempt of one student."""

    student: str
    files: Mapping[str, File]
    """By name, with `/` between folders."""
    received: datetime | None
    source: str = ""
    """The name of its folder in the exchange."""


@dataclass
class Inbox:
    """What there is, and what of it cannot be taken."""

    found: list[Found] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """A sentence each."""
    left_out: list[str] = field(default_factory=list)
    """Links, special files and files with odd names."""


def take_or_refuse(
    course: Course,
    inbox: Inbox,
    student: str,
    files: Mapping[str, File],
    received: datetime | None,
    source: str = "",
) -> None:
    """Take an attempt whole, or refuse it whole if it is too large; the sizes that an archive states are binding."""
    limit = course.limits.submission_mib + course.limits.prediction_mib
    size = sum(file.size for file in files.values())
    what = source or student
    if len(files) > MAX_FILES:
        inbox.refused.append(f"{what}: not collected: it has {len(files):,} files, and {MAX_FILES} may be handed in")
    elif size > limit << 20:
        inbox.refused.append(
            f"{what}: not collected: {size / (1 << 20):,.0f} MiB are more than the {limit:,} MiB that {FILE} allows "
            "([limits] submission_mib and prediction_mib)"
        )
    elif files:
        inbox.found.append(Found(student, files, received or max(file.changed for file in files.values()), source))


def why_not_a_student(course: Course, student: str) -> str:
    """Say why this is nobody; nothing if it is a student."""
    if not STUDENT_NAME.fullmatch(student):
        return "a student's folder is named with letters, digits and . _ @ -"
    if course.students and student not in course.students:
        return f"{student} is not in the roster of {FILE}"
    return ""
