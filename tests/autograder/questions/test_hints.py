"""Every question of the kit has three hints that go further each time, and none of them is code that answers."""

import importlib

import pytest
from solved import solution

pytest.importorskip("torch")
every = importlib.import_module("every_question")
SHORTEST = 12
"""Letters of a line of code that a formula may happen to be, too."""


@pytest.mark.parametrize("name", every.QUESTIONS)
def test_hints_say_idea_formula_and_steps_and_no_code(name: str):
    hints = every.QUESTIONS[name].hints
    assert len(set(hints)) == 3
    assert all(20 <= len(hint) <= 160 and "\n" not in hint for hint in hints)
    stage, question = name.split("-")
    lines = [line.strip().removeprefix("return ") for line in solution(stage, question).splitlines()]
    assert not [line for line in lines if len(line) >= SHORTEST and any(line in hint for hint in hints)]


def test_hints_come_with_the_public_cases(tmp_path):
    question = every.QUESTIONS["03_metrics-mae"]
    assert question.public(tmp_path)["hints"] == list(question.hints)
