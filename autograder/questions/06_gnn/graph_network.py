"""Question `GraphNetwork`: from what a target hears to the expression of all genes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import SINGLE, WITHOUT


def _networks(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n, n_messages, n_genes, width in ((4, 3, 7, 2), (3, 5, 6, 4), (5, 2, 4, 3)):
        shapes = {"conv.weight": (width, n_messages), "gene": (n_genes, width), "weight": (n_genes, width)}
        weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        weights["gene"][:2] += np.array([[6], [-6]])  # of the first gene all passes the ReLU, of the second nothing
        weights["bias"] = rng.normal(0.3, 1, n_genes).astype(np.float32)
        given = {
            "heard": rng.normal(size=(n, n_messages)).astype(np.float32),
            "control": rng.gamma(2.0, 1.0, n_genes).astype(np.float32),
        }
        build = {"n_messages": n_messages, "n_genes": n_genes, "width": width}
        cases.append({"build": build, "weights": weights, "calls": [["forward", given]]})
    return cases


def _network(build: dict, weights: dict, calls: list, **changes: Any) -> list[np.ndarray]:
    """Go through perturbations and genes one by one; `changes` are the mistakes."""
    heard, control = (calls[0][1][name].astype(float) for name in ("heard", "control"))
    conv, gene, weight, bias = (weights[name].astype(float) for name in ("conv.weight", "gene", "weight", "bias"))
    due = np.zeros((len(heard), build["n_genes"]))
    for row, message in enumerate(heard):
        perturbation = conv @ message
        for g in range(build["n_genes"]):
            state = perturbation * changes.get("message", 1) + gene[g] * changes.get("gene", 1)
            if changes.get("relu", True):
                state = np.maximum(state, 0)
            value = state @ weight[g] if changes.get("weighted", True) else state.sum()
            value = value if changes.get("sum", True) else value / build["width"]
            due[row, g] = value + bias[g] * changes.get("bias", 1) + control[g] * changes.get("control", 1)
    return [due]


def _mistaken(**changes: Any) -> Callable[..., list[np.ndarray]]:
    return lambda build, weights, calls: _network(build, weights, calls, **changes)


QUESTION = Question(
    name="GraphNetwork",
    asks=Object("GraphNetwork"),
    inputs=_networks,
    due=_network,
    hints=(
        "What a target hears becomes a vector; each gene adds its own, and reads the sum through a ReLU.",
        "control + bias + sum over the width of relu(gene + message) x weight",
        "message: perturbations x 1 x width, plus genes x width: perturbations x genes x width; the sum over dim 2",
    ),
    mistakes=(
        Mistake("the ReLU is missing", _mistaken(relu=False)),
        Mistake("the control expression is missing; add it at the end", _mistaken(control=0)),
        Mistake("the genes' bias is missing", _mistaken(bias=0)),
        Mistake("the gene embeddings are missing; add them to the perturbation's", _mistaken(gene=0)),
        Mistake("this is a mean over the width; take the sum", _mistaken(sum=False)),
        Mistake("the message is missing; add it to each gene's embedding", _mistaken(message=0)),
        Mistake("the output weights are missing; multiply by self.weight before you sum", _mistaken(weighted=False)),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.gnn",),
)
