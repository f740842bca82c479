"""Question `few_shot`: effects in a new cell line, of those in an old one and some that were measured in the new."""

import numpy as np
from sklearn.linear_model import Ridge

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _few_targets(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three new lines with another mean effect; fewer targets than genes, as in a real screen."""
    cases = []
    for n, m, n_genes, factor, penalty in ((5, 3, 9, 0.6, 1.5), (4, 4, 7, 0.45, 4.0), (6, 2, 11, 0.8, 0.7)):
        shape = rng.normal(size=(n_genes, n_genes))
        old, wanted = (rng.normal(0.4, 1.0, (rows, n_genes)) for rows in (n, m))
        new = factor * old + 0.3 * old @ shape + rng.normal(0.6, 0.5, n_genes)
        cases.append({"old": old, "new": new, "wanted": wanted, "factor": factor, "penalty": penalty})
    return cases


def _few_shot(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    return factor * wanted + Ridge(alpha=penalty).fit(old, new - factor * old).predict(wanted)


def _nothing_carried(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    return _few_shot(old, new, wanted, 0.0, penalty)


def _not_added(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    return _few_shot(old, new, wanted, factor, penalty) - factor * wanted


def _mean_alone(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    return factor * wanted + (new - factor * old).mean(axis=0)


def _not_centred(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    regression = Ridge(alpha=penalty, fit_intercept=False).fit(old, new - factor * old)
    return factor * wanted + regression.predict(wanted)


def _own_mean(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    regression = Ridge(alpha=penalty).fit(old - old.mean(axis=0), new - factor * old)
    return factor * wanted + regression.predict(wanted - wanted.mean(axis=0))


def _no_penalty(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    return _few_shot(old, new, wanted, factor, 1e-9)


def _without_mean(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, factor: float, penalty: float) -> np.ndarray:
    return _few_shot(old, new, wanted, factor, penalty) - (new - factor * old).mean(axis=0)


QUESTION = Question(
    name="few_shot",
    asks=Function("few_shot"),
    inputs=_few_targets,
    due=_few_shot,
    hints=(
        "Take what carries over, and let a few measured targets say what is missing.",
        "rest = new - factor x old; ridge of the rest on old, both centred; factor x wanted + mean rest + ridge",
        (
            "x x': measured x measured; weights: measured x genes; w x' weights: wanted x genes, w centred by the "
            "mean of old"
        ),
    ),
    mistakes=(
        Mistake("`factor` is not used; the rest is what is left of `new` after factor * old", _nothing_carried),
        Mistake("this is the correction alone; add factor * wanted", _not_added),
        Mistake("this is the mean of the rest alone; add what the regression says of each target", _mean_alone),
        Mistake("take the means of `old` and of the rest off before you solve", _not_centred),
        Mistake("`wanted` was centred by its own mean; use that of `old`", _own_mean),
        Mistake("the penalty is missing: add it to the diagonal", _no_penalty),
        Mistake("the mean of the rest is missing; add it to what the ridge says", _without_mean),
    ),
    without=WITHOUT,
)
