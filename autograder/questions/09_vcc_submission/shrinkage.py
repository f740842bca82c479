"""Question `shrinkage`: the factor on a prediction's deviations from the train mean that makes its error least."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _profiles(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw profiles about a mean, and predictions that go too far and are off in all genes alike."""
    cases = []
    for n, n_genes in ((5, 7), (8, 6), (4, 11)):
        mean = rng.gamma(2.0, 0.5, n_genes)
        predicted = rng.normal(0.05, 0.3, (n, n_genes)) * rng.uniform(0.5, 1.5, (n, 1))
        measured = rng.uniform(0.3, 0.7) * predicted + rng.normal(0.1, 0.2, (n, n_genes))
        cases.append({"predicted": mean + predicted, "measured": mean + measured, "mean": mean})
    return cases


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Fit y = a x by least squares."""
    return float(np.linalg.lstsq(x.reshape(-1, 1), y.ravel(), rcond=None)[0][0])


def _shrinkage(predicted: np.ndarray, measured: np.ndarray, mean: np.ndarray) -> float:
    return _slope(predicted - mean, measured - mean)


def _of_each(predicted: np.ndarray, measured: np.ndarray, mean: np.ndarray) -> float:
    return float(np.mean([_slope(p - mean, m - mean) for p, m in zip(predicted, measured, strict=True)]))


def _with_intercept(predicted: np.ndarray, measured: np.ndarray, mean: np.ndarray) -> float:
    return float(np.polyfit((predicted - mean).ravel(), (measured - mean).ravel(), 1)[0])


def _correlation(predicted: np.ndarray, measured: np.ndarray, mean: np.ndarray) -> float:
    return float(np.corrcoef((predicted - mean).ravel(), (measured - mean).ravel())[0, 1])


def _length(predicted: np.ndarray, measured: np.ndarray, mean: np.ndarray) -> float:
    return float(np.linalg.norm(measured - mean) / np.linalg.norm(predicted - mean))


QUESTION = Question(
    name="shrinkage",
    asks=Function("shrinkage"),
    inputs=_profiles,
    due=_shrinkage,
    hints=(
        "A prediction may point the right way and go too far. By what factor is it best?",
        "a = sum(p m) / sum(p^2), p and m being the deviations from the mean, predicted and measured",
        "p and m: perturbations x genes; two sums over everything; one number",
    ),
    mistakes=(
        Mistake(
            "the profiles themselves are compared; take the mean off both first",
            lambda predicted, measured, mean: _slope(predicted, measured),
        ),
        Mistake(
            "the sides are swapped: divide by the sum of the predicted deviations' squares",
            lambda predicted, measured, mean: _slope(measured - mean, predicted - mean),
        ),
        Mistake("this is the mean of a factor for each perturbation; sum over all of them first", _of_each),
        Mistake("this fits an intercept too; the line goes through 0, which is the train mean", _with_intercept),
        Mistake("this is a correlation, which does not see the size; divide by the predicted squares", _correlation),
        Mistake("this compares lengths alone; multiply predicted and measured deviations, gene by gene", _length),
    ),
    without=WITHOUT,
)
