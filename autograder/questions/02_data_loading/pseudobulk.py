"""Question `pseudobulk`: the mean expression of each group of cells."""

import numpy as np
import pandas as pd
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT, expression_of_cells


def _bulk_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_genes, names in ((6, "QBZ"), (9, "TAMC"), (5, "XE")):
        labels = np.repeat([f"GENE{name}" for name in names], rng.integers(2, 8, len(names)) + np.arange(len(names)))
        labels = rng.permutation(labels)
        labels[0] = max(labels)  # whoever takes the groups as they appear has another order
        cases.append({"expression": expression_of_cells(rng, len(labels), n_genes), "labels": labels})
    return cases


def _pseudobulk(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(expression.toarray().astype(float)).groupby(np.asarray(labels)).mean()


def _sums(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(expression.toarray().astype(float)).groupby(np.asarray(labels)).sum()


def _over_all(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return _sums(expression, labels) / len(labels)


def _without_zeros(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    dense = pd.DataFrame(expression.toarray().astype(float))
    return dense.where(dense > 0).groupby(np.asarray(labels)).mean().fillna(0)


def _in_order_of_appearance(expression: scipy.sparse.csr_matrix, labels: np.ndarray) -> pd.DataFrame:
    return _pseudobulk(expression, labels).set_axis(pd.unique(np.asarray(labels)), axis=0)


QUESTION = Question(
    name="pseudobulk",
    asks=Function("pseudobulk"),
    inputs=_bulk_cases,
    due=_pseudobulk,
    hints=(
        "A mean is a sum divided by how many there are; a matrix of zeros and ones can add up the cells of each group.",
        "mean of a group = sum of its cells / number of its cells, zeros included",
        (
            "membership: groups x cells; times expression (cells x genes): groups x genes; divided by the groups' "
            "sizes, a column"
        ),
    ),
    mistakes=(
        Mistake("these are sums; divide each group's by its own number of cells", _sums),
        Mistake("the sums are divided by the number of all cells; take each group's own number", _over_all),
        Mistake("zeros count, too: divide by the number of cells, not of stored values", _without_zeros),
        Mistake(
            "the rows carry other groups' names; np.unique gives the names sorted, and the numbers with them",
            _in_order_of_appearance,
        ),
    ),
    comparator=Same(),
    without=WITHOUT,
)
