"""Question `ablate`: a graph whose genes have swapped places, and targets that tell what others told."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _orders(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three graphs; no order is its own inverse, and there are as many targets as numbers in one of them."""
    cases = []
    for n_genes, n_edges, n_targets, n_numbers in ((7, 5, 4, 3), (11, 9, 6, 2), (6, 7, 5, 5)):
        a = rng.integers(n_genes, size=n_edges)
        b = (a + rng.integers(1, n_genes, size=n_edges)) % n_genes
        given = {"edges": np.stack([a, b]), "numbers": rng.normal(size=(n_targets, n_numbers))}
        cases.append({**given, "of_genes": _order(rng, n_genes), "of_targets": _order(rng, n_targets)})
    return cases


def _order(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw a circle through all: nobody keeps its place, and no two swap theirs."""
    circle = rng.permutation(n)
    order = np.empty(n, dtype=int)
    order[circle] = np.roll(circle, 1)
    return order


def _ablate(
    edges: np.ndarray, numbers: np.ndarray, of_genes: np.ndarray, of_targets: np.ndarray
) -> dict[str, np.ndarray]:
    taken_by = {gene: int(other) for gene, other in enumerate(of_genes)}
    moved = [[taken_by[gene] for gene in end] for end in edges.tolist()]
    told = np.zeros_like(numbers)
    for target, other in enumerate(of_targets):
        told[target] = numbers[other]
    return {"edges": np.array(moved), "numbers": told}


def _one_end(
    edges: np.ndarray, numbers: np.ndarray, of_genes: np.ndarray, of_targets: np.ndarray
) -> dict[str, np.ndarray]:
    due = _ablate(edges, numbers, of_genes, of_targets)
    return {**due, "edges": np.stack([edges[0], due["edges"][1]])}


def _genes_back(
    edges: np.ndarray, numbers: np.ndarray, of_genes: np.ndarray, of_targets: np.ndarray
) -> dict[str, np.ndarray]:
    return _ablate(edges, numbers, np.argsort(of_genes), of_targets)


def _targets_back(
    edges: np.ndarray, numbers: np.ndarray, of_genes: np.ndarray, of_targets: np.ndarray
) -> dict[str, np.ndarray]:
    return _ablate(edges, numbers, of_genes, np.argsort(of_targets))


def _graph_alone(
    edges: np.ndarray, numbers: np.ndarray, of_genes: np.ndarray, of_targets: np.ndarray
) -> dict[str, np.ndarray]:
    return _ablate(edges, numbers, of_genes, np.arange(len(of_targets)))


def _features_alone(
    edges: np.ndarray, numbers: np.ndarray, of_genes: np.ndarray, of_targets: np.ndarray
) -> dict[str, np.ndarray]:
    return _ablate(edges, numbers, np.arange(len(of_genes)), of_targets)


QUESTION = Question(
    name="ablate",
    asks=Function("ablate"),
    inputs=_orders,
    due=_ablate,
    hints=(
        "Take the knowledge out and leave the rest: the same graph on other genes, the same numbers on other targets.",
        "edge (a, b) becomes (of_genes[a], of_genes[b]); row t becomes row of_targets[t]",
        "edges: 2 x edges, each entry looked up; numbers: rows in a new order; a dict of two arrays",
    ),
    mistakes=(
        Mistake("the first gene of each edge has kept its place; both ends move", _one_end),
        Mistake("genes moved the other way: of_genes[g] takes the place of g", _genes_back, credit=0.5),
        Mistake("targets moved the other way: t tells what of_targets[t] told", _targets_back, credit=0.5),
        Mistake("every target still tells its own numbers", _graph_alone, credit=0.5),
        Mistake("every gene still has its own place", _features_alone, credit=0.5),
    ),
    comparator=Same(),
    without=WITHOUT,
)
