import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from autograder import gradebook, sandbox
from autograder.course import Course, read_course
from autograder.grade import Result, grade_stage, hash_rules, read_result, released_points, result_path
from autograder.submissions import hash_submission, normalise, students_of
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
    results, failed = grade_stage(course, STAGE, [student])
    assert failed == {}
    return results[0]


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


def test_magics_for_plots_cost_nothing(graded):
    magics = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
    assert graded(magics + RIGHT).points == 5


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


WRONG = RIGHT.replace("np.mean([", "np.max([")
ATTACKS = {
    "every later cell becomes pass": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
    "an AST transformer": (
        "import ast\n"
        "class Strip(ast.NodeTransformer):\n    def visit_Assert(self, node): return None\n"
        "get_ipython().ast_transformers.append(Strip())"
    ),
    "numpy says that all is close": "import numpy; numpy.isclose = numpy.allclose = lambda *a, **k: True",
    "the kit says that all is close": "from starter.check import Close; Close.fault = lambda *a: None",
    "json and values are patched": (
        "import json, starter.values as v\n"
        "json.dumps = lambda *a, **k: '[{\"value\": 1}]'\nv.encode = lambda value: b'x'"
    ),
    "the interpreter ends when asked": "import atexit, os; atexit.register(os._exit, 0)",
    "an error without a text": (
        "import starter.values as v\ncalls = v.encode\n"
        "v.encode = lambda value: calls([{'error': ''}] * 3 if isinstance(value, list) else value)"
    ),
    "errors are described by nothing": (
        "import sys\nsys.modules['__main__'].describe_error = lambda error: ''\n"
        "def train_mean(expression, target_gene): raise ValueError"
    ),
    "a file where the answer should be": "open('train_mean.npz', 'w').write('5')",
    "a file in the job": "try: open('/job/train_mean.npz', 'wb').write(b'')\nexcept OSError: pass",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_tricks_around_a_wrong_answer_earn_nothing(graded, attack: str):
    result = graded(WRONG, extra=ATTACKS[attack])
    assert result.points == 0
    assert result.questions[0].reason


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if "patched" not in attack and "error" not in attack])
def test_tricks_around_a_right_answer_cost_nothing(graded, attack: str):
    """So each trick leaves the answer to be judged: it is the wrong value that earns nothing above."""
    assert graded(RIGHT, extra=ATTACKS[attack]).points == 5


ANSWERS = {
    "an object that equals everything": (
        "class Always:\n    def __eq__(self, other): return True\n    def __array__(self, *a, **k): return self\n"
        "def train_mean(expression, target_gene): return Always()"
    ),
    "an array that hides its values": (
        "class Sly(np.ndarray):\n    def __array_function__(self, *a, **k): return True\n"
        "    def __eq__(self, other): return True\n"
        "def train_mean(expression, target_gene): return np.zeros(expression.shape[1]).view(Sly)"
    ),
    "a sparse matrix of a huge shape": (
        "import scipy.sparse\n"
        "def train_mean(expression, target_gene): return scipy.sparse.csr_matrix((1, 2**40), dtype=float)"
    ),
    "nested very deep": (
        "def train_mean(expression, target_gene):\n    x = []\n    for _ in range(400): x = [x]\n    return x"
    ),
    "a number beyond all floats": "def train_mean(expression, target_gene): return [10**400] * expression.shape[1]",
    "a text that cannot be written": "def train_mean(expression, target_gene): return '\\ud800\\x1b[31m'",
    "an error that cannot be written": "def train_mean(expression, target_gene): raise ValueError('\\ud800\\x1b[31m')",
    "nested without end": "def train_mean(expression, target_gene):\n    x = []\n    x.append(x)\n    return x",
    "larger than allowed": "def train_mean(expression, target_gene): return np.zeros(1 << 26)",
    "the process ends itself": "import os; os._exit(0)",
    "the process ends itself when asked": "import os\ndef train_mean(expression, target_gene): os._exit(0)",
    "the cell exits": "import sys; sys.exit(0)",
    "not a function": "train_mean = None",
    "an exception that cannot be printed": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\n"
        "def train_mean(expression, target_gene): raise Mute"
    ),
    "a thousand threads": (
        "import threading, time\n"
        "for _ in range(1000): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_that_are_none_earn_nothing(graded, answer: str):
    result = graded(ANSWERS[answer])
    assert result.points == 0
    assert result.questions[0].reason


def test_a_forged_answer_earns_nothing_and_is_held(graded):
    """A frame that the notebook writes itself counts as its answer; the kit's own then comes as a second one."""
    forge = (
        "import os, struct\n"
        "for fd in range(3, 40):\n"
        "    try: os.write(fd, struct.pack('>HQ', 10, 4) + b'train_mean' + b'full')\n"
        "    except OSError: pass"
    )
    result = graded(RIGHT, extra=forge)
    assert result.points == 0
    assert result.questions[0].reason.startswith("the answer cannot be read")
    assert result.questions[0].held == "more than one answer came for this question; only the kit may send one"


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
    short = read_course(course.root)
    submit(short, "ada", RIGHT + "\nwhile True: pass")
    result = grade_one(short)
    assert result.points == 0
    assert result.questions[0].reason == "the notebook was stopped after 5 s, before this question was reached"


def test_a_slow_answer_is_stopped_and_told(graded):
    slow = "import time\ndef train_mean(expression, target_gene): time.sleep(30)"
    assert graded(slow).questions[0].reason == "case 1 of 3: it took longer than 10 s"


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
    "no question": (b'{"cells": []}', "case 1 of 3: the notebook defines no train_mean"),
    "odd metadata": (
        b'{"cells": [{"cell_type": "poem", "source": ["x"], "metadata": null, "id": 5, "outputs": 3}]}',
        "case 1 of 3: the notebook defines no train_mean",
    ),
}


