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
    p = np.nan_to_num(p_values(ranks), nan=1.0)
    used = np.flatnonzero(groups >= 0)
    n_cells = np.bincount(groups[used], minlength=len(means))
    ends = np.cumsum(n_cells)
    place = np.full(len(groups), -1)
    place[used[np.argsort(groups[used], kind="stable")]] = np.arange(len(used))
    exact = np.minimum(ranks.n_cells, ranks.n_control) <= SMALL
    untied = (ranks.ties == 0) & (exact & (ranks.n_cells > 0))[:, None]
    step = max(1, DENSE_VALUES // max(1, len(used)))
    wanted = np.flatnonzero(untied.any(axis=0))
    for genes in np.split(wanted, range(step, len(wanted), step)):
        values = _dense(part, genes, place, len(used))
        control = values[:, : n_cells[0]]
        for row in np.flatnonzero(untied[:, genes].any(axis=1)):
            some = untied[row, genes]
            of_group = values[some, ends[row] : ends[row + 1]]
            p[row, genes[some]] = scipy.stats.mannwhitneyu(of_group, control[some], method="exact", axis=1).pvalue
    in_pairs = np.full((len(part.pointers) - 1, len(n_cells)), np.nan, np.float32)
    _means_in_pairs(part.values, part.cells, part.pointers, place, ends, in_pairs)
    return p.astype(np.float32), np.expm1(np.ascontiguousarray(in_pairs.T))


def _dense(part: Columns, genes: np.ndarray, place: np.ndarray, n_cells: int) -> np.ndarray:
    """Set the cells of some genes in their places, zeros included; genes x cells."""
    values = np.zeros((len(genes), n_cells), part.values.dtype)
    for row, gene in zip(values, genes, strict=True):
        of_gene = slice(part.pointers[gene], part.pointers[gene + 1])
        row[place[part.cells[of_gene]]] = part.values[of_gene]
    return values


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


@numba.njit(parallel=True, cache=True, nogil=True)
def _means_in_pairs(
    values: np.ndarray, cells: np.ndarray, pointers: np.ndarray, place: np.ndarray, ends: np.ndarray, means: np.ndarray
) -> None:  # pragma: no cover (compiled)
    """Take the mean of each group's cells, zeros included, as numpy does: genes x groups, groups without cells left."""
    for gene in numba.prange(len(pointers) - 1):
        _means_of_gene(values, cells, pointers[gene], pointers[gene + 1], place, ends, means[gene])


@numba.njit(cache=True, nogil=True)  # by itself: what runs in parallel takes longer to compile
def _means_of_gene(
    values: np.ndarray, cells: np.ndarray, first: int, last: int, place: np.ndarray, ends: np.ndarray, means: np.ndarray
) -> None:  # pragma: no cover (compiled)
    dense = np.zeros(ends[-1], np.float32)
    for i in range(first, last):
        at = place[cells[i]]
        if at >= 0:
            dense[at] = values[i]
    start = int(np.int64(0))  # not the literal 0, for which numba compiles everything once more
    for group in range(len(ends)):
        n = int(ends[group]) - start
        if n > 0:
            means[group] = _sum_in_pairs(dense, start, n) / np.float32(n)
        start = int(ends[group])


@numba.njit(cache=True, nogil=True)
def _sum_in_pairs(x: np.ndarray, start: int, n: int) -> np.float32:  # pragma: no cover (compiled)
    """Add n float32 in numpy's order: eight sums side by side in blocks of 128 at most, blocks in pairs."""
    if n < 8:
        total = np.float32(0)
        for i in range(start, start + n):
            total += x[i]
        return total
    if n <= 128:
        a, b, c, d = x[start], x[start + 1], x[start + 2], x[start + 3]
        e, f, g, h = x[start + 4], x[start + 5], x[start + 6], x[start + 7]
        stop = start + n - n % 8
        for i in range(start + 8, stop, 8):
            a += x[i]
            b += x[i + 1]
            c += x[i + 2]
            d += x[i + 3]
            e += x[i + 4]
            f += x[i + 5]
            g += x[i + 6]
            h += x[i + 7]
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
        for i in range(stop, start + n):
            total += x[i]
        return total
    half = n // 2
    half -= half % 8
    return _sum_in_pairs(x, start, half) + _sum_in_pairs(x, start + half, n - half)
