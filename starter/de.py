"""Differential-expression tables: test, fold change, Benjamini-Hochberg, by the rules of a challenge year."""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse
import scipy.stats

from starter.ranksum import RankSum, p_values, rank_sum

ALPHA = np.float32(0.05)
"""False discovery rate below which a gene counts as differentially expressed (float32, strict)."""


class DETable(NamedTuple):
    """Perturbation against control, perturbations x genes."""

    p_value: np.ndarray
    fdr: np.ndarray
    """Benjamini-Hochberg adjusted p."""
    log2_fold_change: np.ndarray

    def significant(self) -> np.ndarray:
        """Tell which genes are differentially expressed, as a boolean array."""
        return self.fdr.astype(np.float32) < ALPHA


def de_cell_eval_082(x: scipy.sparse.spmatrix | np.ndarray, groups: np.ndarray, n_groups: int) -> DETable:
    """DE table as cell-eval 0.8.2 with pdex 0.3.0 makes it.

    The rank-sum test is asymptotic; Benjamini-Hochberg runs over the genes of each perturbation; fold change
    is log2 of the ratio of expm1(mean log1p expression), with inf kept and 0/0 as 0.

    Parameters
    ----------
    x
        Cells x genes, log1p expression in float32, CSR or dense.
    groups
        Group of each cell: 0 for control, 1 to n_groups - 1 for perturbations, negative to leave out.
    n_groups
        Number of groups, control included.

    Returns
    -------
    A table of n_groups - 1 rows.
    """
    p = np.nan_to_num(p_values(rank_sum(x, groups, n_groups)), nan=1.0)
    fdr = scipy.stats.false_discovery_control(p, axis=1)
    # float32 means in the reference tool's order of summation, its expm1, its float64 ratio: near-ties of the
    # ranking by fold change depend on the last bit
    with np.errstate(divide="ignore", invalid="ignore"):
        natural = np.stack([_expm1(_sequential_mean(x[groups == group])) for group in range(n_groups)]).astype(float)
        log2_fold_change = np.log2(natural[1:] / natural[0])
    log2_fold_change[np.isnan(log2_fold_change)] = 0
    return DETable(p, fdr, log2_fold_change)


def de_cell_eval_066(x: scipy.sparse.spmatrix | np.ndarray, groups: np.ndarray, n_groups: int) -> DETable:
    """DE table as cell-eval 0.6.6 with pdex 0.1.27 made it for the final 2025 leaderboard.

    Benjamini-Hochberg is pooled over all perturbations and genes; p is exact where a group has at most 8 cells
    and no value is tied; the ratio of expm1(mean log1p expression) is 1 where both are 0, 20 where only the
    reference is, 1/20 where only the target is.

    Parameters and return value are those of `de_cell_eval_082`.
    """
    result = rank_sum(x, groups, n_groups)
    p = np.nan_to_num(p_values(result), nan=1.0)
    _use_exact(p, result, x, groups)
    p = p.astype(np.float32)
    fdr = scipy.stats.false_discovery_control(p.ravel()).reshape(p.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        natural = np.expm1(np.stack([_pairwise_mean(x[groups == group]) for group in range(n_groups)]))
        target, reference = natural[1:], natural[0]
        ratio = target / reference
    ratio = np.where(target == 0, np.float32(1 / 20), np.where(reference == 0, np.float32(20), ratio))
    ratio[(target == 0) & (reference == 0)] = 1
    return DETable(p, fdr, np.log2(ratio))


DERule = Callable[[scipy.sparse.spmatrix | np.ndarray, np.ndarray, int], DETable]


@numba.njit(cache=True)
def _expm1(x: np.ndarray) -> np.ndarray:  # pragma: no cover (compiled)
    result = np.empty_like(x)
    for i in range(len(x)):
        result[i] = np.expm1(x[i])  # libm's, which numpy's vectorised one differs from in the last bit
    return result


def _sequential_mean(cells: scipy.sparse.spmatrix | np.ndarray) -> np.ndarray:
    return np.asarray(cells.mean(axis=0), dtype=np.float32).ravel()


def _pairwise_mean(cells: scipy.sparse.spmatrix | np.ndarray) -> np.ndarray:
    dense = cells.toarray() if scipy.sparse.issparse(cells) else np.asarray(cells)
    return np.ascontiguousarray(dense.T, dtype=np.float32).mean(axis=1)


def _use_exact(p: np.ndarray, result: RankSum, x: scipy.sparse.spmatrix | np.ndarray, groups: np.ndarray) -> None:
    small = np.flatnonzero((result.n_cells <= 8) | (result.n_control <= 8))
    for row in small[result.n_cells[small] > 0]:
        genes = np.flatnonzero(result.ties[row] == 0)
        if not len(genes):
            continue
        target, reference = (
            cells.toarray() if scipy.sparse.issparse(cells) else np.asarray(cells)
            for cells in (x[groups == row + 1][:, genes], x[groups == 0][:, genes])
        )
        p[row, genes] = scipy.stats.mannwhitneyu(target, reference, method="exact").pvalue
