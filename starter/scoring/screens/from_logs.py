"""One pass over log1p expression: each perturbation's profile, DE table and spread."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from starter.data.blocks import Cells
from starter.data.scan import Scan
from starter.scoring.screens.summary import Summaries, Summary, group_sizes
from starter.statistics.columns import Columns, columns
from starter.statistics.de import DERule, in_order_means, in_order_shares
from starter.statistics.ranksum import RankSum, rank_columns
from starter.statistics.sorted_controls import SortedControls, join_genes, sort_part, take_genes
from starter.statistics.sums import layer_sums
from starter.statistics.t_test import Totals, change_fdr, change_weights, welch_t


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


def summarise_logs(
    cells: Cells,
    layers: np.ndarray,
    perturbations: np.ndarray,
    genes: np.ndarray,
    rule: DERule,
    *,
    known: Scan | None = None,
    controls: LogControls | None = None,
    t_scores: bool = False,
    others: Sequence[Totals] | None = None,
    keep_controls: bool = False,
) -> Summaries[LogControls]:
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
        What `starter.data.scan.scan_cells` told of the cells that are in a group.
    controls
        Control cells that stand for those of group 0, which must then be empty.
    t_scores
        Whether t scores are needed.
    others
        For each panel of each grouping the cells of further perturbations, if the perturbations are to be compared
        with all others: a first panel is a truth, whose genes get weights; a second one is its replicate, whose changes
        are tested.
    keep_controls
        Whether the control cells and the means of the first grouping are needed.

    Returns
    -------
    A summary for each panel of each grouping. A perturbation without cells has NaN profiles.

    Raises
    ------
    InputError
        If a value is negative, NaN or infinite.
    """
    (summaries,) = summarise_by_rules(
        cells,
        layers,
        perturbations,
        genes,
        [rule],
        known=known,
        controls=controls,
        t_scores=t_scores,
        others=others,
        keep_controls=keep_controls,
    )
    return summaries


def summarise_by_rules(
    cells: Cells,
    layers: np.ndarray,
    perturbations: np.ndarray,
    genes: np.ndarray,
    rules: Sequence[DERule],
    *,
    known: Scan | None = None,
    controls: LogControls | None = None,
    t_scores: bool = False,
    others: Sequence[Totals] | None = None,
    keep_controls: bool = False,
) -> list[Summaries[LogControls]]:
    """Do `summarise_logs` by several rules for DE in one pass: cells are read, sorted and ranked once.

    Returns
    -------
    The summaries by each of the rules, in their order.
    """
    n_panels = [max(1, -(-int(groups.max()) // len(perturbations))) for groups in layers]
    n_cells = group_sizes(layers, max(n_panels) * len(perturbations) + 1)
    parts: list[list[list[_Genes]]] = [[[] for _ in layers] for _ in rules]
    sorted_parts = []
    is_control = layers[0] == 0
    perturbed = np.where(layers == 0, -1, layers)
    for here, part in columns(cells, np.any(layers >= 0, axis=0), known):
        # the controls are sorted alone: every grouping has the same
        of_genes = take_genes(controls.logs, here) if controls else sort_part(part, is_control)
        ranked = rank_columns(part, perturbed, n_cells, of_genes)
        for layer, by_rule in enumerate(_reduce(part, layers, n_cells, ranked, rules, dense=cells.dense)):
            for of_rule, reduced in zip(parts, by_rule, strict=True):
                of_rule[layer].append(reduced.with_control(controls, here) if controls else reduced)
        if keep_controls:
            sorted_parts.append(of_genes)
        del part
    if controls:
        n_cells[:, 0] = controls.logs.n_cells
    logs = join_genes(sorted_parts) if keep_controls else None
    found = []
    for rule, of_rule in zip(rules, parts, strict=True):
        summaries, kept, means = [], None, None
        for of_layer, n_of_layer, n in zip(of_rule, n_panels, n_cells, strict=True):
            whole = _Genes(*(np.concatenate(of_all, axis=1) for of_all in zip(*of_layer, strict=True)))
            of_layer.clear()
            for panel in range(n_of_layer):
                rows = np.arange(panel * len(perturbations), (panel + 1) * len(perturbations))
                of_panel, count = whole.panel(rows), n[np.append(0, rows + 1)]
                summary = _summary(of_panel, count, perturbations, genes, rule, t_scores=t_scores)
                if others:
                    totals = (of_panel.sums, of_panel.squares, count, others[len(summaries)])
                    versus = {"change_fdr": change_fdr(*totals)} if panel else {"weights": change_weights(*totals)}
                    summary = replace(summary, **versus)
                summaries.append(summary)
                if logs and kept is None:
                    of_control = (column[0] for column in (of_panel.sums, of_panel.squares, of_panel.natural))
                    kept = LogControls(logs, *of_control)
                    means = of_panel.sums / count[:, None]
        found.append(Summaries(summaries, kept, means))
    return found


class _Genes(NamedTuple):
    """What one grouping tells of some genes: perturbations x genes, and groups x genes with the control first."""

    p: np.ndarray
    natural: np.ndarray
    """Mean on the natural scale, as the DE rule takes it."""
    sums: np.ndarray
    squares: np.ndarray

    def with_control(self, controls: LogControls, here: slice) -> "_Genes":
        """Put these genes of known control cells in the place of group 0."""
        self.sums[0], self.squares[0], self.natural[0] = (column[here] for column in controls[1:])
        return self

    def panel(self, rows: np.ndarray) -> "_Genes":
        """Take some perturbations, and the control."""
        used = np.append(0, rows + 1)
        return _Genes(self.p[rows], self.natural[used], self.sums[used], self.squares[used])


def _reduce(
    part: Columns,
    layers: np.ndarray,
    n_cells: np.ndarray,
    ranked: list[RankSum],
    rules: Sequence[DERule],
    *,
    dense: bool,
) -> Iterator[list[_Genes]]:
    """Test and add up some genes in each grouping, by each of the rules."""
    sums, squares, in_order = layer_sums(part, layers, in_order_shares(n_cells, dense=dense))
    for layer, ranks in enumerate(ranked):
        means = in_order_means(in_order[layer], n_cells[layer], dense=dense)
        yield [_Genes(*rule.of_genes(part, layers[layer], ranks, means), sums[layer], squares[layer]) for rule in rules]


def _summary(
    found: _Genes, n_cells: np.ndarray, perturbations: np.ndarray, genes: np.ndarray, rule: DERule, *, t_scores: bool
) -> Summary:
    """Make the summary of a panel; `n_cells` of each group, control first."""
    sums, squares, count = found.sums, found.squares, n_cells[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (sums / count).astype(np.float32)
        spread = (np.maximum(squares - sums**2 / count, 0) / (count - 1)).mean(axis=1)
    return Summary(
        np.asarray(perturbations),
        np.asarray(genes),
        n_cells[1:],
        means[1:],
        means[0],
        rule.table(found.p, found.natural),
        t_score=welch_t(sums, squares, n_cells) if t_scores else None,
        spread=spread[1:],
    )
