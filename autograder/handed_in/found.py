"""What was found in an inbox: whole attempts, and why anything else was not taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from autograder.course import FILE, Course
from autograder.handed_in.files import File
from autograder.handed_in.recognised import recognise, with_archives, without_litter
from autograder.settings import STUDENT_NAME
from starter.assignment.files import MAX_FILES, MAX_NOTEBOOK
from starter.errors import InputError


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
    notes: list[str] = field(default_factory=list)
    """Of what was taken: what stood under another name, and the like."""


def take_or_refuse(
    course: Course,
    stage: str,
    inbox: Inbox,
    student: str,
    given: Mapping[str, File],
    received: datetime | None,
    source: str = "",
) -> None:
    """Take an attempt whole, or refuse it whole; the sizes that an archive states are binding.

    Its notebook and prediction get the names that are due. What has neither is no attempt, so that it does not take
    the place of an earlier one.
    """
    what = source or student
    notes: list[str] = []
    try:
        files = without_litter(given)
        _check_number(files)
        files = with_archives(course, stage, files, notes)
        _check_number(files)
        recognised = recognise(course, stage, files)
        if recognised.fault:
            raise InputError("; ".join([recognised.fault, *notes]))
        due = {name: files[old] for name, old in recognised.names.items()}
        _check_sizes(course, stage, {name: file.size for name, file in due.items()})
    except (InputError, OSError) as error:
        inbox.refused.append(f"{what}: not collected: {error}")
        return
    inbox.notes += [f"{what}: {note}" for note in [*notes, *recognised.notes]]
    inbox.found.append(Found(student, due, received or max(file.changed for file in due.values()), source))


def _check_number(files: Mapping[str, File]) -> None:
    if len(files) > MAX_FILES:
        msg = f"it has {len(files):,} files, and {MAX_FILES} may be handed in"
        raise InputError(msg)


def _check_sizes(course: Course, stage: str, sizes: dict[str, int]) -> None:
    notebook = sizes.pop(f"{stage}.ipynb", 0)  # most of it may be output, which is dropped before it is graded
    if notebook > MAX_NOTEBOOK:
        msg = f"the notebook has {notebook / (1 << 20):,.0f} MiB, and at most {MAX_NOTEBOOK >> 20} are taken"
        raise InputError(msg)
    limit = course.limits.submission_mib + course.limits.prediction_mib
    if (size := sum(sizes.values())) > limit << 20:
        msg = (
            f"{size / (1 << 20):,.0f} MiB are more than the {limit:,} MiB that {FILE} allows "
            "([limits] submission_mib and prediction_mib)"
        )
        raise InputError(msg)


def why_not_a_student(course: Course, student: str) -> str:
    """Say why this is nobody; nothing if it is a student."""
    if not STUDENT_NAME.fullmatch(student):
        return "a student's folder is named with letters, digits and . _ @ -"
    if course.students and student not in course.students:
        return f"{student} is not in the roster of {FILE}"
    return ""
