"""Question `Flow`: the velocity of a cell for a target, and where it carries cells."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import SINGLE, WITHOUT, drawn, linear, of_target, target_network

Weights = dict[str, Tensor]


def _flow_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_cells, n_of_cell, n_of_target, size, steps in ((5, 3, 4, 6, 4), (6, 2, 5, 8, 3), (4, 5, 3, 7, 5)):
        shapes = {**of_target(n_of_target, size), **linear("network.0", n_of_cell + 1 + size, size)}
        shapes |= {**linear("network.2", size, size), **linear("network.4", size, n_of_cell)}
        x, start = rng.normal(0.3, 1.0, (2, n_cells, n_of_cell)).astype(np.float32)
        time = rng.uniform(0.1, 0.9, (n_cells, 1)).astype(np.float32)
        target = rng.normal(size=(n_cells, n_of_target)).astype(np.float32)
        calls = [
            ["forward", {"x": x, "time": time, "target": target}],
            ["move", {"start": start, "target": target[:1], "steps": steps}],
        ]
        build = {"n_of_cell": n_of_cell, "n_of_target": n_of_target, "size": size}
        cases.append({"build": build, "weights": drawn(rng, shapes), "calls": calls})
    return cases


def _velocity(
    weights: Weights, x: Tensor, time: Tensor, target: Tensor, order: tuple[int, int, int] = (0, 1, 2)
) -> Tensor:
    parts = [x, time, target_network(weights, target)[:, 0]]
    hidden = torch.cat([parts[place] for place in order], dim=1)
    for layer in ("network.0", "network.2"):
        hidden = functional.gelu(functional.linear(hidden, weights[f"{layer}.weight"], weights[f"{layer}.bias"]))
    return functional.linear(hidden, weights["network.4.weight"], weights["network.4.bias"])


def _moves(
    weights: Weights,
    start: Tensor,
    target: Tensor,
    steps: int,
    *,
    late: float = 0.0,
    length: float | None = None,
    frozen: bool = False,
    back: bool = False,
    order: tuple[int, int, int] = (0, 1, 2),
) -> Tensor:
    """Carry cells one at a time; the velocity is asked at step + late."""
    every = []
    for cell in start:
        path = [cell[None]]
        for step in range(steps):
            time = 1 - step / steps if back else (step + late) / steps
            velocity = _velocity(weights, path[0 if frozen else -1], torch.full((1, 1), time).double(), target, order)
            path.append(path[-1] + velocity * (1 / steps if length is None else length))
        every.append(torch.cat(path))
    return torch.stack(every, dim=1)


def _answer(
    order: tuple[int, int, int] = (0, 1, 2), cut: slice = slice(None), **ways: Any
) -> Callable[..., list[np.ndarray]]:
    """Answer both calls, in some way."""

    def gives(build: dict, weights: dict[str, np.ndarray], calls: list) -> list[np.ndarray]:
        del build
        of_network = {name: torch.from_numpy(array).double() for name, array in weights.items()}
        (_, asked), (_, moved) = calls
        with torch.no_grad():
            x, time, target = (torch.from_numpy(asked[name]).double() for name in ("x", "time", "target"))
            start, one = (torch.from_numpy(moved[name]).double() for name in ("start", "target"))
            path = _moves(of_network, start, one, moved["steps"], order=order, **ways)[cut]
            return [_velocity(of_network, x, time, target, order).numpy(), path.numpy()]

    return gives


def _end_only(build: dict, weights: dict[str, np.ndarray], calls: list) -> list[np.ndarray]:
    velocity, path = _answer()(build, weights, calls)
    return [velocity, path[-1]]


QUESTION = Question(
    name="Flow",
    asks=Object("Flow"),
    inputs=_flow_cases,
    due=_answer(),
    hints=(
        "The network says the velocity; small steps along it carry cells from control to perturbed.",
        "velocity = network of [x, t, told target]; x(step + 1) = x(step) + velocity / steps, t = step / steps",
        "joined: cells x (numbers + 1 + size); path: steps + 1 arrays of cells x numbers, stacked, the start first",
    ),
    mistakes=(
        Mistake("the time comes before the target: torch.cat([x, time, told], dim=1)", _answer(order=(0, 2, 1))),
        Mistake("the network reads the cell first, then the time and the target", _answer(order=(1, 0, 2))),
        Mistake("steps are too long; multiply the velocity by the step's length, 1 / steps", _answer(length=1.0)),
        Mistake("the velocity is that at the beginning of a step: time step / steps, from 0", _answer(late=1.0)),
        Mistake("time runs backwards; at the start it is 0", _answer(back=True)),
        Mistake("the velocity is asked where the cells are now, not where they began", _answer(frozen=True)),
        Mistake("the start is missing; it is the first of the path", _answer(cut=slice(1, None)), credit=0.5),
        Mistake("this is the end alone; give where the cells are after each step", _end_only, credit=0.5),
    ),
    comparator=SINGLE,
    without=WITHOUT,
)
