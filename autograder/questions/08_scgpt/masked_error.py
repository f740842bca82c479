"""Question `masked_error`: the mean squared error of the places that count."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _masked_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in ((4, 7), (3, 11), (6, 5)):
        counts = rng.random(shape) < rng.uniform(0.15, 0.7, (shape[0], 1))
        counts[0], counts[1] = np.arange(shape[1]) != 1, np.arange(shape[1]) < 2  # of one cell many, of another two
        due = rng.gamma(2.0, 1.0, shape)
        cases.append({"predicted": due + rng.normal(0.3, 1.0, shape), "due": due, "counts": counts})
    return cases


def _masked_error(predicted: np.ndarray, due: np.ndarray, counts: np.ndarray) -> float:
    return float(np.ma.array((predicted - due) ** 2, mask=~counts).mean())


def _by_cell(predicted: np.ndarray, due: np.ndarray, counts: np.ndarray) -> float:
    return float(np.ma.array((predicted - due) ** 2, mask=~counts).mean(axis=1).mean())


QUESTION = Question(
    name="masked_error",
    asks=Function("masked_error", tensors=True),
    inputs=_masked_cases,
    due=_masked_error,
    hints=(
        "Only the hidden places are asked, so only they may count.",
        "mean of (predicted - due)^2 over the places where counts is True",
        "errors: cells x genes; chosen by the mask: flat; one number",
    ),
    mistakes=(
        Mistake(
            "all places are in the mean; the mask is forgotten",
            lambda predicted, due, counts: float(np.mean((predicted - due) ** 2)),
        ),
        Mistake(
            "the sum is right, but divide by the number of places that count, not by all",
            lambda predicted, due, counts: float(np.mean((predicted - due) ** 2 * counts)),
        ),
        Mistake(
            "these are the places that do not count",
            lambda predicted, due, counts: _masked_error(predicted, due, ~counts),
        ),
        Mistake(
            "this is the sum; take the mean",
            lambda predicted, due, counts: float(((predicted - due) ** 2)[counts].sum()),
        ),
        Mistake(
            "these are absolute errors; square them",
            lambda predicted, due, counts: float(np.abs(predicted - due)[counts].mean()),
        ),
        Mistake("this averages the cells' means; let every place count the same", _by_cell),
    ),
    without=WITHOUT,
    held_back=("starter.models.scgpt.masked_values",),
)
