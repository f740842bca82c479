"""What was found of a submission: a file a student and stage, which holds while the submission and the rules do."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from autograder.handed_in.submissions import Submission, hash_submission
from starter.errors import InputError


@dataclass(frozen=True)
class QuestionResult:
    """A question's points and why."""

    name: str
    points: float
    max: float
    reason: str
    seconds: float
    held: str = ""
    """Why the instructor should look before the points count; they are shown, and nothing is deducted."""
    called: str = ""
    """What was called where it is not right, with its arguments described."""
    came: str = ""
    """What came back from it."""
    due: str = ""
    """What was due."""
    cause: str = ""
    """The usual mistake that was recognised, in the words that all have who made it."""


@dataclass(frozen=True)
class Result:
    """A submission's grade."""

    student: str
    stage: str
    submission_sha256: str
    rules_sha256: str
    """Of all else that the points depend on, see `autograder.grading.rules`."""
    questions: list[QuestionResult]
    notes: list[str] = field(default_factory=list)
    """What the instructor may want to know."""

    @property
    def points(self) -> float:
        """Sum over the questions."""
        return sum(question.points for question in self.questions)

    @property
    def max(self) -> float:
        """Sum of the points that can be had."""
        return sum(question.max for question in self.questions)


def read_result(path: Path) -> Result:
    """Read a result that `grade_stage` wrote.

    Raises
    ------
    InputError
        If there is none, or the file is damaged.
    """
    try:
        return TypeAdapter(Result).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{path} is missing or damaged ({type(error).__name__}); grade the submission again"
        raise InputError(msg) from error


def current_result(submission: Submission, rules: str) -> Result | None:
    """Read the result of a submission, if it is of the submission as it is now, and by the rules with this hash."""
    try:
        result = read_result(submission.result)
    except InputError:
        return None  # it is made anew
    now = (hash_submission(submission), rules)
    return result if (result.submission_sha256, result.rules_sha256) == now else None
