import json
import re
from pathlib import Path

import nbformat
import pytest
from handing_in import RIGHT, STAGE, grade_one, hand_in, put_result, submit
from nbconvert import HTMLExporter
from nbgrader.api import Gradebook
from traitlets.config import PyFileConfigLoader

from autograder.course import Course
from autograder.gradebook.book import is_recorded, record_results
from autograder.gradebook.plugins import CleanText
from autograder.grading import grade
from autograder.grading.grade import grade_stage
from autograder.grading.results import QuestionResult
from autograder.handed_in.submissions import Submission
from autograder.questions.question import PREDICTION
from starter.errors import InputError

NOTEBOOKS = {
    "none": (None, "there is no notebook 04_baselines.ipynb in the submission"),
    "half": (b"{not json", "04_baselines.ipynb is damaged and cannot be opened"),
    "empty": (b"", "04_baselines.ipynb is damaged and cannot be opened"),
    "a list": (b"[]", "04_baselines.ipynb is damaged and cannot be opened"),
    "a page": (b"<html>", "04_baselines.ipynb is damaged and cannot be opened"),
    "no cells": (b'{"a": 1}', "04_baselines.ipynb is damaged and cannot be opened"),
    "odd cells": (b'{"cells": [1, 2]}', "04_baselines.ipynb is damaged and cannot be opened"),
    "odd source": (b'{"cells": [{"cell_type": "code", "source": 7}]}', "04_baselines.ipynb is damaged"),
    "too deep": (b"[" * 100_000, "04_baselines.ipynb is damaged and cannot be opened"),
    "old format": (
        b'{"nbformat": 3, "worksheets": []}',
        "04_baselines.ipynb is saved in format 3; open it in JupyterLab",
    ),
    "no format": (
        b'{"nbformat": "\\ud800\\u001b]0;x\\u202e", "cells": []}',
        "04_baselines.ipynb is saved in format   ]0;x ; open it in JupyterLab",
    ),
    "no question": (b'{"cells": []}', "case 1 of 3: the notebook defines no train_mean"),
    "odd metadata": (
        b'{"cells": [{"cell_type": "poem", "source": ["x"], "metadata": null, "id": 5, "outputs": 3}]}',
        "case 1 of 3: the notebook defines no train_mean",
    ),
}