def hand_in(course: Course, student: str, content: bytes | None) -> None:
    folder = course.grading / "submitted" / student / STAGE
    folder.mkdir(parents=True)
    if content is not None:
        (folder / f"{STAGE}.ipynb").write_bytes(content)


@pytest.mark.parametrize("kind", NOTEBOOKS)
def test_a_notebook_that_is_none_is_0_with_the_reason_in_the_gradebook_too(
    sandbox_here: None, course: Course, kind: str
):
    content, said = NOTEBOOKS[kind]
    hand_in(course, "ada", content)
    submit(course, "bob", RIGHT)
    for _ in range(2):  # the second batch takes the results of the first
        results, _ = grade_stage(course, STAGE)
        assert results[0].questions[0].reason.startswith(said)
        assert [result.points for result in results] == [0, 5]
        assert gradebook.record(course, STAGE, ["ada", "bob"]) == {}
        assert recorded(course) == {"ada": (0.0, 0), "bob": (5.0, 0)}


def recorded(course: Course) -> dict[str, tuple[float, int]]:
    """Read points and the manual flag of each student from nbgrader's database."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grades = {
            submission.student.id: book.find_grade("train_mean", STAGE, STAGE, submission.student.id)
            for submission in book.assignment_submissions(STAGE)
        }
        return {student: (grade.auto_score, int(grade.needs_manual_grade)) for student, grade in grades.items()}


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


@pytest.mark.parametrize(
    "work", [drop_check, copy_check, more_points, text_for_code, no_metadata, no_solution_cell, a_print_of_points]
)
def test_changed_cells_change_no_points_anywhere(sandbox_here: None, course: Course, work: object):
    change(course, "ada", work)
    assert grade_one(course).points == 5
    assert gradebook.record(course, STAGE, ["ada"]) == {}
    assert recorded(course) == {"ada": (5.0, 0)}


def test_a_held_question_waits_for_the_instructor_and_keeps_its_points(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    result = grade_one(course)
    path = result_path(course, STAGE, "ada")
    content = json.loads(path.read_text())
    content["questions"][0]["held"] = "look at this"
    path.write_text(json.dumps(content))
    assert gradebook.record(course, STAGE, ["ada"]) == {}
    assert recorded(course) == {"ada": (result.points, 1)}


@pytest.mark.parametrize(("points", "due"), [(99.0, 5.0), (-3.0, 0.0), (float("nan"), 0.0), (float("inf"), 0.0)])
def test_points_are_clamped_whatever_a_result_says(sandbox_here: None, course: Course, points: float, due: float):
    submit(course, "ada", RIGHT)
    grade_one(course)
    path = result_path(course, STAGE, "ada")
    content = json.loads(path.read_text())
    content["questions"][0]["points"] = points
    path.write_text(json.dumps(content))
    assert gradebook.record(course, STAGE, ["ada"]) == {}
    assert recorded(course)["ada"][0] == due


def test_a_stale_result_is_not_recorded(sandbox_here: None, course: Course):
    folder = submit(course, "ada", RIGHT)
    grade_one(course)
    (folder / "new.txt").write_text("changed since")
    failed = gradebook.record(course, STAGE, ["ada"])
    assert "ada's submission was not graded yet, or changed since; run: autograder grade 04_baselines" in failed["ada"]


def test_one_command_grades_all_and_lists_what_failed(sandbox_here: None, course: Course):
    import subprocess
    import sys

    submit(course, "ada", RIGHT)
    hand_in(course, "bob", b"{broken")
    hand_in(course, "cyd", None)
    hand_in(course, "d e;f", b"{}")
    command = [
        sys.executable,
        "-c",
        "from autograder.cli import main; main()",
        "grade",
        STAGE,
        "--course",
        str(course.root),
    ]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == "d e;f: not graded: a student's folder is named with letters, digits and . _ @ -\n"
        for text in ("5 of 5", "damaged", "there is no notebook"):
            assert text in done.stdout


def test_nobodys_fault_stops_the_others(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    submit(course, "bob", "import os; os._exit(1)")
    (course.grading / "submitted" / "cyd" / STAGE).mkdir(parents=True)
    submit(course, "dan", RIGHT)
    results = {result.student: result.points for result in grade_stage(course, STAGE)[0]}
    assert results == {"ada": 5, "bob": 0, "cyd": 0, "dan": 5}


def test_a_fault_of_the_grader_stops_one_student_alone(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    for student in ("ada", "bob", "cyd"):
        submit(course, student, RIGHT)

    def broken(course: Course, stage: str, student: str) -> tuple:
        if student == "bob":
            raise MemoryError
        return normalise(course, stage, student)

    monkeypatch.setattr("autograder.grade.normalise", broken)
    results, failed = grade_stage(course, STAGE)
    assert [(result.student, result.points) for result in results] == [("ada", 5), ("cyd", 5)]
    assert failed == {"bob": "not graded: MemoryError: "}
    assert not result_path(course, STAGE, "bob").exists()


def test_hidden_folders_where_students_code_can_read_are_refused(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    submit(course, "ada", RIGHT)
    monkeypatch.setattr(sandbox.sys, "prefix", str(course.root))
    with pytest.raises(sandbox.NoSandboxError, match="grading lies in .*, which students' code can read; move"):
        grade_stage(course, STAGE)


def test_a_stage_that_was_not_released_is_not_graded(sandbox_here: None, course: Course):
    submit(course, "ada", RIGHT)
    shutil.rmtree(course.root / "assignments")
    with pytest.raises(InputError, match="04_baselines was not released: there is no .*; run: autograder release"):
        grade_stage(course, STAGE)


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
    content["rules_sha256"] = "0" * 64
    content["questions"][0]["points"] = 1.0
    path.write_text(json.dumps(content))
    assert grade_one(course).points == 5
    path.write_text("half")
    with pytest.raises(InputError, match="ada.json is missing or damaged .*; grade the submission again"):
        read_result(path)
    assert grade_one(course).points == 5


def test_what_points_depend_on_changes_the_rules(course: Course):
    before = hash_rules(course, STAGE)
    assert hash_rules(course, STAGE) == before
    changed = [before]
    for path, old, new in (
        (course.root / "course.toml", "seconds = 60", "seconds = 50"),
        (course.root / "solutions" / STAGE / f"{STAGE}.ipynb", '"points": 5', '"points": 6'),
        (course.root / "assignments" / STAGE / f"{STAGE}.ipynb", "import", "import  "),
    ):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        changed.append(hash_rules(read_course(course.root), STAGE))
    assert len(set(changed)) == 4


@pytest.mark.parametrize("points", ["null", '"many"', "true", "-1", "Infinity"])
def test_points_that_are_none_are_refused(course: Course, points: str):
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    path.write_text(path.read_text().replace('"points": 5', f'"points": {points}'))
    with pytest.raises(InputError, match="the question 'train_mean' has .* points, not a number from 0"):
        released_points(course, STAGE)


def test_a_result_is_one_file_with_everything(graded, course: Course):
    result = graded(RIGHT)
    path = course.grading / "results" / STAGE / "ada.json"
    content = json.loads(path.read_text())
    assert content["student"] == "ada"
    assert list(content["questions"][0]) == ["name", "points", "max", "reason", "seconds", "held"]
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


def test_only_regular_files_within_the_limit_are_taken(course: Course, tmp_path: Path):
    file = course.root / "course.toml"
    file.write_text(file.read_text().replace("[limits]", "[limits]\nsubmission_mib = 1"))
    small = read_course(course.root)
    folder = submit(small, "ada")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("b")
    (folder / "zz_big").write_bytes(bytes(2 << 20))
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to("/etc")
    os.mkfifo(folder / "fifo")
    target, fault, notes = normalise(small, STAGE, "ada")
    assert fault is None
    kept = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert kept == ["04_baselines.ipynb", "sub/b.txt"]
    assert sorted(note.split(" ")[0] for note in notes) == ["fifo", "folder", "link", "zz_big"]


def test_folders_and_names_without_end_are_left_out(course: Course):
    folder = submit(course, "ada", RIGHT)
    deep = folder
    for _ in range(20):
        deep /= "x"
        deep.mkdir()
    (folder / "d" / "e" / "f").mkdir(parents=True)
    (folder / "d" / "e" / "f" / ("n" * 250)).write_text("taken")
    (folder / ("o" * 200) / ("o" * 200) / ("o" * 200)).mkdir(parents=True)
    (folder / ("o" * 200) / ("o" * 200) / ("o" * 200) / "p").write_text("too long")
    target, fault, notes = normalise(course, STAGE, "ada")
    assert fault is None
    assert (target / "d" / "e" / "f" / ("n" * 250)).read_text() == "taken"
    assert len(notes) == 2
    assert "holds folders more than 10 deep" in notes[1]
    assert "has too long a name" in notes[0]


def test_a_folder_in_the_notebooks_place_is_no_notebook(course: Course):
    folder = course.grading / "submitted" / "ada" / STAGE / f"{STAGE}.ipynb"
    folder.mkdir(parents=True)
    (folder / "x").touch()
    target, fault, _ = normalise(course, STAGE, "ada")
    assert fault.startswith("there is no notebook")
    assert (target / f"{STAGE}.ipynb").is_file()


def test_a_notebook_that_is_a_link_is_not_followed(course: Course, tmp_path: Path):
    secret = tmp_path / "secret.ipynb"
    secret.write_text('{"cells": []}')
    folder = course.grading / "submitted" / "ada" / STAGE
    folder.mkdir(parents=True)
    (folder / f"{STAGE}.ipynb").symlink_to(secret)
    _, fault, notes = normalise(course, STAGE, "ada")
    assert fault.startswith("there is no notebook")
    assert notes == ["04_baselines.ipynb is not a regular file and was left out"]


def test_a_submissions_hash_is_of_names_and_contents(course: Course):
    folder = submit(course, "ada")
    (folder / "x").write_text("1")
    hashes = {hash_submission(course, STAGE, "ada")}
    (folder / "x").rename(folder / "y")
    hashes.add(hash_submission(course, STAGE, "ada"))
    (folder / "y").write_text("2")
    hashes.add(hash_submission(course, STAGE, "ada"))
    assert len(hashes) == 3


def test_grading_again_normalises_to_the_same(course: Course):
    submit(course, "ada", RIGHT)
    first = (normalise(course, STAGE, "ada")[0] / f"{STAGE}.ipynb").read_text()
    assert (normalise(course, STAGE, "ada")[0] / f"{STAGE}.ipynb").read_text() == first
    nbformat.validate(nbformat.reads(first, as_version=4))


def test_no_submissions_says_where_they_go(course: Course):
    with pytest.raises(
        InputError, match=r"no submissions: put them at .*submitted/<student>/04_baselines/04_baselines.ipynb"
    ):
        students_of(course, STAGE)


def test_a_folder_that_cannot_be_a_students_is_told_apart(course: Course):
    hand_in(course, "a b;c", b"{}")
    hand_in(course, "ada", b"{}")
    assert students_of(course, STAGE) == (["ada"], ["a b;c"])


def test_cells_and_questions_must_fit(course: Course):
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    path.write_text(path.read_text().replace('"grade_id": "train_mean"', '"grade_id": "trainmean"'))
    with pytest.raises(
        InputError, match="trainmean is only in the notebook; train_mean is only in autograder/questions"
    ):
        released_points(course, STAGE)


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
    gradebook.record(course, STAGE, [result.student for result in results])

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
