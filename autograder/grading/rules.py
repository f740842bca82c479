"""What a grade depends on besides the submission; when any of it changes, submissions are graded again."""

import hashlib
import json
from pathlib import Path

from autograder.course import Course
from autograder.folders import ASSIGNMENTS, RECORD, TRUTH
from autograder.handed_in.submissions import hash_files
from autograder.questions.points import released_points
from autograder.questions.question import questions_path
from starter.files import sha256
from starter.scoring.truth.opened import open_truth

KIT = Path(__file__).parents[2]
"""The folder of `autograder` and `starter`."""
QUESTIONS = "autograder/questions"
JUDGES = (
    *("autograder/grading", "autograder/sandbox", "autograder/course.py"),
    *("autograder/handed_in/files.py", "autograder/handed_in/notebook.py", "autograder/handed_in/submissions.py"),
    *(f"{QUESTIONS}/points.py", f"{QUESTIONS}/question.py"),
    *("starter/answers", "starter/assignment/files.py", "starter/assignment/notebook.py", "starter/schema.py"),
)
"""Rooms and single modules on which every grade depends; whatever else these import changes no points."""
SCORES = ("starter/scoring", "starter/prediction", "starter/data", "starter/statistics")
"""Rooms on which the points of a prediction depend, too."""


def hash_rules(course: Course, stage: str) -> str:
    """Hash all that points depend on besides the submission: once a batch, since it reads some hundred files.

    Returns
    -------
    SHA-256 of the stage's questions, points, limits, rubric and released notebook, of what the data were made of, and
    of the code that judges; where a prediction is asked for, also of the code that scores it and of the truth.

    Raises
    ------
    InputError
        If the questions or the truth cannot be used.
    """
    prediction = course.stages[stage].prediction
    record = course.hidden_folder / RECORD
    facts = [
        released_points(course, stage),
        course.limits.model_dump(),
        sha256(course.root / ASSIGNMENTS / stage / f"{stage}.ipynb"),
        sha256(record) if record.is_file() else None,
        hash_code(*JUDGES),
        hash_questions(course, stage),
    ]
    if prediction:
        facts += [prediction.model_dump(), hash_code(*SCORES), open_truth(course.hidden_folder / TRUTH).digest()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def hash_code(*rooms: str) -> str:
    """Hash names and contents of the kit's modules in some rooms, where a single module is named with its `.py`."""
    modules = (path for room in rooms for path in (sorted((KIT / room).rglob("*.py")) or [KIT / room]))
    return hash_files((path.relative_to(KIT).as_posix(), bytes.fromhex(sha256(path))) for path in modules)


def hash_questions(course: Course, stage: str) -> list[str]:
    """Hash a stage's questions: the instructor's own file, and the kit's folder, of which that may take over some."""
    own = questions_path(course, stage)
    room = f"{QUESTIONS}/{stage}"
    return [*([sha256(own)] if own.is_file() else []), *([hash_code(room)] if (KIT / room).is_dir() else [])]
