"""What was found of a submission: a file a student and stage, which holds while the submission and the rules do."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from pydantic import TypeAdapter

import autograder
import starter
from autograder.course import FILE, Course
from autograder.questions import PREDICTION, questions_file, questions_of
from autograder.submissions import hash_submission
from starter.files import sha256
from starter.schema import InputError

RESULTS = "results"
"""Folder below grading/: RESULTS/<stage>/<student>.json."""
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
        questions_file(course, stage),
        *(grader / name for name in JUDGES),
        *(kit / name for name in COMPARES),
        course.root / "assignments" / stage / f"{stage}.ipynb",
    ]
    settings = course.stages[stage].prediction
    rules = [released_points(course, stage), course.limits.model_dump(), settings and settings.model_dump()]
    if settings:
        files.append(course.hidden_folder / "truth" / "truth.json")
    digest = hashlib.sha256(json.dumps(rules).encode())
    for path in files:
        digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()


def released_points(course: Course, stage: str) -> dict[str, float]:
    """Read the points of each question from the instructor's notebook.

    Raises
    ------
    InputError
        If there is no notebook, or its graded cells are not the stage's questions.
    """
    notebook = course.root / "solutions" / stage / f"{stage}.ipynb"
    try:
        cells = nbformat.read(notebook, as_version=4)["cells"]
    except FileNotFoundError as error:
        msg = f"there is no {notebook}; copy the kit's solutions/ beside {FILE}, or write your own notebook there"
        raise InputError(msg) from error
    except Exception as error:  # whatever is in the file
        msg = f"cannot read the instructor's notebook {notebook} ({error}); mend it in JupyterLab"
        raise InputError(msg) from error
    points: dict[str, float] = {}
    for cell in cells:
        grader = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and grader.get("grade") and not grader.get("solution"):
            if grader["grade_id"] in points:
                msg = f"{notebook}: two cells have the grade_id {grader['grade_id']!r}"
                raise InputError(msg)
            most = grader.get("points")
            if isinstance(most, bool) or not isinstance(most, int | float) or not 0 <= most < math.inf:
                msg = f"{notebook}: the question {grader['grade_id']!r} has {most!r} points, not a number from 0"
                raise InputError(msg)
            points[grader["grade_id"]] = float(most)
    names = [question.name for question in questions_of(course, stage)]
    if course.stages[stage].prediction:
        names.append(PREDICTION)
    if set(names) != set(points):
        only_cells, only_questions = sorted(set(points) - set(names)), sorted(set(names) - set(points))
        faults = [
            f"{', '.join(some)} {'is' if len(some) == 1 else 'are'} only in {where}"
            for some, where in (
                (only_cells, "the notebook"),
                (only_questions, f"questions/{stage}.py or {FILE}"),
            )
            if some
        ]
        if PREDICTION in only_cells:
            faults.append(f"the table [stages.{stage}.prediction] in {FILE} asks for a prediction")
        msg = f"{notebook} and the questions of {stage} do not fit: {'; '.join(faults)}"
        raise InputError(msg)
    return points
