"""Notebooks with empty blanks in a real kernel, as JupyterLab and nbconvert run them."""

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from starter.answers import values
from starter.blanks.blank import TEXT
from starter.blanks.fingerprint import fingerprint
from starter.blanks.kept import cell_file, packed
from starter.blanks.notebook import open_blanks, watch

BLANK = f"raise NotImplementedError({TEXT!r})"
IMPORT = "from starter.check import check"
DOUBLED = f"def doubled(x):\n    {BLANK}"


def said(*cells: str, folder: Path | str = ".", allow_errors: bool = False) -> list[str]:
    """Run cells in a new kernel; give what each printed, displayed or raised."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", allow_errors=allow_errors,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    client.execute(env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])})
    return ["".join(map(text_of, cell.outputs)).strip() for cell in notebook.cells]


def text_of(output: nbformat.NotebookNode) -> str:
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return output.text if output.output_type == "stream" else output.data["text/plain"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    question = {
        "asks": {"kind": "function", "name": "doubled", "tensors": False},
        "comparator": {"kind": "close", "rtol": 1e-5, "atol": 1e-8},
        "cases": [{"inputs": {"x": np.array([1.0])}, "due": np.array([2.0]), "mistakes": {}}],
    }
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "doubled.npz").write_bytes(values.encode(question))
    return tmp_path


def test_run_all_goes_past_empty_blanks_and_says_what_waits(folder: Path):
    model = f"class Model:\n    def fit(self):\n        {BLANK}"
    came = said(
        "from starter.blanks.notebook import open_blanks\n" + IMPORT,
        DOUBLED,
        "y = 1\ny = doubled(2)\nz = y",
        "check('doubled', doubled)",
        "import math\ndef f():\n    return z\nw = z + 1",
        "[z for z in range(3)], math.floor(1.5), y",
        "f()",
        model,
        "scores = {}",
        "scores['model'] = Model().fit()",
        "scores",
        "y = 5",
        "y + 1",
        "open_blanks()",
        folder=folder,
    )  # fmt: skip
    needs = "not run: it needs `{}`; write `{}`, then run the cells below it".format
    assert came == [
        "",
        "",
        "still empty: write `doubled`, then run its cell and this one again",
        "doubled: still empty; write it where it says NotImplementedError, then run both cells",
        needs("z", "doubled"),
        needs("y", "doubled"),
        needs("z", "doubled"),
        "",
        "",
        "still empty: write `Model.fit`, then run its cell and this one again",
        needs("scores", "Model"),
        "",
        "6",
        "['doubled', 'Model']",
    ]


def test_what_a_courses_data_do_not_have_is_left_out_with_the_reason(tmp_path: Path):
    course = "from starter.data.course import CourseData\ncourse = CourseData(__import__('pathlib').Path('.'))"
    came = said(
        f"{IMPORT}\n{course}",
        "import math\ngraph = course.priors('*graph.tsv')\nnodes = len(graph)",
        "nodes + 1",
        "def both():\n    return graph\nboth()",
        "other = nodes if course.has_prior('*graph.tsv') else 0",
        "math.floor(1.5)",
        "graph = 'mine'\nboth()",
        folder=tmp_path,
    )
    lacks = "this course's data have no table *graph.tsv of what is known of genes"
    assert came == [
        "",
        f"left out: {lacks}",
        f"left out: it needs `nodes`, and {lacks}",
        f"left out: it needs `graph`, and {lacks}",
        f"left out: it needs `nodes`, and {lacks}",
        "1",
        "'mine'",
    ]


def test_a_blank_of_the_cells_own_level_is_open_until_it_is_written(folder: Path):
    came = said(
        "from starter.blanks.notebook import open_blanks\n" + IMPORT,
        f"# the answer\n{BLANK}",
        "check('doubled', answer)",
        "open_blanks()",
        "# the answer\nanswer = 1",
        "open_blanks()",
        folder=folder,
    )
    assert came[1:4] == [
        "still empty: replace the line with NotImplementedError by your own, then run this cell again",
        "not run: it needs `answer`; write `cell [2]`, then run the cells below it",
        "['cell [2]']",
    ]
    assert came[5] == "[]"


ERRORS = {
    "y = 1\nundefined": "NameError: name 'undefined' is not defined",
    "raise NotImplementedError('of my own')": "NotImplementedError: of my own",
    "def g():\n    x = x + 1\ng()": "UnboundLocalError: ",
    "1 / 0": "ZeroDivisionError: division by zero",
    "check('doubled', lambda x: x)": "NotRight: doubled: case 1 of 1 is not right",
    "def halved(x):\n    return x.half()\nhalved(2)": "AttributeError: 'int' object has no attribute 'half'",
    "y = (": "SyntaxError: ",
}


def test_every_other_error_is_shown_as_ever(folder: Path):
    came = said(IMPORT, DOUBLED, "z = doubled(2)", *ERRORS, folder=folder, allow_errors=True)
    for text, due in zip(came[3:], ERRORS.values(), strict=True):
        assert text.startswith(due)


def test_every_other_error_stops_the_run(folder: Path):
    with pytest.raises(CellExecutionError, match="name 'undefined' is not defined") as caught:
        said(IMPORT, DOUBLED, "z = doubled(2)", "undefined", folder=folder)
    assert "Traceback" in str(caught.value)


def test_a_blank_that_was_written_frees_what_waited(folder: Path):
    came = said(
        IMPORT, DOUBLED, "y = doubled(2)", "y", "def doubled(x):\n    return 2 * x", "y", "y = doubled(2)", "y",
        "check('doubled', doubled)",
        folder=folder,
    )  # fmt: skip
    assert came[5:] == [
        "not run: it needs `y`; write `doubled`, then run the cells below it", "", "4",
        "doubled: right in all 1 cases",
    ]  # fmt: skip


def test_without_a_kernel_nothing_is_watched():
    """As in the sandbox: there an empty blank is reported."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        watch()
        assert open_blanks() == []
        assert shell.ast_transformers == []
        error = shell.run_cell(BLANK, silent=True).error_in_exec
        assert isinstance(error, NotImplementedError)
    finally:
        InteractiveShell.clear_instance()


