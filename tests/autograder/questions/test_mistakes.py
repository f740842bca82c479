"""The usual mistakes of every question: none is right, and a message names one of them alone."""

import importlib

import pytest

from autograder.questions.question import Question

pytest.importorskip("torch")
every = importlib.import_module("every_question").QUESTIONS
QUESTIONS = {name: question for name, question in every.items() if question.mistakes}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_no_mistake_is_right_and_no_two_are_the_same(question: Question):
    fault = question.comparator.fault
    for seed in range(4):
        drawn = question.cases(seed, data=None)
        for case in drawn:
            assert fault(case.due, case.due) is None
        meanings = list(drawn[0].mistakes)
        assert len(meanings) >= 3
        for place, meaning in enumerate(meanings):
            assert any(fault(case.mistakes[meaning], case.due) for case in drawn), meaning
            for other in meanings[place + 1 :]:
                assert any(fault(case.mistakes[meaning], case.mistakes[other]) for case in drawn), (meaning, other)
