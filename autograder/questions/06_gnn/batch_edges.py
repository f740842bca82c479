"""Question `batch_edges`: the edges of a batch in which every cell has its own copy of a graph."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


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


def _below(edges: np.ndarray, n_genes: int, n_cells: int) -> np.ndarray:
    return np.vstack([edges + cell * n_genes for cell in range(n_cells)])


QUESTION = Question(
    name="batch_edges",
    asks=Function("batch_edges"),
    inputs=_batches,
    due=_batch_edges,
    hints=(
        "Copies of a graph lie side by side in one large graph, each with numbers of its own.",
        "edges of cell c = edges + c x n_genes, c from 0",
        "a copy: 2 x edges; cells of them side by side: 2 x (cells x edges)",
    ),
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
        Mistake("the copies lie below each other; put them side by side with np.hstack", _below),
    ),
    without=WITHOUT,
)
