"""Students' requests to look at a grade again: a file `regrade.md` or `regrade.txt` in what they hand in."""

from dataclasses import dataclass
from datetime import UTC, datetime

from autograder.course import Course
from autograder.folders import ATTEMPTS
from autograder.handed_in.attempts import attempt_folder, read_attempts
from autograder.handed_in.files import regular_files
from autograder.handed_in.submissions import Submission
from autograder.text import printable

FILES = ("regrade.md", "regrade.txt")
LONGEST = 2000
"""Characters that are shown."""


@dataclass(frozen=True)
class Request:
    """One request of one student."""

    student: str
    stage: str
    received: datetime | None
    text: str
    answered: datetime | None
    """When feedback was written after the request had been collected; None while it waits."""


def read_requests(course: Course, stage: str) -> list[Request]:
    """Read the requests in all attempts of a stage, also in those that do not count.

    Returns
    -------
    Requests in the order of students and times; one that a student hands in again with the next attempt comes once.
    """
    requests: dict[tuple[str, str], Request] = {}
    for folder in sorted((course.grading / ATTEMPTS / stage).glob("*")):
        submission = Submission(course, stage, folder.name)
        for attempt in read_attempts(submission):
            files = regular_files(attempt_folder(submission, attempt))
            for name in (name for name in FILES if name in files):
                with files[name].open() as file:
                    content = file.read(4 * LONGEST).decode(errors="replace")
                text = "\n".join(printable(line) for line in content[:LONGEST].splitlines()).strip()
                answered = _feedback_since(submission, attempt.collected)
                request = Request(folder.name, stage, attempt.received, text, answered)
                if text:
                    requests.setdefault((folder.name, text), request)
    return list(requests.values())


def _feedback_since(submission: Submission, collected: datetime) -> datetime | None:
    page = submission.feedback / f"{submission.stage}.html"
    if not page.is_file():
        return None
    written = datetime.fromtimestamp(page.stat().st_mtime, UTC)
    return written if written > collected else None
