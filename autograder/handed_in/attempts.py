"""What was handed in: every attempt with the time it was received, and which one counts.

An attempt's files are at `grading/attempts/<stage>/<student>/<time>/`, and what the grader knows of it in `<time>.json`
beside them. Attempts are only ever added.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter
from pydantic.dataclasses import dataclass as checked

from autograder.course import Course
from autograder.folders import ATTEMPTS, SUBMITTED
from autograder.handed_in.files import File, regular_files
from autograder.handed_in.found import Found
from autograder.handed_in.inbox import open_inbox
from autograder.handed_in.submissions import Submission, hash_files
from autograder.settings import STUDENT_NAME
from starter.errors import InputError
from starter.files import whole

UNDATED = "undated"
"""Name of an attempt of which nobody knows when it was received."""
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
BLOCK = 1 << 20


@checked(frozen=True)
class Attempt:
    """One attempt, as it was received."""

    student: str
    name: str
    """Its folder: the UTC time when it was received."""
    received: AwareDatetime | None
    """None where it was placed by hand: it counts as in time, and any other in time comes after it."""
    collected: AwareDatetime
    """When `autograder collect` brought it here."""
    source: str
    """Its folder in nbgrader's exchange, or nothing."""
    sha256: str
    """Of its files' names and contents."""


@dataclass
class Collected:
    """What `collect` did."""

    new: list[Attempt] = field(default_factory=list)
    known: int = 0
    """Attempts that were there before."""
    placed: list[str] = field(default_factory=list)
    """Students of whom another attempt counts now."""
    kept: list[str] = field(default_factory=list)
    """Students whose files had been placed by hand; these are an attempt now."""
    refused: list[str] = field(default_factory=list)
    """What was not collected, a sentence each."""
    left_out: list[str] = field(default_factory=list)
    """Files that are links, or special, or have names that no student's file needs."""
    notes: list[str] = field(default_factory=list)
    """What was taken otherwise than as it was named."""


def collect(
    course: Course, stage: str, source: str | Path | None = None, received: datetime | None = None
) -> Collected:
    """Add attempts from the exchange or a download, and put those that count into `grading/submitted/`.

    Parameters
    ----------
    source
        A folder or .zip, see `open_inbox`. Default: nbgrader's exchange.
    received
        When everything in the source had been handed in; the exchange knows that better itself.

    Returns
    -------
    What was new and what was refused. Collecting the same again adds nothing.

    Raises
    ------
    InputError
        If the stage is unknown, the source cannot be read or holds nothing for it, or the disk is too small.
    """
    course.check_stage(stage)
    if source is None and received is not None:
        msg = "the time of receipt is for a download; nbgrader's exchange tells it itself"
        raise InputError(msg)
    done = Collected()
    with open_inbox(course, stage, None if source is None else Path(source), received) as inbox:
        new = [found for found in inbox.found if not _same_folder(course, stage, found)]
        _check_space(course, sum(file.size for found in new for file in found.files.values()))
        done.known = len(inbox.found) - len(new)
        done.refused, done.left_out, done.notes = inbox.refused, inbox.left_out, inbox.notes
        for found in sorted(new, key=lambda found: found.received or BEFORE_ALL):
            try:
                attempt = add_attempt(course, stage, found)
            except Exception as error:  # noqa: BLE001  (one student's files must not end the collecting)
                reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                done.refused.append(f"{found.source or found.student}: not collected: {reason}")
            else:
                done.known += attempt is None
                done.new += [attempt] if attempt else []
    done.kept = _keep_placed(course, stage)
    done.placed = place_attempts(course, stage)
    return done


def place_attempts(course: Course, stage: str, students: Sequence[str] | None = None) -> list[str]:
    """Put the attempt that counts, by the deadlines as they are now, into `grading/submitted/<student>/<stage>/`.

    Files that were placed there by hand stay.

    Parameters
    ----------
    students
        For whom; default: everybody of whom there are attempts, and their teams.

    Returns
    -------
    The students of whom another attempt counts than before.

    Raises
    ------
    InputError
        If a folder cannot be written.
    """
    if students is None:
        handed_in = [path.name for path in (course.grading / ATTEMPTS / stage).glob("*") if path.is_dir()]
        students = sorted({mate for student in handed_in for mate in course.team_of(student)})
    placed = []
    for student in students:
        submission = Submission(course, stage, student)
        folder = submission.submitted
        if (counts := counting_attempt(submission)) is None:
            continue
        if folder.is_symlink():
            msg = f"{folder} is a link, which is not graded; remove it and collect again"
            raise InputError(msg)
        there = regular_files(folder)
        digest = hash_handed_in(there)
        if there and (digest == counts.sha256 or not _ofhash_handed_in(submission, digest)):
            continue
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        with whole(folder, replaces=names) as part:
            shutil.copytree(attempt_folder(submission, counts), part)
        placed.append(student)
    return placed


def counting_attempt(submission: Submission) -> Attempt | None:
    """Say which attempt counts: of the student's team the last in time, or if there is none the last one at all."""
    return _last_in_time(submission, _of_team(submission))


def received_at(submission: Submission) -> datetime | None:
    """Say when what lies in `grading/submitted/` was received; None if it was placed there by hand."""
    digest = hash_handed_in(regular_files(submission.submitted))
    attempt = _last_in_time(submission, _ofhash_handed_in(submission, digest))
    return attempt.received if attempt else None


