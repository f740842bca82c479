"""What VCC 2026 scoring needs of a screen of counts: bulk profiles, their noise, and DE tables on log CPM.

The rules are those of cell-eval2 0.20.0 (Arc Institute), preset vcc2026. Where a rank, a threshold or a tie hangs on
the last bit of a number, operations come in the reference tool's order.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse
import scipy.stats

from starter.columns import Cells, Columns, Seen, columns, group_sums, sum_in_order
from starter.de import DETable
from starter.ranksum import SortedControls, exact_erfc, p_values, rank_columns, sort_controls, take_genes
from starter.schema import InputError
from starter.summary import Summary

MILLION = 1e6
BULK_TOTAL = 5e4
"""Counts to which a bulk profile is scaled before log1p."""
GATE = 5.0
"""A gene is tested if its mean CPM in the control cells is above this."""
EPSILON = 1e-9
"""Added to both mean CPM of a fold change."""
GENES_PER_BLOCK = 64
"""Genes whose log CPM are in memory at once."""
SMALL_SHARE = 0.05
"""A cell that holds at most this share of its group's counts is treated by a power series."""
TERMS = 10
"""Terms of the series: the first one left out is below 1e-14 of the sum."""


@dataclass(frozen=True)
class ControlCells:
    """Control cells that predictions are compared with."""

    logs: SortedControls
    """Their log CPM, sorted."""
    mean_cpm: np.ndarray
    """G."""
    profile: np.ndarray
    """Bulk profile, G."""
    noise: float


def log_cpm(block: scipy.sparse.csr_matrix, totals: np.ndarray) -> scipy.sparse.csr_matrix:
    """Make ln(1 + y / (L / 1e6)) of every count y of a cell with L counts, in float64 and in this order."""
    values = np.log1p(block.data.astype(np.float64) / np.repeat(_factor(totals), np.diff(block.indptr)))
    return scipy.sparse.csr_matrix((values, block.indices, block.indptr), shape=block.shape)


def control_cells(cells: Cells, is_control: np.ndarray, totals: np.ndarray, summary: Summary) -> ControlCells:
    """Sort the control cells of a measured screen, for predictions to be compared with.

    Parameters
    ----------
    cells
        Cells x genes, counts.
    is_control
        Which are control cells, boolean.
    totals
        Counts of each cell.
    summary
        What `summarise_counts` gave of the same cells.
    """
    logs = cells.mapped(lambda block, start: log_cpm(block, totals[start : start + block.shape[0]]))
    mean_cpm = np.zeros(cells.shape[1])
    groups = np.where(is_control, 0, -1)
    for genes, part in columns(cells, is_control):
        cpm = part._replace(values=part.values / _factor(totals)[part.cells])
        mean_cpm[genes] = _mean_cpm(cpm, groups, np.array([is_control.sum()]))[0]
    return ControlCells(sort_controls(logs, is_control), mean_cpm, summary.control, summary.control_noise)


