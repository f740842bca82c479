import json
import os
import shutil
import sqlite3
from pathlib import Path

import nbformat
import pytest

from autograder import gradebook, sandbox
from autograder.course import Course
from autograder.grade import (
    Result,
    grade_stage,
    hash_folder,
    normalise,
    read_result,
    released_points,
    result_path,
    students_of,
)
from starter.schema import InputError

STAGE = "04_baselines"
RIGHT = """
def train_mean(expression, target_gene):
    names = [name for name in np.unique(target_gene) if name != "non-targeting"]
    return np.mean([np.asarray(expression[target_gene == name].mean(axis=0)).ravel() for name in names], axis=0)
"""


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


def grade_one(course: Course, student: str = "ada") -> Result:
    return grade_stage(course, STAGE, [student])[0]


@pytest.fixture
def graded(sandbox_here: None, course: Course):
    def run(code: str | None = None, extra: str = "") -> Result:
        submit(course, "ada", code, extra)
        return grade_one(course)

    return run


def test_an_untouched_notebook_earns_nothing_and_is_told_why(graded):
    result = graded()
    assert (result.points, result.max) == (0, 5)
    assert result.questions[0].reason == "case 1 of 3: the blank is still empty (NotImplementedError)"


def test_the_solution_earns_all(sandbox_here: None, course: Course):
    folder = course.grading / "submitted" / "ada" / STAGE
    folder.mkdir(parents=True)
    shutil.copyfile(course.root / "solutions" / STAGE / f"{STAGE}.ipynb", folder / f"{STAGE}.ipynb")
    result = grade_one(course)
    assert (result.points, result.questions[0].reason, result.notes) == (5, "right in all 3 cases", [])


def test_warnings_and_prints_cost_nothing(graded):
    assert graded(RIGHT, extra="import sys, warnings; print('x', file=sys.stderr); warnings.warn('old')").points == 5


def test_an_error_in_another_cell_costs_nothing(graded):
    assert graded(RIGHT + "\n1 / 0").points == 5


def test_the_first_error_is_shown_where_points_are_lost(graded):
    reason = graded("undefined_name\n" + RIGHT.replace("np.mean(", "np.max(")).questions[0].reason
    assert "first error when the notebook ran: cell 6: NameError: name 'undefined_name' is not defined" in reason


def test_an_exception_is_the_students_reason(graded):
    reason = graded("def train_mean(expression, target_gene):\n    return expression / 0 + missing").questions[0].reason
    assert "NameError" in reason or "ZeroDivisionError" in reason


def test_part_of_the_cases_earns_part_of_the_points(graded):
    partly = RIGHT.replace("    names =", "    if expression.shape[1] == 5:\n        return None\n    names =")
    result = graded(partly)
    assert result.points == pytest.approx(3.33)
    assert result.questions[0].reason.startswith("right in 2 of 3 cases; case 3 of 3: numbers are due, and None came")


