import json
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from autograder.course import read_course
from autograder.questions import questions_of
from starter import values

ROOT = Path(__file__).parents[2]
STAGES = sorted(path.name for path in (ROOT / "solutions").iterdir())


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def test_every_stage_of_the_course_has_a_notebook():
    assert list(read_course(ROOT).stages) == STAGES


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("folder", ["solutions", "assignments"])
def test_outputs_are_stripped_and_ids_are_there(stage: str, folder: str):
    for cell in cells_of(ROOT / folder / stage / f"{stage}.ipynb"):
        assert cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("stage", STAGES)
def test_the_committed_assignments_are_what_release_makes(stage: str, tmp_path: Path):
    """Nobody edits assignments/ by hand."""
    import shutil

    from autograder.release import release_notebook

    shutil.copytree(ROOT / "solutions", tmp_path / "solutions")
    shutil.copyfile(ROOT / "course.toml", tmp_path / "course.toml")
    made = release_notebook(read_course(tmp_path), stage)
    committed = ROOT / "assignments" / stage
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(committed)) for path in committed.rglob("*") if path.is_file()}
    assert (made / f"{stage}.ipynb").read_text() == (committed / f"{stage}.ipynb").read_text()
    for question in questions_of(read_course(ROOT), stage):
        new, old = (
            values.decode((folder / "checks" / f"{question.name}.npz").read_bytes()) for folder in (made, committed)
        )
        assert new["comparator"] == old["comparator"]
        for one, other in zip(new["cases"], old["cases"], strict=True):
            assert values.encode(one["inputs"]) == values.encode(other["inputs"])
            np.testing.assert_allclose(one["due"], other["due"], rtol=1e-12)
            for meaning, value in one["mistakes"].items():
                np.testing.assert_allclose(value, other["mistakes"][meaning], rtol=1e-12)


@pytest.mark.parametrize("stage", STAGES)
def test_text_is_short_and_blanks_say_their_length(stage: str):
    for cell in cells_of(ROOT / "solutions" / stage / f"{stage}.ipynb"):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            assert len(re.sub(r"^#.*", "", source).split()) <= 60, source
        if "BEGIN SOLUTION" in source:
            before = source.split("### BEGIN SOLUTION")[0].rstrip().splitlines()[-1]
            lines = source.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0].strip().splitlines()
            assert before.strip() == f"# about {len(lines)} lines"


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute(env={**os.environ, "VCC_COURSE": ""})


@pytest.mark.parametrize("stage", STAGES)
def test_with_the_solutions_it_runs_to_its_end(stage: str, course):
    path = course.root / "solutions" / stage / f"{stage}.ipynb"
    folder = course.root / "assignments" / stage
    done = execute(nbformat.read(path, as_version=4), folder)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "train_mean: right in all 3 cases" in text
    assert "0 errors" in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert not [output for output in outputs if output["output_type"] == "stream" and output["name"] == "stderr"]
    assert (folder / "predictions" / "neighbour_mean_hidden.h5ad").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_untouched_it_stops_at_the_first_blank_and_says_what_to_do(stage: str, course):
    folder = course.root / "assignments" / stage
    notebook = nbformat.read(folder / f"{stage}.ipynb", as_version=4)
    with pytest.raises(CellExecutionError) as caught:
        execute(notebook, folder)
    assert caught.value.ename == "NotImplementedError"
    assert caught.value.evalue == "this part is yours: replace this line, then run the cell again"


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_it_runs_on_the_real_screen(stage: str, papalexi: Path, tmp_path: Path):
    import shutil

    from autograder.release import release

    shutil.copytree(ROOT / "solutions", tmp_path / "solutions")
    shutil.copytree(papalexi, tmp_path / "screen")
    (tmp_path / "course.toml").write_text(
        f'[course]\nname = "real"\n[data]\nscreen = "screen/papalexi_thp1.h5ad"\npriors = "screen/priors"\n'
        f'split = "screen/papalexi_thp1.split.json"\n[stages.{stage}.prediction]\n'
    )
    course = read_course(tmp_path)
    release(course)
    test_with_the_solutions_it_runs_to_its_end(stage, course)