def summarise_counts(
    cells: Cells,
    layers: np.ndarray,
    perturbations: np.ndarray,
    genes: np.ndarray,
    totals: np.ndarray,
    controls: ControlCells | None = None,
    *,
    orders: Sequence[np.ndarray] | None = None,
    known: Seen | None = None,
) -> list[Summary]:
    """Reduce cells to bulk profiles, their noise and DE tables, in several groupings of the same cells at once.

    Parameters
    ----------
    cells
        Cells x genes, counts.
    layers
        Group of each cell in each grouping, L x cells: 0 for control, i + 1 for the i-th perturbation, negative to
        leave out.
    perturbations
        Labels, which are the same in all groupings.
    genes
        Gene symbols.
    totals
        Counts of each cell.
    controls
        The measured control cells, instead of those of group 0, which must then be empty.
    orders
        The cells of each grouping in the order in which the reference tool adds them up; default: as they are stored.
    known
        What `starter.columns.scan` told of the cells that are in a group.

    Returns
    -------
    A summary for each grouping: `profiles` and `control` are ln(1 + 5e4 P_g / sum P) of the group's summed counts P,
    float64; `de` is NaN for genes outside of the gate.

    Raises
    ------
    InputError
        If no gene passes the gate.
    """
    n_genes = cells.shape[1]
    n_groups = len(perturbations) + 1
    n_cells = np.stack([np.bincount(groups[groups >= 0], minlength=n_groups) for groups in layers])
    sizes = np.stack([np.bincount(groups[groups >= 0], totals[groups >= 0], minlength=n_groups) for groups in layers])
    shape = (len(layers), n_groups, n_genes)
    p, means, profiles = np.ones((shape[0], n_groups - 1, n_genes)), np.zeros(shape), np.zeros(shape)
    noise = [_Noise(groups, totals, size, n) for groups, size, n in zip(layers, sizes, n_cells, strict=True)]
    factor = _factor(totals)
    for part_genes, part in columns(cells, (layers >= 0).any(axis=0), known):
        for begin in range(0, part_genes.stop - part_genes.start, GENES_PER_BLOCK):
            end = min(begin + GENES_PER_BLOCK, part_genes.stop - part_genes.start)
            block = part.genes(begin, end)
            here = slice(part_genes.start + begin, part_genes.start + end)
            cpm = block._replace(values=block.values / factor[block.cells])
            logs = block._replace(values=_log1p(cpm.values))
            other = controls and take_genes(controls.logs, here)
            for layer, ranks in enumerate(rank_columns(logs, layers, n_cells, other)):
                p[layer, :, here] = np.nan_to_num(p_values(ranks, exact_erfc), nan=1.0)
                order = orders[layer] if orders else None
                means[layer, :, here] = _mean_cpm(cpm, layers[layer], n_cells[layer], order)
                sums, _ = group_sums(block, layers[layer], n_groups)
                profiles[layer, :, here] = sums
                noise[layer].add(block, sums)
        summaries = []
    for layer, of_layer in enumerate(noise):
        with np.errstate(divide="ignore"):
            scale = np.where(sizes[layer] > 0, BULK_TOTAL / sizes[layer], 0.0)
        bulk = np.log1p(profiles[layer] * scale[:, None])
        errors = of_layer.total()
        control = controls.mean_cpm if controls else means[layer, 0]
        summaries.append(
            Summary(
                np.asarray(perturbations),
                np.asarray(genes),
                n_cells[layer, 1:],
                bulk[1:],
                controls.profile if controls else bulk[0],
                _de_table(p[layer], means[layer, 1:], control),
                noise=errors[1:],
                control_noise=controls.noise if controls else float(errors[0]),
            )
        )
    return summaries


def _factor(totals: np.ndarray) -> np.ndarray:
    factor = totals / MILLION
    return factor + (factor == 0)


def _log1p(values: np.ndarray) -> np.ndarray:
    """NumPy's log1p on all cores; its last bit can differ from the C library's, and log1p makes ties."""
    result = np.empty(len(values))
    cuts = np.linspace(0, len(values), numba.get_num_threads() + 1).astype(int)
    with ThreadPoolExecutor(len(cuts) - 1) as pool:
        list(pool.map(lambda a, b: np.log1p(values[a:b], out=result[a:b]), cuts[:-1], cuts[1:]))
    return result


