"""Question `challenge_score`: the score of the challenge of 2025, and the same with nothing clipped."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT

BEST = (1.0, 1.0, 0.0)
"""DES, PDS and MAE of a perfect prediction."""


def _metrics(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw three predictions, each worse than the baseline in one metric and better in the others."""
    cases = []
    for worse in range(3):
        baseline = np.array([rng.uniform(0.05, 0.15), rng.uniform(0.48, 0.55), rng.uniform(0.02, 0.06)])
        room = np.array(BEST) - baseline
        share = rng.uniform(0.06, 0.3, 3)
        share[worse] = -rng.uniform(0.02, 0.04)  # so little that the three together are still above 0
        cases.append({"values": baseline + share * room, "baseline": baseline})
    return cases


def _ways(values: np.ndarray, baseline: np.ndarray) -> list[float]:
    """Give what is left of the way to perfection, taken from 1: the same share by another formula."""
    return [1 - (best - value) / (best - start) for best, value, start in zip(BEST, values, baseline, strict=True)]


def _challenge_score(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    ways = _ways(values, baseline)
    return np.array([sum(way for way in ways if way > 0) / 3, sum(ways) / 3])


def _clipped_last(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    mean = sum(_ways(values, baseline)) / 3
    return np.array([max(mean, 0.0), mean])


def _mae_upwards(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    ways = (values - baseline) / (1 - baseline)
    return np.array([np.maximum(ways, 0).mean(), ways.mean()])


def _mae_wrong_way(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    ways = np.array(_ways(values, baseline)) * [1, 1, -1]
    return np.array([np.maximum(ways, 0).mean(), ways.mean()])


def _of_what_counts(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    ways = np.array(_ways(values, baseline))
    return np.array([ways[ways > 0].mean(), ways.mean()])


def _gains(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    gains = (values - baseline) * [1, 1, -1]
    return np.array([np.maximum(gains, 0).mean(), gains.mean()])


def _of_the_baseline(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    ways = (values - baseline) / baseline * [1, 1, -1]
    return np.array([np.maximum(ways, 0).mean(), ways.mean()])


QUESTION = Question(
    name="challenge_score",
    asks=Function("challenge_score"),
    inputs=_metrics,
    due=_challenge_score,
    hints=(
        "Each metric counts by how far it comes from the baseline to perfection.",
        "share = (value - baseline) / (best - baseline); the mean with each share at least 0, and the mean as it is",
        "best: 1, 1 and 0; three shares; two means of three",
    ),
    mistakes=(
        Mistake("the mean is clipped; clip each metric's share at 0 first, then take the mean", _clipped_last),
        Mistake("a perfect MAE is 0, not 1; divide by 0 - baseline", _mae_upwards),
        Mistake("MAE counts the wrong way: less error is better", _mae_wrong_way),
        Mistake("a metric below the baseline counts 0, and it counts: divide by three", _of_what_counts),
        Mistake("these are differences; divide each by the way from the baseline to perfection", _gains),
        Mistake("this divides by the baseline; divide by the way from it to perfection", _of_the_baseline),
        Mistake(
            "the order is turned round: the official score first, then the unclipped one",
            lambda values, baseline: _challenge_score(values, baseline)[::-1],
            credit=0.5,
        ),
    ),
    without=WITHOUT,
)
