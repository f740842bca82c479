"""Answers that know nothing of a question earn nothing: constants, an input handed back, a public answer."""

import importlib
from collections.abc import Iterator

import numpy as np
import pytest

from autograder.grading.judge import judge
from autograder.questions.question import Case
from starter.answers import values
from starter.answers.kinds import Function

pytest.importorskip("torch")
every = importlib.import_module("every_question")
NAMES = [name for name, question in every.QUESTIONS.items() if isinstance(question.asks, Function)]
CONSTANTS = (0, 1, 0.0, 1.0, 0.5, True, False, None, "", [], {})


def trivial(name: str, cases: list[Case]) -> Iterator[tuple[str, list[object]]]:
    for constant in CONSTANTS:
        yield repr(constant), [constant] * len(cases)
    for number in (0.0, 1.0):
        if all(isinstance(case.due, np.ndarray) for case in cases):
            yield f"arrays of {number}", [np.full(case.due.shape, number) for case in cases]
    for given in cases[0].inputs:
        if all(given in case.inputs for case in cases):
            yield given, [case.inputs[given] for case in cases]
    for number, case in enumerate(every.cases(name)):
        yield f"public answer {number}", [every.right_answer(name, case)] * len(cases)


def check(name: str, draws: int) -> None:
    for seed in range(1000, 1000 + draws):
        cases = every.cases(name, seed)
        declared = max((credit for case in cases for credit in case.credit.values()), default=0.0)
        for what, answers in trivial(name, cases):
            verdict = judge(every.QUESTIONS[name], cases, values.encode([{"value": answer} for answer in answers]))
            assert verdict.share <= declared, (what, seed, verdict)


@pytest.mark.parametrize("name", NAMES)
def test_trivial_answers_earn_nothing(name: str):
    check(name, draws=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_trivial_answers_earn_nothing_in_fifty_draws(name: str):
    check(name, draws=50)