def _mean_cpm(cpm: Columns, groups: np.ndarray, n_cells: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Mean CPM of each group; every value is divided by the number of cells before it is added, cell after cell.

    Whether a fold change is exactly 0 hangs on that order.
    """
    share = np.divide(1.0, n_cells, out=np.zeros(len(n_cells)), where=n_cells > 0)
    if order is None or (np.diff(order) > 0).all():
        return sum_in_order(cpm, groups, share)
    place = np.full(len(groups), -1)
    place[order] = np.arange(len(order))
    sums = np.zeros((len(cpm.pointers) - 1, len(share)))
    _sum_placed(cpm.values, cpm.cells, cpm.pointers, place, groups[order], share, sums)
    return sums.T


def _de_table(p: np.ndarray, means: np.ndarray, control: np.ndarray) -> DETable:
    gate = np.flatnonzero(control > GATE)
    if not len(gate):
        msg = f"no gene has more than {GATE:g} CPM in the control cells, so none can be tested; are these raw counts?"
        raise InputError(msg)
    table = DETable(*(np.full(p.shape, np.nan) for _ in range(3)))
    table.p_value[:, gate] = p[:, gate]
    table.fdr[:, gate] = scipy.stats.false_discovery_control(p[:, gate], axis=1)
    table.log2_fold_change[:, gate] = np.log2((means[:, gate] + EPSILON) / (control[gate] + EPSILON))
    return table


class _Noise:
    """Delete-one jackknife of a bulk profile: C = (n - 1) / n sum_g sum_i (v_ig - mean_i v_ig)^2.

    v_ig = ln(1 + 5e4 (P_g - y_ig) / (S - l_i)): the profile's gene g without cell i, which has l_i of the group's S
    counts. Where y_ig = 0, v_ig hangs on l_i alone, so a group's zeros are summed by the moments of l_i / S, and only
    the other values one by one.
    """

    def __init__(self, groups: np.ndarray, totals: np.ndarray, sizes: np.ndarray, n_cells: np.ndarray) -> None:
        self.groups, self.sizes, self.n_cells = groups.astype(np.int64), sizes, n_cells
        used = np.flatnonzero(groups >= 0)
        self.share = np.zeros(len(groups))
        np.divide(totals, sizes[groups], out=self.share, where=(groups >= 0) & (sizes[groups] > 0))
        largest = np.zeros(len(sizes))
        np.maximum.at(largest, groups[used], self.share[used])
        self.small = largest <= SMALL_SHARE
        self.moments = np.stack(
            [np.bincount(groups[used], self.share[used] ** k, minlength=len(sizes)) for k in range(2 * TERMS + 1)]
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
            self.share,
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
def _log1m(u: float) -> float:  # pragma: no cover (compiled)
    """ln(1 - u) for 0 <= u < 1."""
    if u > SMALL_SHARE:
        return np.log1p(-u)
    result = 1.0 / TERMS
    for k in range(TERMS - 1, 0, -1):
        result = result * u + 1.0 / k
    return -result * u


@numba.njit(parallel=True, cache=True, nogil=True)
def _add_noise(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    groups: np.ndarray,
    share: np.ndarray,
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
    for gene in numba.prange(len(pointers) - 1):
        first, second = np.zeros(n_groups), np.zeros(n_groups)
        weight = np.empty(n_groups)
        term = np.empty(TERMS + 1)
        for g in range(n_groups):
            if n_cells[g] < 2 or sizes[g] <= 0:
                continue
            # v_ig - v_g of a zero: ln(1 - w t) - ln(1 - t), t = l_i / S, w = S / (S + 5e4 P_g)
            w = weight[g] = sizes[g] / (sizes[g] + BULK_TOTAL * sums[g, gene])
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
                    v = _change(share[order[i]], share[order[i]], w)
                    first[g] += v
                    second[g] += v * v
        for i in range(pointers[gene], pointers[gene + 1]):
            g = groups[cells[i]]
            if g < 0 or n_cells[g] < 2:
                continue
            t = share[cells[i]]
            zero = _change(t, t, weight[g])
            v = _change(t, t + BULK_TOTAL * values[i] / sizes[g], weight[g])
            first[g] += v - zero
            second[g] += v * v - zero * zero
        for g in range(n_groups):
            if n_cells[g] >= 2:
                squares[gene, g] = second[g] - first[g] ** 2 / n_cells[g]


@numba.njit(cache=True, nogil=True)
def _change(t: float, taken: float, w: float) -> float:  # pragma: no cover (compiled)
    """By how much a gene of the profile changes when a cell is left out that has the share t of all counts."""
    if t >= 1.0:  # the cell has all counts: nothing is left, and the profile is 0
        return np.log(w)
    return _log1m(taken * w) - _log1m(t)


@numba.njit(parallel=True, cache=True, nogil=True)
def _sum_placed(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    place: np.ndarray,
    groups: np.ndarray,
    share: np.ndarray,
    sums: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Sum the values of each group in the order of their places."""
    for gene in numba.prange(len(pointers) - 1):
        placed = np.zeros(len(groups))
        for i in range(pointers[gene], pointers[gene + 1]):
            at = place[cells[i]]
            if at >= 0:
                placed[at] = values[i]
        for at in range(len(groups)):
            sums[gene, groups[at]] += placed[at] * share[groups[at]]
