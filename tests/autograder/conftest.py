import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from copies import copied, unfinished
from handing_in import STAGE, TEXT, grade_one, submit
from running import MARK
from six_answers import record_six

from autograder.course import Course, read_course
from autograder.grading.results import Result
from autograder.questions.question import PREDICTION
from autograder.release.notebooks import release_notebooks
from autograder.sandbox import run
from autograder.sandbox.ready import NoSandboxError, check_sandbox
from autograder.sandbox.zygotes import Zygotes, zygotes
from starter.data import pseudobulk
from starter.data.course import open_course
from starter.data.dataset import PAIR, contexts
from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.prediction.write import write_prediction
from starter.schema import CONTROL


@pytest.fixture(scope="session")
def sandbox_here() -> None:
    """Skip where students' code cannot be run."""
    try:
        check_sandbox()
    except NoSandboxError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def zygotes_here(sandbox_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Zygotes]]:
    """Give a folder for what is run, and zygotes whose forks run it."""
    folder = tmp_path_factory.mktemp("batch")
    folder.chmod(0o755)
    with zygotes(folder, ["import numpy.random", f"import {MARK}"]) as here:
        yield folder, here


@pytest.fixture
def run_forked(zygotes_here: tuple[Path, Zygotes]):
    """Run Python source in a fork of a zygote."""
    folder, here = zygotes_here

    def run_source(source: str, **options: object) -> run.Outcome:
        job = Path(tempfile.mkdtemp(dir=folder))
        (job / "source.py").write_text(source)
        run.open_to_all(job)
        defaults = {"seconds": 20, "memory_gib": 1, "processes": 64, "workdir": "/home/student/work"} | options
        defaults["read_only"] = {"/job": job, **defaults.get("read_only", {})}
        outcome = run.run(["/job/source.py"], start=here.start, **defaults)
        assert here.refusal == ""
        return outcome

    return run_source


@pytest.fixture(scope="session")
def released_with_text(released: Course, once: Callable) -> Course:
    """The released course with a question that is answered in words, graded by hand, for its prediction. Read only."""

    def fill(root: Path) -> None:
        shutil.copytree(released.root, root, dirs_exist_ok=True, ignore=unfinished)
        path = root / "solutions" / STAGE / f"{STAGE}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        about = {"grade_id": TEXT, "grade": True, "solution": True, "locked": False, "task": False, "points": 4}
        cell = nbformat.v4.new_markdown_cell("Your answer here.", metadata={"nbgrader": {"schema_version": 3, **about}})
        notebook.cells = [
            cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != PREDICTION
        ]
        notebook.cells += [nbformat.v4.new_markdown_cell("## Why is it hard to beat?"), cell]
        nbformat.write(notebook, path)
        settings = root / "course.toml"
        settings.write_text(settings.read_text().replace("prediction = {}\n", ""))
        release_notebooks(read_course(root))

    return read_course(once("written", fill))


@pytest.fixture
def written(released_with_text: Course, tmp_path: Path) -> Course:
    """A course with a question that is answered in words, to write to."""
    return copied(released_with_text, tmp_path / "course")


@pytest.fixture(scope="session")
def recorded_once(released_with_text: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A small class that handed in one stage. Read only."""
    return record_six(copied(released_with_text, tmp_path_factory.mktemp("recorded") / "course").root)


@pytest.fixture
def recorded(recorded_once: Course, tmp_path: Path) -> Course:
    """A copy to write to."""
    return copied(recorded_once, tmp_path / "course")


@pytest.fixture
def graded(sandbox_here: None, course: Course):
    def run(code: str | None = None, extra: str = "") -> Result:
        submit(course, "ada", code, extra)
        return grade_one(course)

    return run


@pytest.fixture(scope="session")
def train_mean(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound prediction, which says the same of every hidden perturbation."""
    data = open_course(released.public_folder)
    train, split = data.train(), data.split()
    profiles = pseudobulk.profiles(train).droplevel("context").drop(index=CONTROL)
    hidden = split.n_cells("hidden")
    table = pd.DataFrame([profiles.mean()] * len(hidden), index=list(hidden))
    table = pd.concat({contexts(train)[0]: table}, names=PAIR)
    path = tmp_path_factory.mktemp("prediction") / "prediction.h5ad"
    write_prediction(path, cells.make_cells(table, controls_of(train), hidden), train.var_names)
    return path
