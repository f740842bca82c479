"""What was found of a submission: a file a student and stage, which holds while the submission and the rules do."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

import autograder
import starter
from autograder.course import Course
from autograder.folders import ASSIGNMENTS, RESULTS, TRUTH
from autograder.handed_in.submissions import hash_submission
from autograder.questions.points import released_points
from autograder.questions.question import questions_path
from starter.errors import InputError
from starter.files import sha256

JUDGES = ("ask.py", "frames.py", "judge.py", "predictions.py", "sandbox.py", "submissions.py", "questions/__init__.py")
"""Modules of the grader on which points depend, besides a stage's questions."""
COMPARES = ("answers.py", "check.py", "values.py")
"""Modules of `starter` on which points depend."""


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


@dataclass(frozen=True)
class Result:
    """A submission's grade."""

    student: str
    stage: str
    submission_sha256: str
    rules_sha256: str
    """Of all else that the points depend on, see `hash_rules`."""
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


def result_path(course: Course, stage: str, student: str) -> Path:
    """Say where a result is."""
    return course.grading / RESULTS / stage / f"{student}.json"


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


def current_result(course: Course, stage: str, student: str) -> Result | None:
    """Read a student's result, if it is of the submission and the rules as they are now."""
    try:
        result = read_result(result_path(course, stage, student))
    except InputError:
        return None  # it is made anew
    now = (hash_submission(course, stage, student), hash_rules(course, stage))
    return result if (result.submission_sha256, result.rules_sha256) == now else None


def hash_rules(course: Course, stage: str) -> str:
    """Hash all that points depend on besides the submission; when it changes, submissions are graded again.

    Returns
    -------
    SHA-256 of the stage's questions, points, limits, released notebook and the code that asks and compares.
    """
    grader, kit = Path(autograder.__file__).parent, Path(starter.__file__).parent
    files = [
        questions_path(course, stage),
        *(grader / name for name in JUDGES),
        *(kit / name for name in COMPARES),
        course.root / ASSIGNMENTS / stage / f"{stage}.ipynb",
    ]
    settings = course.stages[stage].prediction
    rules = [released_points(course, stage), course.limits.model_dump(), settings and settings.model_dump()]
    if settings:
        files.append(course.hidden_folder / TRUTH / "truth.json")
    digest = hashlib.sha256(json.dumps(rules).encode())
    for path in files:
        digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()
