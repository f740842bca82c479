"""Question `SGConv`: messages that travel, then one linear layer."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import SINGLE, WITHOUT


def _layers(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n, inputs, outputs, steps in ((6, 3, 4, 2), (9, 5, 2, 3), (7, 2, 3, 1)):
        matrix = rng.uniform(0, 0.6, (n, n)) * (rng.random((n, n)) < 0.7)
        given = {"matrix": matrix.astype(np.float32), "features": rng.normal(size=(n, inputs)).astype(np.float32)}
        weights = {"linear.weight": rng.normal(size=(outputs, inputs)), "linear.bias": rng.normal(0.5, 1, outputs)}
        heard = np.linalg.matrix_power(matrix, steps) @ given["features"] @ weights["linear.weight"][0]
        weights["linear.bias"][0] = -0.5 - heard.max()  # of the first number nothing would pass a ReLU
        cases.append(
            {
                "build": {"inputs": inputs, "outputs": outputs, "steps": steps},
                "weights": {name: values.astype(np.float32) for name, values in weights.items()},
                "calls": [["forward", given]],
            }
        )
    return cases


def _layer(build: dict, weights: dict, calls: list, *, more: int = 0, turned: bool = False) -> np.ndarray:
    """Give S^K X W + b in double precision."""
    matrix, x = (calls[0][1][name].astype(float) for name in ("matrix", "features"))
    spread = np.linalg.matrix_power(matrix.T if turned else matrix, build["steps"] + more)
    return spread @ x @ weights["linear.weight"].astype(float).T + weights["linear.bias"]


def _sgconv(build: dict, weights: dict, calls: list) -> list[np.ndarray]:
    return [_layer(build, weights, calls)]


def _bias_travels(build: dict, weights: dict, calls: list) -> list[np.ndarray]:
    matrix, x = (calls[0][1][name].astype(float) for name in ("matrix", "features"))
    message = x @ weights["linear.weight"].astype(float).T + weights["linear.bias"]
    return [np.linalg.matrix_power(matrix, build["steps"]) @ message]


QUESTION = Question(
    name="SGConv",
    asks=Object("SGConv"),
    inputs=_layers,
    due=_sgconv,
    hints=(
        "Messages travel first, without any weights; then one linear layer reads what has arrived.",
        "S^K X W + b: K steps, then the linear layer",
        "features: genes x inputs, after the steps too; the layer makes it genes x outputs",
    ),
    mistakes=(
        Mistake(
            "the messages do not travel; multiply by the matrix `steps` times",
            lambda build, weights, calls: [_layer(build, weights, calls, more=-build["steps"])],
        ),
        Mistake(
            "this is one step too many",
            lambda build, weights, calls: [_layer(build, weights, calls, more=1)],
        ),
        Mistake(
            "the matrix is transposed: row i says what gene i hears",
            lambda build, weights, calls: [_layer(build, weights, calls, turned=True)],
        ),
        Mistake(
            "the bias is missing",
            lambda build, weights, calls: [_layer(build, weights, calls) - weights["linear.bias"]],
        ),
        Mistake("the bias travels too; propagate first, then apply the linear layer", _bias_travels),
        Mistake(
            "a ReLU is too much: SGConv is linear",
            lambda build, weights, calls: [np.maximum(_layer(build, weights, calls), 0)],
        ),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.gnn",),
)
