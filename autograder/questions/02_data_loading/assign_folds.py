"""Question `assign_folds`: the fold of each cell, by its perturbation."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function
from starter.schema import CONTROL

from .shared import WITHOUT


def _fold_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_perturbations, n_folds in ((7, 3), (5, 2), (11, 4)):
        names = [f"GENE{number}" for number in range(n_perturbations)]
        labels = np.repeat([*names, CONTROL], rng.integers(1, 5, n_perturbations + 1))
        order = [str(name) for name in rng.permutation(names)]
        second = order.index(sorted(names)[1])  # dealt by name, it would be in fold 1
        order[0], order[second] = order[second], order[0]
        cases.append({"target_gene": rng.permutation(labels), "order": order, "n_folds": n_folds})
    return cases


def _assign_folds(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    return np.array([-1 if label == CONTROL else order.index(label) % n_folds for label in target_gene])


def _dealt_cells(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    del order
    return np.where(np.asarray(target_gene) == CONTROL, -1, np.arange(len(target_gene)) % n_folds)


def _controls_in_fold_0(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    return np.maximum(_assign_folds(target_gene, order, n_folds), 0)


def _folds_in_runs(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    size = -(-len(order) // n_folds)
    return np.array([-1 if label == CONTROL else order.index(label) // size for label in target_gene])


def _folds_by_name(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    return _assign_folds(target_gene, sorted(order), n_folds)


def _from_one(target_gene: np.ndarray, order: list[str], n_folds: int) -> np.ndarray:
    fold = _assign_folds(target_gene, order, n_folds)
    return np.where(fold < 0, fold, fold + 1)


QUESTION = Question(
    name="assign_folds",
    asks=Function("assign_folds"),
    inputs=_fold_cases,
    due=_assign_folds,
    hints=(
        "What must not be in two folds is a perturbation, not a cell. Deal perturbations, then look up each cell's.",
        "fold of a perturbation = its place in order, modulo n_folds; control cells -1",
        "a dict from each name to its fold; then one whole number per cell",
    ),
    mistakes=(
        Mistake("the cells are dealt out, so a perturbation is in several folds: that is the leak", _dealt_cells),
        Mistake("control cells are in fold 0; give them -1", _controls_in_fold_0),
        Mistake("each fold is a run of the order; deal one to each fold in turn (number % n_folds)", _folds_in_runs),
        Mistake("the perturbations are dealt by name; deal them in the given order", _folds_by_name),
        Mistake("folds count from 0 to n_folds - 1; leave out the + 1", _from_one),
    ),
    without=WITHOUT,
)
