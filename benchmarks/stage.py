"""A stage of eight questions of every kind, for a course and, with tests in the notebook, for plain nbgrader."""

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

STAGE = "01_eight"
TITLE = "Eight questions"
SETUP = """\
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse
import torch

from starter.data.course import open_course

train = open_course().train()
target_gene = train.obs["target_gene"].astype(str).to_numpy()
"""


@dataclass(frozen=True)
class Part:
    """A blank with its question."""

    name: str
    solution: str
    """A right answer, as a student may write it."""
    wrong: str
    """Replaces the solution's text before `->` by what stands behind."""
    test: str
    """The same question as nbgrader asks it: a test that runs in the student's kernel."""


PARTS = (
    Part(
        "depth",
        "def depth(counts):\n    return np.asarray(counts.sum(axis=1)).ravel()",
        "sum->mean",
        "rng = np.random.default_rng(5)\n"
        "counts = scipy.sparse.csr_matrix(rng.poisson(1.0, (7, 5)))\n"
        "np.testing.assert_allclose(depth(counts), counts.toarray().sum(axis=1))",
    ),
    Part(
        "normalise",
        "def normalise(counts, target):\n"
        "    scale = target / np.asarray(counts.sum(axis=1)).ravel()\n"
        "    return scipy.sparse.csr_matrix(counts.multiply(scale[:, None])).log1p()",
        ".log1p()->",
        "rng = np.random.default_rng(6)\n"
        "counts = scipy.sparse.csr_matrix(1.0 + rng.poisson(1.0, (6, 4)))\n"
        "dense = counts.toarray()\n"
        "due = np.log1p(dense * 50 / dense.sum(axis=1, keepdims=True))\n"
        "np.testing.assert_allclose(normalise(counts, 50.0).toarray(), due)",
    ),
    Part(
        "pseudobulk",
        "def pseudobulk(expression, labels):\n    return expression.groupby(labels).mean()",
        ".mean()->.median()",
        "rng = np.random.default_rng(7)\n"
        "table = pd.DataFrame(rng.gamma(1.0, size=(9, 3)), columns=list('XYZ'))\n"
        "labels = np.array(list('ABAABBABA'))\n"
        "due = pd.DataFrame({name: table[labels == name].mean() for name in 'AB'}).T\n"
        "pd.testing.assert_frame_equal(pseudobulk(table, labels), due, check_names=False)",
    ),
    Part(
        "top_genes",
        "def top_genes(effect, n):\n    return list(effect.abs().sort_values(ascending=False).index[:n])",
        ".abs()->",
        "effect = pd.Series([-3.0, 1.0, 2.0, -0.5], index=list('PQRS'))\nassert top_genes(effect, 2) == ['P', 'R']",
    ),
    Part(
        "n_controls",
        'n_controls = int((target_gene == "non-targeting").sum())',
        "==->!=",
        'assert n_controls == int((open_course().train().obs["target_gene"] == "non-targeting").sum())',
    ),
    Part(
        "Effects",
        "class Effects:\n"
        "    def __init__(self, control):\n"
        "        self.control = control\n"
        "    def fit(self, expression, labels):\n"
        "        profiles = {name: expression[labels == name].mean(axis=0) for name in np.unique(labels)}\n"
        "        self.effects = {name: row - profiles[self.control] for name, row in profiles.items()}\n"
        "    def predict(self, name):\n"
        "        return self.effects[name]",
        "row - profiles[self.control]->row",
        "rng = np.random.default_rng(8)\n"
        "x = rng.gamma(1.0, size=(8, 3))\n"
        "labels = np.array(['c', 'a', 'c', 'b', 'a', 'c', 'b', 'b'])\n"
        "model = Effects(control='c')\n"
        "model.fit(expression=x, labels=labels)\n"
        "np.testing.assert_allclose(model.predict(name='b'), x[labels == 'b'].mean(0) - x[labels == 'c'].mean(0))",
    ),
    Part(
        "Encoder",
        "class Encoder(torch.nn.Module):\n"
        "    def __init__(self, genes, hidden):\n"
        "        super().__init__()\n"
        "        self.layer = torch.nn.Linear(genes, hidden)\n"
        "    def forward(self, x):\n"
        "        return torch.relu(self.layer(x))",
        "torch.relu(self.layer(x))->self.layer(x)",
        "generator = torch.Generator().manual_seed(9)\n"
        "weight, bias, x = (torch.randn(shape, generator=generator) for shape in ((2, 4), (2,), (6, 4)))\n"
        "model = Encoder(genes=4, hidden=2)\n"
        "model.load_state_dict({'layer.weight': weight, 'layer.bias': bias})\n"
        "torch.testing.assert_close(model(x), torch.relu(x @ weight.T + bias))",
    ),
    Part(
        "means",
        'means = pd.DataFrame({"mean": np.asarray(train.X.mean(axis=0)).ravel()}, index=train.var_names)\n'
        'means.to_csv("means.csv", index_label="gene")',
        "mean(axis=0)->max(axis=0).toarray()",
        'means = pd.read_csv("means.csv", index_col="gene")["mean"]\n'
        "due = np.asarray(open_course().train().X.mean(axis=0)).ravel()\n"
        "np.testing.assert_allclose(means.to_numpy(), due, rtol=1e-5)",
    ),
)
QUESTIONS = '''\
"""Eight questions, of every kind."""

import functools

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import File, Function, Object, Variable


@functools.cache
def train(data):
    return anndata.read_h5ad(data / "train.h5ad")


def counts(rng):
    return [{"counts": scipy.sparse.csr_matrix(rng.poisson(1.5, shape))} for shape in ((7, 5), (4, 9))]


def table(rng):
    labels = np.array(list("ABAABBCBA"))
    return [{"expression": pd.DataFrame(rng.gamma(1.0, size=(9, 4)), columns=list("WXYZ")), "labels": labels}]


def effects(rng):
    cases = []
    for n in (2, 4):
        values = rng.normal(size=9)
        values[rng.integers(9)] = -5.0  # the strongest lowers expression
        cases.append({"effect": pd.Series(values, index=list("ABCDEFGHI")), "n": n})
    return cases


def screen(rng):
    x, labels = rng.gamma(1.0, size=(8, 3)), np.array(["c", "a", "c", "b", "a", "c", "b", "b"])
    calls = [["fit", {"expression": x, "labels": labels}], ["predict", {"name": "a"}], ["predict", {"name": "b"}]]
    return [{"build": {"control": "c"}, "calls": calls}]


def effects_due(build, calls):
    fit = calls[0][1]
    mean = {name: fit["expression"][fit["labels"] == name].mean(axis=0) for name in "abc"}
    return [None, *(mean[call["name"]] - mean[build["control"]] for _, call in calls[1:])]


def module(rng):
    weights = {"layer.weight": rng.normal(size=(2, 4)), "layer.bias": rng.normal(size=2)}
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    x = rng.normal(size=(6, 4)).astype(np.float32)
    return [{"build": {"genes": 4, "hidden": 2}, "weights": weights, "calls": [["forward", {"x": x}]]}]


def module_due(build, weights, calls):
    return [np.maximum(calls[0][1]["x"] @ weights["layer.weight"].T + weights["layer.bias"], 0)]


def normalised(counts, target):
    return np.log1p(counts.toarray() * target / counts.toarray().sum(axis=1, keepdims=True))


def without_log(counts, target):
    return np.expm1(normalised(counts, target))


def n_controls(data):
    return int((train(data).obs.target_gene == "non-targeting").sum())


def means(data):
    return pd.DataFrame({"gene": train(data).var_names, "mean": np.asarray(train(data).X.mean(axis=0)).ravel()})


def with_target(rng):
    return [{"counts": scipy.sparse.csr_matrix(1.0 + rng.poisson(1.0, (6, 4))), "target": 50.0}]


QUESTIONS = (
    Question("depth", Function("depth"), lambda counts: counts.toarray().sum(axis=1), counts),
    Question(
        "normalise",
        Function("normalise"),
        normalised,
        with_target,
        mistakes=(
            Mistake("the logarithm is missing", without_log, credit=0.5),
        ),
    ),
    Question(
        "pseudobulk",
        Function("pseudobulk"),
        lambda expression, labels: pd.DataFrame({name: expression[labels == name].mean() for name in "ABC"}).T,
        table,
        comparator=Same(),
    ),
    Question(
        "top_genes",
        Function("top_genes"),
        lambda effect, n: [name for _, name in sorted(zip(-effect.abs(), effect.index, strict=True))][:n],
        effects,
        comparator=Same(),
    ),
    Question("n_controls", Variable("n_controls"), n_controls),
    Question("Effects", Object("Effects"), effects_due, screen, comparator=Same()),
    Question("Encoder", Object("Encoder"), module_due, module, comparator=Same()),
    Question("means", File("means.csv"), means, comparator=Same()),
)
'''


