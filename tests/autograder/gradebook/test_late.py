from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from handing_in import RIGHT, STAGE, WRONG, released_notebook
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.book import configuration
from autograder.gradebook.grades import Grade, read_grades
from autograder.gradebook.late import days_begun, days_late
from autograder.handed_in.attempts import collect
from autograder.handed_in.submissions import Submission
from autograder.release.notebooks import release_notebooks
from autograder.sandbox import run
from starter.errors import InputError

DEADLINE = "2020-10-01T12:00:00+02:00"


def with_rules(course: Course, stage: str = "", late: str = "") -> Course:
    """Write other deadlines and prices into course.toml, whose last table is the stage's."""
    path = course.root / "course.toml"
    text = path.read_text().partition("# rules\n")[0]
    path.write_text(f"{text}# rules\n{stage}\n[late]\n{late}\n")
    return read_course(course.root)


def collect_from(course: Course, folder: Path, received: str, **code: str) -> None:
    """Hand in notebooks with another train_mean."""
    for student, source in code.items():
        notebook = released_notebook(course)
        cells = [
            cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code"
        ]
        cells[0].source = source
        (folder / student).mkdir(parents=True)
        nbformat.write(notebook, folder / student / f"{STAGE}.ipynb")
    collect(course, STAGE, folder, datetime.fromisoformat(received))


def graded(course: Course) -> dict[str, Grade]:
    done = CliRunner().invoke(app, ["grade", STAGE, "--course", str(course.root)])
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return {grade.student: grade for grade in read_grades(course, STAGE)}


def by_hand(course: Course, student: str, points: float, comment: str) -> None:
    """Do what formgrader does."""
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grade = book.find_grade("train_mean", STAGE, STAGE, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        book.find_comment("train_mean_code", STAGE, STAGE, student).manual_comment = comment
        book.db.commit()


def recorded(course: Course, student: str) -> tuple[datetime | None, timedelta | None, datetime | None]:
    """Read due date, extension and time of receipt as nbgrader has them."""
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        submission = book.find_submission(STAGE, student)
        return submission.assignment.duedate, submission.extension, submission.timestamp


@pytest.mark.parametrize(
    ("hours", "grace", "days"),
    [
        (-5, 0, 0),
        (0, 0, 0),
        (0.001, 0, 1),
        (24, 0, 1),
        (24.001, 0, 2),
        (2, 2, 0),
        (2.001, 2, 1),
        (26, 2, 1),
        (26.1, 2, 2),
    ],
)
def test_a_day_counts_when_it_has_begun_after_the_grace_hours(hours: float, grace: float, days: int):
    assert days_begun(hours * 3600, grace) == days


def test_nothing_is_late_without_a_deadline_or_a_time(course: Course):
    received = datetime(2020, 10, 4, tzinfo=UTC)
    assert days_late(Submission(with_rules(course), STAGE, "ada"), received) == 0
    due = with_rules(course, f"deadline = {DEADLINE}\nextensions = {{bob = 14.5}}")
    ada, bob = (Submission(due, STAGE, student) for student in ("ada", "bob"))
    assert days_late(ada, None) == 0
    assert (days_late(ada, received), days_late(bob, received)) == (3, 2)


def test_late_days_cost_points_by_the_rules_as_they_are_now_and_nothing_else_changes(
    sandbox_here: None, course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    price = "points_per_day = 1.5\ngrace_hours = 1"
    course = with_rules(course, f"deadline = {DEADLINE}", price)
    collect_from(course, tmp_path / "late", "2020-10-02T13:00:00+02:00", ada=RIGHT)
    collect_from(course, tmp_path / "later", "2020-10-02T13:01:00+02:00", bob=WRONG)
    grades = graded(course)
    assert [(grades[name].late, grades[name].points) for name in ("ada", "bob")] == [(1.5, 3.5), (3.0, 0.0)]
    assert recorded(course, "ada") == (datetime(2020, 10, 1, 10), None, datetime(2020, 10, 2, 11))

    # nothing runs any more, and what is given by hand counts and stays
    monkeypatch.setattr(run, "run", lambda *args, **kwargs: pytest.fail("a notebook ran again"))
    by_hand(course, "ada", 4.5, "well explained")
    by_hand(course, "bob", 4.0, "the idea is right")
    grades = graded(course)
    assert (grades["ada"].points, grades["bob"].points) == (3.0, 1.0)
    course = with_rules(course, "deadline = 2020-10-02T13:00:00+02:00\nextensions = {bob = 0.5}", price)
    grades = graded(course)
    assert [(grades[name].late, grades[name].points) for name in ("ada", "bob")] == [(0.0, 4.5), (0.0, 4.0)]
    assert recorded(course, "bob") == (datetime(2020, 10, 2, 11), timedelta(minutes=30), datetime(2020, 10, 2, 11, 1))
    course = with_rules(course, "deadline = 2020-09-30T13:00:00Z\nextensions = {bob = 999}", price)
    assert graded(course)["ada"].comments == {"train_mean_code": "well explained"}

    # formgrader's button records by the same rules
    answer = NbGraderAPI(config=configuration(course)).autograde(STAGE, "ada", force=True)
    assert answer["success"], answer
    grades = {grade.student: grade for grade in read_grades(course, STAGE)}
    assert [(grades[name].late, grades[name].points) for name in ("ada", "bob")] == [(3.0, 1.5), (0.0, 4.0)]
    grades = graded(with_rules(course, "extensions = {bob = 5}", price))
    assert [(grades[name].late, grades[name].points) for name in ("ada", "bob")] == [(0.0, 4.5), (0.0, 4.0)]
    assert recorded(course, "bob") == (None, None, datetime(2020, 10, 2, 11, 1))


def test_a_question_that_is_mended_is_graded_anew_for_all_and_keeps_what_was_done_by_hand(
    sandbox_here: None, course: Course, tmp_path: Path
):
    collect_from(course, tmp_path / "given", DEADLINE, ada=RIGHT, bob=RIGHT)
    assert [(grade.points, grade.max) for grade in graded(course).values()] == [(5.0, 10.0), (5.0, 10.0)]
    by_hand(course, "ada", 3.5, "see the second case")
    folders = course.grading / "submitted", course.grading / "attempts"
    before = [{path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in folders]

    notebook = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    assert '"points": 5' in notebook.read_text()
    notebook.write_text(notebook.read_text().replace('"points": 5', '"points": 8', 1))
    done = CliRunner().invoke(app, ["grade", STAGE, "--course", str(course.root)])
    with pytest.raises(
        InputError, match="the points of train_mean changed since the notebook of 04_baselines was rele"
    ):
        raise done.exception
    assert [(grade.points, grade.max) for grade in read_grades(course, STAGE)] == [(3.5, 10.0), (5.0, 10.0)]
    release_notebooks(course)
    ada, bob = graded(course).values()
    assert [(grade.points, grade.max, grade.open) for grade in (ada, bob)] == [(3.5, 13.0, True), (8.0, 13.0, False)]
    assert ada.comments == {"train_mean_code": "see the second case"}
    assert before == [{path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in folders]
