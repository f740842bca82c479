"""Question `Alone`: a block without its attention."""

from collections.abc import Callable

import numpy as np
from torch import Tensor
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import SINGLE, WITHOUT, block, every_call, module_cases, of_block, weights_of


def _alone_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    return module_cases(rng, lambda size: of_block("", size))


def _alone(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    """Pass tokens through torch's own encoder layer, whose attention gives 0."""
    silent = {name: values * (not name.startswith("attention.out.")) for name, values in weights.items()}
    return block(build, silent, x)


def _by_parts(*, norm: str | None = "norm_2", added: bool = True) -> Callable[..., list[np.ndarray]]:
    def answer(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
        read = x
        if norm:
            part = weights_of(weights, f"{norm}.")
            read = functional.layer_norm(x, x.shape[-1:], part["weight"], part["bias"])
        hidden = functional.linear(read, weights["network.0.weight"], weights["network.0.bias"])
        came = functional.linear(functional.gelu(hidden), weights["network.2.weight"], weights["network.2.bias"])
        return x + came if added else came

    return every_call(answer)


def _nothing(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return x


def _network_out(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    silent = {name: values * (not name.startswith("network.2.")) for name, values in weights.items()}
    return block(build, silent, x, real)


QUESTION = Question(
    name="Alone",
    asks=Object("Alone"),
    inputs=_alone_cases,
    due=every_call(_alone),
    hints=(
        "To ask what attention is good for, take it out and leave all else as it is.",
        "x + network(norm_2(x)): the second step of a block, alone",
        "x stays batch x tokens x size",
    ),
    mistakes=(
        Mistake("attention is still there; leave out the first step", every_call(block)),
        Mistake("the network was taken out, and attention left in; take out attention", every_call(_network_out)),
        Mistake("nothing is left; keep the second step, the network within each token", every_call(_nothing)),
        Mistake("add what the network gives to x; it came in its place", _by_parts(added=False)),
        Mistake("the norm is missing; the network reads norm_2 of x", _by_parts(norm=None)),
        Mistake("this is the norm of attention; the network reads norm_2 of x", _by_parts(norm="norm_1")),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.attention",),
)