def write_stage(root: Path, *, in_process: bool = False) -> None:
    """Write the stage's notebook, and its questions where values are compared outside.

    Parameters
    ----------
    root
        A course's folder.
    in_process
        Whether the notebook tests the answers itself, as plain nbgrader wants it.
    """
    cells = [new_markdown_cell(f"# {TITLE}"), new_code_cell(SETUP)]
    for part in PARTS:
        cells.append(_cell(part.name, f"### BEGIN SOLUTION\n{part.solution}\n### END SOLUTION", solution=True))
        local = f'check("{part.name}", {part.name})' if part.name != "means" else 'check("means", "means.csv")'
        hidden = f"### BEGIN HIDDEN TESTS\n{part.test}\n### END HIDDEN TESTS"
        test = hidden if in_process else f"from starter.check import check\n\n{local}"
        cells.append(_cell(part.name, test, solution=False))
    folder = root / "solutions" / STAGE
    folder.mkdir(parents=True)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = new_notebook(cells=cells, metadata=kernel)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    nbformat.write(notebook, folder / f"{STAGE}.ipynb")
    if not in_process:
        (root / "questions").mkdir(exist_ok=True)
        (root / "questions" / f"{STAGE}.py").write_text(QUESTIONS, encoding="utf-8")


def _cell(name: str, source: str, *, solution: bool) -> nbformat.NotebookNode:
    about = {"schema_version": 3, "task": False, "solution": solution, "grade": not solution, "locked": not solution}
    about["grade_id"] = f"{name}_code" if solution else name
    if not solution:
        about["points"] = 2
    return new_code_cell(source, metadata={"nbgrader": about})


def answer(notebook: nbformat.NotebookNode, wrong: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    """Fill the blanks of the released notebook, some of them wrongly."""
    parts = {f"{part.name}_code": part for part in PARTS}
    for cell in notebook.cells:
        part = parts.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if part:
            cell.source = part.solution
            if part.name in wrong:
                old, new = part.wrong.split("->")
                cell.source = part.solution.replace(old, new)
    return notebook
