"""A whole notebook in the sandbox: all its cells, their seconds, errors and memory, and the files that it writes."""

from pathlib import Path

import nbformat
import pytest

from autograder.course import Course
from autograder.sandbox import notebook_run
from autograder.sandbox.notebook_run import run_notebook

STAGE = "04_baselines"
NO_MODELS = "ModuleNotFoundError: No module named 'starter.models'"
pytestmark = pytest.mark.usefixtures("sandbox_here")


@pytest.fixture
def written(tmp_path: Path):
    def write(*sources: str, tags: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "files"
        folder.mkdir()
        cells = [nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{STAGE}.ipynb")
        return folder

    return write


def test_all_cells_run_where_a_student_works(released: Course, written, tmp_path: Path):
    folder = written(
        "import numpy as np\nfrom starter.data.course import open_course\nn_obs = open_course().train().n_obs",
        "import time; time.sleep(1.0)",
        "import starter.models",
        "filled = np.ones(40_000_000)  # 320 MB",
        "del filled\n%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1]);",
        "from pathlib import Path\nPath('made').mkdir()\nPath('made/n.txt').write_text(str(n_obs)); ",
        tags=("not-graded",),
    )
    told, out, wanted = [], tmp_path / "out", ["made/n.txt", "made/none.txt"]
    ran = run_notebook(released, STAGE, folder, wanted, out, ["starter.models"], lambda: told.append(1))
    assert ran.stopped == ""
    assert [cell.number for cell in ran.cells] == [1, 2, 3, 4, 5, 6]
    assert [cell.error.split(";")[0] for cell in ran.cells] == ["", "", NO_MODELS, "", "", ""]
    assert len(told) == 6
    assert 1.0 <= ran.cells[1].seconds < ran.seconds
    assert 300e6 < ran.cells[3].peak - ran.cells[2].peak < 400e6
    assert ran.peak >= ran.cells[3].peak
    assert [path.name for path in out.rglob("*.txt")] == ["n.txt"]
    assert int((out / "made" / "n.txt").read_text()) > 1000


def test_what_is_hidden_is_not_there(released: Course, written, tmp_path: Path):
    names = [released.grading, released.hidden_folder, released.root / "solutions"]
    ran = run_notebook(released, STAGE, written(*(f"open({str(name)!r})" for name in names), "import autograder"))
    assert [cell.error.split(":")[0] for cell in ran.cells] == ["FileNotFoundError"] * 3 + ["ModuleNotFoundError"]


def test_a_notebook_that_ends_itself_is_told(released: Course, written):
    ran = run_notebook(released, STAGE, written("1", "import os; os._exit(7)", "2"))
    assert (len(ran.cells), ran.stopped) == (1, "it ended its own process (exit status 7)")


def test_a_notebook_without_end_is_told(released: Course, written, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notebook_run, "SECONDS", 3)
    ran = run_notebook(released, STAGE, written("1", "while True: pass", "2"))
    assert [cell.error for cell in ran.cells] == ["", "TimeIsUpError: "]
    assert ran.stopped.startswith("all cells together took longer than")
