"""Change the counts of cells until every gene's mean is the one wanted: the compiled part of `cells`."""

import numba
import numpy as np


@numba.njit(parallel=True, cache=True)
def match_means(
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    scale: np.ndarray,
    goal: np.ndarray,
    phi: np.ndarray,
    seeds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover (compiled)
    """Remove or add UMIs, gene by gene, until the sum of log1p expression over the cells is nearest to the goal.

    Parameters
    ----------
    data, rows, indptr
        Counts, cells x genes, as the parts of a CSC matrix.
    scale
        Expression of one UMI in each cell.
    goal
        Sum over cells of log1p(scale x count) that each gene is to have.
    phi
        Negative binomial dispersion of each gene, by which counts are added.
    seeds
        One a gene.

    Returns
    -------
    Rows and values of the new matrix, gene after gene, and how many each gene has.
    """
    n_cells, n_genes = len(scale), len(goal)
    made = np.zeros((n_genes, n_cells), np.float32)
    n_kept = np.zeros(n_genes, np.int64)
    for gene in numba.prange(n_genes):
        n_kept[gene] = _match_mean(gene, data, rows, indptr, scale, goal[gene], phi[gene], seeds[gene], made[gene])
    kept = int(n_kept.sum())
    out_rows, out_values = np.empty(kept, np.int32), np.empty(kept, np.float32)
    at = 0
    for gene in range(n_genes):
        for cell in range(n_cells):
            if made[gene, cell] > 0:
                out_rows[at], out_values[at] = cell, made[gene, cell]
                at += 1
    return out_rows, out_values, n_kept


@numba.njit(cache=True)  # by itself, since what runs in parallel takes far longer to compile
def _match_mean(
    gene: int,
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    scale: np.ndarray,
    goal: float,
    phi: float,
    seed: int,
    made: np.ndarray,
) -> int:  # pragma: no cover (compiled)
    """Match one gene; its counts go to `made`, one a cell. Returns how many are above 0."""
    np.random.seed(seed)  # noqa: NPY002  (a generator cannot be shared by parallel loops)
    counts, logs = np.zeros(len(scale), np.int64), np.zeros(len(scale))
    total = 0.0
    for k in range(indptr[gene], indptr[gene + 1]):
        cell = rows[k]
        counts[cell], logs[cell] = data[k], np.log1p(scale[cell] * data[k])
        total += float(logs[cell])
    if total > goal:
        _remove(counts, logs, total, goal, scale)
    elif total < goal:
        _add(counts, logs, total, goal, scale, phi)
    n_kept = 0
    for cell in range(len(scale)):
        made[cell] = counts[cell]
        n_kept += counts[cell] > 0
    return n_kept


@numba.njit(cache=True)
def _remove(
    counts: np.ndarray, logs: np.ndarray, total: float, goal: float, scale: np.ndarray
) -> None:  # pragma: no cover (compiled)
    """Take UMIs away, each as likely as any other, until the sum of log1p expression is nearest to the goal.

    `logs` is log1p(scale x count) of each cell, so that only one logarithm is taken for an UMI.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    for left in range(len(owner), 0, -1):
        pick = np.random.randint(left)  # noqa: NPY002
        cell = owner[pick]
        owner[pick] = owner[left - 1]
        less = np.log1p(scale[cell] * (counts[cell] - 1))
        change = float(logs[cell] - less)
        if total - change < goal and goal - (total - change) > total - goal:
            return
        counts[cell] -= 1
        logs[cell] = less
        total -= change
        if total <= goal:
            return


@numba.njit(cache=True)
def _add(
    counts: np.ndarray, logs: np.ndarray, total: float, goal: float, scale: np.ndarray, phi: float
) -> None:  # pragma: no cover (compiled)
    """Add UMIs until the sum of log1p expression is nearest to the goal.

    Given each cell's gamma factor, the counts of a negative binomial are Poisson, and Poisson counts arrive one by
    one in cells chosen by their rate.
    """
    rate = np.empty(len(counts))
    running = 0.0
    for cell in range(len(counts)):
        factor = np.random.gamma(1 / phi, phi) if phi > 1e-6 else 1.0  # noqa: NPY002
        running += factor / scale[cell]
        rate[cell] = running
    while total < goal:
        cell = min(np.searchsorted(rate, np.random.random() * running, side="right"), len(counts) - 1)  # noqa: NPY002
        more = np.log1p(scale[cell] * (counts[cell] + 1))
        change = more - logs[cell]
        if total + change > goal and total + change - goal > goal - total:
            return
        counts[cell] += 1
        logs[cell] = more
        total += change
