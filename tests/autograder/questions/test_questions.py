"""Questions of every kind, asked in the sandbox: eight in one process."""

import nbformat
import pytest

from autograder.course import Course, read_course
from autograder.grading.grade import grade_stage
from autograder.grading.results import Result
from autograder.release.notebooks import release_notebooks
from benchmarks.stage import PARTS, STAGE, answer, write_stage
from starter.errors import InputError


@pytest.fixture
def eight(course: Course) -> Course:
    """A course with the stage of eight questions, released."""
    write_stage(course.root)
    settings = course.root / "course.toml"
    settings.write_text(settings.read_text() + f"\n[stages.{STAGE}]\n")
    made = read_course(course.root)
    release_notebooks(made)
    return made


def hand_in(course: Course, student: str, wrong: tuple[str, ...] = (), change: dict[str, str] | None = None) -> None:
    notebook = nbformat.read(course.root / "assignments" / STAGE / f"{STAGE}.ipynb", as_version=4)
    answer(notebook, wrong)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removesuffix("_code")
        if name in (change or {}) and cell.metadata.nbgrader.solution:
            cell.source = change[name]
    folder = course.grading / "submitted" / student / STAGE
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{STAGE}.ipynb")


def by_student(course: Course) -> dict[str, Result]:
    results, failed = grade_stage(course, STAGE, jobs=2)
    assert failed == {}
    return {result.student: result for result in results}


def test_questions_of_every_kind(sandbox_here: None, eight: Course):
    pytest.importorskip("torch")
    names = tuple(part.name for part in PARTS)
    hand_in(eight, "ada")
    hand_in(eight, "bob", wrong=names)
    odd = {
        "depth": "def depth(counts, more): return 0",
        "n_controls": "import os; os.mkfifo('means.csv')",
        "Encoder": (
            "class Encoder(torch.nn.Module):\n    def __init__(self, genes, hidden):\n        super().__init__()\n"
            "        self.other = torch.nn.Linear(genes, hidden)"
        ),
        "Effects": "class Effects:\n    def __init__(self, control): raise ValueError('no')",
        "means": "pass",
        "top_genes": "def top_genes(effect, n): return effect",
        "pseudobulk": "def pseudobulk(expression, labels): return expression.groupby(labels).mean().T",
        "normalise": "def normalise(counts, target): return torch.ones(6, 4)",
    }
    hand_in(eight, "cyd", change=odd)
    results = by_student(eight)
    points = {student: {q.name: q.points for q in result.questions} for student, result in results.items()}
    assert points["ada"] == dict.fromkeys(names, 2.0)
    assert points["bob"] == {name: 1.0 if name == "normalise" else 0.0 for name in names}
    assert points["cyd"] == dict.fromkeys(names, 0.0)
    bob = {question.name: question for question in results["bob"].questions}
    assert bob["normalise"].reason.endswith("likely cause: the logarithm is missing (this earns 50% of the case)")
    assert bob["normalise"].called == "normalise(counts=6 x 4 sparse matrix (24 stored values), target=50.0)"
    assert bob["n_controls"].due == "300"
    assert bob["Effects"].reason.startswith("at [1]: 3 of 3 values differ; ")
    assert bob["Effects"].called.startswith("Effects(control='c'), then .fit(expression=")
    assert bob["Encoder"].called.startswith("Encoder(genes=4, hidden=2) with given weights, then .forward(x=")
    assert bob["means"].reason.startswith("in the column 'mean': ")
    cyd = {question.name: question.reason for question in results["cyd"].questions}
    assert cyd.pop("normalise").startswith("24 of 24 values differ; ")
    assert cyd.pop("top_genes").startswith("case 1 of 2: expected a list, got [")
    assert 'Unexpected key(s) in state_dict: "layer.weight", "layer.bias"' in cyd.pop("Encoder")
    assert cyd == {
        "depth": "case 1 of 2: TypeError: depth() missing 1 required positional argument: 'more'",
        "pseudobulk": "the columns differ: missing 4 (W, X, Y, Z), extra 3 (A, B, C); likely cause: rows and columns "
        "are exchanged: the result is transposed; turn it round with .T",
        "n_controls": "the notebook defines no n_controls",
        "Effects": "ValueError: no",
        "means": "means.csv is not a regular file of at most 64 MiB",
    }


def test_students_get_the_form_of_a_variable_and_not_its_value(eight: Course):
    from starter.check import check

    folder = eight.root / "assignments" / STAGE / "checks"
    check("n_controls", 5, folder)
    with pytest.raises(
        AssertionError, match=r"n_controls: case 1 of 1 is not right\n  expected      number\n  got           list of 1"
    ):
        check("n_controls", [300], folder)
    assert b"300" not in (folder / "n_controls.npz").read_bytes()
    with pytest.raises(InputError, match="there is no file means.csv beside the notebook"):
        check("means", "means.csv", folder)
