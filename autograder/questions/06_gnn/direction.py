"""Question `direction`: a loss of directions and its gradient."""

from typing import Any

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _directions(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape, weight, width in (((3, 5), 0.4, 0.3), ((4, 7), 2.5, 0.5), ((2, 6), 12.0, 0.2)):
        control = rng.gamma(2.0, 0.5, shape[1])
        measured, predicted = (control + rng.normal(0.1, 0.4, shape) for _ in range(2))
        given = {"predicted": predicted, "measured": measured, "control": control}
        cases.append({**given, "weight": weight, "width": width})
    return cases


def _direction(
    predicted: np.ndarray, measured: np.ndarray, control: np.ndarray, weight: float, width: float
) -> dict[str, Any]:
    """Write the derivative down: d tanh(x) / dx = 1 - tanh(x)^2."""
    due, came = np.sign(measured - control), np.tanh((predicted - control) / width)
    slope = (1 - came**2) / width
    gradient = weight * 2 * (came - due) * slope / predicted.size
    return {"loss": weight * np.mean((due - came) ** 2), "gradient": gradient}


def _of_signs(
    predicted: np.ndarray, measured: np.ndarray, control: np.ndarray, weight: float, width: float
) -> dict[str, object]:
    miss = np.sign(measured - control) - np.sign(predicted - control)
    return {"loss": weight * np.mean(miss**2), "gradient": np.zeros(predicted.shape)}


def _detached(**given: Any) -> dict[str, Any]:
    return {"loss": _direction(**given)["loss"], "gradient": np.zeros(given["predicted"].shape)}


def _unweighted(**given: Any) -> dict[str, Any]:
    return _direction(**{**given, "weight": 1.0})


def _width_forgotten(**given: Any) -> dict[str, Any]:
    return _direction(**{**given, "width": 1.0})


def _control_forgotten(**given: Any) -> dict[str, Any]:
    return _direction(**{**given, "control": np.zeros(given["control"].shape)})


def _summed(**given: Any) -> dict[str, Any]:
    n = given["predicted"].size
    return {name: n * value for name, value in _direction(**given).items()}


def _both_soft(
    predicted: np.ndarray, measured: np.ndarray, control: np.ndarray, weight: float, width: float
) -> dict[str, object]:
    due, came = np.tanh((measured - control) / width), np.tanh((predicted - control) / width)
    gradient = weight * 2 * (came - due) * (1 - came**2) / width / predicted.size
    return {"loss": weight * np.mean((due - came) ** 2), "gradient": gradient}


QUESTION = Question(
    name="direction",
    asks=Function("direction", tensors=True),
    inputs=_directions,
    due=_direction,
    hints=(
        "A sign has no slope, so a network learns nothing from it; tanh is a sign with a slope.",
        "weight x mean((sign(measured effect) - tanh(predicted effect / width))^2), and its gradient",
        "effects: perturbations x genes, minus the control; loss: one number; gradient: like predicted, by autograd",
    ),
    mistakes=(
        Mistake("the sign of a prediction has no slope, so nothing is learned; use tanh there", _of_signs),
        Mistake("the gradient got lost: compute the loss from `predicted` with requires_grad_()", _detached),
        Mistake("the weight is missing; multiply the loss by it before backward()", _unweighted),
        Mistake("divide the predicted effect by `width` inside tanh", _width_forgotten),
        Mistake("effects are differences from the control; subtract it on both sides", _control_forgotten),
        Mistake("this is a sum over genes; take the mean", _summed),
        Mistake("the measured effect keeps its hard sign; only the prediction needs a slope", _both_soft),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.gnn",),
)
