"""The page that a student gets: the points and why, question by question, in one HTML file that needs no other."""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from nbconvert.exporters.exporter import Exporter, ResourcesDict
from nbformat import NotebookNode
from traitlets import Unicode, default

from autograder.course import Course, read_course
from autograder.folders import ASSIGNMENTS, FEEDBACK
from autograder.gradebook.book import is_recorded
from autograder.gradebook.grades import Grade, QuestionGrade, read_grades
from autograder.gradebook.late import days_late
from autograder.grading.results import QuestionResult, Result, read_result
from autograder.handed_in.attempts import attempt_folder, read_attempts, received_at
from autograder.handed_in.submissions import Submission, choose_students, hash_submission
from autograder.questions.question import PREDICTION
from autograder.text import printable
from starter.errors import InputError, counted
from starter.files import whole
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.pictures import PICTURES
from starter.scoring.scorecard import number

LONGEST = 10_000
"""Characters that are shown of any text."""
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
SECRET = re.compile(r"[0-9a-f]{128}")
"""What `nbgrader submit` puts beside a submission; the exchange's name of the page follows from it."""
SMALL = 200
"""Bytes of a secret or a timestamp, at most."""


@dataclass(frozen=True)
class Part:
    """One question on the page."""

    grade: QuestionGrade
    title: str
    """The heading above it in the notebook."""
    result: QuestionResult | None
    """What the grader found, unless the instructor grades this by hand."""
    comments: Sequence[str]
    """The instructor's, on the question and on the cells that belong to it."""
    answer: str | None
    """The student's text, for a question that is graded by hand."""
    untouched: bool
    """Whether that text is still the one that was given out."""

    @property
    def state(self) -> str:
        """Say how it went, as a word of the template's list."""
        if self.grade.open:
            return "open"
        if self.grade.points >= self.grade.max:
            return "right"
        return "part" if self.grade.points > 0 else "wrong"

    @property
    def waits_for_points(self) -> bool:
        """Whether nobody has given points yet."""
        return self.grade.open and self.result is None

    @property
    def changed(self) -> bool:
        """Whether the instructor gave other points than the grader."""
        return self.result is not None and not self.grade.open and self.grade.points != self.result.points


class FeedbackExporter(Exporter):
    """Lets nbgrader's own command and button for feedback write this page, not the graded notebook as HTML."""

    course_file = Unicode(help="The course's course.toml").tag(config=True)

    @default("file_extension")
    def _pages_end(self) -> str:
        return ".html"

    def from_notebook_node(
        self, nb: NotebookNode, resources: ResourcesDict | None = None, **kw: object
    ) -> tuple[str, dict[str, Any]]:
        """Make the page of the student whose notebook this is."""
        _, made = super().from_notebook_node(nb, resources, **kw)
        stage, student = made["nbgrader"]["assignment"], made["nbgrader"]["student"]
        course = read_course(self.course_file)
        submission = Submission(course, stage, student)
        page = page_of(submission, _grades(course, stage))
        made["outputs"] = _for_the_exchange(submission)
        return page, made


def write_feedback(
    course: Course, stage: str, students: Sequence[str] | None = None
) -> tuple[list[Path], dict[str, str]]:
    """Write the page of each student who submitted.

    Parameters
    ----------
    students
        Whose pages; default: all who submitted.

    Returns
    -------
    The pages, and student to reason for those who have none. An earlier page of theirs stays.

    Raises
    ------
    InputError
        If the stage or a student is unknown, there is no submission, or a folder cannot be written.
    """
    course.check_stage(stage)
    chosen, missing = choose_students(course, stage, students)
    failed = {student: f"no page: {student} {reason}" for student, reason in missing.items()}
    grades = _grades(course, stage)
    pages = []
    for student in chosen:
        submission = Submission(course, stage, student)
        try:
            content = page_of(submission, grades)
        except InputError as error:
            failed[student] = f"no page: {error}"
            continue
        for name, data in _for_the_exchange(submission).items():
            with whole(submission.feedback / name) as part:
                part.write_bytes(data)
        pages.append(submission.feedback / f"{stage}.html")
        with whole(pages[-1]) as part:
            part.write_text(content, encoding="utf-8")
    return pages, failed


def feedback_page(course: Course, grade: Grade, result: Result) -> str:
    """Set a student's page.

    Parameters
    ----------
    grade
        What the gradebook says.
    result
        What the grader found.

    Returns
    -------
    HTML that needs no other file and runs no script. Everything from a student is escaped and shown up to `LONGEST`
    characters.
    """
    student = course.students.get(grade.student)
    return _template().render(
        course=course.settings.course.title or course.name,
        stage=course.stages[grade.stage].title or grade.stage,
        student=student.name if student and student.name else grade.student,
        grade=grade,
        late=_late(course, grade),
        parts=_parts(course, grade, result),
        prediction=PREDICTION,
        notes=result.notes,
        scorecard=_scorecard(course, result),
        score=number,
        counted=counted,
    )