def keep(folder: Path, name: str, content: object) -> None:
    (folder / "checks" / "values").mkdir(exist_ok=True)
    (folder / "checks" / "values" / name).write_bytes(values.encode(content))


def a_call(gave: object, **arguments: object) -> dict:
    return {**fingerprint(arguments)._asdict(), "gave": packed(gave)}


def test_going_on_gives_kept_values_and_leaves_the_blank_open(folder: Path):
    keep(folder, "doubled.npz", {"calls": [a_call((4.0, "x"), x=2), a_call(6.0, x=3)]})
    came = said(
        "from starter.blanks.notebook import open_blanks\n" + IMPORT,
        DOUBLED,
        "y = doubled(2)\ny",
        "doubled(3);",
        "check('doubled', doubled)",
        "check.go_on('doubled')",
        "y, doubled(x=3)",
        "doubled(5)",
        "check('doubled', doubled)",
        "open_blanks()",
        DOUBLED,
        "doubled(2)",
        "def doubled(x):\n    return 2 * x",
        "doubled(5)",
        folder=folder,
    )
    offer = '  or            check.go_on("doubled") goes on with values of the kit on this screen; the points stay open'
    empty = f"doubled: still empty; write it where it says NotImplementedError, then run both cells\n{offer}"
    goes_on = (
        "`doubled` gives what the kit's version gives on this screen; the points stay open; run the cells below it"
    )
    only = "still empty: write `doubled`, then run its cell and this one again; the kit's values are known for this"
    assert came[4:7] == [empty, f"{goes_on} again\n(4.0, 'x')", "((4.0, 'x'), 6.0)"]
    assert came[7] == f"{only} notebook's own data only"
    assert came[8:] == [empty, "['doubled']", "", "(4.0, 'x')", "", "10"]


def test_where_calls_cannot_be_kept_cells_show_and_make_what_the_kits_version_does(folder: Path):
    model = f"class Model:\n    def fit(self):\n        {BLANK}"
    first = "start = object()\nmodel = Model()\nloss = model.fit()\nstep = 3\nloss"
    second = "print(model.score, loss)\nbest = loss - 1\nrest = step + 1\nfails = 1 / 0"
    keep(folder, "Model.npz", {"calls": None})
    keep(
        folder,
        cell_file(first),
        {"outputs": [{"text/plain": "0.5"}], "names": {"loss": packed(0.5)}, "own": ["start", "step"]},
    )
    keep(
        folder,
        cell_file(second),
        {"outputs": [{"text": "1 0.5\n"}], "names": {"best": packed(np.arange(2))}, "own": ["rest", "fails"]},
    )
    came = said(
        IMPORT,
        model,
        first,
        second,
        "check.go_on('Model')",
        second,
        "best",
        "loss + 1",
        "start, rest",
        "fails",
        folder=folder,
    )
    shown = "`Model` still empty; what the kit's version gives on this screen:\n"
    assert came[2] == "still empty: write `Model.fit`, then run its cell and this one again"
    assert came[3].startswith("not run: it needs `loss`")
    assert came[4].endswith(f"run the cells below it again\n{shown}0.5")
    assert came[5:8] == [f"{shown}1 0.5", "array([0, 1])", "1.5"]
    assert came[8].endswith(">, 4)"), "what needs no blank is made by the cell itself"
    assert came[9].startswith("not run: it needs `fails`")
    wrong = "class Model:\n    def fit(self):\n        return 7"
    came = said(IMPORT, wrong, first, "check.go_on('Model')", first, "loss", wrong, first, folder=folder)
    assert came[2] == "7"
    assert came[4:] == [f"{shown}0.5", "0.5", "", "7"]


def test_without_kept_values_going_on_says_who_makes_them(folder: Path):
    assert said(IMPORT, "check.go_on('doubled')", folder=folder)[1].endswith("by: autograder rehearse")
    keep(folder, "halved.npz", {"calls": None})
    assert said(IMPORT, "check.go_on('doubled')", folder=folder)[1] == "no values are kept of 'doubled', only of halved"
