"""Welch's t of many genes at once, and the weights that follow from it."""

from typing import NamedTuple

import numpy as np
import scipy.stats


class Totals(NamedTuple):
    """Cells reduced to what a t-test takes of them."""

    n_cells: int
    sums: np.ndarray
    """Sum of each gene's log1p expression, float64."""
    squares: np.ndarray
    """Sum of its square."""


@np.errstate(divide="ignore", invalid="ignore")
def welch_t(sums: np.ndarray, squares: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Welch's t of every perturbation against the control cells, gene by gene.

    The scores of scanpy's rank_genes_groups(method="t-test", reference=<control>).

    Parameters
    ----------
    sums, squares
        Sum of log1p expression and of its square in each group, groups x genes, float64; group 0 is control.
    n
        Cells of each group.

    Returns
    -------
    (groups - 1) x genes, float32, positive where the perturbation is higher; 0 where it cannot be told (equal means
    without spread, a group of fewer than two cells).
    """
    mean, variance = _moments(sums, squares, n)
    t = _t(mean[1:] - mean[0], variance[1:] / n[1:, None] + variance[0] / n[0])
    return t.astype(np.float32)


@np.errstate(divide="ignore", invalid="ignore")
def change_weights(sums: np.ndarray, squares: np.ndarray, n: np.ndarray, others: Totals | None = None) -> np.ndarray:
    """How strongly each gene changes in a perturbation, to weigh its error.

    w = ((|t| - min |t|) / (max |t| - min |t|))^2, minimum and maximum over the genes, divided by the sum of w. t is the
    score of scanpy's rank_genes_groups(method="t-test_overestim_var"), a perturbation against the cells of all others:
    Welch's t in which the others' variance is divided by the perturbation's own number of cells. Mejia et al. (2025),
    "Diversity by design", arXiv:2506.22641.

    Parameters
    ----------
    sums, squares
        Sum of log1p expression and of its square in each group, groups x genes, float64; group 0 is control and plays
        no part.
    n
        Cells of each group.
    others
        Cells of further perturbations, which are among "all others" too.

    Returns
    -------
    (groups - 1) x genes, float64; rows sum to 1. Where all |t| are equal (no other perturbation, fewer than two cells)
    every gene weighs the same.
    """
    size = np.abs(_t(*_versus_others(sums, squares, n, others)))
    low, high = size.min(axis=1, keepdims=True), size.max(axis=1, keepdims=True)
    weights = np.nan_to_num(((size - low) / (high - low)) ** 2, nan=0.0)
    weights[~weights.any(axis=1)] = 1.0
    return weights / weights.sum(axis=1, keepdims=True)


@np.errstate(divide="ignore", invalid="ignore")
def change_fdr(sums: np.ndarray, squares: np.ndarray, n: np.ndarray, others: Totals | None = None) -> np.ndarray:
    """How sure it is that a gene changes in a perturbation, against the cells of all other perturbations.

    The adjusted p (Benjamini-Hochberg over the genes) of scanpy's rank_genes_groups(method="t-test_overestim_var"); see
    `change_weights`, whose parameters these are.

    Returns
    -------
    (groups - 1) x genes, float64; 1 where nothing can be told.
    """
    difference, squared_error = _versus_others(sums, squares, n, others)
    own = _moments(sums[1:], squares[1:], n[1:])[1] / n[1:, None]
    rest = squared_error - own
    # Welch and Satterthwaite, with as many cells on both sides
    degrees = squared_error**2 * (n[1:, None] - 1) / (own**2 + rest**2)
    p = 2 * scipy.stats.t.sf(np.abs(difference / np.sqrt(squared_error)), degrees)
    return scipy.stats.false_discovery_control(np.nan_to_num(p, nan=1.0), axis=1)


def _versus_others(
    sums: np.ndarray, squares: np.ndarray, n: np.ndarray, others: Totals | None
) -> tuple[np.ndarray, np.ndarray]:
    """Difference of each perturbation's mean from the others', and its squared error, theirs overestimated."""
    sums, squares, n = sums[1:], squares[1:], n[1:]
    further = others or Totals(0, np.zeros(sums.shape[1]), np.zeros(sums.shape[1]))
    mean, variance = _moments(sums, squares, n)
    rest_mean, rest_variance = _moments(
        sums.sum(axis=0) + further.sums - sums,
        squares.sum(axis=0) + further.squares - squares,
        n.sum() + further.n_cells - n,
    )
    return mean - rest_mean, (variance + rest_variance) / n[:, None]


def _moments(sums: np.ndarray, squares: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased variance of each group; NaN where there are too few cells."""
    mean = sums / n[:, None]
    return mean, np.maximum(squares - sums * mean, 0) / (n[:, None] - 1)  # rounding can fall below 0


def _t(difference: np.ndarray, squared_error: np.ndarray) -> np.ndarray:
    return np.nan_to_num(difference / np.sqrt(squared_error), nan=0.0, posinf=np.inf, neginf=-np.inf)
