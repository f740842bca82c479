"""Question `share_of_zeros`: the share of a count matrix that is zero."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _count_matrices(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sparse matrices of different size and density, more than half zeros, as counts of cells are."""
    cases = []
    for _ in range(3):
        n_cells, n_genes = (int(n) for n in rng.permutation(np.arange(6, 40))[:2])
        counts = 1 + rng.poisson(1.5, n_cells * n_genes)
        counts[: round(rng.uniform(0.55, 0.95) * counts.size)] = 0
        counts = rng.permutation(counts).reshape(n_cells, n_genes)
        cases.append({"counts": scipy.sparse.csr_matrix(counts, dtype=np.float32)})
    return cases


def _share_of_zeros(counts: scipy.sparse.csr_matrix) -> float:
    return float((counts.toarray() == 0).mean())


def _share_of_values(counts: scipy.sparse.csr_matrix) -> float:
    return float((counts.toarray() > 0).mean())


def _percent_of_zeros(counts: scipy.sparse.csr_matrix) -> float:
    return 100 * _share_of_zeros(counts)


def _number_of_zeros(counts: scipy.sparse.csr_matrix) -> int:
    return int((counts.toarray() == 0).sum())


def _stored_zeros(counts: scipy.sparse.csr_matrix) -> float:
    del counts
    return 0.0  # no zero is stored


QUESTION = Question(
    name="share_of_zeros",
    asks=Function("share_of_zeros"),
    inputs=_count_matrices,
    due=_share_of_zeros,
    hints=(
        "A sparse matrix knows how many values it stores; all the others are zeros.",
        "share = 1 - stored values / (cells x genes)",
        "counts: cells x genes, with .nnz and .shape; the result is one number from 0 to 1",
    ),
    mistakes=(
        Mistake("this is the share that is not zero; take it from 1", _share_of_values),
        Mistake("this is in percent; give a share from 0 to 1", _percent_of_zeros, credit=0.5),
        Mistake("this is the number of zeros; divide by the number of cells x genes", _number_of_zeros),
        Mistake("the zeros are not among the stored values (counts.data); use nnz and the shape", _stored_zeros),
        Mistake(
            "this divides by the cells alone; divide by cells x genes, not by one of them",
            lambda counts: 1 - counts.nnz / counts.shape[0],
        ),
    ),
    without=WITHOUT,
)
