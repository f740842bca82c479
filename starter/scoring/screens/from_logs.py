"""One pass over log1p expression: each perturbation's profile, DE table and spread."""

from typing import NamedTuple

import numpy as np

from starter.data.blocks import Cells
from starter.data.scan import Seen
from starter.scoring.screens.summary import Summary
from starter.statistics.columns import columns
from starter.statistics.de import DERule, in_order_means, in_order_shares
from starter.statistics.ranksum import rank_columns
from starter.statistics.sorted_controls import SortedControls, join_genes, sort_part, take_genes
from starter.statistics.sums import layer_sums
from starter.statistics.t_test import change_weights, welch_t


class LogControls(NamedTuple):
    """Control cells that predictions may be compared with instead of their own, if those are the same."""

    logs: SortedControls
    """Their log1p expression, sorted."""
    sums: np.ndarray
    """Sum of each gene's log1p expression."""
    squares: np.ndarray
    """Sum of its square."""
    natural: np.ndarray
    """Mean of each gene on the natural scale, as the DE rule takes it."""


class LogSummaries(NamedTuple):
    """What `summarise` gives."""

    summaries: list[Summary]
    """One a panel of a grouping."""
    sums: np.ndarray
    """Of the first grouping: sum of each group's log1p expression, groups x genes, control first, float64."""
    squares: np.ndarray
    natural: np.ndarray
    """Mean of each group on the natural scale, as the DE rule takes it."""
    controls: SortedControls | None
    """The control cells of the first grouping, sorted, if asked for."""


def summarise(
    cells: Cells,
    layers: np.ndarray,
    perturbations: np.ndarray,
    genes: np.ndarray,
    rule: DERule,
    *,
    known: Seen | None = None,
    controls: LogControls | None = None,
    moments: bool = False,
    keep_controls: bool = False,
) -> LogSummaries:
    """Reduce cells to profiles and DE tables, in several groupings of the same cells at once.

    Parameters
    ----------
    cells
        Cells x genes, log1p expression.
    layers
        Group of each cell in each grouping, L x cells: 0 for control (the same cells in all groupings), i + 1 for the
        i-th of P perturbations, negative to leave out. Groups P + 1 to 2 P are a second panel of these perturbations.
    perturbations
        P labels.
    genes
        Gene symbols.
    rule
        How DE is called.
    known
        What `starter.data.scan.scan` told of the cells that are in a group.
    controls
        Control cells that stand for those of group 0, which must then be empty.
    moments
        Whether t scores and the weights of genes are needed.
    keep_controls
        Whether the sorted control cells are needed.

    Returns
    -------
    A summary for each panel of each grouping. A perturbation without cells has NaN profiles.

    Raises
    ------
    InputError
        If a value is negative, NaN or infinite.
    """
    n_panels = [max(1, -(-int(groups.max()) // len(perturbations))) for groups in layers]
    n_groups = max(n_panels) * len(perturbations) + 1
    n_cells = np.stack([np.bincount(groups[groups >= 0], minlength=n_groups) for groups in layers])
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in layers]
    sorted_parts = []
    is_control = layers[0] == 0
    perturbed = np.where(layers == 0, -1, layers)
    for here, part in columns(cells, (layers >= 0).any(axis=0), known):
        # the controls are sorted alone: every grouping has the same
        of_genes = take_genes(controls.logs, here) if controls else sort_part(part, is_control)
        ranked = rank_columns(part, perturbed, n_cells, of_genes)
        sums, squares, in_order = layer_sums(part, layers, in_order_shares(n_cells, dense=cells.dense))
        for layer, ranks in enumerate(ranked):
            means = in_order_means(in_order[layer], n_cells[layer], dense=cells.dense)
            p, natural = rule.of_genes(part, layers[layer], ranks, means)
            if controls:
                sums[layer, 0], squares[layer, 0], natural[0] = (column[here] for column in controls[1:])
            parts[layer].append((p, natural, sums[layer], squares[layer]))
        if keep_controls:
            sorted_parts.append(of_genes)
        del part
    if controls:
        n_cells[:, 0] = controls.logs.n_cells
    summaries, first = [], None
    for of_layer, n_of_layer, n in zip(parts, n_panels, n_cells, strict=True):
        p, *of_groups = (np.concatenate(of_all, axis=1) for of_all in zip(*of_layer, strict=True))
        of_layer.clear()
        for panel in range(n_of_layer):
            rows = np.arange(panel * len(perturbations), (panel + 1) * len(perturbations))
            used = np.append(0, rows + 1)
            natural, sums, squares = (column[used] for column in of_groups)
            first = first or (sums, squares, natural)
            count = n[used, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                means = (sums / count).astype(np.float32)
                spread = (np.maximum(squares - sums**2 / count, 0) / (count - 1)).mean(axis=1)
            summaries.append(
                Summary(
                    np.asarray(perturbations),
                    np.asarray(genes),
                    n[rows + 1],
                    means[1:],
                    means[0],
                    rule.table(p[rows], natural),
                    t_score=welch_t(sums, squares, n[used]) if moments else None,
                    weights=change_weights(sums, squares, n[used]) if moments else None,
                    spread=spread[1:],
                )
            )
    return LogSummaries(summaries, *first, join_genes(sorted_parts) if keep_controls else None)
