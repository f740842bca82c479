"""Question `perturbed_probability`: how likely each cell did not escape its guide, by a mixture of two normals."""

import numpy as np
import scipy.special
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Close
from starter.answers.kinds import Function

from .shared import WITHOUT

ROUNDS = 100
"""Of expectation maximisation."""


def _scores(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three targets: more or fewer cells escaped, the perturbed ones near the controls, and wider or narrower."""
    cases = []
    for n, n_control, share, deviation in ((61, 43, 0.7, 0.35), (94, 37, 0.45, 0.15), (118, 59, 0.85, 0.3)):
        n_perturbed = round(share * n)
        mean = rng.uniform(0.6, 0.8)
        score = np.append(_normal(rng, mean, deviation, n_perturbed), _normal(rng, 0.05, 0.22, n - n_perturbed))
        # a few controls lie far below, so that mean and median are not the same
        control_score = np.append(_normal(rng, 0.03, 0.22, n_control), rng.uniform(-0.9, -0.7, 3))
        cases.append({"score": rng.permutation(score), "control_score": rng.permutation(control_score)})
    return cases


def _normal(rng: np.random.Generator, mean: float, deviation: float, n: int) -> np.ndarray:
    """Draw one value from each of n equally likely parts of a normal, so that no draw is far from it."""
    return rng.permutation(scipy.stats.norm.ppf((np.arange(n) + rng.uniform(0.1, 0.9, n)) / n, mean, deviation))


def _log_normal(x: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation)


def _mixture(
    score: np.ndarray,
    control_score: np.ndarray,
    rounds: int = ROUNDS,
    *,
    fixed_share: bool = False,
    fixed_deviation: bool = False,
    fixed_controls: bool = True,
) -> np.ndarray:
    """Fit the mixture by log odds, with parts of it that may be held or let go."""
    zero, width = control_score.mean(), control_score.std()
    share, mean, deviation = 0.5, score.mean(), width if fixed_deviation else score.std()
    for _ in range(rounds):
        odds = _log_normal(score, mean, deviation) - _log_normal(score, zero, width) + scipy.special.logit(share)
        weight = scipy.special.expit(odds)
        mean = weight @ score / weight.sum()
        if not fixed_share:
            share = weight.sum() / len(score)
        if not fixed_deviation:
            deviation = np.sqrt(weight @ (score - mean) ** 2 / weight.sum())
        if not fixed_controls:
            rest = 1 - weight
            zero = rest @ score / rest.sum()
            width = np.sqrt(rest @ (score - zero) ** 2 / rest.sum())
    return weight


def _probability(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score)


def _escaped(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return 1 - _mixture(score, control_score)


def _called(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return (_mixture(score, control_score) > 0.5).astype(float)


def _one_round(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, rounds=1)


def _same_share(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, fixed_share=True)


def _same_deviation(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, fixed_deviation=True)


def _free_controls(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    return _mixture(score, control_score, fixed_controls=False)


QUESTION = Question(
    name="perturbed_probability",
    asks=Function("perturbed_probability"),
    inputs=_scores,
    due=_probability,
    hints=(
        "Two groups hide in one: escaped cells look like controls, the others do not. Guess, weigh, guess again.",
        (
            "p = share f(perturbed) / (share f(perturbed) + (1 - share) f(escaped)); then share, mean and "
            "deviation, weighted by p"
        ),
        "densities and p: one per cell; share, mean and deviation: one number each, renewed in each of 100 rounds",
    ),
    mistakes=(
        Mistake("this is the probability of having escaped; give that of being perturbed", _escaped),
        Mistake("this is a yes or no for each cell; give the probability itself", _called),
        Mistake("this is the first round; repeat all three steps 100 times", _one_round),
        Mistake("the share stays at 0.5; after each round it is the mean probability", _same_share),
        Mistake(
            "the perturbed cells have the controls' deviation; estimate their own, weighted by probability",
            _same_deviation,
        ),
        Mistake("the escaped normal moves; it keeps the mean and deviation of control_score", _free_controls),
    ),
    comparator=Close(rtol=1e-3, atol=1e-4),
    without=WITHOUT,
)
