"""nbgrader as the front: students' notebooks, the gradebook, and points that come from results instead of running code.

Points reach it as nbgrader's documented partial credit: a number as a graded cell's last output.
"""

import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
)
from sqlalchemy.exc import DatabaseError, SAWarning
from traitlets.config import Config

from autograder.course import FILE, Course
from autograder.folders import ASSIGNMENTS, AUTOGRADED, FEEDBACK, GENERATED, GRADEBOOK, GRADING, NORMALISED, SOLUTIONS
from autograder.gradebook.by_hand import SaveGrades
from autograder.gradebook.late import PointsPerDay, update_penalties
from autograder.gradebook.plugins import ByValue, CleanText, Collect, earned
from autograder.grading.results import read_result
from autograder.grading.rules import hash_rules
from autograder.handed_in.submissions import Submission
from autograder.questions.points import released_points
from starter.blanks.blank import TEXT
from starter.errors import InputError
from starter.files import whole

SETTINGS_FILE = "nbgrader_config.py"
"""Beside course.toml: where nbgrader's own commands and formgrader find their settings."""
SETTINGS = '''"""nbgrader's settings for this course: `nbgrader formgrader` and the others read this file."""

from autograder.course import read_course
from autograder.gradebook.book import configuration

c = get_config()  # noqa: F821  (nbgrader provides it)
c.merge(configuration(read_course(__file__.replace("nbgrader_config.py", "course.toml"))))
'''
OLD_IMPORT, IMPORT = (f"from autograder.{module} import configuration\n" for module in ("gradebook", "gradebook.book"))
"""The line of `SETTINGS` in courses that were released before the gradebook became a room, and since."""
BLANK = f"raise NotImplementedError({TEXT!r})"


def write_settings(course: Course) -> bool:
    """Write `nbgrader_config.py` if there is none, and renew an earlier kit's import in one that is there.

    Returns
    -------
    Whether something was written.
    """
    path = course.root / SETTINGS_FILE
    there = path.read_text(encoding="utf-8") if path.exists() else None
    due = SETTINGS if there is None else there.replace(OLD_IMPORT, IMPORT)
    if due == there:
        return False
    with whole(path) as part:
        part.write_text(due, encoding="utf-8")
    return True


def configuration(course: Course) -> Config:
    """Give nbgrader's settings for a course; `nbgrader_config.py` takes them too."""
    c = Config()
    c.CourseDirectory.root = str(course.root)
    c.CourseDirectory.course_id = course.name
    c.CourseDirectory.source_directory = SOLUTIONS
    c.CourseDirectory.release_directory = ASSIGNMENTS
    c.CourseDirectory.submitted_directory = f"{GRADING}/{NORMALISED}"
    c.CourseDirectory.autograded_directory = f"{GRADING}/{AUTOGRADED}"
    c.CourseDirectory.feedback_directory = f"{GRADING}/{FEEDBACK}"
    c.CourseDirectory.db_url = f"sqlite:///{course.grading / GRADEBOOK}"
    c.ClearSolutions.code_stub = {"python": BLANK}
    for reader in (c.ResultReader, c.FeedbackExporter, c.Collect):
        reader.course_file = str(course.root / FILE)
    c.ExchangeFactory.collect = Collect
    # nbgrader's own button for feedback writes our page, too
    c.GenerateFeedback.exporter_class = "autograder.gradebook.feedback.FeedbackExporter"
    c.GenerateFeedback.preprocessors = []
    # a student's heading that is called like a question would take the place of its score in formgrader
    c.HTMLExporter.exclude_anchor_links = True
    c.HTMLExporter.template_file = str(Path(__file__).with_name("formgrader.html.j2"))
    if zone := course.zone():
        c.NbGraderAPI.timezone = str(zone)
        c.NbGraderAPI.timestamp_format = "%Y-%m-%d %H:%M:%S %z"
    c.AssignLatePenalties.plugin_class = PointsPerDay
    c.PointsPerDay.points_per_day = course.late.points_per_day
    c.PointsPerDay.grace_hours = course.late.grace_hours
    # no Execute: code runs in autograder.sandbox.run or not at all
    c.Autograde.sanitize_preprocessors = [
        ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CleanText, CheckCellMetadata,
    ]  # fmt: skip
    c.Autograde.autograde_preprocessors = [
        ByValue,
        LimitOutput,
        SaveGrades,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    return c


def generate_notebook(course: Course, stage: str) -> Path:
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


def record_results(course: Course, stage: str, students: Sequence[str]) -> dict[str, str]:
    """Put results into the gradebook, one student after the other, whatever happens to one of them.

    A result that is there already is left alone, and with it what the instructor did since. What is taken off for being
    late follows the deadlines as they are now, for all students who are there.

    Parameters
    ----------
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
    write_settings(course)  # a course that an earlier kit released goes on in formgrader
    once = Config()
    once.ResultReader.rules = hash_rules(course, stage)
    api = _api(course, once)
    with _book(course) as book:
        for student in course.students.values():
            first, _, last = student.name.rpartition(" ")
            book.update_or_create_student(student.id, first_name=first, last_name=last, email=student.email)
    failed = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own queries, which an instructor cannot mend
        for student in students:
            if is_recorded(Submission(course, stage, student)):
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
        generate_notebook(course, stage)  # a gradebook that was lost is filled again
        most = _points_in_book(course, stage)
    points = released_points(course, stage)
    if changed := [name for name in points if points[name] != most.get(name)]:
        msg = (
            f"the points of {', '.join(changed)} changed since the notebook of {stage} was released; "
            "run: autograder release --notebooks"
        )
        raise InputError(msg)


def is_recorded(submission: Submission) -> bool:
    """Tell whether a submission's result is in the gradebook."""
    stage, result, graded = submission.stage, submission.result, submission.autograded / submission.notebook
    if not graded.is_file() or not result.is_file() or graded.stat().st_mtime_ns < result.stat().st_mtime_ns:
        return False
    with _book(submission.course) as book:
        try:
            grades = book.find_submission_notebook(stage, stage, submission.student).grades
        except MissingEntry:
            return False
        recorded = {grade.name: grade.auto_score for grade in grades}
    # the file is written before the points, and the gradebook may come from a backup
    return all(recorded.get(question.name) == earned(question) for question in read_result(result).questions)


def _points_in_book(course: Course, stage: str) -> dict[str, float]:
    with _book(course) as book:
        return {cell.name: cell.max_score for cell in book.find_notebook(stage, stage).grade_cells}


def _book(course: Course) -> Gradebook:
    _find_alembic()
    try:
        return Gradebook(configuration(course).CourseDirectory.db_url)
    except DatabaseError as error:
        msg = (
            f"{course.grading / GRADEBOOK} cannot be read ({error.orig}); restore it from a backup, or move it away: "
            "the next grade fills a new one, but for what was given by hand"
        )
        raise InputError(msg) from error


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
