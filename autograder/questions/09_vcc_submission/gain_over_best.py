"""Question `gain_over_best`: what an ensemble gains over its best member, which every draw chooses anew."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _scores(rng: np.random.Generator) -> list[dict[str, object]]:
    """Scores of an ensemble and of members that are nearly equally good, so that draws choose different ones."""
    cases = []
    for n_members, n, n_draws in ((3, 12, 60), (4, 15, 83), (2, 10, 71)):
        hard = rng.uniform(0.2, 0.6, n)
        members = hard + rng.normal(0, 0.12, (n_members, n))
        members -= members.mean(axis=1, keepdims=True) - rng.uniform(0.39, 0.4, (n_members, 1))
        ensemble = members.mean(axis=0) + rng.gamma(1.0, 0.03, n)
        draws = rng.integers(0, n, (n_draws, n))
        cases.append({"scores": np.vstack([ensemble, members]), "draws": draws})
    return cases


def _gain(scores: np.ndarray) -> float:
    first, *others = (float(np.mean(row)) for row in scores)
    return first - max(others)


def _gain_over_best(scores: np.ndarray, draws: np.ndarray, ends: tuple[float, float] = (0.025, 0.975)) -> np.ndarray:
    gains = sorted(_gain(scores[:, draw]) for draw in draws)
    return np.array([_gain(scores), *np.quantile(gains, ends)])


def _chosen_once(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    best = 1 + int(scores[1:].mean(axis=1).argmax())
    gain = scores[0] - scores[best]
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])])


def _best_of_each(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = scores[0] - scores[1:].max(axis=0)
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])])


def _over_the_mean(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = scores[0] - scores[1:].mean(axis=0)
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])])


def _itself_too(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = scores[:, draws].mean(axis=2)
    gains = means[0] - means.max(axis=0)
    return np.array([scores[0].mean() - scores.mean(axis=1).max(), *np.percentile(gains, [2.5, 97.5])])


def _mean_of_draws(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.array([np.mean([_gain(scores[:, draw]) for draw in draws]), *_gain_over_best(scores, draws)[1:]])


def _over_the_worst(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = scores[:, draws].mean(axis=2)
    ends = np.percentile(means[0] - means[1:].min(axis=0), [2.5, 97.5])
    return np.array([scores[0].mean() - scores[1:].mean(axis=1).min(), *ends])


QUESTION = Question(
    name="gain_over_best",
    asks=Function("gain_over_best"),
    inputs=_scores,
    due=_gain_over_best,
    hints=(
        "The best member was the best by luck, too; so choose the best anew in every draw.",
        "gain of a draw = mean of the ensemble - largest mean of a member; percentiles 2.5 and 97.5 of these",
        "scores of each draw: predictions x draws x perturbations; means: predictions x draws; gains: one per draw",
    ),
    mistakes=(
        Mistake("the best member was chosen once; choose it anew in every draw, as luck chose it here", _chosen_once),
        Mistake(
            "this takes the best member of every single perturbation; take means first, then the best", _best_of_each
        ),
        Mistake("this is the gain over the members' mean; take the best of them", _over_the_mean),
        Mistake("the ensemble is among those it is compared with; leave the first row out", _itself_too),
        Mistake(
            "this is a 90 % interval; cut 2.5 % off at each end",
            lambda scores, draws: _gain_over_best(scores, draws, (0.05, 0.95)),
        ),
        Mistake("the first number is the mean of the draws; give that of the scores themselves", _mean_of_draws),
        Mistake("this is the gain over the worst member; take the best of them (max)", _over_the_worst),
    ),
    without=WITHOUT,
)
