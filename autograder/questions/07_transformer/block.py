"""Question `Block`: attention between tokens and a network within each, both with norm and short cut."""

from collections.abc import Callable

import numpy as np
from torch import Tensor
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import SINGLE, WITHOUT, block, every_call, module_cases, multi_head, of_block, weights_of


def _block_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    return module_cases(rng, lambda size: of_block("", size))


def _block_by_parts(
    weights: dict[str, Tensor],
    attend: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    added: tuple[bool, bool] = (True, True),
    normed: tuple[bool, bool] = (True, True),
) -> Tensor:
    def norm(number: int, values: Tensor) -> Tensor:
        part = weights_of(weights, f"norm_{number}.")
        return functional.layer_norm(values, values.shape[-1:], part["weight"], part["bias"])

    came = attend(norm(1, x) if normed[0] else x)
    x = x + came if added[0] else came
    hidden = functional.linear(norm(2, x) if normed[1] else x, weights["network.0.weight"], weights["network.0.bias"])
    came = functional.linear(functional.gelu(hidden), weights["network.2.weight"], weights["network.2.bias"])
    return x + came if added[1] else came


def _block_mistake(**settings: tuple[bool, bool]) -> Callable[..., list[np.ndarray]]:
    def answer(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
        def attend(values: Tensor) -> Tensor:
            return multi_head(build, weights_of(weights, "attention."), values, real)

        return _block_by_parts(weights, attend, x, **settings)

    return every_call(answer)


def _block_without_mask(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return block(build, weights, x)


def _norm_afterwards(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return block(build, weights, x, real, first=False)


def _side_by_side(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    """Give the network what came in, and not what attention made of it."""
    without_network, without_attention = (
        {name: values * (not name.startswith(part)) for name, values in weights.items()}
        for part in ("network.2.", "attention.out.")
    )
    return block(build, without_network, x, real) + block(build, without_attention, x, real) - x


def _norms_exchanged(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    other = {"norm_1": "norm_2", "norm_2": "norm_1"}
    turned = {name: weights[name.replace(name[:6], other.get(name[:6], name[:6]))] for name in weights}
    return block(build, turned, x, real)


QUESTION = Question(
    name="Block",
    asks=Object("Block"),
    inputs=_block_cases,
    due=every_call(block),
    hints=(
        "First tokens talk, then each thinks for itself; both times the result is added to what was there.",
        "x = x + attention(norm_1(x)); then x + network(norm_2(x))",
        "x stays batch x tokens x size in every step; hand the mask on",
    ),
    mistakes=(
        Mistake("hidden tokens were looked at; hand `real` to the attention", every_call(_block_without_mask)),
        Mistake("the norms came after the sums; here they come first", every_call(_norm_afterwards)),
        Mistake("add what attention gives to x; it came in its place", _block_mistake(added=(False, True))),
        Mistake("add what the network gives to x; it came in its place", _block_mistake(added=(True, False))),
        Mistake("the first norm is missing", _block_mistake(normed=(False, True))),
        Mistake("the second norm is missing", _block_mistake(normed=(True, False))),
        Mistake("the network got what came in; give it what attention made of it", every_call(_side_by_side)),
        Mistake(
            "the norms are exchanged: norm_1 is that of attention, norm_2 that of the network",
            every_call(_norms_exchanged),
        ),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.attention",),
)
