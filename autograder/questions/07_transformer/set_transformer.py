"""Question `SetTransformer`: from control cells and a target's features to perturbed cells."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import (
    SINGLE,
    WITHOUT,
    drawn,
    every_call,
    layer_norm,
    linear,
    of_block,
    of_target,
    target_network,
    through,
)


def _set_model_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Models with one and two blocks; without any, the perturbation's token would tell nobody anything."""
    cases = []
    for size, heads, layers, n_cells, n_of_cell, n_of_target, batch in (
        (6, 2, 1, 5, 3, 4, 2),
        (8, 2, 1, 7, 5, 3, 3),
        (12, 3, 2, 4, 7, 5, 5),
    ):
        shapes = {**linear("cell", n_of_cell, size), **of_target(n_of_target, size)}
        for number in range(layers):
            shapes |= of_block(f"blocks.{number}.", size)
        shapes |= {**layer_norm("norm", size), **linear("change", size, n_of_cell)}
        given = {
            "control": rng.normal(0.5, 1.0, (batch, n_cells, n_of_cell)).astype(np.float32),
            "target": rng.normal(size=(batch, n_of_target)).astype(np.float32),
        }
        build = {"n_of_cell": n_of_cell, "n_of_target": n_of_target, "size": size, "heads": heads, "layers": layers}
        cases.append({"build": build, "weights": drawn(rng, shapes), "calls": [["forward", given]]})
    return cases


def _set_model(
    build: dict,
    weights: dict[str, Tensor],
    control: Tensor,
    target: Tensor,
    *,
    added: bool = True,
    told: bool = True,
    token: bool = True,
    last: bool = False,
    normed: bool = True,
) -> Tensor:
    perturbation = target_network(weights, target)
    cells = functional.linear(control, weights["cell.weight"], weights["cell.bias"])
    cells = cells + perturbation if told else cells
    x = torch.cat([perturbation, cells], dim=1) if token else cells
    x = through(build, weights, x, normed=normed)
    x = x[:, :-1] if last else x[:, int(token) :]
    change = functional.linear(x, weights["change.weight"], weights["change.bias"])
    return control + change if added else change


def _set_mistake(**settings: bool) -> Callable[..., list[np.ndarray]]:
    return every_call(partial(_set_model, **settings))


QUESTION = Question(
    name="SetTransformer",
    asks=Object("SetTransformer"),
    inputs=_set_model_cases,
    due=every_call(_set_model),
    hints=(
        "Control cells go in as a set, told the perturbation; each comes out changed.",
        "tokens = cell + perturbation, the perturbation first; blocks; control + change(norm(token))",
        (
            "joined: batch x (1 + cells) x size; drop the first token afterwards; change: batch x cells x numbers "
            "of a cell"
        ),
    ),
    mistakes=(
        Mistake("this is the change alone; add it to the control cells", _set_mistake(added=False)),
        Mistake("add the perturbation's token to every cell's too", _set_mistake(told=False)),
        Mistake("the perturbation has a token of its own; put it before the cells", _set_mistake(token=False)),
        Mistake("the last cell was left out; the perturbation's token is the first", _set_mistake(last=True)),
        Mistake("self.norm is missing; it comes after the blocks", _set_mistake(normed=False)),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.set_transformer",),
)
