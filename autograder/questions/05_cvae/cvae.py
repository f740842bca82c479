"""Question `CVAE`: encoder and decoder that are told the condition."""

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Object

from .shared import SHAPES, WITHOUT, decode, encode, network, normal


def _networks(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in SHAPES:
        n_cells, n_genes, n_conditions, n_latent, _ = shape
        condition = normal(rng, n_cells, n_conditions)
        calls = [
            ["encode", {"x": normal(rng, n_cells, n_genes), "condition": condition}],
            ["decode", {"z": normal(rng, n_cells, n_latent), "condition": condition}],
        ]
        cases.append(network(rng, shape) | {"calls": calls})
    return cases


def _both(**ways: Any) -> Callable[..., list]:
    """Answer the two calls, in some way of encoding and decoding."""
    encoding = {key: value for key, value in ways.items() if key != "log_rate"}

    def gives(build: dict, weights: dict, calls: list) -> list:
        del build
        (_, to_encode), (_, to_decode) = calls
        return [encode(weights, **to_encode, **encoding), decode(weights, **to_decode, **ways)]

    return gives


def _exchanged(build: dict, weights: dict, calls: list) -> list:
    encoded, decoded = _both()(build, weights, calls)
    return [encoded[::-1], decoded]


def _as_rates(build: dict, weights: dict, calls: list) -> list:
    encoded, decoded = _both()(build, weights, calls)
    return [encoded, np.exp(decoded)]


def _as_variance(build: dict, weights: dict, calls: list) -> list:
    (mean, log_variance), decoded = _both()(build, weights, calls)
    return [[mean, np.exp(log_variance)], decoded]


def _straight(place: int) -> Callable[..., list]:
    """Leave the ReLU out in one of the two calls."""

    def gives(build: dict, weights: dict, calls: list) -> list:
        bent, straight = _both()(build, weights, calls), _both(bend=lambda x: x)(build, weights, calls)
        return [straight[number] if number == place else bent[number] for number in range(2)]

    return gives


QUESTION = Question(
    name="CVAE",
    asks=Object("CVAE"),
    inputs=_networks,
    due=_both(),
    hints=(
        "Both halves are told the condition, beside their input; each has one hidden layer with a ReLU.",
        (
            "encode: hidden = relu(encoder of [x, condition]), then mean and log-variance; decode: log_rate + "
            "change of the hidden layer"
        ),
        (
            "[x, condition]: cells x (genes + numbers of the condition); hidden: cells x hidden; two outputs, or "
            "one of cells x genes"
        ),
    ),
    mistakes=(
        Mistake(
            "the condition comes after the cell, and after z: torch.cat([x, condition], dim=1)",
            _both(condition_first=True),
        ),
        Mistake("the hidden layers are straight lines; put torch.relu around them", _both(bend=lambda x: x)),
        Mistake("the hidden layers are bent by tanh; take torch.relu", _both(bend=np.tanh)),
        Mistake("mean and log-variance are exchanged; the mean comes first", _exchanged),
        Mistake("this is the variance; give its logarithm, as the layer says it", _as_variance),
        Mistake("the control's log rate is missing; add self.log_rate to the change", _both(log_rate=False)),
        Mistake("these are rates; give their logarithms, without exp", _as_rates),
        Mistake("the decoder's hidden layer is a straight line; put torch.relu around it", _straight(1)),
        Mistake("the encoder's hidden layer is a straight line; put torch.relu around it", _straight(0)),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.cvae",),
)
