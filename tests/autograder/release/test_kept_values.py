"""Values of a solved notebook, kept in the sandbox, and a student's notebook that goes on with them in a kernel."""

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from autograder.course import Course
from autograder.release import kept_values
from autograder.release.kept_values import dependent_cells, what_to_keep, write_kept
from autograder.sandbox.notebook_run import run_notebook
from starter.answers import values
from starter.answers.kinds import Variable
from starter.blanks.blank import TEXT
from starter.blanks.kept import cell_file, unpacked

STAGE = "04_baselines"
BLANK = f"raise NotImplementedError({TEXT!r})"
TRAIN = """import os
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
import numpy as np
import matplotlib.pyplot as plt
from starter.check import check
from starter.data.course import open_course
depth = np.asarray(open_course().train().X.sum(axis=1)).ravel()"""
FIRST = "y = scaled(depth, 2)\nplt.plot(y)\nprint(f'{y.mean():.2f}')\ny.max()"
SECOND = "model = Model()\nloss = model.fit(y)\nprint(f'{loss:.2f}')"
THIRD = "more = {'loss': loss + 1}\nopaque = (x for x in [])\nplt.plot([loss]);"
CELLS = {
    TRAIN: TRAIN,
    "def scaled(x, factor=1):\n    return x * factor": f"def scaled(x, factor=1):\n    {BLANK}",
    FIRST: FIRST,
    "scaled(np.arange(3.0), 5)": "check.go_on('scaled')",
    "class Model:\n    def fit(self, x):\n        self.mean = x.mean()\n        return self.mean": (
        f"class Model:\n    def fit(self, x):\n        {BLANK}"
    ),
    SECOND: SECOND,
    "2 * depth": "check.go_on('Model')",
    THIRD: THIRD,
    "print(more['loss'])": "print(more['loss'])",
    "opaque": "opaque",
}
CHECKS = (4, 7)


@pytest.fixture
def notebooks(tmp_path: Path) -> tuple[Path, Path]:
    """The solved and the untouched notebook, in which the checks are replaced by going on."""
    paths = []
    for name, sources in (("solved", CELLS), ("untouched", CELLS.values())):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / f"{STAGE}.ipynb")
        cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources, start=1)]
        for number in CHECKS:
            cells[number - 1].metadata["nbgrader"] = {"grade": True}
        nbformat.write(nbformat.v4.new_notebook(cells=cells), paths[-1])
    return paths[0], paths[1]


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def shown(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output.data for output in cell.outputs if output.output_type != "stream"]


@pytest.mark.usefixtures("sandbox_here")
def test_a_student_goes_on_with_what_the_solved_notebook_gave(
    course: Course, notebooks: tuple[Path, Path], tmp_path: Path
):
    solved, untouched = notebooks
    plan = what_to_keep(course, STAGE, solved, untouched)
    assert plan.blanks == {2: ["scaled"], 5: ["Model"]}
    assert plan.cells == {3: ["y"], 6: ["loss"], 8: ["more"], 9: []}
    ran = run_notebook(course, STAGE, solved.parent, into=tmp_path / "out", keep=plan)
    assert [cell.error for cell in ran.cells] == [""] * len(CELLS)
    write_kept(course, STAGE, solved, plan, tmp_path / "out" / "kept")
    folder = course.grading / "kept" / STAGE
    kept = {path.name: values.decode(path.read_bytes()) for path in folder.iterdir()}
    assert set(kept) == {"scaled.npz", "Model.npz", *map(cell_file, (SECOND, THIRD, "print(more['loss'])"))}
    assert len(kept["scaled.npz"]["calls"]) == 1, "what the checks call is not kept"
    assert kept["Model.npz"] == {"calls": None}
    assert {name: unpacked(value) for name, value in kept[cell_file(THIRD)]["names"].items()}.keys() == {"more"}

    (untouched.parent / "checks").mkdir()
    folder.rename(untouched.parent / "checks" / "values")
    notebook = nbformat.read(untouched, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": untouched.parent}}
    )
    root = str(Path(__file__).parents[3])
    client.execute(env={**os.environ, "PYTHONPATH": root, "VCC_COURSE": str(course.public_folder)})
    depth = values_of_depth(course)
    went_on = dict(enumerate(notebook.cells, start=1))
    assert printed(went_on[3]) == "still empty: write `scaled`, then run its cell and this one again\n"
    mean, most = 2 * depth.mean(), 2 * depth.max()
    assert printed(went_on[4]).splitlines()[1:] == [f"{mean:.2f}"]
    value, figure = shown(went_on[4])
    assert str(most) in value["text/plain"]
    assert "image/png" in figure, "the cell is run again, with its figure"
    assert printed(went_on[7]).endswith(f"what the kit's version gives on this screen:\n{mean:.2f}\n")
    assert ["image/png" in data for data in shown(went_on[8])] == [True]
    assert float(printed(went_on[9]).splitlines()[-1]) == pytest.approx(mean + 1)
    assert "<generator" in shown(went_on[10])[-1]["text/plain"]


