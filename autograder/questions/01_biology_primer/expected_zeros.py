"""Question `expected_zeros`: the share of cells in which sampling alone makes each gene zero."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT, screens


def _expected_zeros(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    totals = counts.astype(float).toarray().sum(axis=0)
    return np.array([np.mean([np.exp(-umis * total / n_umis.sum()) for umis in n_umis]) for total in totals])


def _zeros_at_one_depth(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    del n_umis
    return np.exp(-counts.astype(float).toarray().mean(axis=0))


def _seen_zeros(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    del n_umis
    return (counts.toarray() == 0).mean(axis=0)


def _expected_non_zeros(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    return 1 - _expected_zeros(counts, n_umis)


def _zeros_of_cells(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    rate = counts.astype(float).toarray().sum(axis=0) / n_umis.sum()
    return np.exp(-np.outer(n_umis, rate)).mean(axis=1)


def _zeros_by_mean_share(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    """Take for a gene's rate the mean of its shares of the cells."""
    rate = (counts.astype(float).toarray() / n_umis[:, None]).mean(axis=0)
    return np.exp(-np.outer(n_umis, rate)).mean(axis=0)


def _zeros_by_row_sum(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    del n_umis
    return _expected_zeros(counts, counts.astype(float).toarray().sum(axis=1))


def _expected_counts(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    return counts.astype(float).toarray().sum(axis=0) * n_umis.mean() / n_umis.sum()


def _without_minus(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray) -> np.ndarray:
    rate = counts.astype(float).toarray().sum(axis=0) / n_umis.sum()
    return np.exp(np.outer(n_umis, rate)).mean(axis=0)


QUESTION = Question(
    name="expected_zeros",
    asks=Function("expected_zeros"),
    inputs=screens,
    due=_expected_zeros,
    hints=(
        "Sampling alone leaves zeros: the fewer molecules are expected in a cell, the likelier it shows none.",
        (
            "a gene's rate = its UMIs / the UMIs of all cells; chance of a zero = exp(-rate x depth); then the "
            "mean over cells"
        ),
        (
            "rates: one per gene; expected counts: cells x genes (every depth times every rate); the mean over axis "
            "0: one per gene"
        ),
    ),
    mistakes=(
        Mistake(
            "this takes all cells to be equally deep; give each cell its own expected count, and average exp(-it)",
            _zeros_at_one_depth,
        ),
        Mistake("these are the zeros seen; compute those expected from rate x depth", _seen_zeros),
        Mistake("this is the probability of a count above zero; zeros are exp(-expected count)", _expected_non_zeros),
        Mistake("this is one number a cell; average over the cells, axis 0", _zeros_of_cells),
        Mistake(
            "a gene's rate is the mean of its shares here; divide its UMIs in all cells by the depth of all cells",
            _zeros_by_mean_share,
        ),
        Mistake("this uses the sum of each row as depth; use n_umis, the whole transcriptome", _zeros_by_row_sum),
        Mistake("this is the expected count itself; the chance of a zero is exp(-expected count)", _expected_counts),
        Mistake("the minus is missing: the chance of a zero is exp(-expected count)", _without_minus),
    ),
    without=WITHOUT,
)
