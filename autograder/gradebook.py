"""nbgrader as the front: students' notebooks, the gradebook, and points that come from results instead of running code.

The unmodified `SaveAutoGrades` reads nbgrader's documented partial credit: a number as a graded cell's last output.
"""

import math
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.exchange.default import ExchangeCollect
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

from autograder.attempts import collect
from autograder.course import FILE, Course, read_course
from autograder.late import PointsPerDay, update_penalties
from autograder.results import QuestionResult, current_result, read_result, released_points, result_path
from autograder.submissions import NORMALISED, printable
from starter.schema import InputError

SETTINGS_FILE = "nbgrader_config.py"
"""Beside course.toml: where nbgrader's own commands and formgrader find their settings."""
SETTINGS = '''"""nbgrader's settings for this course: `nbgrader formgrader` and the others read this file."""

from autograder.course import read_course
from autograder.gradebook import configuration

c = get_config()  # noqa: F821  (nbgrader provides it)
c.merge(configuration(read_course(__file__.replace("nbgrader_config.py", "course.toml"))))
'''
GENERATED = "generated"
"""Folder below grading/ with the students' notebooks as they were made."""
FEEDBACK = "feedback"
"""Folder below grading/: FEEDBACK/<student>/<stage>/<stage>.html, where `nbgrader release_feedback` finds it."""
AUTOGRADED = "autograded"
"""Folder below grading/ with the graded notebooks."""
BLANK = "raise NotImplementedError('this part is yours: replace this line, then run the cell again')"
BEGINS_HTML = re.compile(r"<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")
"""A tag or an entity, which a space behind its first character turns into text."""
SCRIPT_SCHEMES = "|".join(r"\s*".join(scheme) for scheme in ("javascript", "vbscript"))
BEGINS_SCRIPT = re.compile(rf"({SCRIPT_SCHEMES}|data(?=:text))(?=[\s\\]*:)", re.IGNORECASE)
"""The scheme of a link that runs code; browsers ignore line breaks within it."""
PASTED = re.compile(r"attachment(?=[\s\\]*:)(?::([A-Za-z0-9._-]+)(?=[)\s]))?")
"""A pasted picture and its name."""


class CleanText(NbGraderPreprocessor):
    """Leaves Markdown and mathematics in the students' text, but no HTML and no links to scripts."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Clean one cell."""
        if cell.cell_type != "code" and not is_locked(cell):
            text = BEGINS_HTML.sub(lambda found: f"{found[0]} ", cell.source)
            text = BEGINS_SCRIPT.sub(lambda found: f"{found[0][:-1]} {found[0][-1]}", text)
            # nbconvert gives up on a notebook that names a picture which is not there
            pictures = cell.get("attachments", {})
            cell.source = PASTED.sub(lambda found: found[0] if found[1] in pictures else "no such picture", text)
        return cell, resources


class ByValue(NbGraderPreprocessor):
    """Gives each graded cell the points and the reason of its question; runs nothing."""

    course_file = Unicode(help="The course's course.toml").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Read the student's result and set the outputs."""
        stage, student = resources["nbgrader"]["assignment"], resources["nbgrader"]["student"]
        course = read_course(self.course_file)
        result = current_result(course, stage, student)
        if result is None:
            msg = f"{student}'s submission was not graded yet, or changed since; run: autograder grade {stage}"
            raise InputError(msg)
        questions = {question.name: question for question in result.questions}
        for cell in nb.cells:
            if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell):
                question = questions[cell.metadata.nbgrader["grade_id"]]
                points = _earned(question)
                reason = question.reason.replace("; ", ";\n  ")
                cell.execution_count = None
                cell.outputs = [
                    new_output("stream", name="stdout", text=f"{points:g} of {question.max:g} points: {reason}\n"),
                    new_output("execute_result", data={"text/plain": repr(points)}, execution_count=None),
                ]
        return nb, resources


class Hold(NbGraderPreprocessor):
    """Marks held questions as needing a look by the instructor."""

    course_file = Unicode(help="The course's course.toml").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Set nbgrader's own flag in the gradebook."""
        about = resources["nbgrader"]
        result = current_result(read_course(self.course_file), about["assignment"], about["student"])
        with Gradebook(about["db_url"]) as book:
            for question in result.questions:
                if question.held:
                    grade = book.find_grade(question.name, about["notebook"], about["assignment"], about["student"])
                    grade.needs_manual_grade = True
                    book.db.commit()
        return nb, resources


class Collect(ExchangeCollect):
    """Lets nbgrader's own command and button collect as `autograder collect` does: as attempts, following no links."""

    course_file = Unicode(help="The course's course.toml").tag(config=True)

    def start(self) -> None:
        """Collect a stage from the exchange."""
        done = collect(read_course(self.course_file), self.coursedir.assignment_id)
        self.log.info("%s new; now run: autograder grade %s", len(done.new), self.coursedir.assignment_id)
        for reason in done.refused:
            self.log.warning(printable(reason))


