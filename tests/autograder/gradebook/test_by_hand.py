"""What was given by hand: it stays while the answer stays, and counts for a whole team."""

import json
from pathlib import Path

import nbformat
import pytest
from handing_in import RIGHT, STAGE, TEXT, WRONG, answer, put_result, submit
from nbgrader.api import Gradebook

from autograder.course import Course, read_course
from autograder.gradebook.book import record_results
from autograder.gradebook.exports import write_export
from autograder.gradebook.grades import read_grades
from autograder.grading.results import QuestionResult

FULL = QuestionResult("train_mean", 5.0, 5.0, "right in all 3 cases", 1.0)
NONE = QuestionResult("train_mean", 0.0, 5.0, "case 1 of 3: 7 of 7 values differ", 1.0)
HELD = QuestionResult("train_mean", 5.0, 5.0, "right in all 3 cases", 1.0, held="an odd thing")
TEAM = """
[roster]
students = [{id = "ada", team = "helix"}, {id = "bob", team = "helix"}, {id = "cyd"}]
"""
Shown = tuple[float, bool]


def recorded(course: Course, question: QuestionResult = FULL, *students: str) -> None:
    """Put the same result of each student into the gradebook, graded anew."""
    for student in students or ("ada",):
        put_result(course, student, [question])
    assert record_results(course, STAGE, students or ("ada",)) == {}


def give(course: Course, student: str, name: str, points: float | None, comment: str = "", extra: float = 0) -> None:
    """Do what formgrader does when an instructor types."""
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grade = book.find_grade(name, STAGE, STAGE, student)
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = points, extra or None, False
        book.db.commit()
        if comment:
            book.find_comment(TEXT, STAGE, STAGE, student).manual_comment = comment
            book.db.commit()


def shown(course: Course, student: str = "ada") -> dict[str, Shown]:
    """Question to points and whether it waits for the instructor."""
    grade = next(grade for grade in read_grades(course, STAGE) if grade.student == student)
    return {question.name: (question.points, question.open) for question in grade.questions}


def comment(course: Course, student: str) -> str:
    grade = next(grade for grade in read_grades(course, STAGE) if grade.student == student)
    return next(question.comment for question in grade.questions if question.name == TEXT)


def put_code(course: Course, student: str, code: str) -> None:
    """Hand in again, with another function."""
    path = course.grading / "submitted" / student / STAGE / f"{STAGE}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cells = (cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code")
    next(cells).source = code
    nbformat.write(notebook, path)


@pytest.fixture
def ada(written: Course) -> Course:
    """A course in which Ada answered in words, was recorded, and got 3 of 4 points by hand."""
    submit(written, "ada", RIGHT)
    answer(written, "ada", "Because most effects are shared.")
    recorded(written)
    assert shown(written) == {"train_mean": (5.0, False), TEXT: (0.0, True)}
    give(written, "ada", TEXT, 3.0, "Which ones?")
    return written


def test_points_by_hand_stay_when_another_question_is_mended(ada: Course, tmp_path: Path):
    recorded(ada, NONE)  # the question is judged otherwise now
    assert shown(ada) == {"train_mean": (0.0, False), TEXT: (3.0, False)}
    assert comment(ada, "ada") == "Which ones?"
    (ada.root / "course.toml").write_text(
        f'{(ada.root / "course.toml").read_text()}\n[roster]\nstudents = [{{id = "ada", canvas_id = "1"}}]\n'
    )
    assert write_export(read_course(ada.root), [STAGE], "canvas", tmp_path / "canvas.csv") == []
    assert (tmp_path / "canvas.csv").read_text().splitlines()[-1].endswith(",3.0")


def test_points_by_hand_stay_when_the_student_hands_in_something_else_again(ada: Course):
    put_code(ada, "ada", WRONG)
    recorded(ada, NONE)
    assert shown(ada) == {"train_mean": (0.0, False), TEXT: (3.0, False)}


def test_another_answer_waits_again_with_the_points_that_it_had(ada: Course):
    answer(ada, "ada", "Because of batch effects.")
    recorded(ada)
    assert shown(ada)[TEXT] == (3.0, True)
    recorded(ada, NONE)  # also when it is recorded once more
    assert shown(ada)[TEXT] == (3.0, True)


def test_points_for_code_by_hand_stay_while_code_and_verdict_stay(ada: Course):
    recorded(ada, NONE)
    give(ada, "ada", "train_mean", 2.5)
    answer(ada, "ada", "Because of batch effects.")
    recorded(ada, NONE)
    assert shown(ada) == {"train_mean": (2.5, False), TEXT: (3.0, True)}
    recorded(ada, FULL)  # the grader gives more now: the instructor should see it
    assert shown(ada)["train_mean"] == (2.5, True)
    give(ada, "ada", "train_mean", 2.5)
    put_code(ada, "ada", WRONG)
    recorded(ada, FULL)
    assert shown(ada)["train_mean"] == (2.5, True)


