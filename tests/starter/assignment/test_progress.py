import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from commands import run
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.course import Course
from starter.answers import values
from starter.assignment.overview import ago
from starter.assignment.progress import cause_of
from starter.assignment.record import hash_text, read_record
from starter.assignment.stage import Stage, StageQuestion, encode_stage, find_stage, read_stage
from starter.errors import InputError

NAME = "04_small"
BLANK = "raise NotImplementedError('this part is yours: replace this line, then run the cell again')"
GIVEN = "Your answer here."


def marked(cell: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    cell.metadata["nbgrader"] = {"grade_id": name, "solution": True}
    return cell


def function(body: str, name: str = "double") -> nbformat.NotebookNode:
    return marked(new_code_cell(f"def {name}(x):\n    {body}"), f"{name}_code")


@pytest.fixture
def stage(tmp_path: Path, released: Course) -> Path:
    """A stage's folder: `double` (3 points), `halve` (2), the variable `n` (1) and words (4)."""
    folder = tmp_path / "assignments" / NAME
    (folder / "checks").mkdir(parents=True)
    asked = (
        StageQuestion("double", 3, "function", "double", ("double_code",)),
        StageQuestion("halve", 2, "function", "halve", ("halve_code",)),
        StageQuestion("n", 1, "variable", "n"),
        StageQuestion("why", 4, "words", GIVEN),
    )
    (folder / "checks" / "questions.json").write_text(encode_stage(Stage(NAME, "A small stage", asked)))
    # how questions are stored is taken from one that was released
    stored = values.decode((released.root / "assignments/04_baselines/checks/train_mean.npz").read_bytes())
    for name, factor in (("double", 2.0), ("halve", 0.5)):
        cases = [{"inputs": {"x": x}, "due": factor * x, "mistakes": {"you squared it": x * x}} for x in (1.0, 3.0)]
        question = {**stored, "asks": {**stored["asks"], "name": name, "tensors": False}, "cases": cases}
        (folder / "checks" / f"{name}.npz").write_bytes(values.encode(question))
    variable = {**stored, "asks": {"kind": "variable", "name": "n"}, "cases": [{"inputs": {}, "form": "number"}]}
    (folder / "checks" / "n.npz").write_bytes(values.encode(variable))
    save(folder, function("return 2 * x"), function("return x * x", "halve"))
    return folder


def save(folder: Path, *cells: nbformat.NotebookNode, words: str = GIVEN) -> nbformat.NotebookNode:
    last = new_code_cell("from starter.assignment.progress import progress\n\nprogress()")
    notebook = new_notebook(cells=[*cells, marked(new_markdown_cell(words), "why"), last])
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    return notebook


def states(folder: Path) -> dict[str, str]:
    record = read_record(folder)
    assert record is not None
    return {standing.name: standing.state for standing in record.standings}


def call(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(f"{code}\nfrom starter.assignment.progress import progress\nprogress()", {"__name__": "kernel"})


def test_each_question_stands_where_it_does(stage: Path, monkeypatch, capsys):
    code = "def double(x):\n    return 2 * x\ndef halve(x):\n    return x * x\nn = 7"
    call(stage, code, monkeypatch)
    assert states(stage) == {"double": "right", "halve": "wrong", "n": "waits", "why": "open"}
    said = capsys.readouterr().out
    assert "3 of 10 points by these checks, 4 open, 2 not right yet, 1 known when it is graded" in said
    record = read_record(stage)
    assert record and record.standings[1].why == "you squared it"
    assert datetime.now(UTC) - record.when < timedelta(minutes=1)


def test_empty_blanks_absent_names_and_errors_are_told_apart(stage: Path, monkeypatch, capsys):
    code = f"def double(x):\n    {BLANK}\ndef halve(x):\n    return 1 / 0"
    call(stage, code, monkeypatch)
    assert states(stage) == {"double": "open", "halve": "wrong", "n": "not run", "why": "open"}
    record = read_record(stage)
    assert record and record.standings[1].why == "it raises ZeroDivisionError: division by zero"
    assert "there is no n yet" in record.standings[2].why
    assert "0 of 10 points by these checks, 8 open, 2 not right yet" in capsys.readouterr().out


def test_words_wait_once_they_are_written_and_saved(stage: Path, monkeypatch):
    save(stage, words=f"  {GIVEN}\n")
    call(stage, "", monkeypatch)
    assert states(stage)["why"] == "open"
    save(stage, words="Since all effects are alike.")
    call(stage, "", monkeypatch)
    assert states(stage)["why"] == "waits"


def test_a_prediction_is_checked_as_a_file(released: Course, good: Path, tmp_path: Path, monkeypatch):
    folder = tmp_path / "04_baselines"
    shutil.copytree(released.root / "assignments" / "04_baselines", folder)
    monkeypatch.setenv("VCC_COURSE", str(released.public_folder))
    call(folder, "", monkeypatch)
    assert states(folder)["prediction"] == "open"
    shutil.copyfile(good, folder / "prediction.h5ad")
    call(folder, "", monkeypatch)
    assert states(folder)["prediction"] == "waits"
    (folder / "prediction.h5ad").write_bytes(good.read_bytes()[:1000])
    call(folder, "", monkeypatch)
    assert states(folder)["prediction"] == "wrong"


def test_in_a_kernel_it_knows_which_cells_ran(stage: Path):
    ran = function("return 2 * x")
    notebook = save(stage, ran, function("return x / 2", "halve"), new_code_cell("n = 7"))
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(stage)}}).execute()
    assert states(stage) == {"double": "right", "halve": "right", "n": "waits", "why": "open"}
    record = read_record(stage)
    assert record and hash_text(ran.source) in record.ran
    table = run("starter", "progress", stage.parent.parent, env={"COLUMNS": "120"}).stdout
    assert "just now" in table or "minute" in table
    assert "changed since" not in table
    save(stage, function("return 3 * x"), function("return x / 2", "halve"))
    assert "changed since: double" in run("starter", "progress", stage, env={"COLUMNS": "120"}).stdout


