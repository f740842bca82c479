"""No question is answered by the kit: nothing that a student can still import while grading gives what is due."""

import os
import re
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

import starter

pytest.importorskip("torch")

from answering import SECONDS, STAGES, TooLongError, answering, call, kit, questions_of

SOLUTIONS = Path(__file__).parents[3] / "solutions"


@pytest.fixture(autouse=True)
def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the functions may write out of the way."""
    monkeypatch.chdir(tmp_path)


def test_a_call_is_stopped_where_python_drops_what_is_raised():
    class Short:
        """Something whose end takes long."""

    began = time.monotonic()
    with suppress(TooLongError), call():
        weakref.finalize(Short(), time.sleep, SECONDS * 1.05)
        time.sleep(10)
    assert SECONDS <= time.monotonic() - began < 5 * SECONDS


@pytest.mark.parametrize("stage", STAGES)
def test_the_kit_answers_no_question(stage: str):
    found = answering(questions_of(stage).values())
    assert found == {name: [] for name in questions_of(stage)}


@pytest.mark.parametrize("stage", STAGES)
def test_cells_that_run_while_grading_need_nothing_that_is_left_out(stage: str):
    rooms = {question.without for question in questions_of(stage).values()}
    assert len(rooms) == 1  # so the notebook runs once
    notebook = nbformat.read(SOLUTIONS / stage / f"{stage}.ipynb", as_version=4)
    lines = [
        line.strip()
        for cell in notebook.cells
        if cell.cell_type == "code" and not is_left_out(cell)
        for line in cell.source.splitlines()
        if re.match(r"\s*(from|import) starter\b", line)
    ]
    assert "from starter.check import check" in lines
    with kit(rooms.pop(), only="starter.check"):
        for line in lines:
            exec(line, {})


def is_left_out(cell: nbformat.NotebookNode) -> bool:
    grader = cell.metadata.get("nbgrader", {})
    return "not-graded" in cell.metadata.get("tags", []) or (grader.get("grade") and not grader.get("solution"))


SCALED = """
import numpy as np

def scaled(target, depth, umis):
    umis.data *= np.repeat(target / depth, np.diff(umis.indptr))
    umis.data = np.log1p(umis.data)
    return umis
"""
PLANTED = {
    ("01_biology_primer", "normalise", "scaled"): SCALED,
    ("02_data_loading", "pseudobulk", "means"): """
import numpy as np

def means(groups, n, x, *, weights=None):
    return "of cells", np.array([x.toarray()[groups == i].mean(axis=0) for i in range(n)])
""",
    ("02_data_loading", "CellSets", "Pairs"): """
class Pairs:
    def __init__(self, matrix, rows, number, others):
        self.made_of = matrix, rows, number, others

    def __len__(self):
        return len(self.made_of[2])

    def __getitem__(self, i):
        matrix, rows, number, others = self.made_of
        return matrix[rows[i]].toarray(), number[i], matrix[others[i]].toarray()
""",
    ("03_metrics", "dynamic_range", "share"): """
import numpy as np

def share(*, best, baseline, replicate, higher_is_better, smallest=1e-6):
    sign = 1 if higher_is_better else -1
    return np.median(np.clip(sign * (replicate - baseline) / (sign * (best - baseline) + smallest), -1, 1))
""",
    ("05_cvae", "kl", "divergence"): """
def divergence(log_var, mu):
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(dim=1)
""",
    ("06_gnn", "SGConv", "Convolution"): """
import torch

class Convolution(torch.nn.Module):
    def __init__(self, n_in, n_out, hops):
        super().__init__()
        self.layer, self.hops = torch.nn.Linear(n_in, n_out), hops

    def forward(self, graph, x):
        for _ in range(self.hops):
            x = graph @ x
        return self.layer(x)
""",
}
"""(stage, question, answer) -> a module of the kit that has it."""


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that adds a module to the kit."""

    def add(source: str) -> None:
        folder = tmp_path / "more"
        folder.mkdir()
        (folder / "planted.py").write_text(source)
        monkeypatch.setattr(starter, "__path__", [*starter.__path__, str(folder)])

    return add


@pytest.mark.parametrize(("planted", "source"), PLANTED.items(), ids=["-".join(planted) for planted in PLANTED])
def test_an_answer_that_is_planted_is_found(planted: tuple[str, str, str], source: str, plant: Callable):
    stage, name, answer = planted
    plant(source)
    assert answering([questions_of(stage)[name]], only="starter.planted") == {name: [f"starter.planted.{answer}"]}


@pytest.mark.parametrize(
    ("stage", "name", "answer"),
    [
        ("01_biology_primer", "normalise", "starter.data.preprocess.log_expression"),
        ("02_data_loading", "pseudobulk", "starter.data.pseudobulk.group_means"),
        ("07_transformer", "Block", "starter.models.attention.Block"),
    ],
)
def test_what_is_left_out_would_answer(stage: str, name: str, answer: str):
    question = replace(questions_of(stage)[name], without=())
    assert answering([question], only=answer.rpartition(".")[0]) == {name: [answer]}


@pytest.mark.parametrize(
    "source",
    [
        SCALED,
        "from starter.data import preprocess\n\n" + SCALED,
        "from starter.data.preprocess import log_expression as scaled",
        "def scaled(*three):\n    from starter.data import preprocess\n    return preprocess.log_expression(*three)",
    ],
)
def test_what_cannot_be_had_while_grading_answers_nothing(source: str, plant: Callable):
    plant(source)
    question = questions_of("01_biology_primer")["normalise"]
    rooms = (*question.without, *(["starter.planted"] if source == SCALED else []))
    assert answering([replace(question, without=rooms)], only="starter.planted") == {"normalise": []}
    seen = ["starter.planted.scaled" if "def scaled" in source else "starter.data.preprocess.log_expression"]
    assert answering([replace(question, without=())], only="starter.planted") == {"normalise": seen}


def test_what_never_ends_leaves_or_takes_a_number_for_a_file_harms_nothing(
    plant: Callable, monkeypatch: pytest.MonkeyPatch
):
    plant("""
import sys

def endless(counts):
    while True:
        try:
            counts = counts
        except Exception:
            pass

def leaves(counts):
    sys.exit(1)

def closes(counts):
    open(1, "w").close()
""")
    monkeypatch.setattr("answering.SECONDS", 0.1)
    question = questions_of("01_biology_primer")["share_of_zeros"]
    assert answering([question], only="starter.planted") == {"share_of_zeros": []}
    os.fstat(1)
