"""Some hundred wrong answers that students write: each is refused by the notebook's check, which names its cause.

`wrong_answers/` has them, stage by stage: what is told, and what was written in place of the solution. Mistakes that
happen everywhere (no `return`, a transposed table, brackets around the result) are made of the right programs.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from solved import program

from starter.answers import values
from starter.answers.kinds import Function
from starter.check import NotRight, check

torch = pytest.importorskip("torch")
every = importlib.import_module("every_question")
WRONG = {
    f"{stage}-{question}-{number}": (f"{stage}-{question}", cause, edits)
    for stage in every.STAGES
    for question, answers in importlib.import_module(f"wrong_answers.{stage}").WRONG.items()
    for number, (cause, *edits) in enumerate(answers)
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public cases of every question, as they lie beside the notebooks."""
    made = tmp_path_factory.mktemp("checks")
    for name, question in every.QUESTIONS.items():
        (made / f"{name}.npz").write_bytes(values.encode(question.public(made)))
    return made


def right(name: str) -> Any:
    stage, question = name.split("-")
    return program(stage, question, every.QUESTIONS[name].asks.name)


def cause_of(name: str, answer: object, folder: Path) -> str:
    with pytest.raises(NotRight) as caught:
        check(name, answer, folder)
    lines = str(caught.value).splitlines()
    told = [line.removeprefix("  likely cause").strip() for line in lines if line.startswith("  likely cause")]
    assert told, f"no cause is named:\n{caught.value}"
    return told[0]


@pytest.mark.parametrize("name", every.QUESTIONS)
def test_the_solution_is_right(name: str, folder: Path):
    check(name, right(name), folder)


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_answer_is_refused_and_its_cause_is_named(key: str, folder: Path):
    name, cause, edits = WRONG[key]
    stage, question = name.split("-")
    told = cause_of(name, program(stage, question, every.QUESTIONS[name].asks.name, tuple(edits)), folder)
    assert cause in told
    others = {other for asked, other, _ in WRONG.values() if asked == name and other != cause}
    assert not [other for other in others if other in told and other not in cause]


FUNCTIONS = [name for name, question in every.QUESTIONS.items() if isinstance(question.asks, Function)]
TABLES = [
    name
    for name in FUNCTIONS
    if all(isinstance(case.due, np.ndarray | pd.DataFrame) and case.due.ndim == 2 for case in every.cases(name))
    and all(case.due.shape[0] != case.due.shape[1] for case in every.cases(name))
]
ARRAYS = [name for name in FUNCTIONS if isinstance(every.cases(name)[0].due, np.ndarray)]
SWAPPED = ("the result is transposed", "rows and columns are swapped", "a row is a context")


def changed(name: str, change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Give the right program with something done to its result."""
    function = right(name)
    return lambda **inputs: change(function(**inputs))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_forgotten_return_is_named(name: str, folder: Path):
    assert cause_of(name, changed(name, lambda result: None), folder).startswith("nothing came back: end with `return`")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_comma_behind_the_result_is_named(name: str, folder: Path):
    told = cause_of(name, changed(name, lambda result: (result,)), folder)
    assert told.startswith(("the result is packed into a list", "the mean of a sparse matrix has two dimensions"))


@pytest.mark.parametrize("name", TABLES)
def test_a_transposed_result_is_named(name: str, folder: Path):
    told = cause_of(name, changed(name, lambda result: result.T), folder)
    assert any(words in told for words in SWAPPED)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_right_answer_in_another_legal_form_is_right(name: str, folder: Path):
    """Lists and Series hold the same numbers, and single precision is no mistake."""
    check(name, changed(name, lambda result: np.asarray(result).tolist()), folder)
    if every.cases(name)[0].due.ndim == 1:
        check(name, changed(name, lambda result: pd.Series(np.asarray(result))), folder)
    if every.cases(name)[0].due.dtype.kind == "f":
        check(name, changed(name, lambda result: np.asarray(result, np.float32)), folder)


def test_the_order_of_columns_is_free(folder: Path):
    for name in ("01_biology_primer-volcano_table", "01_biology_primer-residual_expression"):
        check(name, changed(name, lambda table: table[table.columns[::-1]]), folder)


def test_the_corpus_is_large_and_no_answer_stands_in_it_twice():
    assert len(WRONG) >= 300
    assert len({(name, tuple(edits)) for name, _, edits in WRONG.values()}) == len(WRONG)
    assert {name for name, _, _ in WRONG.values()} == set(every.QUESTIONS)
