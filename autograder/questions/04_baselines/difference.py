"""Question `difference`: the mean difference of two models' scores, with its interval."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _scores(rng: np.random.Generator) -> list[dict[str, object]]:
    """Scores of two models that go up and down together, and numbers of perturbations to draw."""
    cases = []
    for n, n_draws in ((12, 40), (15, 61), (11, 83)):
        hard = rng.uniform(0, 0.6, n)
        baseline = hard + rng.normal(0, 0.05, n)
        model = hard + rng.gamma(1.0, 0.08, n)
        draws = rng.integers(0, n, (n_draws, n))
        cases.append({"model": model, "baseline": baseline, "draws": draws})
    return cases


def _difference(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = sorted(float(np.mean([model[i] - baseline[i] for i in draw])) for draw in draws)
    low, high = np.quantile(means, (0.025, 0.975))
    return np.array([np.mean(model) - np.mean(baseline), low, high])


def _unpaired(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = model[draws].mean(axis=1) - baseline[draws[::-1]].mean(axis=1)
    return np.array([model.mean() - baseline.mean(), *np.percentile(means, [2.5, 97.5])])


def _mean_of_draws(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.array([(model - baseline)[draws].mean(), *_difference(model, baseline, draws)[1:]])


def _ends_apart(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    ends = [np.percentile(scores[draws].mean(axis=1), [2.5, 97.5]) for scores in (model, baseline)]
    return np.array([model.mean() - baseline.mean(), *(ends[0] - ends[1])])


def _spread(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = model - baseline
    return np.array([gain.mean(), *np.percentile(gain, [2.5, 97.5])])


def _ninety(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = model - baseline
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=1), [5, 95])])


def _wrong_way(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return _difference(baseline, model, draws)


def _of_a_hundred(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = model - baseline
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=1), [0.025, 0.975])])


def _of_columns(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = model - baseline
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=0), [2.5, 97.5])])


QUESTION = Question(
    name="difference",
    asks=Function("difference"),
    inputs=_scores,
    due=_difference,
    hints=(
        "Two models have the same hard perturbations; subtract first, then ask how sure the mean difference is.",
        (
            "a gain is the score of the model minus that of the baseline; its mean; percentiles 2.5 and 97.5 of the "
            "mean gain of each draw"
        ),
        "gain: one per perturbation; gain[draws]: draws x perturbations; means over axis 1; three numbers",
    ),
    mistakes=(
        Mistake("model and baseline were drawn apart; draw their differences, so that pairs stay together", _unpaired),
        Mistake("this subtracts the ends of two intervals; bootstrap the differences themselves", _ends_apart),
        Mistake("this is the spread of single perturbations; take the mean of each draw first", _spread),
        Mistake("this is a 90 % interval; cut 2.5 % off at each end", _ninety),
        Mistake("the first number is the mean of the draws; give that of the differences themselves", _mean_of_draws),
        Mistake("the sign is turned round: model less baseline", _wrong_way),
        Mistake("percentiles are out of 100: 2.5 and 97.5", _of_a_hundred),
        Mistake("the mean is over the draws; take it over the perturbations of each draw (axis=1)", _of_columns),
    ),
    without=WITHOUT,
)
