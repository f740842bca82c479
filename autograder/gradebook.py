"""nbgrader as the front: students' notebooks, the gradebook, and points that come from results instead of running code.

The unmodified `SaveAutoGrades` reads nbgrader's documented partial credit: a number as a graded cell's last output.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import bleach
from bleach.css_sanitizer import CSSSanitizer
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.apps.api import NbGraderAPI
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import is_grade, is_locked, is_solution
from sqlalchemy.exc import SAWarning
from traitlets import Unicode
from traitlets.config import Config

from autograder.course import Course
from autograder.grade import NORMALISED, RESULTS, read_result
from starter.schema import InputError

BLANK = "raise NotImplementedError('this part is yours: replace this line, then run the cell again')"
TAGS = frozenset(bleach.ALLOWED_TAGS) | {"p", "br", "hr", "pre", "img", "sub", "sup", "span", "div", "table", "thead",
                                         "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"}  # fmt: skip
"""HTML that a student's markdown may keep."""


class CleanText(NbGraderPreprocessor):
    """Takes scripts and the like out of the students' markdown before it is stored or shown to the instructor."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Clean one cell."""
        if cell.cell_type == "markdown" and not is_locked(cell):
            attributes = {
                **bleach.ALLOWED_ATTRIBUTES,
                "img": ["src", "alt", "width", "height"],
                "*": ["style"],
            }
            cell.source = bleach.clean(cell.source, tags=TAGS, attributes=attributes, css_sanitizer=CSSSanitizer())
        return cell, resources


class ByValue(NbGraderPreprocessor):
    """Gives each graded cell the points and the reason of its question."""

    results_folder = Unicode(help="Where autograder.grade wrote its results").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Read the student's result and set the outputs."""
        about = resources["nbgrader"]
        result = read_result(Path(self.results_folder, about["assignment"], f"{about['student']}.json"))
        questions = {question.name: question for question in result.questions}
        for cell in nb.cells:
            if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell):
                question = questions[cell.metadata.nbgrader["grade_id"]]
                text = f"{question.points:g} of {question.max:g} points: {question.reason}\n"
                points = {"text/plain": repr(float(question.points))}
                cell.execution_count = None
                cell.outputs = [
                    new_output("stream", name="stdout", text=text),
                    new_output("execute_result", data=points, execution_count=None),
                ]
        return nb, resources


def configuration(course: Course) -> Config:
    """Give nbgrader's settings for a course; `nbgrader_config.py` takes them too."""
    c = Config()
    c.CourseDirectory.root = str(course.root)
    c.CourseDirectory.course_id = course.name
    c.CourseDirectory.source_directory = "solutions"
    c.CourseDirectory.release_directory = "assignments"
    c.CourseDirectory.submitted_directory = f"grading/{NORMALISED}"
    c.CourseDirectory.autograded_directory = "grading/autograded"
    c.CourseDirectory.feedback_directory = "grading/feedback"
    c.CourseDirectory.db_url = f"sqlite:///{course.grading / 'gradebook.db'}"
    c.ClearSolutions.code_stub = {"python": BLANK}
    c.ByValue.results_folder = str(course.grading / RESULTS)
    # no Execute: code runs in autograder.sandbox or not at all
    c.Autograde.sanitize_preprocessors = [
        ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CleanText, CheckCellMetadata,
    ]  # fmt: skip
    c.Autograde.autograde_preprocessors = [
        ByValue,
        LimitOutput,
        SaveAutoGrades,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    return c


def generate(course: Course, stage: str) -> Path:
    """Make the students' notebook of a stage from the instructor's.

    Returns
    -------
    The folder of the students' notebook.

    Raises
    ------
    InputError
        If nbgrader refuses; the message ends with its reason.
    """
    _check(
        _api(course).generate_assignment(stage, force=True, create=True),
        f"the notebook of {stage} could not be made",
    )
    return course.root / "assignments" / stage


def record(course: Course, stage: str, students: Sequence[str]) -> None:
    """Put results into the gradebook.

    Raises
    ------
    InputError
        If nbgrader refuses a notebook.
    """
    api = _api(course)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own queries, which an instructor cannot mend
        for student in students:
            _check(
                api.autograde(stage, student, force=True, create=True),
                f"{student}'s grades could not be recorded",
            )


def _api(course: Course) -> NbGraderAPI:
    course.grading.mkdir(parents=True, exist_ok=True)
    # making the gradebook calls alembic from PATH, which lacks an environment that was not activated
    binaries = str(Path(sys.executable).parent)
    if binaries not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([binaries, os.environ.get("PATH", "")])
    return NbGraderAPI(config=configuration(course))


def _check(answer: dict, failed: str) -> None:
    if not answer["success"]:
        reason = (answer.get("error") or answer.get("log") or "no message").strip().splitlines()[-1]
        msg = f"{failed}: {reason}"
        raise InputError(msg)
