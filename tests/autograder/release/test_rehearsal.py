"""A rehearsal finds what is planted: broken cells, solutions, blanks, mistakes; and touches nothing else."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course
from autograder.release import rehearsal
from autograder.release.notebooks import release_notebook
from autograder.release.rehearsal import Rehearsal, changed_stages, rehearse
from autograder.sandbox import contents
from autograder.sandbox.ready import NoSandboxError
from starter.errors import InputError
from starter.files import sha256

STAGE = "04_baselines"
FIRST_MISTAKE = "the control cells count as a perturbation; leave 'non-targeting' out"
KIT = """
import importlib
from dataclasses import replace

from autograder.questions.question import Mistake

FULL = importlib.import_module("autograder.questions.04_baselines.train_mean").QUESTION
"""
FAULTY = (
    KIT
    + """
first = FULL.mistakes[0]
QUESTIONS = (replace(FULL, mistakes=(first, Mistake("called otherwise", first.gives), Mistake("none", FULL.due))),)
"""
)


SLOW_CELLS = ("predict-public", "score-public", "plot-scores")
"""They score, for which libraries would be compiled."""
ITS_OWN = ("grading/rehearsals", "grading/cache", "grading/kept", "questions/__pycache__")
"""What a rehearsal writes, and what Python keeps of what it imports."""
GRAPH = 'graph = graphs.read_graph(course.priors("*graph.tsv"))\n'


@pytest.fixture
def rehearsed(sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch) -> Course:
    """A course whose cells need nothing that libraries compile."""
    monkeypatch.setattr(contents, "fill_caches", contents.filled_caches)
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id not in SLOW_CELLS]
    nbformat.write(notebook, path)
    edit(course, "hand-in", "import shutil\n", "import shutil\n\n" + GRAPH)
    (course.root / "questions" / f"{STAGE}.py").write_text(
        KIT + "QUESTIONS = (replace(FULL, mistakes=FULL.mistakes[:2]),)\n"
    )
    return course


def edit(course: Course, cell_id: str, old: str, new: str) -> None:
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    assert old in cell.source
    cell.source = cell.source.replace(old, new)
    nbformat.write(notebook, path)


def all_files(folder: Path, *without: str) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256(path) for name, path in names.items() if not name.startswith(without)}


def test_a_sound_stage_has_no_faults_and_nothing_else_is_touched(rehearsed: Course):
    course = rehearsed
    before = all_files(course.root, *ITS_OWN)
    assert changed_stages(course) == [STAGE]
    (done,) = rehearse(course, [STAGE])
    assert done.faults == []
    assert (done.n_questions, done.points, done.most, done.n_mistakes) == (1, 5.0, 5.0, 2)
    assert re.match(r"[\d.]+ of 5 points; scaled scores \(0 for the train mean", done.prediction)
    assert len(done.run.cells) == 10
    assert done.run.seconds > 0
    assert done.run.peak > 100e6
    assert all_files(course.root, *ITS_OWN) == before
    kept = {path.name for path in (course.grading / "kept" / STAGE).iterdir()}
    assert "train_mean.npz" in kept
    given = release_notebook(course, STAGE) / "checks" / "values"
    assert {path.name for path in given.iterdir()} == kept
    folder = course.grading / "rehearsals"
    assert [path.name for path in folder.iterdir()] == [f"{STAGE}.json"]
    assert len(json.loads((folder / f"{STAGE}.json").read_text())["run"]["cells"]) == 10
    assert changed_stages(course) == []
    edit(course, "plot-cells", "title = ", "title =  ")
    assert changed_stages(course) == [STAGE]


@pytest.mark.slow
def test_what_is_planted_is_found(rehearsed: Course):
    course = rehearsed
    edit(course, "plot-cells", "title = ", "no_such_name; title = ")
    edit(course, "train-mean", "np.mean(profiles", "np.max(profiles")
    edit(course, "hand-in", '"prediction.h5ad"', '"other.h5ad"')
    (course.root / "questions" / f"{STAGE}.py").write_text(FAULTY)
    (done,) = rehearse(course, [STAGE])
    mend = f"mend it in solutions/{STAGE}/{STAGE}.ipynb"
    said = [
        rf"cell 5 \(section '1 What is there to learn from\?'\) of the solved notebook raises NameError: .*; {mend}",
        r"cell 9 \(section '2 How well .*\) of the solved notebook raises NameError: .*",
        r"cell 10 \(section .*\) of the solved notebook raises (NotRight|AssertionError): train_mean: case 1 of 3 .*",
        r"question 'train_mean': the solved notebook earns 0 of 5 points \(case 1 of 3: .*\); mend its solution in .*",
        r"the solved notebook's prediction.h5ad is not scored: there is no prediction.h5ad in the submission; mend .*",
        r"question 'train_mean': the mistake 'none' passes for right on this screen; .*",
        r"question 'train_mean': who makes the mistake 'called otherwise' reads .*the control cells count .*",
        r"question 'train_mean': a notebook with the mistake 'none' earns 5 of 5 points; mend the question",
    ]
    for sentence in said:
        assert any(re.fullmatch(sentence, fault, re.DOTALL) for fault in done.faults), sentence
    assert not [fault for fault in done.faults if str(course.grading / "rehearsals") in fault]
    assert f"who makes the mistake {FIRST_MISTAKE!r}" not in "".join(done.faults)
    assert changed_stages(course) == [STAGE]


@pytest.mark.slow
def test_an_answer_in_the_given_cells_is_found(rehearsed: Course):
    course = rehearsed
    text = "labels = [label for label in np.unique(target_gene) if label != CONTROL]"
    path = course.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("tags", []) == []]  # nothing slow
    (cell,) = [cell for cell in notebook.cells if cell.id == "train-mean"]
    assert text in cell.source
    solution = cell.source.replace("    ### BEGIN SOLUTION\n", "").replace("    ### END SOLUTION", "")
    cell.source = solution + "\n\n\n### BEGIN SOLUTION\n\n### END SOLUTION"
    nbformat.write(notebook, path)
    (done,) = rehearse(course, [STAGE])
    leak = "question 'train_mean': the untouched notebook earns 5 points; take the answer out of the given cells"
    assert any(fault.startswith(leak) for fault in done.faults)


@pytest.fixture
def told(sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch):
    """Run `autograder release` with a rehearsal that says so much."""

    def call(faults: list[str], *options: str) -> tuple[object, list[list[str]]]:
        asked = []

        def pretend(course: Course, stages: list[str]) -> list[Rehearsal]:
            asked.append(list(stages))
            run = rehearsal.NotebookRun([], "")
            return [Rehearsal(stage, 1, 5.0, 5.0, 6, "", run, faults) for stage in stages]

        monkeypatch.setattr(rehearsal, "rehearse", pretend)
        arguments = ["release", "--course", str(course.root), *options]
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"}), asked

    return call


@pytest.mark.slow
def test_release_refuses_a_fault_before_notebooks_are_given_out(course: Course, told):
    edit(course, "plot-cells", "title = ", "title =  ")
    before = all_files(course.root / "assignments")
    done, asked = told(["cell 5 raises KeyError; mend it"])
    assert asked == [[STAGE]]
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == f"the rehearsal found 1 fault:\n  - {STAGE}: cell 5 raises KeyError; mend it"
    assert all_files(course.root / "assignments") == before
    done, asked = told(["cell 5 raises KeyError; mend it"], "--no-rehearsal")
    assert (done.exit_code, asked) == (0, [])
    assert all_files(course.root / "assignments") != before


def test_release_goes_on_without_a_sandbox(course: Course, told, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        msg = "grading needs bwrap"
        raise NoSandboxError(msg)

    monkeypatch.setattr("autograder.sandbox.ready.check_sandbox", refuse)
    done, asked = told(["a fault"])
    assert (done.exit_code, asked) == (0, [])
    assert "warning: nothing was rehearsed: grading needs bwrap" in done.output


def test_without_data_it_says_what_to_run(rehearsed: Course):
    course = rehearsed
    (course.public_folder / "train.h5ad").unlink()
    with pytest.raises(InputError, match="no data to rehearse on in .*; run: autograder release"):
        rehearse(course, [STAGE])
    with pytest.raises(InputError, match="has no stage '05_none'"):
        rehearse(course, ["05_none"])