def configuration(course: Course) -> Config:
    """Give nbgrader's settings for a course; `nbgrader_config.py` takes them too."""
    c = Config()
    c.CourseDirectory.root = str(course.root)
    c.CourseDirectory.course_id = course.name
    c.CourseDirectory.source_directory = "solutions"
    c.CourseDirectory.release_directory = "assignments"
    c.CourseDirectory.submitted_directory = f"grading/{NORMALISED}"
    c.CourseDirectory.autograded_directory = f"grading/{AUTOGRADED}"
    c.CourseDirectory.feedback_directory = f"grading/{FEEDBACK}"
    c.CourseDirectory.db_url = f"sqlite:///{course.grading / 'gradebook.db'}"
    c.ClearSolutions.code_stub = {"python": BLANK}
    for reader in (c.ByValue, c.Hold, c.FeedbackExporter, c.Collect):
        reader.course_file = str(course.root / FILE)
    c.ExchangeFactory.collect = Collect
    # nbgrader's own button for feedback writes our page, too
    c.GenerateFeedback.exporter_class = "autograder.feedback.FeedbackExporter"
    c.GenerateFeedback.preprocessors = []
    # a student's heading that is called like a question would take the place of its score in formgrader
    c.HTMLExporter.exclude_anchor_links = True
    c.AssignLatePenalties.plugin_class = PointsPerDay
    c.PointsPerDay.points_per_day = course.late.points_per_day
    c.PointsPerDay.grace_hours = course.late.grace_hours
    # no Execute: code runs in autograder.sandbox or not at all
    c.Autograde.sanitize_preprocessors = [
        ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CleanText, CheckCellMetadata,
    ]  # fmt: skip
    c.Autograde.autograde_preprocessors = [
        ByValue,
        LimitOutput,
        SaveAutoGrades,
        Hold,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    return c


def generate(course: Course, stage: str) -> Path:
    """Make the students' notebook of a stage from the instructor's, in `grading/generated/`.

    Returns
    -------
    The folder of the students' notebook.

    Raises
    ------
    InputError
        If nbgrader refuses; the message ends with its reason.
    """
    aside = Config()
    aside.CourseDirectory.release_directory = f"grading/{GENERATED}"
    answer = _api(course, aside).generate_assignment(stage, force=True, create=True)
    if not answer["success"]:
        msg = f"the notebook of {stage} could not be made: {_reason(answer)}"
        raise InputError(msg)
    return course.grading / GENERATED / stage


def record(course: Course, stage: str, students: Sequence[str]) -> dict[str, str]:
    """Put results into the gradebook, one student after the other, whatever happens to one of them.

    A result that is there already is left alone, and with it what the instructor did since. What is taken off for being
    late follows the deadlines as they are now, for all students who are there.

    Parameters
    ----------
    course
        The course.
    stage
        Such as `04_baselines`.
    students
        Whose results.

    Returns
    -------
    Student to reason, for those whose grades nbgrader would not take.

    Raises
    ------
    InputError
        If a question's points changed since the notebook was released.
    """
    check_points(course, stage)
    api = _api(course)
    with _book(course) as book:
        for student in course.students.values():
            first, _, last = student.name.rpartition(" ")
            book.update_or_create_student(student.id, first_name=first, last_name=last, email=student.email)
    failed = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own queries, which an instructor cannot mend
        for student in students:
            if is_recorded(course, stage, student):
                continue
            answer = api.autograde(stage, student, force=True, create=True)
            if not answer["success"]:
                failed[student] = f"the gradebook did not take the grades: {_reason(answer)}"
        with _book(course) as book:
            update_penalties(course, stage, book)
    return failed


def check_points(course: Course, stage: str) -> None:
    """Refuse to grade by points other than those of the notebook that was released.

    Raises
    ------
    InputError
        With the questions whose points changed since.
    """
    try:
        most = _points_in_book(course, stage)
    except MissingEntry:
        generate(course, stage)  # a gradebook that was lost is filled again
        most = _points_in_book(course, stage)
    points = released_points(course, stage)
    if changed := [name for name in points if points[name] != most.get(name)]:
        msg = (
            f"the points of {', '.join(changed)} changed since the notebook of {stage} was released; "
            "run: autograder release --notebooks"
        )
        raise InputError(msg)


def is_recorded(course: Course, stage: str, student: str) -> bool:
    """Tell whether a student's result is in the gradebook."""
    result = result_path(course, stage, student)
    graded = course.grading / AUTOGRADED / student / stage / f"{stage}.ipynb"
    if not graded.is_file() or not result.is_file() or graded.stat().st_mtime_ns < result.stat().st_mtime_ns:
        return False
    with _book(course) as book:
        try:
            grades = book.find_submission_notebook(stage, stage, student).grades
        except MissingEntry:
            return False
        recorded = {grade.name: grade.auto_score for grade in grades}
    # the file is written before the points, and the gradebook may come from a backup
    return all(recorded.get(question.name) == _earned(question) for question in read_result(result).questions)


def _earned(question: QuestionResult) -> float:
    """Give a question's points within what can be had."""
    return min(max(float(question.points), 0.0), question.max) if math.isfinite(question.points) else 0.0


def _points_in_book(course: Course, stage: str) -> dict[str, float]:
    with _book(course) as book:
        return {cell.name: cell.max_score for cell in book.find_notebook(stage, stage).grade_cells}


def _book(course: Course) -> Gradebook:
    _find_alembic()
    return Gradebook(configuration(course).CourseDirectory.db_url)


def _find_alembic() -> None:
    """Put this environment's programs on PATH: making the gradebook calls one, and it may not be activated."""
    binaries = str(Path(sys.executable).parent)
    if binaries not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([binaries, os.environ.get("PATH", "")])


def _api(course: Course, more: Config | None = None) -> NbGraderAPI:
    course.grading.mkdir(parents=True, exist_ok=True)
    _find_alembic()
    settings = configuration(course)
    settings.merge(more or Config())
    return NbGraderAPI(config=settings)


def _reason(answer: dict) -> str:
    """Find the sentence in nbgrader's log: the last line that names an error, not its pointer to the log."""
    lines = [
        line.strip() for text in ("log", "error") for line in (answer.get(text) or "").splitlines() if line.strip()
    ]
    named = [
        line
        for line in lines
        if re.match(r"[\w.]*(Error|Exception|Entry)\b.*: ", line) and "above traceback" not in line
    ]
    return (named or lines or ["no message"])[-1]