@functools.cache
def _template() -> jinja2.Template:
    source = resources.files("autograder.gradebook").joinpath("feedback.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"shown": _shown, "sha256": _sha256, "points": _points, "number": _number}
    return environment.from_string(source)


def page_of(submission: Submission, grades: Mapping[str, Grade]) -> str:
    """Make a student's page, if it would say what is true of the submission as it is.

    Parameters
    ----------
    grades
        Of the stage, by student.

    Raises
    ------
    InputError
        If it was not graded as it is now; the message says what to do.
    """
    stage, student = submission.stage, submission.student
    grade_it = f"run: autograder grade {stage} --student {student}"
    if not submission.result.is_file():
        msg = f"{student} has no result for {stage}; {grade_it}"
        raise InputError(msg)
    result = read_result(submission.result)
    if result.submission_sha256 != hash_submission(submission):
        msg = f"{student}'s submission changed since it was graded; {grade_it}"
        raise InputError(msg)
    if student not in grades or not is_recorded(submission):
        msg = f"{student}'s points are not in the gradebook; {grade_it}"
        raise InputError(msg)
    return feedback_page(submission.course, grades[student], result)


def _grades(course: Course, stage: str) -> dict[str, Grade]:
    return {grade.student: grade for grade in read_grades(course, stage)}


def _parts(course: Course, grade: Grade, result: Result) -> list[Part]:
    """Put the questions into the order of the notebook, each with what belongs to it."""
    stage, name = grade.stage, f"{grade.stage}.ipynb"
    graded = {question.name: question for question in grade.questions}
    found = {question.name: question for question in result.questions}
    released = _cells(course.root / ASSIGNMENTS / stage / name)
    answers = {
        cell["metadata"]["nbgrader"]["grade_id"]: _source(cell)
        for cell in _cells(Submission(course, stage, grade.student).normalised / name)
        if "nbgrader" in cell["metadata"]
    }
    parts, title, comments = [], "", []
    for cell in released:
        if cell["cell_type"] == "markdown" and (headings := HEADING.findall(_source(cell))):
            title = headings[-1]
        about = cell["metadata"].get("nbgrader", {})
        if about.get("grade_id") in grade.comments:
            comments.append(grade.comments[about["grade_id"]])
        if (question := graded.pop(about.get("grade_id"), None)) is None:
            continue
        answer = answers.get(question.name) if about.get("solution") else None
        comments += [question.comment] if question.comment else []
        untouched = answer == _source(cell)
        parts.append(Part(question, title, found.get(question.name), comments, answer, untouched))
        comments = []
    parts += [Part(question, "", found.get(name), [], None, untouched=False) for name, question in graded.items()]
    if comments and parts:
        parts[-1] = replace(parts[-1], comments=[*parts[-1].comments, *comments])
    return parts


def _cells(notebook: Path) -> list[dict]:
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as error:
        msg = f"cannot read {notebook} ({type(error).__name__}); release the notebook and grade the submission again"
        raise InputError(msg) from error


def _source(cell: dict) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def _late(course: Course, grade: Grade) -> str:
    """Say what was taken off and why; nothing if nothing was."""
    if not grade.late:
        return ""
    submission = Submission(course, grade.stage, grade.student)
    days = days_late(submission, received_at(submission))
    as_now = days * course.late.points_per_day == grade.late
    why = f"{counted(days, 'day')} late" if as_now else "Handed in late"
    return f"{why}: −{_points(grade.late)}"


def _scorecard(course: Course, result: Result) -> dict | None:
    """Read what is shown of a prediction's scorecard; None if this submission's was not scored."""
    # another attempt's scorecard may lie there still
    scored = any(question.name == PREDICTION and question.came for question in result.questions)
    folder = Submission(course, result.stage, result.student).scorecard
    if not scored or not (folder / "scorecard.json").is_file():
        return None
    try:
        content = json.loads((folder / "scorecard.json").read_text(encoding="utf-8"))
        rules = get_rule_set(content["profile"])
        rows = [
            (metric.title, content["metrics"][metric.name]) for metric in rules.metrics if metric.name in rules.scored
        ]
        overall = {name: content[name] for name in ("overall", "overall_unclipped")}
    except (ValueError, KeyError) as error:
        msg = f"{folder / 'scorecard.json'} is damaged ({type(error).__name__}); grade the submission again"
        raise InputError(msg) from error
    pictures = [
        (base64.b64encode((folder / name).read_bytes()).decode(), picture.text)
        for name, picture in PICTURES.items()
        if not picture.names_genes and (folder / name).is_file()
    ]
    return {**overall, "full": rules.full_score, "rows": rows, "pictures": pictures}


def _for_the_exchange(submission: Submission) -> dict[str, bytes]:
    """Give what `nbgrader release_feedback` wants beside a page, and without which it gives up on all students.

    Who handed in through the exchange finds the page by the secret of an own submission; the one that counts may be a
    team mate's, who would find the page of another then. Without such a secret the page lies there unseen.
    """
    if submission.team == [submission]:
        folders = [submission.submitted]
    else:
        folders = [attempt_folder(submission, attempt) for attempt in read_attempts(submission)]
    for folder in reversed(folders):
        secret = _small_text(folder / "submission_secret.txt")
        if SECRET.fullmatch(secret):
            timestamp = printable(_small_text(folder / "timestamp.txt"))
            return {"timestamp.txt": timestamp.encode(), "submission_secret.txt": secret.encode()}
    secret = f"{submission.course.derived_seed(FEEDBACK, submission.stage, submission.student):016x}"
    return {"timestamp.txt": b"", "submission_secret.txt": secret.encode()}


def _small_text(path: Path) -> str:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > SMALL:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _shown(text: str) -> str:
    """Leave a text its lines, but no control characters, and cut it if it is endless."""
    lines = "\n".join(printable(line) for line in text[:LONGEST].expandtabs(4).splitlines())
    return lines if len(text) <= LONGEST else f"{lines} … ({len(text) - LONGEST:,} more characters)"


def _sha256(text: str) -> str:
    """Hash as a Content-Security-Policy wants it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _number(points: float) -> str:
    return f"{round(points, 2):g}"


def _points(points: float) -> str:
    return f"{_number(points)} {'point' if points == 1 else 'points'}"
