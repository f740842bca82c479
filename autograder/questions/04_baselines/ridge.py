"""Question `ridge`: ridge regression of effects on features of targets."""

import numpy as np
from sklearn.linear_model import Ridge

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT, regressions


def _penalties(rng: np.random.Generator) -> list[dict[str, object]]:
    return regressions(rng, "penalty", (0.7, 3.0, 12.5))


def _ridge(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(alpha=penalty).fit(features, effects).predict(wanted)


def _not_centred(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(alpha=penalty, fit_intercept=False).fit(features, effects).predict(wanted)


def _unpenalised(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return _ridge(features, effects, wanted, 0.0)


def _penalty_everywhere(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    x, mean = features - features.mean(axis=0), effects.mean(axis=0)
    return mean + (wanted - features.mean(axis=0)) @ np.linalg.solve(x.T @ x + penalty, x.T @ (effects - mean))


def _without_mean(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return _ridge(features, effects, wanted, penalty) - effects.mean(axis=0)


def _wanted_not_centred(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(alpha=penalty).fit(features - features.mean(axis=0), effects).predict(wanted)


def _wanted_by_itself(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    fitted = Ridge(alpha=penalty).fit(features - features.mean(axis=0), effects)
    return fitted.predict(wanted - wanted.mean(axis=0))


def _penalty_squared(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return _ridge(features, effects, wanted, penalty**2)


QUESTION = Question(
    name="ridge",
    asks=Function("ridge"),
    inputs=_penalties,
    due=_ridge,
    hints=(
        "Least squares with a price on large weights. Take the means off first, so that they cost nothing.",
        (
            "weights = (X'X + penalty I)^-1 X'(Y - mean of Y), X centred; prediction = mean of Y + centred wanted "
            "x weights"
        ),
        "X: targets x features; X'X: features x features; weights: features x genes; prediction: wanted x genes",
    ),
    mistakes=(
        Mistake("take the means of features and effects off before you solve", _not_centred),
        Mistake("the penalty is missing: add it to the diagonal of X'X", _unpenalised),
        Mistake("the penalty is added to every entry of X'X; only its diagonal gets it (np.eye)", _penalty_everywhere),
        Mistake("the mean effect is missing; add it back at the end", _without_mean),
        Mistake("take the mean of the training features off `wanted` too", _wanted_not_centred),
        Mistake("`wanted` was centred by its own mean; use that of the training features", _wanted_by_itself),
        Mistake("the penalty is squared; add it as it is", _penalty_squared),
    ),
    without=WITHOUT,
)
