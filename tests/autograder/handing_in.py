"""Submissions as the tests of grading hand them in."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import nbformat

from autograder.course import Course
from autograder.grading.grade import grade_stage
from autograder.grading.notebooks import drop_output
from autograder.grading.results import QuestionResult, Result
from autograder.grading.rules import hash_rules
from autograder.handed_in.submissions import Submission, hash_submission, normalise

STAGE = "04_baselines"
TEXT = "why"
"""A question that is answered in words, in the course `written`."""
RIGHT = """
def train_mean(expression, target_gene):
    names = [name for name in np.unique(target_gene) if name != "non-targeting"]
    return np.mean([np.asarray(expression[target_gene == name].mean(axis=0)).ravel() for name in names], axis=0)
"""
WRONG = RIGHT.replace("np.mean([", "np.max([")


def released_notebook(course: Course) -> nbformat.NotebookNode:
    return nbformat.read(course.root / "assignments" / STAGE / f"{STAGE}.ipynb", as_version=4)


def submit(course: Course, student: str, code: str | None = None, extra: str = "") -> Path:
    """Hand in the released notebook with another train_mean, and code in a cell before it."""
    notebook = released_notebook(course)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code":
            cell.source = extra + "\n" + (cell.source if code is None else code)
    folder = course.grading / "submitted" / student / STAGE
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{STAGE}.ipynb")
    return folder


def answer(course: Course, student: str, text: str) -> None:
    """Write the answer to the free-text question of the course `written` into a submission."""
    path = course.grading / "submitted" / student / STAGE / f"{STAGE}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == TEXT:
            cell.source = text
    nbformat.write(notebook, path)


def put_result(course: Course, student: str, questions: Sequence[QuestionResult], notes: Sequence[str] = ()) -> None:
    """Write a result as the grader would, without running anything."""
    submission = Submission(course, STAGE, student)
    with tempfile.TemporaryDirectory() as folder:
        normalise(submission, Path(folder), drop_output)
    hashes = hash_submission(submission), hash_rules(course, STAGE)
    result = Result(student, STAGE, *hashes, list(questions), list(notes))
    submission.result.parent.mkdir(parents=True, exist_ok=True)
    submission.result.write_text(json.dumps(asdict(result)))


def grade_one(course: Course, student: str = "ada") -> Result:
    results, failed = grade_stage(course, STAGE, [student])
    assert failed == {}
    return results[0]


def hand_in(course: Course, student: str, content: bytes | None) -> None:
    folder = course.grading / "submitted" / student / STAGE
    folder.mkdir(parents=True)
    if content is not None:
        (folder / f"{STAGE}.ipynb").write_bytes(content)
