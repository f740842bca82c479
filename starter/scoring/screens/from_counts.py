"""What VCC 2026 scoring needs of a screen of counts: bulk profiles, their noise, and DE tables on log CPM.

The rules are those of cell-eval2 0.20.0 (Arc Institute), preset vcc2026. Where a rank, a threshold or a tie hangs on
the last bit of a number, operations come in the reference tool's order.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import scipy.stats

from starter.data.blocks import Cells
from starter.data.scan import Scan
from starter.errors import InputError
from starter.scoring.screens.summary import Summaries, Summary, group_sizes
from starter.statistics.columns import Columns, columns
from starter.statistics.de import DETable
from starter.statistics.jackknife import BULK_TOTAL, Jackknife
from starter.statistics.ranksum import exact_erfc, p_values, rank_columns
from starter.statistics.sorted_controls import SortedControls, join_genes, sort_part, take_genes
from starter.statistics.sums import group_sums, sum_in_order

MILLION = 1e6
GATE = 5.0
"""A gene is tested if its mean CPM in the control cells is above this."""
EPSILON = 1e-9
"""Added to both mean CPM of a fold change."""
GENES_PER_BLOCK = 64
"""Genes whose log CPM are in memory at once."""


@dataclass(frozen=True)
class CountControls:
    """Control cells that predictions are compared with."""

    logs: SortedControls
    """Their log CPM, ln(1 + y / (L / 1e6)) of a count y of a cell with L counts, in float64 and in this order."""
    mean_cpm: np.ndarray
    """G."""
    profile: np.ndarray
    """Bulk profile, G."""
    noise: float


def summarise_counts(
    cells: Cells,
    layers: np.ndarray,
    perturbations: np.ndarray,
    genes: np.ndarray,
    totals: np.ndarray,
    controls: CountControls | None = None,
    *,
    orders: Sequence[np.ndarray] | None = None,
    known: Scan | None = None,
    keep_controls: bool = False,
) -> Summaries[CountControls]:
    """Reduce cells to bulk profiles, their noise and DE tables, in several groupings of the same cells at once.

    Parameters
    ----------
    cells
        Cells x genes, counts.
    layers
        Group of each cell in each grouping, L x cells: 0 for control, i + 1 for the i-th of P perturbations, negative
        to leave out. Groups P + 1 to 2 P + 1 are a second panel: its own control, and these perturbations.
    perturbations
        P labels.
    genes
        Gene symbols.
    totals
        Counts of each cell.
    controls
        The measured control cells, instead of those of group 0, which must then be empty.
    orders
        The cells of each grouping in the order in which the reference tool adds them up; default: as they are stored.
    known
        What `starter.data.scan.scan_cells` told of the cells that are in a group.
    keep_controls
        Whether the control cells and the means of the first grouping are needed.

    Returns
    -------
    A summary for each panel of each grouping: `profiles` and `control` are ln(1 + 5e4 P_g / sum P) of the group's
    summed counts P, float64; `de` is NaN for genes outside of the gate.

    Raises
    ------
    InputError
        If no gene passes the gate.
    """
    reduction = _Reduction(layers, totals, cells.shape[1], len(perturbations) + 1, controls, orders)
    factor = _factor(totals)
    sorted_parts, mean_parts = [], []
    for here, block in _blocks(cells, np.any(layers >= 0, axis=0), known):
        cpm, logs = _log_cpm(block, factor)
        reduction.add(here, block, cpm, logs)
        if keep_controls:
            sorted_parts.append(sort_part(logs, layers[0] == 0))
            counts = block._replace(values=block.values.astype(np.float64))
            mean_parts.append(sum_in_order(counts, layers[0], reduction.shares[0])[: len(perturbations) + 1])
    summaries = reduction.summaries(np.asarray(perturbations), np.asarray(genes))
    if not keep_controls:
        return Summaries(summaries, None, None)
    first = summaries[0]
    mean_cpm = reduction.means[0, 0].copy()
    kept = CountControls(join_genes(sorted_parts), mean_cpm, first.control, first.control_noise)
    return Summaries(summaries, kept, np.concatenate(mean_parts, axis=1))


class _Reduction:
    """Groups of cells reduced a few genes at a time; arguments as of `summarise_counts`."""

    def __init__(
        self,
        layers: np.ndarray,
        totals: np.ndarray,
        n_genes: int,
        n_of_panel: int,
        controls: CountControls | None,
        orders: Sequence[np.ndarray] | None,
    ) -> None:
        self.layers, self.controls, self.n_of_panel = layers, controls, n_of_panel
        self.n_panels = [max(1, -(-int(groups.max() + 1) // n_of_panel)) for groups in layers]
        n_groups = max(self.n_panels) * n_of_panel
        self.control_of = np.arange(n_groups) // n_of_panel * n_of_panel
        n_cells = self.n_cells = group_sizes(layers, n_groups)
        self.sizes = group_sizes(layers, n_groups, totals)
        self.shares = np.divide(1.0, n_cells, out=np.zeros(n_cells.shape), where=n_cells > 0)
        self.p, self.means, self.sums = np.ones((3, len(layers), n_groups, n_genes))
        self.noise = [Jackknife(groups, totals, *of) for groups, *of in zip(layers, self.sizes, n_cells, strict=True)]
        self.orders = (
            [_order(*of) for of in zip(orders, layers, n_cells, strict=True)] if orders else [None] * len(layers)
        )

    def add(self, here: slice, block: Columns, cpm: Columns, logs: Columns) -> None:
        """Add some genes, of which counts, CPM and log CPM are given."""
        known = self.controls and take_genes(self.controls.logs, here)
        of_panels = iter(rank_columns(logs, self.layers, self.n_cells, known, self.control_of))
        n_groups = len(self.control_of)
        for layer, groups in enumerate(self.layers):
            for control in range(0, n_groups, self.n_of_panel):
                rows = slice(control + 1, control + self.n_of_panel)
                self.p[layer, rows, here] = np.nan_to_num(p_values(next(of_panels), exact_erfc), nan=1.0)
            # every value is divided by the number of cells before it is added: whether a fold change is 0 hangs on it
            order, share = self.orders[layer], self.shares[layer]
            self.means[layer, :, here] = order.sums(cpm, share) if order else sum_in_order(cpm, groups, share)
            self.sums[layer, :, here] = sums = group_sums(block, groups, n_groups)[0]
            self.noise[layer].add(block, sums)

    def summaries(self, perturbations: np.ndarray, genes: np.ndarray) -> list[Summary]:
        """Make a summary for each panel of each grouping, when all genes were added."""
        errors = [of_layer.total() for of_layer in self.noise]
        return [
            self._summary(layer, control, errors[layer], perturbations, genes)
            for layer, n_panels in enumerate(self.n_panels)
            for control in range(0, n_panels * self.n_of_panel, self.n_of_panel)
        ]

    def _summary(
        self, layer: int, control: int, errors: np.ndarray, perturbations: np.ndarray, genes: np.ndarray
    ) -> Summary:
        """Make the summary of the panel whose control is this group."""
        rows, of_panel = slice(control + 1, control + self.n_of_panel), slice(control, control + self.n_of_panel)
        sizes = self.sizes[layer, of_panel]
        with np.errstate(divide="ignore"):
            scale = np.where(sizes > 0, BULK_TOTAL / sizes, 0.0)
        bulk = np.log1p(self.sums[layer, of_panel] * scale[:, None])
        known = self.controls
        return Summary(
            perturbations,
            genes,
            self.n_cells[layer, rows],
            bulk[1:],
            known.profile if known else bulk[0],
            _de_table(
                self.p[layer, rows], self.means[layer, rows], known.mean_cpm if known else self.means[layer, control]
            ),
            noise=errors[rows],
            control_noise=known.noise if known else float(errors[control]),
        )


def _blocks(cells: Cells, keep: np.ndarray, known: Scan | None) -> Iterator[tuple[slice, Columns]]:
    """Give the genes a few at a time, since their log CPM take more memory than their counts."""
    for genes, part in columns(cells, keep, known):
        for begin in range(0, genes.stop - genes.start, GENES_PER_BLOCK):
            end = min(begin + GENES_PER_BLOCK, genes.stop - genes.start)
            yield slice(genes.start + begin, genes.start + end), part.genes(begin, end)


def _factor(totals: np.ndarray) -> np.ndarray:
    factor = totals / MILLION
    return factor + (factor == 0)


def _log_cpm(counts: Columns, factor: np.ndarray) -> tuple[Columns, Columns]:
    """Make CPM, y / (L / 1e6), and their log1p, on all cores.

    NumPy's log1p: its last bit can differ from the C library's, and log1p makes ties.
    """
    cpm, logs = np.empty((2, len(counts.values)))

    def fill(begin: int, end: int) -> None:
        np.divide(counts.values[begin:end], factor[counts.cells[begin:end]], out=cpm[begin:end])
        np.log1p(cpm[begin:end], out=logs[begin:end])

    cuts = np.linspace(0, len(cpm), numba.get_num_threads() + 1).astype(int)
    with ThreadPoolExecutor(len(cuts) - 1) as pool:
        list(pool.map(fill, cuts[:-1], cuts[1:]))
    return counts._replace(values=cpm), counts._replace(values=logs)


class _Order(NamedTuple):
    """Cells group after group, in each group in the order in which the reference tool adds them up."""

    place: np.ndarray
    """Of each cell, int32; negative for those in no group."""
    starts: np.ndarray
    """Where each group begins, and the last one ends."""

    def sums(self, part: Columns, share: np.ndarray) -> np.ndarray:
        """Sum share[group] x value of each group's cells, as `sum_in_order` does in the order of storage."""
        sums = np.zeros((len(part.pointers) - 1, len(share)))
        _sum_placed(part.values, part.cells, part.pointers, self.place, self.starts, share, sums)
        return sums.T