def test_a_notebook_that_is_none_is_0_with_the_reason_in_the_gradebook_too(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(grade, "WORTH_CACHES", 99)  # one of them is run
    due = {"right": (5.0, 0)}
    submit(course, "right", RIGHT)
    for kind, (content, _) in NOTEBOOKS.items():
        student = kind.replace(" ", "-")
        hand_in(course, student, content)
        due[student] = (0.0, 0)
    for _ in range(2):  # the second batch takes the results of the first
        results, failed = grade_stage(course, STAGE)
        assert failed == {}
        assert record_results(course, STAGE, list(due)) == {}
        assert recorded(course) == due
    reasons = {result.student: result.questions[0].reason for result in results}
    for kind, (_, said) in NOTEBOOKS.items():
        assert reasons[kind.replace(" ", "-")].startswith(said), kind


def recorded(course: Course) -> dict[str, tuple[float, int]]:
    """Read points and the manual flag of each student from nbgrader's database."""
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grades = {
            submission.student.id: book.find_grade("train_mean", STAGE, STAGE, submission.student.id)
            for submission in book.assignment_submissions(STAGE)
        }
        return {student: (one.auto_score, int(one.needs_manual_grade)) for student, one in grades.items()}


def change(course: Course, student: str, work: object) -> None:
    """Hand in a right notebook that something was done to."""
    path = submit(course, student, RIGHT) / f"{STAGE}.ipynb"
    notebook = json.loads(path.read_text())
    work(notebook)
    path.write_text(json.dumps(notebook))


def position(notebook: dict, name: str) -> int:
    return next(
        i for i, cell in enumerate(notebook["cells"]) if cell["metadata"].get("nbgrader", {}).get("grade_id") == name
    )


def drop_check(notebook: dict) -> None:
    del notebook["cells"][position(notebook, "train_mean")]


def copy_check(notebook: dict) -> None:
    notebook["cells"] += [notebook["cells"][position(notebook, "train_mean")]] * 2


def more_points(notebook: dict) -> None:
    notebook["cells"][position(notebook, "train_mean")]["metadata"]["nbgrader"]["points"] = 500


def text_for_code(notebook: dict) -> None:
    notebook["cells"][position(notebook, "train_mean")]["cell_type"] = "markdown"


def no_metadata(notebook: dict) -> None:
    for cell in notebook["cells"]:
        cell["metadata"] = None


def no_solution_cell(notebook: dict) -> None:
    del notebook["cells"][position(notebook, "train_mean_code")]["metadata"]["nbgrader"]


def a_print_of_points(notebook: dict) -> None:
    notebook["cells"][position(notebook, "train_mean")]["source"] = "7.5"


def test_changed_cells_change_no_points_anywhere(sandbox_here: None, course: Course):
    changes = drop_check, copy_check, more_points, text_for_code, no_metadata, no_solution_cell, a_print_of_points
    students = [work.__name__ for work in changes]
    for student, work in zip(students, changes, strict=True):
        change(course, student, work)
    results, failed = grade_stage(course, STAGE)
    assert ({result.student: result.points for result in results}, failed) == (dict.fromkeys(students, 5), {})
    assert record_results(course, STAGE, students) == {}
    assert recorded(course) == dict.fromkeys(students, (5.0, 0))


def test_a_held_question_waits_for_the_instructor_and_keeps_its_points(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    result = grade_one(course)
    path = Submission(course, STAGE, "ada").result
    content = json.loads(path.read_text())
    content["questions"][0]["held"] = "look at this"
    path.write_text(json.dumps(content))
    assert record_results(course, STAGE, ["ada"]) == {}
    assert recorded(course) == {"ada": (result.points, 1)}


def test_points_are_clamped_whatever_a_result_says(sandbox_here: None, course: Course):
    said = {"more": 99.0, "negative": -3.0, "none": float("nan"), "endless": float("inf")}
    for student in said:
        submit(course, student, RIGHT)
    assert grade_stage(course, STAGE)[1] == {}
    for student, points in said.items():
        path = Submission(course, STAGE, student).result
        content = json.loads(path.read_text())
        content["questions"][0]["points"] = points
        path.write_text(json.dumps(content))
    assert record_results(course, STAGE, list(said)) == {}
    points = {student: points for student, (points, _) in recorded(course).items()}
    assert points == {"more": 5.0, "negative": 0.0, "none": 0.0, "endless": 0.0}


def test_what_the_instructor_did_since_stays(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    grade_one(course)
    assert record_results(course, STAGE, ["ada"]) == {}
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grade = book.find_grade("train_mean", STAGE, STAGE, "ada")
        grade.manual_score, grade.needs_manual_grade = 3.5, False
        book.db.commit()
    grade_one(course)
    assert record_results(course, STAGE, ["ada"]) == {}
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grade = book.find_grade("train_mean", STAGE, STAGE, "ada")
        assert (grade.manual_score, grade.needs_manual_grade) == (3.5, False)
    (course.grading / "gradebook.db").unlink()
    assert record_results(course, STAGE, ["ada"]) == {}
    assert recorded(course) == {"ada": (5.0, 0)}


def test_settings_that_an_earlier_kit_wrote_are_renewed_with_the_grades(course: Course):
    settings = course.root / "nbgrader_config.py"
    before = settings.read_text()
    settings.write_text(before.replace("autograder.gradebook.book", "autograder.gradebook") + "c.Mine.kept = 1\n")
    with pytest.raises(ImportError):
        PyFileConfigLoader(settings.name, str(course.root)).load_config()
    submit(course, "ada", RIGHT)
    put_result(course, "ada", [QuestionResult(name, 1.0, 5.0, "", 0.0) for name in ("train_mean", PREDICTION)])
    assert record_results(course, STAGE, ["ada"]) == {}
    assert settings.read_text() == f"{before}c.Mine.kept = 1\n"
    read = PyFileConfigLoader(settings.name, str(course.root)).load_config()
    assert (read.CourseDirectory.course_id, read.Mine.kept) == (course.name, 1)
    assert recorded(course) == {"ada": (1.0, 0)}


def test_a_gradebook_with_other_points_than_the_result_is_filled_again(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    grade_one(course)
    assert record_results(course, STAGE, ["ada"]) == {}
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        book.find_grade("train_mean", STAGE, STAGE, "ada").auto_score = 1.0
        book.db.commit()
    assert not is_recorded(Submission(course, STAGE, "ada"))
    assert record_results(course, STAGE, ["ada"]) == {}
    assert recorded(course) == {"ada": (5.0, 0)}


def test_a_damaged_gradebook_is_named_and_the_way_out(course: Course):
    (course.grading / "gradebook.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    submit(course, "ada", RIGHT)
    put_result(course, "ada", [QuestionResult(name, 1.0, 5.0, "", 0.0) for name in ("train_mean", PREDICTION)])
    with pytest.raises(InputError, match="gradebook.db cannot be read .*; restore it from a backup, or move it away"):
        record_results(course, STAGE, ["ada"])
    (course.grading / "gradebook.db").unlink()
    assert record_results(course, STAGE, ["ada"]) == {}
    assert recorded(course) == {"ada": (1.0, 0)}


def test_pasted_pictures_are_shown_and_missing_ones_break_nothing(sandbox_here: None, course: Course):
    def paste(notebook: dict) -> None:
        notebook["cells"] += [
            {"cell_type": "markdown", "metadata": {}, "id": name, "source": source, "attachments": attachments}
            for name, source, attachments in (
                ("a", "![here](attachment:image.png)", {"image.png": {"image/png": "iVBORw0KGgo="}}),
                ("b", "![gone](attachment:image.png) ![odd](attachment:../x) ![odd](attachment\\:y)", {}),
            )
        ]

    change(course, "ada", paste)
    assert grade_one(course).points == 5
    assert record_results(course, STAGE, ["ada"]) == {}
    # as formgrader makes HTML of it
    page, _ = HTMLExporter().from_filename(str(course.grading / "autograded" / "ada" / STAGE / f"{STAGE}.ipynb"))
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert "![gone](no such picture)" in page
    assert "right in all 3 cases" in page


def test_a_stale_result_is_not_recorded(sandbox_here: None, course: Course):
    folder = submit(course, "ada", RIGHT)
    grade_one(course)
    (folder / "new.txt").write_text("changed since")
    failed = record_results(course, STAGE, ["ada"])
    assert "ada's submission was not graded yet, or changed since; run: autograder grade 04_baselines" in failed["ada"]


TEXTS = (
    "**fine** a < b & c [good](https://example.org) <script>alert(1)</script>",
    "<img src=x onerror=alert(1)> <svg/onload=alert(1)> <!-- <script>alert(1)</script> -->",
    "[a](javascript:alert(1)) [b](JaVaScRiPt&colon;alert(1)) [c](java&#115;cript:alert(1)) [d](vbscript:x)",
    "[e][1] <javascript:alert(1)> [f](javascript\\:alert(1)) [g](< javascript:alert(1)>)\n\n[1]: javascript:alert(1)",
    "$\\href{java\nscript:alert(1)}{x}$ ![h](javascript:alert(1))",
)


def test_the_gradebook_has_points_reasons_and_clean_text(sandbox_here: None, course: Course):
    folder = submit(course, "ada", RIGHT.replace("np.mean([", "np.max(["))
    notebook = nbformat.read(folder / f"{STAGE}.ipynb", as_version=4)
    notebook.cells += [nbformat.v4.new_markdown_cell("\n\n".join(TEXTS)), nbformat.v4.new_raw_cell(TEXTS[0])]
    nbformat.write(notebook, folder / f"{STAGE}.ipynb")
    submit(course, "bob", RIGHT)
    (course.grading / "submitted" / "cyd" / STAGE).mkdir(parents=True)
    results, _ = grade_stage(course, STAGE)
    record_results(course, STAGE, [result.student for result in results])

    assert recorded(course) == {"ada": (0.0, 0), "bob": (5.0, 0), "cyd": (0.0, 0)}
    shown = nbformat.read(course.grading / "autograded" / "ada" / STAGE / f"{STAGE}.ipynb", as_version=4)
    graded = next(cell for cell in shown.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean")
    assert graded.outputs[0].text.startswith("0 of 5 points: case 1 of 3: ")
    assert graded.outputs[1].data["text/plain"] == "0.0"
    # as the formgrader and the feedback make HTML of it
    body, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=shown.cells[-2:]))
    body = body[body.index("<main") :]
    assert "<strong>fine</strong>" in body
    assert '<a href="https://example.org">good</a>' in body
    assert "a &lt; b &amp; c" in body
    assert not re.search(r"<script|<img|<svg|<[^<>]*\bon\w+=|href=.\s*(java|vb)script", body, re.IGNORECASE)
    plain, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=notebook.cells[-2:]))
    assert re.search(r"<script>alert|<img src=x", plain[plain.index("<main") :])


def cleaned(*cells: nbformat.NotebookNode) -> list[str]:
    notebook, _ = CleanText().preprocess(nbformat.v4.new_notebook(cells=list(cells)), {})
    return [cell.source for cell in notebook.cells]


@pytest.mark.parametrize("letters", [60_000, 1_000_000])
def test_what_would_take_minutes_to_show_is_cut(letters: int):
    """Renderers of Markdown and of code need time that grows with the square of a cell's length."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    long_text, long_code, answer = (
        f"a{' ' * letters}b",
        f"{'x.y ' * (letters // 4)}"[:-1] + "z",
        "An answer of many words. " * 600,
    )
    shown = cleaned(text("short"), text(long_text), code(long_code), text(answer), code("x = 1\n\n\ny = 2"))
    assert [shown[0], shown[3], shown[4]] == ["short", answer, "x = 1\n\n\ny = 2"]
    left = letters - 200
    assert shown[1] == f"a{' ' * 199}\n\n… {left + 2:,} more characters are not shown here: see grading/normalised/"
    assert shown[2].splitlines()[1:] == [f"# … {left:,} more characters are not shown here: see grading/normalised/"]
    assert cleaned(code("x = 1" + "\n \n\t\n\x0b" * letters + "y = 2")) == ["x = 1\n\n\ny = 2"]
    many = cleaned(*(text("[" * 2000) for _ in range(300)))
    assert 30 < sum(len(one) == 2000 for one in many) < 100


def test_the_courses_own_notebooks_are_shown_whole():
    for path in sorted((Path(__file__).parents[3] / "assignments").glob("*/*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)  # as if all were a student's
            cell.source += f"\n\n{cell.source}"  # who wrote as much again
        assert not any("more characters are not shown" in source for source in cleaned(*notebook.cells))
