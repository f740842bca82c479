"""Question `shrink_factor`: by what effects in one cell line are multiplied to come nearest to those in another."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _two_lines(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three pairs of lines, whose targets carry over to unlike extents."""
    cases = []
    for n, n_genes, factor in ((4, 9, 0.6), (6, 7, 0.4), (5, 12, 0.8)):
        old = rng.normal(0.3, 1.0, (n, n_genes)) * rng.uniform(0.4, 2.0, (n, 1))
        new = factor * old * rng.uniform(0.5, 1.5, (n, 1)) + rng.normal(0.2, 0.4, (n, n_genes))
        cases.append({"old": old, "new": new})
    return cases


def _shrink_factor(old: np.ndarray, new: np.ndarray) -> float:
    return float(np.linalg.lstsq(old.reshape(-1, 1), new.ravel(), rcond=None)[0][0])


def _with_intercept(old: np.ndarray, new: np.ndarray) -> float:
    return float(np.polyfit(old.ravel(), new.ravel(), 1)[0])


def _correlation(old: np.ndarray, new: np.ndarray) -> float:
    return float(np.corrcoef(old.ravel(), new.ravel())[0, 1])


def _wrong_way(old: np.ndarray, new: np.ndarray) -> float:
    return _shrink_factor(new, old)


def _mean_of_targets(old: np.ndarray, new: np.ndarray) -> float:
    return float(np.mean([_shrink_factor(a, b) for a, b in zip(old, new, strict=True)]))


def _lengths(old: np.ndarray, new: np.ndarray) -> float:
    return float(np.linalg.norm(new) / np.linalg.norm(old))


QUESTION = Question(
    name="shrink_factor",
    asks=Function("shrink_factor"),
    inputs=_two_lines,
    due=_shrink_factor,
    hints=(
        "If an effect carries over to a lesser extent, one factor says to what extent.",
        "a = sum(old x new) / sum(old^2), over all targets and genes",
        "both arrays as they are; two sums over everything; one number",
    ),
    mistakes=(
        Mistake("this is the slope of a line with an intercept; effects are only multiplied", _with_intercept),
        Mistake(
            "this is a correlation, which knows no size; divide by the sum of the old effects' squares", _correlation
        ),
        Mistake("old and new are swapped: the old effects are multiplied, to come near the new ones", _wrong_way),
        Mistake("this is the mean of the targets' own factors; take one factor for all values", _mean_of_targets),
        Mistake(
            "this compares how long the effects are; a factor must also see whether they point the same way", _lengths
        ),
        Mistake(
            "this is the mean of the ratios, which small effects rule; divide the sums",
            lambda old, new: float((new / old).mean()),
        ),
    ),
    without=WITHOUT,
)
