"""Differential-expression tables: test, fold change, Benjamini-Hochberg, by the rules of a challenge year."""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse
import scipy.stats

from starter.data.blocks import in_memory
from starter.statistics.columns import Columns, columns
from starter.statistics.ranksum import RankSum, p_values, rank_columns
from starter.statistics.sums import sum_in_order

ALPHA = np.float32(0.05)
"""False discovery rate below which a gene counts as differentially expressed (float32, strict)."""
SMALL = 8
"""Groups of so few cells got an exact p in cell-eval 0.6.6, where no value is tied."""
DENSE_VALUES = 1 << 24
"""Values of genes with their zeros that are in memory at once."""


class DETable(NamedTuple):
    """Perturbation against control, perturbations x genes."""

    p_value: np.ndarray
    fdr: np.ndarray
    """Benjamini-Hochberg adjusted p."""
    log2_fold_change: np.ndarray

    def significant(self) -> np.ndarray:
        """Tell which genes are differentially expressed, as a boolean array."""
        return self.fdr.astype(np.float32) < ALPHA


class DERule(NamedTuple):
    """How a challenge year calls differential expression."""

    of_genes: Callable[[Columns, np.ndarray, RankSum, np.ndarray], tuple[np.ndarray, np.ndarray]]
    """(some genes, group of each cell, test result, mean of each group in the data's precision and order) -> p
    (perturbations x genes) and the mean expression of each group, control first, on the natural scale."""
    table: Callable[[np.ndarray, np.ndarray], DETable]
    """(p, means) of all genes -> the table."""


def de_table(x: scipy.sparse.spmatrix | np.ndarray, groups: np.ndarray, n_groups: int, rule: DERule) -> DETable:
    """Compare every group of cells with group 0, the control.

    Parameters
    ----------
    x
        Cells x genes, log1p expression in float32, CSR or dense.
    groups
        Group of each cell: 0 for control, 1 to n_groups - 1 for perturbations, negative to leave out.
    n_groups
        Number of groups, control included.
    rule
        `CELL_EVAL_082` or `CELL_EVAL_066`.

    Returns
    -------
    A table of n_groups - 1 rows.

    Raises
    ------
    InputError
        If a value is negative, NaN or infinite.
    """
    cells = in_memory(x)
    n_cells = np.bincount(groups[groups >= 0], minlength=n_groups)
    parts = []
    for _, part in columns(cells, groups >= 0):
        ranks = rank_columns(part, groups[None], n_cells[None])[0]
        sums = sum_in_order(part, groups, in_order_shares(n_cells, dense=cells.dense))
        parts.append(rule.of_genes(part, groups, ranks, in_order_means(sums, n_cells, dense=cells.dense)))
    return rule.table(*(np.concatenate(of_all, axis=1) for of_all in zip(*parts, strict=True)))


def in_order_shares(n_cells: np.ndarray, *, dense: bool) -> np.ndarray:
    """Give what each value is multiplied with before it is added to its group's mean.

    Near-ties of the ranking by fold change depend on the last bit, so the order of operations is the reference tool's:
    it divides each value of a sparse matrix by the number of cells, and the sum of a dense one.
    """
    share = np.divide(1.0, n_cells, out=np.zeros(np.shape(n_cells)), where=n_cells > 0)
    return np.ones_like(share) if dense else share


def in_order_means(sums: np.ndarray, n_cells: np.ndarray, *, dense: bool) -> np.ndarray:
    """Make means of what was summed by `in_order_shares`, groups x genes; a group without cells is NaN."""
    means = sums / np.maximum(n_cells, 1).astype(sums.dtype)[:, None] if dense else sums.copy()
    means[n_cells == 0] = np.nan
    return means


