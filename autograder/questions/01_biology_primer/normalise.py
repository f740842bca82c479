"""Question `normalise`: log1p expression of every count, without making zeros dense."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT, screens


def _to_normalise(rng: np.random.Generator) -> list[dict[str, object]]:
    sums = (1_731.0, 640.0, 5_207.0)
    return [case | {"target_sum": target} for case, target in zip(screens(rng), sums, strict=True)]


def _dense(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    dense = counts.astype(float).toarray()
    return np.array([np.log1p(target_sum * row / umis) for row, umis in zip(dense, n_umis, strict=True)])


def _normalise(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(_dense(counts, n_umis, target_sum))


def _log_first(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(target_sum * np.log1p(counts.astype(float).toarray()) / n_umis[:, None])


def _by_row_sum(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    del n_umis
    return _normalise(counts, np.maximum(counts.astype(float).toarray().sum(axis=1), 1), target_sum)


def _no_log(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(target_sum * counts.toarray() / n_umis[:, None])


def _to_ten_thousand(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    del target_sum
    return _normalise(counts, n_umis, 10_000)


def _log2(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return _normalise(counts, n_umis, target_sum) / np.log(2)


def _of_shares(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    del target_sum
    return _normalise(counts, n_umis, 1.0)


def _log_alone(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    del target_sum
    return _normalise(counts, np.ones(len(n_umis)), 1.0)


def _upside_down(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> scipy.sparse.csr_matrix:
    return _normalise(counts, 1 / n_umis, 1 / target_sum)


QUESTION = Question(
    name="normalise",
    asks=Function("normalise"),
    inputs=_to_normalise,
    due=_normalise,
    hints=(
        "Cells differ in depth, so bring all of them to target_sum first; then take the logarithm.",
        "log1p(target_sum x count / n_umis), for the stored counts; zeros stay zeros",
        (
            "factors: one per cell, as a column; times the sparse matrix: cells x genes; log1p of what is stored, "
            "still sparse"
        ),
    ),
    mistakes=(
        Mistake("the logarithm comes last: scale the counts first, then log1p", _log_first),
        Mistake("this divides by the sum of the row; divide by n_umis, the whole transcriptome", _by_row_sum),
        Mistake("the logarithm is missing; end with log1p", _no_log, credit=0.5),
        Mistake("this scales to 10,000 UMIs; scale to target_sum", _to_ten_thousand),
        Mistake("this is the logarithm to base 2; log1p is the natural one", _log2),
        Mistake("the numbers are right, but zeros take up memory; keep the matrix sparse", _dense, credit=0.5),
        Mistake("these are logarithms of shares; multiply them by target_sum first", _of_shares),
        Mistake("this is the logarithm without normalising; scale each cell to target_sum first", _log_alone),
        Mistake("the scale is upside down: times target_sum, divided by n_umis", _upside_down),
    ),
    comparator=Same(),
    without=WITHOUT,
)
