"""Solved notebooks run on the students' kit, which lacks the modules that answer them."""

import os
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import autograder
from autograder.course import Course
from autograder.release.student_kit import answers_of, write_kit

ROOT = Path(autograder.__file__).parents[1]
ON_THE_KIT = ("01_biology_primer", "02_data_loading", "03_metrics", "04_baselines", "07_transformer")


@pytest.fixture(scope="module")
def unpacked(kit: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The students' kit of the kit's own course, without the answers of any stage."""
    folder = tmp_path_factory.mktemp("student")
    modules = {module for some in answers_of(kit).values() for module in some}
    assert len(modules) >= 8
    write_kit(kit, ROOT, folder / "kit.zip", modules)
    with zipfile.ZipFile(folder / "kit.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", ON_THE_KIT)
def test_the_solved_notebook_runs_on_the_kit(unpacked: Path, tmp_path: Path, stage: str):
    folder = unpacked / "assignments" / stage
    notebook = nbformat.read(ROOT / "solutions" / stage / f"{stage}.ipynb", as_version=4)
    asks = "import starter; print('made with', starter.__path__[0])"
    notebook.cells.append(nbformat.v4.new_code_cell(asks))
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    done = client.execute(env={**os.environ, "VCC_COURSE": "", "PYTHONPATH": str(unpacked)})
    assert done.cells[-1].outputs[0].text == f"made with {unpacked / 'starter'}\n"
    text = "".join(output.get("text", "") for cell in done.cells for output in cell.get("outputs", []))
    assert text.count(": right in all ") >= 5