def _of_genes_082(
    part: Columns, groups: np.ndarray, ranks: RankSum, means: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the asymptotic p."""
    del part, groups
    return np.nan_to_num(p_values(ranks), nan=1.0), expm1(means.astype(np.float32)).astype(float)


def _table_082(p: np.ndarray, natural: np.ndarray) -> DETable:
    """Benjamini-Hochberg over the genes of each perturbation; inf kept, 0/0 as 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log2_fold_change = np.log2(natural[1:] / natural[0])
    log2_fold_change[np.isnan(log2_fold_change)] = 0
    return DETable(p, scipy.stats.false_discovery_control(p, axis=1), log2_fold_change)


def _of_genes_066(
    part: Columns, groups: np.ndarray, ranks: RankSum, means: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """P exact where a group is small and no value is tied; means in float32, summed in pairs (numpy on dense cells)."""
    n_cells = np.append(ranks.n_control, ranks.n_cells)
    n_genes = len(part.pointers) - 1
    p = np.nan_to_num(p_values(ranks), nan=1.0)
    means = np.full(means.shape, np.nan, np.float32)
    ends = np.cumsum(n_cells)
    used = np.flatnonzero(groups >= 0)
    place = np.full(len(groups), -1)
    place[used[np.argsort(groups[used], kind="stable")]] = np.arange(len(used))
    step = max(1, DENSE_VALUES // max(1, len(used)))
    for begin in range(0, n_genes, step):
        genes = slice(begin, min(begin + step, n_genes))
        some = part.genes(genes.start, genes.stop)
        values = np.zeros((genes.stop - begin, len(used)), part.values.dtype)
        values[np.repeat(np.arange(len(values)), np.diff(some.pointers)), place[some.cells]] = some.values
        of_group = [np.ascontiguousarray(values[:, end - n : end]) for end, n in zip(ends, n_cells, strict=True)]
        for group in np.flatnonzero(n_cells):
            means[group, genes] = of_group[group].astype(np.float32).mean(axis=1)
        for row in np.flatnonzero((n_cells[1:] > 0) & ((n_cells[1:] <= SMALL) | (n_cells[0] <= SMALL))):
            untied = np.flatnonzero(ranks.ties[row, genes] == 0)
            if len(untied):
                exact = scipy.stats.mannwhitneyu(of_group[row + 1][untied], of_group[0][untied], method="exact", axis=1)
                p[row, begin + untied] = exact.pvalue
    return p.astype(np.float32), np.expm1(means)


def _table_066(p: np.ndarray, natural: np.ndarray) -> DETable:
    """Benjamini-Hochberg pooled over all perturbations and genes; a mean of 0 gives the ratios 20, 1/20 or 1."""
    fdr = scipy.stats.false_discovery_control(p.ravel()).reshape(p.shape)
    target, reference = natural[1:], natural[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = target / reference
    ratio = np.where(target == 0, np.float32(1 / 20), np.where(reference == 0, np.float32(20), ratio))
    ratio[(target == 0) & (reference == 0)] = 1
    return DETable(p, fdr, np.log2(ratio))


CELL_EVAL_082 = DERule(_of_genes_082, _table_082)
"""cell-eval 0.8.2 with pdex 0.3.0."""
CELL_EVAL_066 = DERule(_of_genes_066, _table_066)
"""cell-eval 0.6.6 with pdex 0.1.27, which made the final 2025 leaderboard."""


def sum_of_copies(values: np.ndarray, n_cells: np.ndarray) -> np.ndarray:
    """Take the mean of n equal cells as the rule of 0.8.2 does: value / n added n times in float32, with its rounding.

    Parameters
    ----------
    values
        One a gene, float32.
    n_cells
        Cells of each perturbation.

    Returns
    -------
    Perturbations x genes, float32.
    """
    share = np.divide(1.0, n_cells, out=np.zeros(len(n_cells)), where=n_cells > 0).astype(values.dtype)
    sums = np.zeros((len(n_cells), len(values)), values.dtype)
    _sum_of_copies(values, n_cells, share, sums)
    return sums


def expm1(x: np.ndarray) -> np.ndarray:
    """Exponential minus 1 by the C library, which numpy's vectorised one differs from in the last bit."""
    result = np.empty(x.size, x.dtype)
    _expm1_of_each(x.ravel(), result)
    return result.reshape(x.shape)


@numba.njit(cache=True)
def _expm1_of_each(x: np.ndarray, result: np.ndarray) -> None:  # pragma: no cover (compiled)
    for i in range(len(x)):
        result[i] = np.expm1(x[i])


@numba.njit(parallel=True, cache=True, nogil=True)
def _sum_of_copies(
    values: np.ndarray, n_cells: np.ndarray, share: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover (compiled)
    for row in numba.prange(len(n_cells)):
        for gene in range(len(values)):
            part = values[gene] * share[row]
            for _ in range(n_cells[row]):
                sums[row, gene] += part
