"""Perturbations that were measured beside those that are scored: what "all others" means to a metric."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from starter.scoring.screens.logs import Logs
from starter.scoring.screens.summary import group_sizes
from starter.scoring.truth.measured import ScreenPart
from starter.scoring.truth.replicate import SPLITS, split_layers
from starter.statistics.columns import columns
from starter.statistics.sums import group_sums, layer_sums
from starter.statistics.t_test import Totals


class Others(NamedTuple):
    """Other perturbations, in all their cells or in half of them."""

    profiles: np.ndarray
    """Mean log1p expression, Q x G, float32."""
    totals: Totals
    """All their cells together."""


class SplitOthers(NamedTuple):
    """Other perturbations whole, and split in halves as those that are scored are."""

    whole: Others
    halves: Sequence[tuple[Others, Others]]
    """First and second halves of each split."""

    def of_panels(self) -> list[Totals]:
        """Give the cells in the order of the summaries of a screen and its halves."""
        return [self.whole.totals, *(half.totals for split in self.halves for half in split)]


def no_others(n_genes: int) -> SplitOthers:
    """Say that nothing else was measured."""
    none = Others(np.empty((0, n_genes), np.float32), Totals(0, np.zeros(n_genes), np.zeros(n_genes)))
    return SplitOthers(none, [(none, none)] * SPLITS)


def means_of_groups(part: ScreenPart, logs: Logs) -> np.ndarray:
    """Give the mean log1p expression of each group of cells of a part: control first, then every perturbation.

    Parameters
    ----------
    part
        Cells of perturbations.
    logs
        The same cells brought to log1p expression.

    Returns
    -------
    Groups x genes, float64.
    """
    sizes = part.n_cells()
    found = columns(logs.cells, part.groups >= 0, part.scan)
    sums = [group_sums(genes, part.groups, len(sizes))[0] for _, genes in found]
    return np.concatenate(sums, axis=1) / sizes[:, None]


def split_others(
    part: ScreenPart, logs: Logs, stays: np.ndarray, seed: int, stream: int
) -> tuple[np.ndarray, SplitOthers]:
    """Reduce the perturbations of a part, whole and in halves.

    Parameters
    ----------
    part
        Cells of perturbations.
    logs
        The same cells brought to log1p expression.
    stays
        Which perturbations are others, boolean.
    seed, stream
        Fix the splits.

    Returns
    -------
    Mean log1p expression of each group of cells (control first, then every perturbation; float64), and the others.
    """
    n = len(part.perturbations)
    layers = np.vstack([part.groups, split_layers(part.groups, seed, stream)])
    sizes = group_sizes(layers, 2 * n + 1)
    unused = np.zeros(sizes.shape)
    means, panels = [], []
    for _, genes in columns(logs.cells, part.groups >= 0, part.scan):
        sums, squares, _ = layer_sums(genes, layers, unused)
        means.append(sums[0, : n + 1] / sizes[0, : n + 1, None])
        panels.append([_panel(sums, squares, sizes, stays, *where) for where in _panels(len(layers))])
    whole, *halves = [_join_genes(of_genes) for of_genes in zip(*panels, strict=True)]
    return np.concatenate(means, axis=1), SplitOthers(whole, list(zip(halves[::2], halves[1::2], strict=True)))


def _panels(n_layers: int) -> list[tuple[int, int]]:
    """List groupings and panels in order: all cells, then first and second halves of each split."""
    return [(0, 0), *((layer, panel) for layer in range(1, n_layers) for panel in (0, 1))]


def _panel(
    sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray, stays: np.ndarray, layer: int, panel: int
) -> Others:
    n = len(stays)
    within = sizes[layer, 1 + panel * n : 1 + (panel + 1) * n]
    rows = 1 + panel * n + np.flatnonzero(stays & (within > 0))  # one cell alone has no first half
    profiles = (sums[layer, rows] / sizes[layer, rows, None]).astype(np.float32)
    n_cells = int(sizes[layer, rows].sum())
    return Others(profiles, Totals(n_cells, sums[layer, rows].sum(axis=0), squares[layer, rows].sum(axis=0)))


def _join_genes(parts: Sequence[Others]) -> Others:
    n_cells = parts[0].totals.n_cells
    sums, squares = (np.concatenate([part.totals[column] for part in parts]) for column in (1, 2))
    return Others(np.concatenate([part.profiles for part in parts], axis=1), Totals(n_cells, sums, squares))


def together(parts: Sequence[SplitOthers]) -> SplitOthers:
    """Join the perturbations of several files."""

    def join(sides: Sequence[Others]) -> Others:
        n_cells, sums, squares = zip(*(side.totals for side in sides), strict=True)
        totals = Totals(sum(n_cells), np.sum(sums, axis=0), np.sum(squares, axis=0))
        return Others(np.concatenate([side.profiles for side in sides]), totals)

    halves = [
        (join([part.halves[split][0] for part in parts]), join([part.halves[split][1] for part in parts]))
        for split in range(SPLITS)
    ]
    return SplitOthers(join([part.whole for part in parts]), halves)