def read_attempts(submission: Submission) -> list[Attempt]:
    """Read what is known of a student's own attempts, in the order in which they were received.

    Raises
    ------
    InputError
        If a record is damaged.
    """
    attempts = []
    for path in submission.attempts.glob("[!.]*.json"):
        try:
            attempts.append(TypeAdapter(Attempt).validate_json(path.read_bytes()))
        except (OSError, ValueError) as error:
            msg = f"{path} is damaged ({type(error).__name__}); restore it from a backup, or delete it and collect"
            raise InputError(msg) from error
    return sorted(attempts, key=_order)


def attempt_folder(submission: Submission, attempt: Attempt) -> Path:
    """Say where the files of an attempt are, which may be a team mate's."""
    return replace(submission, student=attempt.student).attempts / attempt.name


def _of_team(submission: Submission) -> list[Attempt]:
    return [attempt for mates in submission.team for attempt in read_attempts(mates)]


def _ofhash_handed_in(submission: Submission, digest: str) -> list[Attempt]:
    return [attempt for attempt in _of_team(submission) if attempt.sha256 == digest]


def _last_in_time(submission: Submission, attempts: Sequence[Attempt]) -> Attempt | None:
    due = submission.due
    end = due + timedelta(hours=submission.course.late.grace_hours) if due else None
    in_time = [attempt for attempt in attempts if end is None or attempt.received is None or attempt.received <= end]
    return max(in_time or attempts, key=_order, default=None)


def _order(attempt: Attempt) -> tuple[datetime, datetime]:
    return attempt.received or BEFORE_ALL, attempt.collected


def _same_folder(course: Course, stage: str, found: Found) -> bool:
    """Tell whether a folder of the exchange was collected and has not changed since, without reading its files."""
    known = [(attempt.source, attempt.received) for attempt in read_attempts(Submission(course, stage, found.student))]
    return bool(found.source) and (found.source, found.received) in known


def add_attempt(course: Course, stage: str, found: Found) -> Attempt | None:
    """Add an attempt, whole or not at all.

    Returns
    -------
    The attempt; None if it is there already.
    """
    submission = Submission(course, stage, found.student)
    folder = submission.attempts
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as aside:
        files = Path(aside) / "files"
        _copy(found.files, files)
        digest = hash_handed_in(regular_files(files))
        if _is_known(read_attempts(submission), found, digest):
            return None
        received = found.received.astimezone(UTC) if found.received else None
        stamp = received.strftime("%Y%m%dT%H%M%SZ") if received else UNDATED
        name, number = stamp, 1
        while (folder / name).exists() or (folder / f"{name}.json").exists():
            number += 1
            name = f"{stamp}-{number}"
        attempt = Attempt(found.student, name, received, datetime.now(UTC), found.source, digest)
        files.rename(folder / name)
    # without its record an attempt is not there: after a crash it is collected again
    with whole(folder / f"{name}.json") as part:
        part.write_bytes(TypeAdapter(Attempt).dump_json(attempt, indent=1) + b"\n")
    return attempt


def _is_known(earlier: Sequence[Attempt], found: Found, digest: str) -> bool:
    """Tell whether an attempt is there already, with a time that is as early or earlier."""
    if found.source:
        return any((attempt.source, attempt.sha256) == (found.source, digest) for attempt in earlier)
    # a download holds what was handed in last, however often it is downloaded
    until = [attempt for attempt in earlier if _order(attempt)[0] <= (found.received or BEFORE_ALL)]
    return bool(until) and until[-1].sha256 == digest


def _keep_placed(course: Course, stage: str) -> list[str]:
    """Make attempts of what was placed in `grading/submitted/` by hand, where a collected one might replace it."""
    kept = []
    for folder in sorted((course.grading / SUBMITTED).glob(f"*/{stage}")):
        student = folder.parent.name
        files = regular_files(folder)
        if folder.is_symlink() or not STUDENT_NAME.fullmatch(student) or not files:
            continue
        others = _of_team(Submission(course, stage, student))
        if others and hash_handed_in(files) not in {attempt.sha256 for attempt in others}:
            add_attempt(course, stage, Found(student, files, received=None))
            kept.append(student)
    return kept


def _copy(files: Mapping[str, File], folder: Path) -> None:
    """Copy files, none longer than it says."""
    folder.mkdir()
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        left = file.size
        with file.open() as content, path.open("xb") as copy:
            while left and (block := content.read(min(left, BLOCK))):
                left -= copy.write(block)
            if left or content.read(1):
                msg = f"{name} is not as long as it says; collect again"
                raise InputError(msg)


def hash_handed_in(files: Mapping[str, File]) -> str:
    """Hash names and contents, as an attempt's `sha256` has them."""

    def content_hash(file: File) -> bytes:
        with file.open() as content:
            return hashlib.file_digest(content, "sha256").digest()  # pyright: ignore[reportArgumentType] (has readinto)

    return hash_files((name, content_hash(files[name])) for name in sorted(files))


def _check_space(course: Course, size: int) -> None:
    """Refuse, before anything is written, what would fill the disk: an attempt is kept, and copied to be graded."""
    course.grading.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(course.grading).free
    if 2 * size > free:
        msg = (
            f"{size / 1e9:,.1f} GB are to be collected, which needs twice as much room, and {course.grading} has "
            f"{free / 1e9:,.1f} GB free; make room, or collect from a part of the download"
        )
        raise InputError(msg)
