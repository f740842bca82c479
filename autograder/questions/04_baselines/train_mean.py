"""Question `train_mean`: the unweighted mean of the training profiles."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function
from starter.schema import CONTROL

from .shared import WITHOUT


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three small screens: sparse, with unequal numbers of cells, the control among the labels in any order."""
    cases = []
    for n_genes, names in ((7, "ABC"), (11, "PQRST"), (5, "XY")):
        labels = [CONTROL] * int(rng.integers(9, 15))
        for name, n_cells in zip(names, rng.permutation(np.arange(2, 9)), strict=False):
            labels += [f"GENE{name}"] * int(n_cells)
        target_gene = rng.permutation(np.array(labels))
        level = {label: rng.gamma(2.0, 1.0, n_genes) for label in sorted(set(labels))}
        mean = np.array([level[label] for label in target_gene])
        expression = np.log1p(rng.poisson(mean)).astype(np.float32)
        cases.append({"expression": scipy.sparse.csr_matrix(expression), "target_gene": target_gene})
    return cases


def _mean(expression: scipy.sparse.csr_matrix) -> np.ndarray:
    return expression.toarray().mean(axis=0, dtype=float)


def _profiles(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> dict[str, np.ndarray]:
    labels = np.asarray(target_gene)
    return {str(label): _mean(expression[labels == label]) for label in np.unique(labels)}


def _train_mean(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    profiles = _profiles(expression, target_gene)
    return np.mean([profile for label, profile in profiles.items() if label != CONTROL], axis=0)


def _with_control(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return np.mean(list(_profiles(expression, target_gene).values()), axis=0)


def _over_cells(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _mean(expression[np.asarray(target_gene) != CONTROL])


def _over_all_cells(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    del target_gene
    return _mean(expression)


def _control_mean(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _profiles(expression, target_gene)[CONTROL]


def _effect(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _train_mean(expression, target_gene) - _control_mean(expression, target_gene)


def _as_matrix(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _train_mean(expression, target_gene)[None]


def _sum_of_profiles(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _train_mean(expression, target_gene) * (len(set(target_gene)) - 1)


QUESTION = Question(
    name="train_mean",
    asks=Function("train_mean"),
    inputs=_screens,
    due=_train_mean,
    hints=(
        "Every perturbation counts once, however many cells it has; the control is no perturbation.",
        "profile of a perturbation = mean of its cells; train mean = mean of the profiles",
        "for each label but the control: its cells, then one mean per gene; the mean of these rows; flat, one per gene",
    ),
    mistakes=(
        Mistake("the control cells count as a perturbation; leave 'non-targeting' out", _with_control),
        Mistake("this is the mean over cells, so large perturbations weigh more; average the profiles", _over_cells),
        Mistake(
            "this is the mean over all cells, controls included; average the perturbations' profiles",
            _over_all_cells,
        ),
        Mistake("this is the mean of the control cells", _control_mean),
        Mistake("this is an effect; do not subtract the control", _effect),
        Mistake(
            "the mean of a sparse matrix has two dimensions; make it flat with np.asarray(...).ravel()",
            _as_matrix,
            credit=0.5,
        ),
        Mistake("this is the sum of the profiles; take their mean", _sum_of_profiles),
    ),
    without=WITHOUT,
)
