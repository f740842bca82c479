"""Mann-Whitney U (Wilcoxon rank-sum) of every perturbation and gene against the control cells.

Every gene's non-zero values are sorted once, all cells together, and one walk over them serves every
perturbation; the zeros are one block of ties. Usable without the rest of the kit.
"""

from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse
import scipy.special

from starter.schema import InputError

GENES_PER_BLOCK = 1024


class RankSum(NamedTuple):
    """The test's result, perturbations x genes."""

    u: np.ndarray
    """U of the perturbation: pairs (perturbed, control) in which the perturbed cell is higher, ties half."""
    ties: np.ndarray
    """Sum of t^3 - t over the groups of t tied cells, perturbation and control together."""
    n_cells: np.ndarray
    """Cells of each perturbation."""
    n_control: int
    """Control cells."""


def rank_sum(x: scipy.sparse.spmatrix | np.ndarray, groups: np.ndarray, n_groups: int) -> RankSum:
    """Compare every group of cells with group 0, gene by gene.

    Parameters
    ----------
    x
        Cells x genes, CSR or dense, not negative.
    groups
        Group of each cell: 0 for control, 1 to n_groups - 1 for perturbations, negative to leave out.
    n_groups
        Number of groups, control included.

    Returns
    -------
    Arrays of n_groups - 1 rows; row i is group i + 1.

    Raises
    ------
    InputError
        If a value is negative or NaN.

    References
    ----------
    Mann and Whitney (1947), Annals of Mathematical Statistics 18:50.
    """
    used = np.flatnonzero(groups >= 0)
    cells = x[used]
    group = np.ascontiguousarray(groups[used], dtype=np.int64)
    n_cells = np.bincount(group, minlength=n_groups)
    n_genes = x.shape[1]
    u = np.empty((n_groups - 1, n_genes))
    ties = np.empty((n_groups - 1, n_genes))
    for start in range(0, n_genes, GENES_PER_BLOCK):
        block = scipy.sparse.csc_matrix(cells[:, start : start + GENES_PER_BLOCK])
        block.eliminate_zeros()
        if block.nnz and not block.data.min() > 0:
            msg = "the rank-sum test of expression needs values that are not negative and not NaN"
            raise InputError(msg)
        stop = start + block.shape[1]
        _walk(block.data, block.indices, block.indptr, group, n_cells, u[:, start:stop], ties[:, start:stop])
    return RankSum(u, ties, n_cells[1:], int(n_cells[0]))


def p_values(result: RankSum) -> np.ndarray:
    """Two-sided asymptotic p with tie and continuity correction.

    Equal to `scipy.stats.mannwhitneyu(method="asymptotic")`, and 1 where every value is tied.

    Returns
    -------
    Perturbations x genes. A perturbation without cells is NaN.
    """
    n1 = result.n_cells[:, None].astype(float)
    n2 = float(result.n_control)
    n = n1 + n2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n1 * n2 / 12 * ((n + 1) - result.ties / (n * (n - 1)))
        distance = np.maximum(result.u, n1 * n2 - result.u) - n1 * n2 / 2 - 0.5
        p = scipy.special.erfc(distance / np.sqrt(variance) / np.sqrt(2))
    p = np.where(variance > 0, np.minimum(p, 1.0), 1.0)
    return np.where((n1 > 0) & (n2 > 0), p, np.nan)


@numba.njit(parallel=True, cache=True)
def _walk(
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    group: np.ndarray,
    n_cells: np.ndarray,
    u: np.ndarray,
    ties: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_groups = len(n_cells)
    for gene in numba.prange(len(indptr) - 1):
        begin, end = indptr[gene], indptr[gene + 1]
        values = data[begin:end]
        order = np.argsort(values)
        present = np.zeros(n_groups, np.int64)  # cells of each group in the current run of ties
        zeros = n_cells.copy()
        for i in range(begin, end):
            zeros[group[rows[i]]] -= 1
        below = zeros[0]  # control cells lower than the current run
        control_ties = 1.0 * zeros[0] ** 3 - zeros[0]
        gene_u = np.zeros(n_groups)
        gene_ties = np.zeros(n_groups)
        for g in range(1, n_groups):
            gene_u[g] = 0.5 * zeros[g] * zeros[0]
            tied = 1.0 * (zeros[g] + zeros[0])
            gene_ties[g] = (tied**3 - tied) - control_ties
        i = 0
        while i < len(order):
            j = i
            value = values[order[i]]
            while j < len(order) and values[order[j]] == value:
                present[group[rows[begin + order[j]]]] += 1
                j += 1
            control = present[0]
            run_ties = 1.0 * control**3 - control
            control_ties += run_ties
            for k in range(i, j):
                g = group[rows[begin + order[k]]]
                if g > 0 and present[g] > 0:
                    gene_u[g] += present[g] * (below + 0.5 * control)
                    tied = 1.0 * (present[g] + control)
                    gene_ties[g] += (tied**3 - tied) - run_ties
                present[g] = 0
            below += control
            i = j
        for g in range(1, n_groups):
            u[g - 1, gene] = gene_u[g]
            ties[g - 1, gene] = gene_ties[g] + control_ties