ATTACKS = {
    "every later cell becomes pass": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
    "an object that equals everything": (
        "class Always:\n    def __eq__(self, other): return True\n    def __array__(self, *a, **k): return self\n"
        "def train_mean(expression, target_gene): return Always()"
    ),
    "numpy says that all is close": "import numpy; numpy.isclose = numpy.allclose = lambda *a, **k: True",
    "the kit says that all is close": "from starter.check import Close; Close.fault = lambda *a: None",
    "json and values are patched": (
        "import json, starter.values as v; json.dumps = lambda *a, **k: '[{\"value\": 1}]'\n"
        "v.encode = lambda value: b'x'"
    ),
    "a forged answer before the real one": (
        "import os, struct\n"
        "for fd in range(3, 20):\n"
        "    try: os.write(fd, struct.pack('>HQ', 10, 4) + b'train_mean' + b'full')\n"
        "    except OSError: pass"
    ),
    "the process ends itself": "import os; os._exit(0)",
    "the cell exits": "import sys; sys.exit(0)",
    "a file where the answer should be": "open('train_mean.npz', 'w').write('5'); open('/job/train_mean.npz', 'w')",
    "nothing at all": "train_mean = None",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_tricks_earn_nothing(graded, attack: str):
    result = graded(ATTACKS[attack])
    assert result.points == 0
    assert result.questions[0].reason


def test_a_seed_cannot_be_guessed_from_the_public_cases(graded):
    """Answers that are right for the public cases only are wrong for the hidden ones."""
    memorised = """
from starter import values
import pathlib
CASES = values.decode(pathlib.Path("checks/train_mean.npz").read_bytes())["cases"]
def train_mean(expression, target_gene):
    for case in CASES:
        if case["inputs"]["expression"].shape[1] == expression.shape[1]:
            return case["due"]
"""
    assert graded(memorised).points == 0


def test_the_reference_implementation_is_not_there(graded):
    result = graded("from starter.anchors import train_mean")
    assert result.points == 0
    assert "No module named 'starter.anchors'" in result.questions[0].reason


def test_an_endless_notebook_is_stopped_and_told(sandbox_here: None, course: Course):
    (course.root / "course.toml").write_text(
        (course.root / "course.toml").read_text().replace("seconds = 60", "seconds = 5")
    )
    from autograder.course import read_course

    short = read_course(course.root)
    submit(short, "ada", RIGHT + "\nwhile True: pass")
    result = grade_one(short)
    assert result.points == 0
    assert result.questions[0].reason == "the notebook was stopped after 5 s, before this question was reached"


def test_a_slow_answer_is_stopped_and_told(graded):
    slow = "import time\ndef train_mean(expression, target_gene): time.sleep(30)"
    assert graded(slow).questions[0].reason == "case 1 of 3: it took longer than 10 s"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no notebook 04_baselines.ipynb in the submission"),
        (b"{not json", "04_baselines.ipynb is damaged and cannot be opened"),
        (b'{"cells": [1, 2]}', "04_baselines.ipynb is damaged and cannot be opened"),
        (b'{"cells": [{"cell_type": "code", "source": 7}]}', "04_baselines.ipynb is damaged and cannot be opened"),
        (b"[" * 100_000, "04_baselines.ipynb is damaged and cannot be opened"),
        (b'{"cells": []}', "case 1 of 3: the notebook defines no train_mean"),
    ],
)
def test_a_notebook_that_is_none(sandbox_here: None, course: Course, content: bytes | None, said: str):
    folder = course.grading / "submitted" / "ada" / STAGE
    folder.mkdir(parents=True)
    if content is not None:
        (folder / f"{STAGE}.ipynb").write_bytes(content)
    result = grade_one(course)
    assert result.points == 0
    assert result.questions[0].reason.startswith(said)