def test_what_was_held_and_looked_at_is_not_held_again_for_the_same(ada: Course):
    recorded(ada, HELD)
    assert shown(ada)["train_mean"] == (5.0, True)
    give(ada, "ada", "train_mean", None)  # the button "Resolve"
    recorded(ada, HELD)
    assert shown(ada)["train_mean"] == (5.0, False)
    put_code(ada, "ada", WRONG)
    recorded(ada, HELD)
    assert shown(ada)["train_mean"] == (5.0, True)


def test_formgrader_shows_why_a_question_is_held(ada: Course):
    recorded(ada, HELD)
    notebook = json.loads((ada.grading / "autograded" / "ada" / STAGE / f"{STAGE}.ipynb").read_text())
    cells = (cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == "train_mean")
    assert "held, so please look: an odd thing\n" in next(cells)["outputs"][0]["text"]


def test_a_gradebook_that_was_lost_forgets_what_was_given(ada: Course):
    (ada.grading / "gradebook.db").unlink()
    recorded(ada)
    assert shown(ada) == {"train_mean": (5.0, False), TEXT: (0.0, True)}


@pytest.fixture
def team(written: Course) -> Course:
    """A course in which Ada and Bob hand in together, and Cyd the same alone."""
    path = written.root / "course.toml"
    path.write_text(path.read_text() + TEAM)
    for student in ("ada", "bob", "cyd"):
        submit(written, student, RIGHT)
        answer(written, student, "Because most effects are shared.")
    return read_course(written.root)


def test_a_teams_answer_is_graded_once(team: Course):
    recorded(team, FULL, "ada", "bob", "cyd")
    give(team, "ada", TEXT, 3.0, "Which ones?", extra=0.5)
    for student, due in (("ada", (3.5, False)), ("bob", (3.5, False)), ("cyd", (0.0, True))):
        assert shown(team, student)[TEXT] == due
    assert [comment(team, student) for student in ("ada", "bob", "cyd")] == ["Which ones?", "Which ones?", ""]
    give(team, "bob", TEXT, 4.0, "I see.")  # and corrected once
    assert [shown(team, student)[TEXT] for student in ("ada", "bob")] == [(4.0, False), (4.0, False)]
    assert comment(team, "ada") == "I see."


def test_a_mate_who_is_recorded_later_has_the_points_already(team: Course):
    recorded(team, FULL, "ada")
    give(team, "ada", TEXT, 3.0, "Which ones?")
    recorded(team, FULL, "bob", "cyd")
    assert [shown(team, student)[TEXT] for student in ("bob", "cyd")] == [(3.0, False), (0.0, True)]
    assert comment(team, "bob") == "Which ones?"


def test_mates_with_other_answers_are_graded_apart(team: Course):
    answer(team, "bob", "Because.")
    recorded(team, FULL, "ada", "bob")
    give(team, "ada", TEXT, 3.0)
    assert shown(team, "bob")[TEXT] == (0.0, True)


def test_a_teams_held_question_is_looked_at_once(team: Course):
    recorded(team, HELD, "ada", "bob", "cyd")
    give(team, "bob", "train_mean", None)
    assert [shown(team, student)["train_mean"] for student in ("ada", "bob", "cyd")] == [
        (5.0, False),
        (5.0, False),
        (5.0, True),
    ]


def test_grading_anew_shares_nothing(team: Course):
    """What mates got apart, before they were a team, is not made the same by the grader."""
    path = team.root / "course.toml"
    path.write_text(path.read_text().replace(', team = "helix"', ""))
    recorded(read_course(team.root), FULL, "ada", "bob")
    give(team, "ada", TEXT, 3.0)
    give(team, "bob", TEXT, 2.0)
    path.write_text(
        path.read_text().replace('{id = "ada"}, {id = "bob"}', '{id = "ada", team = "x"}, {id = "bob", team = "x"}')
    )
    recorded(read_course(team.root), NONE, "ada", "bob")
    assert [shown(team, student)[TEXT] for student in ("ada", "bob")] == [(3.0, False), (2.0, False)]


def test_what_the_grader_closed_for_a_mate_undoes_no_points_by_hand(team: Course):
    recorded(team, NONE, "ada")
    give(team, "ada", "train_mean", 2.5)
    recorded(team, FULL, "bob")  # judged anew, and closed by the grader
    recorded(team, FULL, "ada")  # the same verdict for the same code, and other than the one she got points for
    assert shown(team, "bob")["train_mean"] == (5.0, False)
    assert shown(team, "ada")["train_mean"] == (2.5, True)


def test_points_are_saved_while_course_toml_is_being_edited(team: Course):
    recorded(team, FULL, "ada", "bob")
    (team.root / "course.toml").write_text("[course")
    give(team, "ada", TEXT, 3.0)
    assert [shown(team, student)[TEXT] for student in ("ada", "bob")] == [(3.0, False), (0.0, True)]
