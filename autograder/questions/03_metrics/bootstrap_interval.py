"""Question `bootstrap_interval`: a 95 % interval of a mean over perturbations, from given draws."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _draws(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give skewed scores, and draws of them."""
    cases = []
    for n_perturbations, n_draws in ((7, 53), (12, 90), (25, 64)):
        values = rng.beta(4, 1.5, n_perturbations)
        cases.append({"values": values, "draws": rng.integers(0, n_perturbations, (n_draws, n_perturbations))})
    return cases


def _means(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.array([values[list(draw)].sum() / len(draw) for draw in draws])


def _interval(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(_means(values, draws), (0.025, 0.975))


def _ninety(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(_means(values, draws), (0.05, 0.95))


def _of_a_hundred(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.percentile(_means(values, draws), (0.025, 0.975))


def _of_values(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(values[draws], (0.025, 0.975))


def _normal(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return values.mean() + 1.96 * np.array([-1, 1]) * _means(values, draws).std()


def _of_columns(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(values[draws].mean(axis=0), (0.025, 0.975))


def _without_draws(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    del draws
    return np.quantile(values, (0.025, 0.975))


QUESTION = Question(
    name="bootstrap_interval",
    asks=Function("bootstrap_interval"),
    inputs=_draws,
    due=_interval,
    hints=(
        "Had other perturbations been measured, what would the mean be? Each draw is such an experiment.",
        "mean of the drawn scores, for each draw; then their percentiles 2.5 and 97.5",
        "values[draws]: draws x perturbations; means over axis 1: one per draw; two percentiles",
    ),
    mistakes=(
        Mistake("this is a 90 % interval; 2.5 % of the means lie below it and 2.5 % above", _ninety),
        Mistake("percentiles are out of 100: 2.5 and 97.5 (np.quantile takes .025 and .975)", _of_a_hundred),
        Mistake("this is the spread of the scores; take the mean of each draw first", _of_values),
        Mistake("this is mean and standard deviation; take percentiles of the draws' means", _normal),
        Mistake("the mean is over the draws; take it over the perturbations of each draw (axis=1)", _of_columns),
        Mistake("these are percentiles without the draws; take those of the means of values[draws]", _without_draws),
    ),
    without=WITHOUT,
)
