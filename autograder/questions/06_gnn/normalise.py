"""Question `normalise`: a graph with self-loops, scaled on both sides."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _graphs(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three graphs with hubs, a gene whose only neighbour is a hub, and one without neighbours."""
    cases = []
    for n, share in ((9, 0.4), (10, 0.35), (12, 0.3)):
        popular = rng.uniform(0.3, 1.7, n)
        linked = np.triu(rng.random((n, n)) < share * np.outer(popular, popular), 1)
        linked[1] = False
        linked[0, 1:4] = True
        alone = int(rng.integers(4, n))
        linked[alone] = linked[:, alone] = False
        cases.append({"adjacency": scipy.sparse.csr_matrix((linked | linked.T).astype(float))})
    return cases


def _scaled(matrix: np.ndarray, degree: np.ndarray) -> scipy.sparse.csr_matrix:
    degree = np.maximum(degree, 1e-12)
    return scipy.sparse.csr_matrix(matrix / np.sqrt(np.outer(degree, degree)) * (degree > 1e-9))


def _with_loops(adjacency: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Give the matrix with self-loops, and its row sums."""
    a = adjacency.toarray() + np.eye(adjacency.shape[0])
    return a, a.sum(axis=1)


def _dense(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    a = adjacency.toarray()
    n = len(a)
    due = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i == j or a[i, j]:
                due[i, j] = 1 / np.sqrt((a[i].sum() + 1) * (a[j].sum() + 1))
    return due


def _normalise(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(_dense(adjacency))


def _without_loops(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    a = adjacency.toarray()
    return _scaled(a, a.sum(axis=1))


def _loops_not_counted(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    a, degree = _with_loops(adjacency)
    return _scaled(a, np.maximum(degree - 1, 1))


def _row_mean(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    a, degree = _with_loops(adjacency)
    return scipy.sparse.csr_matrix(a / degree[:, None])


def _no_root(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    a, degree = _with_loops(adjacency)
    return scipy.sparse.csr_matrix(a / np.outer(degree, degree))


def _root_up(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    a, degree = _with_loops(adjacency)
    return scipy.sparse.csr_matrix(a * np.sqrt(np.outer(degree, degree)))


def _column_mean(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    return _row_mean(adjacency).T.tocsr()


QUESTION = Question(
    name="normalise",
    asks=Function("normalise"),
    inputs=_graphs,
    due=_normalise,
    hints=(
        "A gene listens to itself too, and a hub must not shout: divide by how many it talks with, on both sides.",
        "S = D^-1/2 (A + I) D^-1/2, D with the row sums of A + I on its diagonal",
        "A + I: genes x genes; row sums: one per gene, flat; a diagonal matrix of 1 / root; the product, sparse",
    ),
    mistakes=(
        Mistake("no gene listens to itself; add the identity before you scale", _without_loops),
        Mistake("count neighbours after the identity was added", _loops_not_counted),
        Mistake("this scales the rows only; scale rows and columns, each by 1 / sqrt(d)", _row_mean),
        Mistake("the root is missing: scale by 1 / sqrt(d) on both sides", _no_root),
        Mistake("this multiplies by the roots; divide by them", _root_up),
        Mistake("the numbers are right, but a graph has few links; keep the matrix sparse", _dense, credit=0.5),
        Mistake("this scales the columns only; scale rows and columns, each by 1 / sqrt(d)", _column_mean),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.gnn",),
)
