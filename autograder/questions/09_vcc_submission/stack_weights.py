"""Question `stack_weights`: non-negative least squares of what was measured on what several models predict."""

import itertools

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT, members


def _models(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_models, shape in ((3, (6, 9)), (4, (7, 12)), (3, (5, 15))):
        predicted, measured = members(rng, n_models, shape)
        cases.append({"predicted": predicted, "measured": measured})
    return cases


def _columns(predicted: np.ndarray) -> np.ndarray:
    return np.column_stack([model.ravel() for model in predicted])


def _least_squares(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(_columns(predicted), measured.ravel(), rcond=None)[0]


def _stack_weights(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Try every choice of models: the best weights below 0 nowhere are the least squares of one of them."""
    best, least = np.zeros(len(predicted)), float((measured**2).sum())
    for n in range(1, len(predicted) + 1):
        for chosen in itertools.combinations(range(len(predicted)), n):
            weights = np.zeros(len(predicted))
            weights[list(chosen)] = _least_squares(predicted[list(chosen)], measured)
            error = float(((_columns(predicted) @ weights - measured.ravel()) ** 2).sum())
            if weights.min() >= 0 and error < least:
                best, least = weights, error
    return best


def _to_one(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    weights = _stack_weights(predicted, measured)
    return weights / weights.sum()


def _each_alone(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    alone = [_least_squares(model[None], measured)[0] for model in predicted]
    return np.maximum(alone, 0)


def _by_error(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    weights = np.array([1 / ((model - measured) ** 2).mean() for model in predicted])
    return weights / weights.sum()


QUESTION = Question(
    name="stack_weights",
    asks=Function("stack_weights"),
    inputs=_models,
    due=_stack_weights,
    hints=(
        "Let the data say how much of each model to take, all at once, and none below 0.",
        "minimise |A w - b| with w >= 0: a column of A per model, b what was measured",
        "models x perturbations x genes becomes (perturbations x genes) x models; b flat; one weight per model",
    ),
    mistakes=(
        Mistake("a weight is below 0: ask for least squares without negative weights", _least_squares),
        Mistake(
            "negative weights were set to 0 afterwards, and the others are not the best then (scipy.optimize.nnls)",
            lambda predicted, measured: np.maximum(_least_squares(predicted, measured), 0),
        ),
        Mistake("the weights were scaled to a sum of 1; their sum is what shrinks the ensemble", _to_one, credit=0.5),
        Mistake("every model was fitted alone; fit all of them together", _each_alone),
        Mistake("these weights follow each model's own error; fit all models together", _by_error),
        Mistake(
            "this is the plain average of the models; fit the weights",
            lambda predicted, measured: np.full(len(predicted), 1 / len(predicted)),
        ),
    ),
    without=WITHOUT,
)