def test_nobodys_fault_stops_the_others(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    submit(course, "bob", "import os; os._exit(1)")
    (course.grading / "submitted" / "cyd" / STAGE).mkdir(parents=True)
    submit(course, "dan", RIGHT)
    results = {result.student: result.points for result in grade_stage(course, STAGE)}
    assert results == {"ada": 5, "bob": 0, "cyd": 0, "dan": 5}


def test_grading_again_gives_the_same_and_runs_nothing(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    submit(course, "ada", RIGHT)
    first = grade_one(course)

    def never(*args: object, **kwargs: object) -> None:
        pytest.fail("a submission that was graded before ran again")

    monkeypatch.setattr(sandbox, "run", never)
    assert grade_one(course) == first


def test_a_new_submission_is_graded_anew(sandbox_here: None, course: Course):
    folder = submit(course, "ada")
    assert grade_one(course).points == 0
    shutil.rmtree(folder)
    submit(course, "ada", RIGHT)
    assert grade_one(course).points == 5


def test_changed_questions_are_asked_anew(sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch):
    submit(course, "ada", RIGHT)
    grade_one(course)
    path = result_path(course, STAGE, "ada")
    content = json.loads(path.read_text())
    content["questions_sha256"] = "0" * 64
    content["questions"][0]["points"] = 1.0
    path.write_text(json.dumps(content))
    assert grade_one(course).points == 5


def test_the_same_submission_gets_the_same_inputs(course: Course):
    seeds = {course.derived_seed("question", "ada", "digest", "train_mean") for _ in range(3)}
    assert len(seeds) == 1


def test_a_result_is_one_file_with_everything(graded, course: Course):
    result = graded(RIGHT)
    path = course.grading / "results" / STAGE / "ada.json"
    content = json.loads(path.read_text())
    assert content["student"] == "ada"
    assert list(content["questions"][0]) == ["name", "points", "max", "reason", "seconds"]
    assert len(content["submission_sha256"]) == 64
    assert read_result(path) == result


def test_no_sandbox_no_grades(course: Course, monkeypatch: pytest.MonkeyPatch):
    submit(course, "ada", RIGHT)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(sandbox.NoSandboxError, match="apt install bubblewrap"):
        grade_stage(course, STAGE)
    assert not result_path(course, STAGE, "ada").exists()


def test_a_sandbox_that_does_not_start_is_nobodys_0(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    submit(course, "ada", RIGHT)
    monkeypatch.setattr(sandbox.sys, "executable", "/nowhere/python")
    with pytest.raises(sandbox.NoSandboxError, match="the sandbox did not start .*; nobody gets 0 points for that"):
        grade_stage(course, STAGE)
    assert not result_path(course, STAGE, "ada").exists()


def test_only_regular_files_within_the_limit_are_taken(tmp_path: Path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "sub" / "b.txt").write_text("b")
    (source / "big").write_bytes(bytes(5000))
    (source / "link").symlink_to("/etc/passwd")
    (source / "folder").symlink_to("/etc")
    os.mkfifo(source / "fifo")
    notes = normalise(source, tmp_path / "out", limit=1000)
    kept = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in kept) == [
        "a.txt", "sub/b.txt",
    ]  # fmt: skip
    assert sorted(note.split(" ")[0] for note in notes) == ["big", "fifo", "folder", "link"]


def test_a_folders_hash_is_of_names_and_contents(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = hash_folder(tmp_path / "a")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    second = hash_folder(tmp_path / "a")
    (tmp_path / "a" / "y").write_text("2")
    assert len({first, second, hash_folder(tmp_path / "a")}) == 3


def test_no_submissions_says_where_they_go(course: Course):
    with pytest.raises(
        InputError, match=r"no submissions: put them at .*submitted/<student>/04_baselines/04_baselines.ipynb"
    ):
        students_of(course, STAGE)


def test_a_folder_that_cannot_be_a_students_is_refused(course: Course):
    (course.grading / "submitted" / "a b;c" / STAGE).mkdir(parents=True)
    with pytest.raises(InputError, match="a student's folder is named with letters, digits"):
        students_of(course, STAGE)


def test_cells_and_questions_must_fit(course: Course):
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    path.write_text(path.read_text().replace('"grade_id": "train_mean"', '"grade_id": "trainmean"'))
    with pytest.raises(
        InputError, match="trainmean is only in the notebook; train_mean is only in autograder/questions"
    ):
        released_points(course, STAGE)


def test_the_gradebook_has_points_reasons_and_clean_text(sandbox_here: None, course: Course):
    folder = submit(course, "ada", RIGHT.replace("np.mean([", "np.max(["))
    notebook = nbformat.read(folder / f"{STAGE}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("fine <b>text</b> <script>alert(1)</script>"))
    nbformat.write(notebook, folder / f"{STAGE}.ipynb")
    submit(course, "bob", RIGHT)
    (course.grading / "submitted" / "cyd" / STAGE).mkdir(parents=True)
    results = grade_stage(course, STAGE)
    gradebook.record(course, STAGE, [result.student for result in results])

    database = sqlite3.connect(course.grading / "gradebook.db")
    query = "select auto_score, needs_manual_grade from grade"
    assert sorted(database.execute(query).fetchall()) == [(0.0, 0), (0.0, 0), (5.0, 0)]
    recorded = nbformat.read(course.grading / "autograded" / "ada" / STAGE / f"{STAGE}.ipynb", as_version=4)
    graded = next(cell for cell in recorded.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean")
    assert graded.outputs[0].text.startswith("0 of 5 points: case 1 of 3: ")
    assert graded.outputs[1].data["text/plain"] == "0.0"
    added = recorded.cells[-1].source
    assert "<b>text</b>" in added
    assert "<script>" not in added
