"""Networks and inputs that several questions of notebook 07 share."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from starter.answers.comparators import Same

WITHOUT = ("starter.models",)
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""
SINGLE = Same(rtol=1e-4, atol=1e-5)
"""Of a student's network, in single precision: its sums depend on their order."""
Weights = dict[str, np.ndarray]


def drawn(rng: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Draw weights; none is 0 and no norm is neutral, so that none can be left out unseen."""
    centre = {name: 1.0 if "norm" in name and name.endswith("weight") else 0.1 for name in shapes}
    return {
        name: rng.normal(centre[name], 0.5 if len(shape) == 1 else 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def linear(name: str, n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a linear layer's weights, by name."""
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def layer_norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a layer norm's weights, by name."""
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def of_attention(prefix: str, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of multi-head attention, by name."""
    return {**linear(f"{prefix}project", size, 3 * size), **linear(f"{prefix}out", size, size)}


def of_block(prefix: str, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of a block, by name."""
    network = {**linear(f"{prefix}network.0", size, 2 * size), **linear(f"{prefix}network.2", 2 * size, size)}
    norms = {**layer_norm(f"{prefix}norm_1", size), **layer_norm(f"{prefix}norm_2", size)}
    return {**of_attention(f"{prefix}attention.", size), **norms, **network}


def of_target(n: int, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of the network that makes a perturbation's token, by name."""
    return {**linear("target.1", n, size), **linear("target.3", size, size)}


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Give numbers in double precision, where a sum's order is far below what counts; masks as they are."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def weights_of(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the weights of one part of a module, under their names in it."""
    return {name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)}


def module_cases(
    rng: np.random.Generator, shapes: Callable[[int], dict[str, tuple[int, ...]]]
) -> list[dict[str, object]]:
    """Modules of two and three heads; each is called with all tokens real, then with some hidden."""
    cases = []
    for size, heads, batch, n in ((6, 2, 2, 5), (12, 3, 3, 4), (8, 2, 4, 7)):
        x = rng.normal(0.2, 1.0, (batch, n, size)).astype(np.float32)
        real = np.arange(n) < rng.integers(2, n, (batch, 1))
        calls = [["forward", {"x": x}], ["forward", {"x": x, "real": real}]]
        cases.append({"build": {"size": size, "heads": heads}, "weights": drawn(rng, shapes(size)), "calls": calls})
    return cases


def every_call(function: Callable[..., Tensor]) -> Callable[..., list[np.ndarray]]:
    """Answer each call of a module by a function (build, weights, **arguments) on tensors of double precision."""

    def answers(build: dict, weights: Weights, calls: list) -> list[np.ndarray]:
        with torch.no_grad():
            return [function(build, _tensors(weights), **_tensors(given)).contiguous().numpy() for _, given in calls]

    return answers


def multi_head(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    """Attend in several heads by torch's own module: batch x tokens x size."""
    module = nn.MultiheadAttention(build["size"], build["heads"], batch_first=True, dtype=torch.float64)
    names = {"in_proj_weight": "project.weight", "in_proj_bias": "project.bias"}
    names |= {"out_proj.weight": "out.weight", "out_proj.bias": "out.bias"}
    module.load_state_dict({name: weights[ours] for name, ours in names.items()})
    return module(x, x, x, key_padding_mask=None if real is None else ~real, need_weights=False)[0]


def block(
    build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None, *, first: bool = True
) -> Tensor:
    """Pass tokens through torch's own encoder layer: batch x tokens x size."""
    size = build["size"]
    layer = nn.TransformerEncoderLayer(
        size,
        build["heads"],
        2 * size,
        dropout=0,
        activation="gelu",
        batch_first=True,
        norm_first=first,
        dtype=torch.float64,
    )
    names = {
        "self_attn.in_proj_": "attention.project.",
        "self_attn.out_proj.": "attention.out.",
        "linear1.": "network.0.",
        "linear2.": "network.2.",
        "norm1.": "norm_1.",
        "norm2.": "norm_2.",
    }
    layer.load_state_dict(
        {f"{name}{end}": weights[f"{ours}{end}"] for name, ours in names.items() for end in ("weight", "bias")}
    )
    # in training mode (no dropout): torch's short cut of the evaluation mode leaves out hidden tokens' own rows
    return layer(x, src_key_padding_mask=None if real is None else ~real)


def target_network(weights: dict[str, Tensor], target: Tensor) -> Tensor:
    """Give the token of a perturbation, batch x 1 x size."""
    hidden = functional.gelu(functional.linear(target, weights["target.1.weight"], weights["target.1.bias"]))
    return functional.linear(hidden, weights["target.3.weight"], weights["target.3.bias"])[:, None]


def through(build: dict, weights: dict[str, Tensor], x: Tensor, *, normed: bool = True) -> Tensor:
    """Pass tokens through the blocks and the last norm."""
    for number in range(build["layers"]):
        x = block(build, weights_of(weights, f"blocks.{number}."), x)
    if not normed:
        return x
    return functional.layer_norm(x, x.shape[-1:], weights["norm.weight"], weights["norm.bias"])
