"""Question `AffineDecoder`: expression from a token's vector and the value that went in."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Object

from .shared import WITHOUT


def _decoders(rng: np.random.Generator) -> list[dict[str, object]]:
    """Weights and tokens; among the values are a zero and one that the value encoder would clamp."""
    cases = []
    for width, batch, n_genes in ((5, 2, 4), (3, 4, 6), (7, 3, 5)):
        values = rng.gamma(2.0, 1.0, (batch, n_genes))
        values[0, 1], values[1, 0] = 0.0, 600.0
        weights = {
            f"{head}.{name}": rng.normal(0.2, 0.5, shape).astype(np.float32)
            for head in ("coeff", "bias")
            for name, shape in (("weight", (1, width)), ("bias", (1,)))
        }
        hidden = rng.normal(size=(batch, n_genes, width))
        arguments = {"hidden": hidden.astype(np.float32), "values": values.astype(np.float32)}
        cases.append({"build": {"width": width}, "weights": weights, "calls": [["forward", arguments]]})
    return cases


def _heads(weights: dict[str, np.ndarray], calls: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give coefficient, value and bias of each token, in double precision."""
    arguments = {name: np.asarray(value, float) for name, value in calls[0][1].items()}
    coeff, bias = (
        np.einsum("bgw,w->bg", arguments["hidden"], weights[f"{head}.weight"][0].astype(float))
        + float(weights[f"{head}.bias"][0])
        for head in ("coeff", "bias")
    )
    return coeff, arguments["values"], bias


def _decoder(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [coeff * values + bias]


def _heads_swapped(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [bias * values + coeff]


def _clamped(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [coeff * np.minimum(values, 512) + bias]


def _without_bias(build: dict, weights: dict, calls: list) -> list:
    coeff, values, _ = _heads(weights, calls)
    return [coeff * values]


def _added(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [coeff + values + bias]


def _one_too_many(build: dict, weights: dict, calls: list) -> list:
    return [_decoder(build, weights, calls)[0][..., None]]


QUESTION = Question(
    name="AffineDecoder",
    asks=Object("AffineDecoder"),
    inputs=_decoders,
    due=_decoder,
    hints=(
        "What comes out is what went in, stretched and moved as the token says.",
        "coefficient x value + bias, both read from the token's vector by a linear layer",
        "hidden: cells x genes x width; a head gives cells x genes x 1, without its last dimension: cells x genes",
    ),
    mistakes=(
        Mistake("coefficient and bias are swapped: coeff times value, plus bias", _heads_swapped),
        Mistake("values are clamped here; only the value encoder does that", _clamped),
        Mistake("the bias is missing", _without_bias),
        Mistake("the coefficient multiplies the value; do not add it", _added),
        Mistake("one dimension is too many; drop the last one of each head with .squeeze(-1)", _one_too_many),
    ),
    comparator=Same(),
    without=WITHOUT,
)
