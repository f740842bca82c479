"""Noise of a bulk profile: the delete-one jackknife over the cells that were summed."""

import numba
import numpy as np

from starter.statistics.columns import Columns

BULK_TOTAL = 5e4
"""Counts to which a bulk profile is scaled before log1p."""
SMALL_SHARE = 0.05
"""A cell that holds at most this share of its group's counts is treated by a power series."""
TERMS = 10
"""Terms of the series: the first one left out is below 1e-14 of the sum."""
CHUNK = 256
"""Values whose logarithms are taken together."""


class Jackknife:
    """Delete-one jackknife of a bulk profile: C = (n - 1) / n sum_g sum_i (v_ig - mean_i v_ig)^2.

    v_ig = ln(1 + 5e4 (P_g - y_ig) / (S - l_i)): the profile's gene g without cell i, which has l_i of the group's S
    counts. Where y_ig = 0, v_ig hangs on l_i alone, so a group's zeros are summed by the moments of l_i / S, and only
    the other values one by one. Genes are added a few at a time.

    Parameters
    ----------
    groups
        Group of each cell; negative cells are left out.
    totals
        Counts of each cell.
    sizes
        Counts S of each group.
    n_cells
        Cells n of each group.

    References
    ----------
    Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans; as cell-eval2 0.20.0 takes it.
    """

    def __init__(self, groups: np.ndarray, totals: np.ndarray, sizes: np.ndarray, n_cells: np.ndarray) -> None:
        self.groups, self.sizes, self.n_cells = groups.astype(np.int32), sizes, n_cells
        used = np.flatnonzero(groups >= 0)
        share = np.zeros(len(groups))
        np.divide(totals, sizes[groups], out=share, where=(groups >= 0) & (sizes[groups] > 0))
        with np.errstate(divide="ignore"):
            odds = share / (1 - share)
        self.weights = np.stack([share, odds], axis=1)
        largest = np.zeros(len(sizes))
        np.maximum.at(largest, groups[used], share[used])
        self.small = largest <= SMALL_SHARE
        self.moments = np.stack(
            [np.bincount(groups[used], share[used] ** k, minlength=len(sizes)) for k in range(2 * TERMS + 1)]
        )
        self.order = used[np.argsort(groups[used], kind="stable")]
        self.starts = np.concatenate([[0], np.cumsum(n_cells)])
        self.squares = np.zeros(len(sizes))

    def add(self, part: Columns, sums: np.ndarray) -> None:
        """Add some genes, of which the groups' summed counts are given."""
        squares = np.zeros((sums.shape[1], len(self.sizes)))
        _add_noise(
            part.values,
            part.cells,
            part.pointers,
            self.groups,
            self.weights,
            self.sizes,
            self.n_cells,
            self.small,
            self.moments,
            self.order,
            self.starts,
            sums,
            squares,
        )
        self.squares += squares.sum(axis=0)

    def total(self) -> np.ndarray:
        """Give C of each group, 0 for fewer than two cells."""
        n = self.n_cells
        factor = np.divide(n - 1, n, out=np.zeros(len(n)), where=n > 1)
        return np.where((n > 1) & (self.sizes > 0), np.maximum(factor * self.squares, 0), 0.0)


@numba.njit(cache=True, nogil=True)
def _series(u: float) -> float:  # pragma: no cover (compiled)
    """ln(1 - u) by its power series."""
    rest = u * (1 / 6 + u * (1 / 7 + u * (1 / 8 + u * (1 / 9 + u * (1 / 10)))))
    return -u * (1.0 + u * (1 / 2 + u * (1 / 3 + u * (1 / 4 + u * (1 / 5 + rest)))))


@numba.njit(cache=True, nogil=True)
def _log1m(u: float) -> float:  # pragma: no cover (compiled)
    """ln(1 - u) for u < 1."""
    return _series(u) if abs(u) <= SMALL_SHARE else np.log1p(-u)


@numba.njit(parallel=True, cache=True, nogil=True, error_model="numpy")
def _add_noise(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    sizes: np.ndarray,
    n_cells: np.ndarray,
    small: np.ndarray,
    moments: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    for gene in numba.prange(len(pointers) - 1):
        _add_noise_of(
            gene, values, cells, pointers, groups, weights, sizes, n_cells, small, moments, order, starts, sums, squares
        )


@numba.njit(cache=True, nogil=True, error_model="numpy")  # by itself: what runs in parallel takes longer to compile
def _add_noise_of(
    gene: int,
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    sizes: np.ndarray,
    n_cells: np.ndarray,
    small: np.ndarray,
    moments: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_groups = len(sizes)
    first, second = np.zeros(n_groups), np.zeros(n_groups)
    weight, gain = np.zeros(n_groups), np.zeros(n_groups)
    term = np.empty(TERMS + 1)
    more, zero, group = np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK, np.int64)
    for g in range(n_groups):
        if n_cells[g] < 2 or sizes[g] <= 0:
            continue
        # v_ig - v_g of a zero: ln(1 - w t) - ln(1 - t), t = l_i / S, w = S / (S + 5e4 P_g)
        w = weight[g] = sizes[g] / (sizes[g] + BULK_TOTAL * sums[g, gene])
        gain[g] = BULK_TOTAL * w / sizes[g]
        if small[g]:
            power = 1.0
            for k in range(1, TERMS + 1):
                power *= w
                term[k] = (1.0 - power) / k
                first[g] += moments[k, g] * term[k]
            for k in range(1, TERMS + 1):
                for m in range(1, TERMS + 1):
                    second[g] += moments[k + m, g] * term[k] * term[m]
        else:
            for i in range(starts[g], starts[g + 1]):
                v = _change_of_zero(weights[order[i], 1], w)
                first[g] += v
                second[g] += v * v
    for begin in range(pointers[gene], pointers[gene + 1], CHUNK):
        n, largest_of_chunk = 0, 0.0
        for i in range(begin, min(begin + CHUNK, pointers[gene + 1])):
            cell = cells[i]
            g = groups[cell]
            t = weights[cell, 0]
            if g < 0 or n_cells[g] < 2 or t >= 1.0:
                continue
            # ln(1 - w t - gain y) - ln(1 - w t), and the change of a zero
            more[n] = gain[g] * values[i] / (1.0 - t * weight[g])
            zero[n] = -weights[cell, 1] * (1.0 - weight[g])
            largest_of_chunk = max(largest_of_chunk, more[n], -zero[n])
            group[n] = g
            n += 1
        if largest_of_chunk <= SMALL_SHARE:
            for k in range(n):  # simple enough for several at once
                more[k], zero[k] = _series(more[k]), _series(zero[k])
        else:
            for k in range(n):
                more[k], zero[k] = _log1m(more[k]), _log1m(zero[k])
        for k in range(n):
            first[group[k]] += more[k]
            second[group[k]] += more[k] * (more[k] + 2.0 * zero[k])
    for g in range(n_groups):
        if n_cells[g] >= 2:
            squares[gene, g] = second[g] - first[g] ** 2 / n_cells[g]


@numba.njit(cache=True, nogil=True)
def _change_of_zero(odds: float, w: float) -> float:  # pragma: no cover (compiled)
    """By how much a gene of the profile changes when a cell without counts of it is left out: ln((1 - w t) / (1 - t)).

    A cell that has all counts leaves nothing, and the profile is 0.
    """
    return np.log(w) if np.isinf(odds) else _log1m(-odds * (1.0 - w))
