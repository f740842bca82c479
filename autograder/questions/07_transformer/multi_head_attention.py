"""Question `MultiHeadAttention`: several attentions side by side."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import SINGLE, WITHOUT, every_call, module_cases, multi_head, of_attention


def _multi_head_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    return module_cases(rng, lambda size: of_attention("", size))


def _parts(build: dict, weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """Give queries, keys and values, batch x heads x tokens x numbers of a head."""
    parts = functional.linear(x, weights["project.weight"], weights["project.bias"]).chunk(3, dim=-1)
    return [part.reshape(*x.shape[:2], build["heads"], -1).transpose(1, 2) for part in parts]


def _joined(weights: dict[str, Tensor], parts: list[Tensor], real: Tensor | None, scale: float | None = None) -> Tensor:
    query, key, value = parts
    mask = None if real is None else real[:, None, None, :]
    seen = functional.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    return functional.linear(seen.transpose(1, 2).flatten(2), weights["out.weight"], weights["out.bias"])


def _transposed_weight(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return multi_head(build, {**weights, "out.weight": weights["out.weight"].T}, x, real)


def _mask_forgotten(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return multi_head(build, weights, x)


def _one_head(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return multi_head({**build, "heads": 1}, weights, x, real)


def _without_out(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    identity = {"out.weight": torch.eye(build["size"]).double(), "out.bias": torch.zeros(build["size"]).double()}
    return multi_head(build, {**weights, **identity}, x, real)


def _parts_exchanged(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    query, key, value = _parts(build, weights, x)
    return _joined(weights, [query, value, key], real)


def _heads_mixed_up(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    """Cut tokens into heads by a reshape that takes other tokens' numbers."""
    parts = functional.linear(x, weights["project.weight"], weights["project.bias"]).chunk(3, dim=-1)
    parts = [part.reshape(len(x), build["heads"], x.shape[1], -1) for part in parts]
    return _joined(weights, parts, real)


def _heads_not_put_back(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    query, key, value = _parts(build, weights, x)
    mask = None if real is None else real[:, None, None, :]
    seen = functional.scaled_dot_product_attention(query, key, value, mask).reshape(x.shape)
    return functional.linear(seen, weights["out.weight"], weights["out.bias"])


def _scaled_by_size(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _joined(weights, _parts(build, weights, x), real, scale=build["size"] ** -0.5)


def _queries_exchanged(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    query, key, value = _parts(build, weights, x)
    return _joined(weights, [key, query, value], real)


QUESTION = Question(
    name="MultiHeadAttention",
    asks=Object("MultiHeadAttention"),
    inputs=_multi_head_cases,
    due=every_call(multi_head),
    hints=(
        "Several small attentions side by side, each with its own part of the numbers.",
        "project to Q, K, V; cut each into heads; attend; put the heads beside each other; the last projection",
        "batch x tokens x size to batch x heads x tokens x (size / heads), and back; mask: batch x 1 x 1 x tokens",
    ),
    mistakes=(
        Mistake("the last projection came transposed; call self.out", every_call(_transposed_weight)),
        Mistake("hidden tokens were looked at; pass `real` on as the mask", every_call(_mask_forgotten)),
        Mistake("there is one head only; cut queries, keys and values into heads", every_call(_one_head)),
        Mistake("the last projection is missing; call self.out", every_call(_without_out)),
        Mistake("keys and values are exchanged; the order is queries, keys, values", every_call(_parts_exchanged)),
        Mistake(
            "heads hold numbers of other tokens; unflatten the last dimension, then transpose(1, 2)",
            every_call(_heads_mixed_up),
        ),
        Mistake("put the heads back beside each other: transpose(1, 2), then flatten", every_call(_heads_not_put_back)),
        Mistake("scores are divided by the root of all numbers; take those of a head", every_call(_scaled_by_size)),
        Mistake("queries and keys are exchanged; the order is queries, keys, values", every_call(_queries_exchanged)),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.attention",),
)
