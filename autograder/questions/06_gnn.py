"""Notebook 06: graph networks. What is due is computed without the notebook's shortcuts: loops and closed forms."""

import numpy as np
import scipy.sparse
from scipy.spatial.distance import cdist

from autograder.questions import Mistake, Question
from starter.answers import Function, Object
from starter.check import Same

HIDDEN = ("starter.baselines", "starter.features", "starter.gnn", "starter.graphs", "starter.tuning")
"""What would answer for the student. The same for every question, so that the notebook runs once."""
SINGLE = Same(rtol=1e-4)
"""Torch modules compute in single precision."""


# who works with whom


def _annotated(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three matrices of genes x terms, of unlike numbers of terms, each gene with one at least."""
    cases = []
    for n_genes, n_terms in ((5, 9), (8, 6), (7, 13)):
        has = rng.random((n_genes, n_terms)) < rng.uniform(0.2, 0.7, (n_genes, 1))
        has[np.arange(n_genes), rng.integers(n_terms, size=n_genes)] = True
        has[0, :3] = has[1, 1:4] = True  # some terms are shared
        cases.append({"annotated": scipy.sparse.csr_matrix(has.astype(float))})
    return cases


def _shared(annotated: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    has = annotated.toarray()
    return has @ has.T, has.sum(axis=1)


def _jaccard(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    has = annotated.toarray().astype(bool)
    return 1 - cdist(has, has, "jaccard")


def _shared_only(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    return _shared(annotated)[0]


def _of_sum(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    shared, n = _shared(annotated)
    return shared / np.add.outer(n, n)


def _cosine(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    shared, n = _shared(annotated)
    return shared / np.sqrt(np.outer(n, n))


def _of_smaller(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    shared, n = _shared(annotated)
    return shared / np.minimum.outer(n, n)


def _of_all_terms(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    return _shared(annotated)[0] / annotated.shape[1]


def _between_terms(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    has = annotated.toarray().astype(bool).T
    return 1 - cdist(has, has, "jaccard")


# how a message travels


def _graphs(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three graphs with hubs and a gene without neighbours."""
    cases = []
    for n, share in ((6, 0.5), (9, 0.35), (11, 0.3)):
        popular = rng.uniform(0.3, 1.7, n)
        linked = np.triu(rng.random((n, n)) < share * np.outer(popular, popular), 1)
        linked[0, 1:4] = True
        alone = int(rng.integers(4, n))
        linked[alone] = linked[:, alone] = False
        cases.append({"adjacency": scipy.sparse.csr_matrix((linked | linked.T).astype(float))})
    return cases


def _scaled(matrix: np.ndarray, degree: np.ndarray) -> np.ndarray:
    degree = np.maximum(degree, 1e-12)
    return matrix / np.sqrt(np.outer(degree, degree)) * (degree > 1e-9)


def _normalise(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray()
    n = len(a)
    due = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i == j or a[i, j]:
                due[i, j] = 1 / np.sqrt((a[i].sum() + 1) * (a[j].sum() + 1))
    return due


def _without_loops(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray()
    return _scaled(a, a.sum(axis=1))


def _loops_not_counted(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray()
    return _scaled(a + np.eye(len(a)), np.maximum(a.sum(axis=1), 1))


def _row_mean(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray() + np.eye(adjacency.shape[0])
    return a / a.sum(axis=1, keepdims=True)


def _no_root(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray() + np.eye(adjacency.shape[0])
    return a / np.outer(a.sum(axis=1), a.sum(axis=1))


def _root_up(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray() + np.eye(adjacency.shape[0])
    return a * np.sqrt(np.outer(a.sum(axis=1), a.sum(axis=1)))


def _travels(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three matrices, not symmetric, one of them an array, with features and numbers of steps."""
    cases = []
    for n, n_features, steps, kind in ((5, 3, 3, scipy.sparse.csr_matrix), (8, 4, 2, np.array), (6, 2, 4, np.array)):
        matrix = rng.uniform(0, 0.6, (n, n)) * (rng.random((n, n)) < 0.6)
        cases.append({"matrix": kind(matrix), "features": rng.normal(0.5, 1, (n, n_features)), "steps": steps})
    return cases


def _propagate(matrix: scipy.sparse.csr_matrix | np.ndarray, features: np.ndarray, steps: int) -> np.ndarray:
    return np.linalg.matrix_power(_dense(matrix), steps) @ features


def _dense(matrix: scipy.sparse.csr_matrix | np.ndarray) -> np.ndarray:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else matrix


def _all_steps(matrix: scipy.sparse.csr_matrix | np.ndarray, features: np.ndarray, steps: int) -> np.ndarray:
    return np.mean([_propagate(matrix, features, step) for step in range(steps + 1)], axis=0)


def _each_entry(matrix: scipy.sparse.csr_matrix | np.ndarray, features: np.ndarray, steps: int) -> np.ndarray:
    return _dense(matrix) ** steps @ features


# what a target may hear


def _listeners(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three matrices of messages, not symmetric; the first listener is a speaker, the second hears only itself."""
    cases = []
    for n, n_listeners, n_speakers in ((9, 4, 5), (12, 5, 7), (8, 3, 5)):
        spread = rng.uniform(0.05, 1, (n, n)) * (rng.random((n, n)) < 0.8)
        order = rng.permutation(n)
        speakers, rest = order[:n_speakers], order[n_speakers:]
        listeners = np.concatenate([speakers[:2], rest])[:n_listeners]
        spread[listeners[1], np.setdiff1d(np.arange(n), listeners[1])] = 0
        spread[listeners[:2], listeners[:2]] = rng.uniform(0.6, 1.5, 2)
        spread[listeners[0], speakers[1:3]] = rng.uniform(0.1, 1, 2)
        spread[listeners[2], speakers[:2]] = rng.uniform(0.1, 1, 2)
        cases.append({"spread": spread, "listeners": listeners, "speakers": speakers})
    return cases


def _shares(
    spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray, own: float = 0.0, axis: int = 1
) -> np.ndarray:
    """Messages as shares of those that a listener gets (axis 1), or that a speaker sends (0)."""
    heard = np.array([[spread[i, j] * (own if i == j else 1) for j in speakers] for i in listeners])
    total = heard.sum(axis=axis, keepdims=True)
    return np.where(total > 0, heard / np.where(total > 0, total, 1), 0)


def _hear_others(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread, listeners, speakers)


def _hear_itself(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread, listeners, speakers, own=1.0)


def _not_shares(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return np.array([[spread[i, j] * (i != j) for j in speakers] for i in listeners])


def _shares_too_early(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _hear_itself(spread, listeners, speakers) * np.not_equal.outer(listeners, speakers)


def _of_all_genes(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    heard = _not_shares(spread, listeners, speakers)
    return heard / spread[listeners].sum(axis=1, keepdims=True)


def _of_speakers(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread, listeners, speakers, axis=0)


def _turned(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread.T, listeners, speakers)


def _nobody_is_nan(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    heard = _shares(spread, listeners, speakers)
    return np.where(heard.any(axis=1, keepdims=True), heard, np.nan)


# layers


def _layers(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n, inputs, outputs, steps in ((6, 3, 4, 2), (9, 5, 2, 3), (7, 2, 3, 1)):
        matrix = rng.uniform(0, 0.6, (n, n)) * (rng.random((n, n)) < 0.7)
        given = {"matrix": matrix.astype(np.float32), "features": rng.normal(size=(n, inputs)).astype(np.float32)}
        weights = {"linear.weight": rng.normal(size=(outputs, inputs)), "linear.bias": rng.normal(0.5, 1, outputs)}
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


# GEARS


def _networks(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n, n_messages, n_genes, width in ((4, 3, 7, 2), (3, 5, 6, 4), (5, 2, 4, 3)):
        shapes = {"conv.weight": (width, n_messages), "gene": (n_genes, width), "weight": (n_genes, width)}
        weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        weights["bias"] = rng.normal(0.3, 1, n_genes).astype(np.float32)
        given = {
            "heard": rng.normal(size=(n, n_messages)).astype(np.float32),
            "control": rng.gamma(2.0, 1.0, n_genes).astype(np.float32),
        }
        build = {"n_messages": n_messages, "n_genes": n_genes, "width": width}
        cases.append({"build": build, "weights": weights, "calls": [["forward", given]]})
    return cases


def _gears(build: dict, weights: dict, calls: list, **changes: object) -> list[np.ndarray]:
    """Go through perturbations and genes one by one; `changes` are the mistakes."""
    heard, control = (calls[0][1][name].astype(float) for name in ("heard", "control"))
    conv, gene, weight, bias = (weights[name].astype(float) for name in ("conv.weight", "gene", "weight", "bias"))
    due = np.zeros((len(heard), build["n_genes"]))
    for row, message in enumerate(heard):
        perturbation = conv @ message
        for g in range(build["n_genes"]):
            state = perturbation + gene[g] * changes.get("gene", 1)
            if changes.get("relu", True):
                state = np.maximum(state, 0)
            value = state @ weight[g] if changes.get("sum", True) else state @ weight[g] / build["width"]
            due[row, g] = value + bias[g] * changes.get("bias", 1) + control[g] * changes.get("control", 1)
    return [due]


def _mistaken_gears(**changes: object) -> object:
    return lambda build, weights, calls: _gears(build, weights, calls, **changes)


# the direction of a change


def _directions(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape, weight, width in (((3, 5), 0.4, 0.3), ((4, 7), 2.5, 0.5), ((2, 6), 12.0, 0.2)):
        control = rng.gamma(2.0, 0.5, shape[1])
        measured, predicted = (control + rng.normal(0.1, 0.4, shape) for _ in range(2))
        given = {"predicted": predicted, "measured": measured, "control": control}
        cases.append({**given, "weight": weight, "width": width})
    return cases


def _direction(
    predicted: np.ndarray, measured: np.ndarray, control: np.ndarray, weight: float, width: float
) -> dict[str, object]:
    """Write the derivative down: d tanh(x) / dx = 1 - tanh(x)^2."""
    due, came = np.sign(measured - control), np.tanh((predicted - control) / width)
    slope = (1 - came**2) / width
    gradient = weight * 2 * (came - due) * slope / predicted.size
    return {"loss": weight * np.mean((due - came) ** 2), "gradient": gradient}


def _of_signs(
    predicted: np.ndarray, measured: np.ndarray, control: np.ndarray, weight: float, width: float
) -> dict[str, object]:
    miss = np.sign(measured - control) - np.sign(predicted - control)
    return {"loss": weight * np.mean(miss**2), "gradient": np.zeros(predicted.shape)}


def _detached(**given: object) -> dict[str, object]:
    return {"loss": _direction(**given)["loss"], "gradient": np.zeros(given["predicted"].shape)}


def _unweighted(**given: object) -> dict[str, object]:
    return _direction(**{**given, "weight": 1.0})


def _width_forgotten(**given: object) -> dict[str, object]:
    return _direction(**{**given, "width": 1.0})


def _control_forgotten(**given: object) -> dict[str, object]:
    return _direction(**{**given, "control": np.zeros(given["control"].shape)})


def _summed(**given: object) -> dict[str, object]:
    n = given["predicted"].size
    return {name: n * value for name, value in _direction(**given).items()}


def _both_soft(
    predicted: np.ndarray, measured: np.ndarray, control: np.ndarray, weight: float, width: float
) -> dict[str, object]:
    due, came = np.tanh((measured - control) / width), np.tanh((predicted - control) / width)
    gradient = weight * 2 * (came - due) * (1 - came**2) / width / predicted.size
    return {"loss": weight * np.mean((due - came) ** 2), "gradient": gradient}


# a graph for every cell


def _batches(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three graphs; their last gene has no edge, so that the numbers in them do not tell how many genes there are."""
    cases = []
    for n_genes, n_edges, n_cells in ((7, 5, 3), (11, 8, 4), (6, 9, 2)):
        a = rng.integers(n_genes - 1, size=n_edges)
        b = (a + rng.integers(1, n_genes - 1, size=n_edges)) % (n_genes - 1)
        cases.append({"edges": np.stack([a, b]), "n_genes": n_genes, "n_cells": n_cells})
    return cases


def _batch_edges(edges: np.ndarray, n_genes: int, n_cells: int) -> np.ndarray:
    due = [[], []]
    for cell in range(n_cells):
        for a, b in edges.T:
            due[0].append(a + cell * n_genes)
            due[1].append(b + cell * n_genes)
    return np.array(due)


def _repeated(edges: np.ndarray, n_genes: int, n_cells: int) -> np.ndarray:
    return np.tile(edges, n_cells)


def _by_edges(edges: np.ndarray, n_genes: int, n_cells: int) -> np.ndarray:
    return _batch_edges(edges, edges.shape[1], n_cells)


def _one_end(edges: np.ndarray, n_genes: int, n_cells: int) -> np.ndarray:
    return np.stack([np.tile(edges[0], n_cells), _batch_edges(edges, n_genes, n_cells)[1]])


def _edge_by_edge(edges: np.ndarray, n_genes: int, n_cells: int) -> np.ndarray:
    return _batch_edges(edges, n_genes, n_cells).reshape(2, n_cells, -1).swapaxes(1, 2).reshape(2, -1)


QUESTIONS = (
    Question(
        name="jaccard",
        asks=Function("jaccard"),
        inputs=_annotated,
        due=_jaccard,
        mistakes=(
            Mistake("these are numbers of shared terms; divide by the terms that either gene has", _shared_only),
            Mistake("shared terms are counted twice below the line; subtract them once", _of_sum),
            Mistake("this is a cosine; divide by the number of terms that either gene has", _cosine),
            Mistake("this divides by the gene with fewer terms; divide by the terms that either has", _of_smaller),
            Mistake("this divides by all terms there are; divide by those that either gene has", _of_all_terms),
            Mistake("this compares terms; a gene is a row of `annotated`", _between_terms),
        ),
        without=HIDDEN,
    ),
    Question(
        name="normalise",
        asks=Function("normalise"),
        inputs=_graphs,
        due=_normalise,
        mistakes=(
            Mistake("no gene listens to itself; add the identity before you scale", _without_loops),
            Mistake("count neighbours after the identity was added", _loops_not_counted),
            Mistake("this scales the rows only; scale rows and columns, each by 1 / sqrt(d)", _row_mean),
            Mistake("the root is missing: scale by 1 / sqrt(d) on both sides", _no_root),
            Mistake("this multiplies by the roots; divide by them", _root_up),
        ),
        without=HIDDEN,
    ),
    Question(
        name="propagate",
        asks=Function("propagate"),
        inputs=_travels,
        due=_propagate,
        mistakes=(
            Mistake("this is one step; multiply `steps` times", lambda matrix, features, steps: matrix @ features),
            Mistake(
                "this is one step too many", lambda matrix, features, steps: _propagate(matrix, features, steps + 1)
            ),
            Mistake(
                "the matrix is transposed: row i says what gene i hears",
                lambda matrix, features, steps: _propagate(matrix.T, features, steps),
            ),
            Mistake("this averages all steps; give what is there after the last", _all_steps),
            Mistake("each entry was raised to a power; multiply by the matrix again and again", _each_entry),
            Mistake(
                "one step was multiplied by `steps`; each step starts from the one before",
                lambda matrix, features, steps: steps * (matrix @ features),
            ),
        ),
        without=HIDDEN,
    ),
    Question(
        name="hear_others",
        asks=Function("hear_others"),
        inputs=_listeners,
        due=_hear_others,
        mistakes=(
            Mistake("a listener hears itself; set that entry to 0", _hear_itself),
            Mistake("the rows do not sum to 1; divide each by its sum", _not_shares),
            Mistake("take a listener's own message away before you divide", _shares_too_early),
            Mistake("divide by the sum over the speakers, not over all genes", _of_all_genes),
            Mistake("the columns sum to 1 here; divide each row by its sum", _of_speakers),
            Mistake("rows and columns are swapped: spread[i, j] is what i hears of j", _turned),
            Mistake("who hears nobody needs a row of zeros, not NaN", _nobody_is_nan),
        ),
        without=HIDDEN,
    ),
    Question(
        name="SGConv",
        asks=Object("SGConv"),
        inputs=_layers,
        due=_sgconv,
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
        without=HIDDEN,
    ),
    Question(
        name="Gears",
        asks=Object("Gears"),
        inputs=_networks,
        due=_gears,
        mistakes=(
            Mistake("the ReLU is missing", _mistaken_gears(relu=False)),
            Mistake("the control expression is missing; add it at the end", _mistaken_gears(control=0)),
            Mistake("the genes' bias is missing", _mistaken_gears(bias=0)),
            Mistake("the gene embeddings are missing; add them to the perturbation's", _mistaken_gears(gene=0)),
            Mistake("this is a mean over the width; take the sum", _mistaken_gears(sum=False)),
        ),
        comparator=SINGLE,
        without=HIDDEN,
    ),
    Question(
        name="direction",
        asks=Function("direction", tensors=True),
        inputs=_directions,
        due=_direction,
        mistakes=(
            Mistake("the sign of a prediction has no slope, so nothing is learned; use tanh there", _of_signs),
            Mistake("the gradient got lost: compute the loss from `predicted` with requires_grad_()", _detached),
            Mistake("the weight is missing; multiply the loss by it before backward()", _unweighted),
            Mistake("divide the predicted effect by `width` inside tanh", _width_forgotten),
            Mistake("effects are differences from the control; subtract it on both sides", _control_forgotten),
            Mistake("this is a sum over genes; take the mean", _summed),
            Mistake("the measured effect keeps its hard sign; only the prediction needs a slope", _both_soft),
        ),
        comparator=Same(),
        without=HIDDEN,
    ),
    Question(
        name="batch_edges",
        asks=Function("batch_edges"),
        inputs=_batches,
        due=_batch_edges,
        mistakes=(
            Mistake("these are the edges of the first cell alone", lambda edges, n_genes, n_cells: edges),
            Mistake("all copies lie in the first cell; add n_genes for each cell before", _repeated),
            Mistake("the offset is the number of genes, not of edges", _by_edges),
            Mistake(
                "the offset is n_genes; the largest number among the edges may be smaller",
                lambda edges, n_genes, n_cells: _batch_edges(edges, int(edges.max()) + 1, n_cells),
            ),
            Mistake("both ends of an edge need the offset", _one_end),
            Mistake(
                "the first cell has offset 0",
                lambda edges, n_genes, n_cells: _batch_edges(edges, n_genes, n_cells) + n_genes,
            ),
            Mistake("all edges of a cell come before those of the next", _edge_by_edge, credit=0.5),
        ),
        without=HIDDEN,
    ),
)
