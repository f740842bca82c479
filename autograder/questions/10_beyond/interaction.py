"""Question `interaction`: how a double's effect is made of the effects of its two single perturbations."""

from typing import Any

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _doubles(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sets of doubles, each of singles that resemble one another and of something new."""
    cases = []
    for n, n_genes in ((4, 8), (5, 11), (3, 14)):
        common = rng.normal(0.3, 0.6, n_genes)
        first, second = (common + rng.normal(0, 1, (n, n_genes)) for _ in range(2))
        weight = rng.uniform(0.3, 1.3, (2, n, 1))
        double = weight[0] * first + weight[1] * second + rng.normal(0.2, 0.5, (n, n_genes))
        cases.append({"first": first, "second": second, "double": double})
    return cases


def _interaction(first: np.ndarray, second: np.ndarray, double: np.ndarray) -> np.ndarray:
    """Solve the two normal equations by Cramer's rule."""
    aa, bb, ab = ((x * y).sum(axis=1) for x, y in ((first, first), (second, second), (first, second)))
    ad, bd = ((x * double).sum(axis=1) for x in (first, second))
    determinant = aa * bb - ab**2
    weights = np.stack([(ad * bb - bd * ab) / determinant, (bd * aa - ad * ab) / determinant], axis=1)
    return np.column_stack([weights, _unexplained(first, second, double, weights)])


def _unexplained(first: np.ndarray, second: np.ndarray, double: np.ndarray, weights: np.ndarray) -> np.ndarray:
    rest = double - weights[:, :1] * first - weights[:, 1:] * second
    return (rest**2).sum(axis=1) / (double**2).sum(axis=1)


def _with_intercept(first: np.ndarray, second: np.ndarray, double: np.ndarray) -> np.ndarray:
    return _interaction(*(x - x.mean(axis=1, keepdims=True) for x in (first, second, double)))


def _one_by_one(first: np.ndarray, second: np.ndarray, double: np.ndarray) -> np.ndarray:
    weights = np.stack([(x * double).sum(axis=1) / (x**2).sum(axis=1) for x in (first, second)], axis=1)
    return np.column_stack([weights, _unexplained(first, second, double, weights)])


def _plain_sum(first: np.ndarray, second: np.ndarray, double: np.ndarray) -> np.ndarray:
    ones = np.ones((len(first), 2))
    return np.column_stack([ones, _unexplained(first, second, double, ones)])


def _changed(column: int, change: Any) -> Any:
    def gives(first: np.ndarray, second: np.ndarray, double: np.ndarray) -> np.ndarray:
        found = _interaction(first, second, double)
        found[:, column] = change(found[:, column])
        return found

    return gives


QUESTION = Question(
    name="interaction",
    asks=Function("interaction"),
    inputs=_doubles,
    due=_interaction,
    hints=(
        "Is a double the sum of its singles? Fit how much of each, and see what is left.",
        (
            "least squares of the double on both singles, without intercept; sum of squares left / sum of squares "
            "of the double"
        ),
        "for each double: genes x 2, and genes; two weights and one share; rows of three",
    ),
    mistakes=(
        Mistake("this fits an intercept too; two weights are all there is", _with_intercept),
        Mistake("each weight was fitted alone; fit both at once, since the singles resemble one another", _one_by_one),
        Mistake("this is the plain sum of the singles; let least squares choose the weights", _plain_sum),
        Mistake(
            "this is the share that is explained; give the share that is left", _changed(2, lambda share: 1 - share)
        ),
        Mistake("this compares lengths; compare sums of squares", _changed(2, np.sqrt)),
        Mistake(
            "the weights are swapped: that of `first` comes first",
            lambda first, second, double: _interaction(second, first, double),
        ),
    ),
    without=WITHOUT,
)
