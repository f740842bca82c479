"""Question `to_counts`: log1p expression back to whole counts."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw cells whose expected counts are near whole numbers, above and below; the genes are not all genes."""
    cases = []
    for n, n_genes in ((4, 9), (6, 7), (5, 12)):
        counts = rng.poisson(1.6, (n, n_genes)) * rng.integers(1, 4, (n, n_genes))
        counts[:, 0] += 1
        n_umis = counts.sum(axis=1) * rng.uniform(2.0, 6.0, n)
        target_sum = float(np.round(np.median(n_umis)))
        expected = np.where(counts > 0, counts + rng.choice([-0.3, 0.3], counts.shape), 0.0)
        logs = np.log1p(target_sum * expected / n_umis[:, None])
        cases.append({"logs": scipy.sparse.csr_matrix(logs), "n_umis": n_umis, "target_sum": target_sum})
    return cases


def _expected(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    natural = np.exp(logs.toarray()) - 1
    return np.array([row * umis / target_sum for row, umis in zip(natural, n_umis, strict=True)])


def _to_counts(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(np.floor(_expected(logs, n_umis, target_sum) + 0.5))


def _floor(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(np.floor(_expected(logs, n_umis, target_sum)))


def _fractions(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(_expected(logs, n_umis, target_sum))


def _exp(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    natural = np.where(logs.toarray() > 0, np.exp(logs.toarray()), 0.0)
    return scipy.sparse.csr_matrix(np.rint(natural * n_umis[:, None] / target_sum))


def _upside_down(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(np.rint(np.expm1(logs.toarray()) * target_sum / n_umis[:, None]))


def _by_row_sum(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    natural = np.expm1(logs.toarray())
    return scipy.sparse.csr_matrix(np.rint(natural / natural.sum(axis=1, keepdims=True) * n_umis[:, None]))


def _natural(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    del n_umis, target_sum
    return scipy.sparse.csr_matrix(np.rint(np.expm1(logs.toarray())))


def _dense(logs: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    return _to_counts(logs, n_umis, target_sum).toarray()


QUESTION = Question(
    name="to_counts",
    asks=Function("to_counts"),
    inputs=_cells,
    due=_to_counts,
    hints=(
        "Go the way back: undo the logarithm, undo the scale, and counts are whole.",
        "count = round(expm1(log) x n_umis / target_sum)",
        "stored values only: one scale per cell, repeated for each value that its row stores; sparse as before",
    ),
    mistakes=(
        Mistake("these are fractions; round to whole counts at the end", _fractions, credit=0.5),
        Mistake("this rounds down, so that counts are lost; round to the nearest (np.rint)", _floor, credit=0.5),
        Mistake("log1p is undone by expm1, not by exp", _exp),
        Mistake("the scale is upside down: times n_umis, divided by target_sum", _upside_down),
        Mistake("this scales by the sum over these genes; n_umis counts the whole transcriptome", _by_row_sum),
        Mistake("the scale is missing: times n_umis, divided by target_sum", _natural),
        Mistake("the numbers are right, but zeros take up memory; keep the matrix sparse", _dense, credit=0.5),
    ),
    comparator=Same(),
    without=WITHOUT,
)