def test_blanks_without_points_are_named_too(stage: Path):
    notebook = save(stage, function(BLANK), function(BLANK, "shown"), new_code_cell(f"# a table\n{BLANK}"))
    notebook.cells.insert(0, new_code_cell("from starter.check import check"))
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(stage)}}).execute()
    said = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    assert "still empty besides, with no points of its own: shown, cell [4]\n" in said


def test_the_command_adds_up_all_notebooks_and_runs_none(stage: Path, monkeypatch):
    other = stage.with_name("05_other")
    shutil.copytree(stage, other)
    (other / "checks" / "questions.json").write_text(
        (stage / "checks" / "questions.json").read_text().replace(NAME, "05_other")
    )
    nbformat.write(new_notebook(cells=[function(BLANK)]), other / "05_other.ipynb")
    call(stage, "def double(x):\n    return 2 * x", monkeypatch)
    answer = run("starter", "progress", stage.parent.parent, env={"COLUMNS": "120"})
    assert answer.returncode == 0
    rows = [" ".join(line.replace("│", " ").split()) for line in answer.stdout.splitlines()]
    assert any(row.startswith(f"{NAME} 3 7 0 0 10 just now") for row in rows)
    assert "05_other 10 not yet: run its last cell (1 question still empty)" in rows
    assert "all 3 7 0 0 20" in rows


def test_what_was_kept_may_be_damaged_and_a_folder_locked(stage: Path, monkeypatch, capsys):
    call(stage, "", monkeypatch)
    (stage / "checks" / "progress.json").write_text('{"when": "yesterday"')
    assert read_record(stage) is None
    (stage / "checks" / "progress.json").unlink()
    (stage / "checks" / "progress.json").symlink_to("nowhere/at/all")
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    call(stage, "", monkeypatch)
    assert "this was not kept for `starter progress`: cannot write" in capsys.readouterr().out


def test_a_folder_without_notebooks_is_said(tmp_path: Path):
    answer = run("starter", "progress", tmp_path)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "holds no notebook of a course" in answer.stderr
    with pytest.raises(InputError, match="is no stage's folder"):
        read_stage(tmp_path)


def test_a_damaged_list_of_questions_is_said(stage: Path):
    path = stage / "checks" / "questions.json"
    for text in ("{", "[]", '{"name": "x", "title": "", "questions": [{"nam": 1}]}'):
        path.write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            read_stage(stage)


@pytest.mark.parametrize("name", ["04", "04_small", "assignments/04_small", "04_small.ipynb"])
def test_a_stage_is_found_by_how_it_begins_from_anywhere_in_the_course(stage: Path, name: str):
    for place in (stage, stage.parent, stage.parent.parent):
        assert find_stage(name, place) == stage
    with pytest.raises(InputError, match=r"there is no stage '05'.*there are: 04_small"):
        find_stage("05", stage)


def test_the_line_that_helps_most_is_taken():
    message = "mae: not right\n  called        mae(x)\n  difference    x differs"
    assert cause_of(f"{message}\n  likely cause  you forgot abs") == "you forgot abs"
    assert cause_of(message) == "x differs"
    assert cause_of("mae: not right") == "mae: not right"


def test_ago():
    now = datetime.now(UTC)
    assert [ago(now - timedelta(minutes=m)) for m in (0, 1, 59, 60, 1439, 2 * 1440)] == [
        "just now", "1 minute ago", "59 minutes ago", "1 hour ago", "23 hours ago", "2 days ago",
    ]  # fmt: skip


def test_what_students_see_holds_no_answer(released: Course):
    stage = json.loads((released.root / "assignments/04_baselines/checks/questions.json").read_text())
    assert [set(question) for question in stage["questions"]] == 2 * [{"name", "points", "kind", "answer", "blanks"}]
    assert [(question["name"], question["kind"]) for question in stage["questions"]] == [
        ("train_mean", "function"), ("prediction", "prediction"),
    ]  # fmt: skip


def test_importing_the_command_is_quick():
    code = "import starter.commands.assignment, sys; print({'numpy', 'pandas', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
