"""What is asked of the students' notebooks, and the values due. One module a stage."""

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from starter.check import COMPARATORS, Close
from starter.schema import InputError

PUBLIC_SEED = 0
"""Seed of the cases that students get with their notebook."""


@dataclass(frozen=True)
class Case:
    """One call of the student's function."""

    inputs: dict[str, object]
    due: object
    mistakes: dict[str, object]
    """What it usually means -> the value that this mistake gives."""


@dataclass(frozen=True)
class Question:
    """Something that a notebook's function must do; its points live in the notebook's cell."""

    name: str
    """The `grade_id` of the notebook cell that carries the points."""
    asks: str
    """The student's function."""
    inputs: Callable[[np.random.Generator], list[dict[str, object]]]
    """Makes the arguments of each case from a seeded generator; never from hidden cells."""
    due: Callable[..., object]
    """Right answer to the arguments of one case."""
    mistakes: dict[str, Callable[..., object]] = field(default_factory=dict)
    """What a wrong value usually means -> the function that gives this value."""
    comparator: Close = field(default_factory=Close)
    without: tuple[str, ...] = ()
    """Modules of `starter` that are not there when this is asked."""
    seconds: float = 10.0
    """Time for all cases."""

    def cases(self, seed: int) -> list[Case]:
        """Make the cases of a seed."""
        made = []
        for inputs in self.inputs(np.random.default_rng(seed)):
            mistakes = {meaning: wrong(**inputs) for meaning, wrong in self.mistakes.items()}
            made.append(Case(inputs, self.due(**inputs), mistakes))
        return made

    def public(self) -> dict[str, object]:
        """Give what `starter.check` reads: the public cases and how to compare."""
        kind = next(name for name, comparator in COMPARATORS.items() if isinstance(self.comparator, comparator))
        cases = [asdict(case) for case in self.cases(PUBLIC_SEED)]
        return {"comparator": {"name": kind, **asdict(self.comparator)}, "cases": cases}


def questions_of(stage: str) -> tuple[Question, ...]:
    """Load a stage's questions.

    Raises
    ------
    InputError
        If there is no module of this name.
    """
    try:
        return importlib.import_module(f"autograder.questions.{stage}").QUESTIONS
    except ModuleNotFoundError as error:
        msg = f"stage {stage!r} has no questions: autograder/questions/{stage}.py is missing"
        raise InputError(msg) from error