def _order(cells: np.ndarray, groups: np.ndarray, n_cells: np.ndarray) -> _Order | None:
    """Prepare an order of cells; None if it is the one in which they are stored."""
    if (np.diff(cells) > 0).all():
        return None
    place = np.full(len(groups), -1, np.int32)
    place[cells[np.argsort(groups[cells], kind="stable")]] = np.arange(len(cells))
    return _Order(place, np.concatenate([[0], np.cumsum(n_cells)]))


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


@numba.njit(parallel=True, cache=True, nogil=True)
def _sum_placed(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    place: np.ndarray,
    starts: np.ndarray,
    share: np.ndarray,
    sums: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Sum the values of each group in the order of their places; four genes side by side, whose sums do not wait."""
    n_genes = len(pointers) - 1
    for four in numba.prange(-(-n_genes // 4)):
        placed = np.zeros((starts[-1], 4))
        low, high = 4 * four, min(4 * four + 4, n_genes)
        for gene in range(low, high):
            for i in range(pointers[gene], pointers[gene + 1]):
                at = place[cells[i]]
                if at >= 0:
                    placed[at, gene - low] = values[i]
        for g in range(len(share)):
            a = b = c = d = 0.0
            for at in range(starts[g], starts[g + 1]):
                a += placed[at, 0] * share[g]
                b += placed[at, 1] * share[g]
                c += placed[at, 2] * share[g]
                d += placed[at, 3] * share[g]
            for gene in range(low, high):
                sums[gene, g] = (a, b, c, d)[gene - low]
