"""The usual mistakes of every question: none earns more than it says, and a message names one of them alone."""

import importlib

import pytest

from autograder.grading.judge import judge
from autograder.questions.question import Case, Question
from starter.answers import values

pytest.importorskip("torch")
every = importlib.import_module("every_question")
BY_NATURE = {
    "02_data_loading-block_order": "a missing end is right where all blocks are equal",
    "02_data_loading-denoised": "the more noise there is, the nearer a crude estimate comes to the truth",
    "03_metrics-dynamic_range": "a fixed direction is right where it is that of the metric",
    "05_cvae-warm_up": "what goes wrong after the rise is right before its end, and the reverse",
}
"""Questions with a case in which some mistake is right, by what is asked; there all cases together say what it is."""


def earned(question: Question, cases: list[Case], answers: list[object]) -> float:
    return judge(question, cases, values.encode([{"value": answer} for answer in answers])).share


def check(name: str, draws: int) -> None:
    question, public = every.QUESTIONS[name], [every.right_answer(name, case) for case in every.cases(name)]
    for seed in range(1000, 1000 + draws):
        cases = every.cases(name, seed)
        assert earned(question, cases, [every.right_answer(name, case) for case in cases]) == 1
        assert earned(question, cases, public) == 0, (seed, "public answers, one after the other")
        for meaning in cases[0].mistakes:
            answers = [case.mistakes[meaning] for case in cases]
            assert earned(question, cases, answers) <= cases[0].credit.get(meaning, 0.0) + 1e-9, (seed, meaning)
            pairs = zip(answers, cases, strict=True)
            wrong = [question.comparator.fault(answer, case.due) is not None for answer, case in pairs]
            assert all(wrong) or (any(wrong) and name in BY_NATURE), (seed, meaning)


@pytest.mark.parametrize("name", every.QUESTIONS)
def test_a_mistake_earns_what_it_says(name: str):
    check(name, draws=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", every.QUESTIONS)
def test_a_mistake_earns_what_it_says_in_fifty_draws(name: str):
    check(name, draws=50)


@pytest.mark.parametrize("name", every.QUESTIONS)
def test_no_two_mistakes_are_the_same(name: str):
    fault = every.QUESTIONS[name].comparator.fault
    for drawn in (every.cases(name, seed) for seed in (1000, 1001)):
        meanings = list(drawn[0].mistakes)
        assert len(meanings) >= 3
        for place, meaning in enumerate(meanings):
            for other in meanings[place + 1 :]:
                assert any(fault(case.mistakes[meaning], case.mistakes[other]) for case in drawn), (meaning, other)