@pytest.mark.usefixtures("sandbox_here")
def test_what_is_too_much_for_a_file_is_not_kept_and_all_else_is(course: Course, tmp_path: Path):
    """Each call is small, and all together have more arrays than are read; a cell makes two lists of as many."""
    half = values.MAX_ARRAYS // 2 + 1
    sources = [
        "import numpy as np",
        f"def many(x):\n    {BLANK}",
        "print(sum(len(many(np.arange(i))) for i in range(11)))",
        f"one, other = [[many(np.arange(0))[0]] * {half} for _ in range(2)]",
        "print(len(one), len(other))",
    ]
    paths = []
    for name in ("solved", "untouched"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / f"{STAGE}.ipynb")
        written = [source.replace(BLANK, "return [x] * 1000") if name == "solved" else source for source in sources]
        cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(written)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), paths[-1])
    plan = what_to_keep(course, STAGE, *paths)
    assert plan.cells == {3: [], 4: ["one", "other"], 5: []}
    ran = run_notebook(course, STAGE, paths[0].parent, into=tmp_path / "out", keep=plan)
    assert [cell.error for cell in ran.cells] == [""] * len(sources)
    write_kept(course, STAGE, paths[0], plan, tmp_path / "out" / "kept")
    folder = course.grading / "kept" / STAGE
    assert values.decode((folder / "many.npz").read_bytes()) == {"calls": None}
    third, fourth = (values.decode((folder / cell_file(sources[number])).read_bytes()) for number in (2, 3))
    assert third["outputs"] == [{"text": "11000\n"}]
    assert fourth["names"] == {}


def values_of_depth(course: Course) -> np.ndarray:
    import anndata

    return np.asarray(anndata.read_h5ad(course.public_folder / "train.h5ad").X.sum(axis=1)).ravel()


def test_the_value_of_a_variable_that_is_asked_for_is_kept_nowhere(
    course: Course, notebooks: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    class Question:
        asks = Variable("loss")

    monkeypatch.setattr(kept_values, "questions_of", lambda *_: [Question()])
    assert what_to_keep(course, STAGE, *notebooks).cells == {3: ["y"], 9: []}


def test_a_cell_depends_on_blanks_through_functions_and_changed_tables():
    sources = {
        1: "def f(): pass",
        2: "def g():\n    return f()",
        3: "scores = {}\nother = 1",
        4: "scores['a'] = g()",
        5: "print(scores)",
        6: "print(other)",
        7: "class A: pass",
        8: "class B(A): pass",
        9: "n = 1\nb = B()\nscores = {}",
        10: "scores",
    }
    needs = dependent_cells(sources, {1: ["f"], 7: ["A"], 8: ["B"]})
    assert needs == {
        2: ({"f"}, set()),
        4: ({"f"}, set()),
        5: ({"f"}, set()),
        9: ({"A", "B"}, {"scores", "n"}),
    }


def test_what_is_larger_than_the_limit_is_left_out(
    course: Course, notebooks: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    solved, untouched = notebooks
    plan = what_to_keep(course, STAGE, solved, untouched)
    (tmp_path / "Model.npz").write_bytes(values.encode({"calls": None}))
    for number in plan.cells:
        names = {"loss": {"kind": "plain", "value": np.zeros(2000)}}
        (tmp_path / f"{number}.npz").write_bytes(values.encode({"outputs": [{"text": "1"}], "names": names}))
    monkeypatch.setattr(kept_values, "MOST_BYTES", 20_000)
    write_kept(course, STAGE, solved, plan, tmp_path)
    kept = {
        source: values.decode((course.grading / "kept" / STAGE / cell_file(source)).read_bytes())
        for source in (SECOND, THIRD)
    }
    assert [len(content["names"]) for content in kept.values()] == [1, 0]
    assert kept[THIRD]["outputs"] == [{"text": "1"}]
