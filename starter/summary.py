"""What scoring needs to know of a screen, measured or predicted: profiles and the DE table."""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from starter.columns import Cells, Seen, columns, layer_sums
from starter.de import DERule, DETable, change_weights, in_order_means, in_order_shares, welch_t
from starter.ranksum import SortedControls, join_genes, rank_columns, sort_part, take_genes


@dataclass(frozen=True)
class Summary:
    """A screen in one context, reduced to P perturbations x G genes."""

    perturbations: np.ndarray
    """P labels, in the order of all other arrays."""
    genes: np.ndarray
    """G gene symbols."""
    n_cells: np.ndarray
    """Cells of each perturbation."""
    profiles: np.ndarray
    """Mean log1p expression, P x G, float32."""
    control: np.ndarray
    """Mean log1p expression of the control cells, G, float32."""
    de: DETable
    """Each perturbation against these control cells."""
    t_score: np.ndarray | None = None
    """Welch's t of log1p expression against the control cells, P x G, float32."""
    points: np.ndarray | None = None
    """Perturbed cells in the principal components of the measured cells, cells x K: perturbation after perturbation in
    the order of `perturbations`, n_cells[p] rows each."""
    weights: np.ndarray | None = None
    """How strongly each gene changes, P x G, rows sum to 1 (`starter.de.change_weights`)."""
    noise: np.ndarray | None = None
    """Squared error of each profile, summed over the genes, by the delete-one jackknife over cells; P (VCC 2026)."""
    control_noise: float = 0.0
    """The same of the control profile."""
    spread: np.ndarray | None = None
    """Variance of log expression among the cells of each perturbation, mean over genes; P."""
    depth: np.ndarray | None = None
    """Median total of the cells of each perturbation, on the natural scale; P."""

    def effects(self) -> np.ndarray:
        """Profile minus control profile, P x G, float32."""
        return self.profiles - self.control

    def select(self, rows: np.ndarray) -> "Summary":
        """Keep some perturbations.

        Parameters
        ----------
        rows
            Their positions, in the order wanted, or a boolean mask.

        Returns
        -------
        A summary of the same class.
        """
        rows = np.arange(len(self.perturbations))[rows]
        per_row = ("perturbations", "n_cells", "profiles", "t_score", "weights", "noise", "spread", "depth", "power")
        kept = {field.name: getattr(self, field.name) for field in fields(self) if field.name in per_row}
        kept = {name: None if values is None else values[rows] for name, values in kept.items()}
        kept["de"] = DETable(*(column[rows] for column in self.de))
        if self.points is not None:
            blocks = self.points_of_each()
            kept["points"] = np.concatenate([self.points[:0], *(blocks[row] for row in rows)])
        return replace(self, **kept)

    def points_of_each(self) -> list[np.ndarray]:
        """Cut `points` by perturbation: P arrays, n_cells[p] x K each."""
        return np.split(self.points, np.cumsum(self.n_cells)[:-1])


@dataclass(frozen=True)
class Reference(Summary):
    """A measured screen, with what metrics need beside it."""

    train_mean: np.ndarray | None = None
    """Unweighted mean of the training profiles, G, float32."""
    power: np.ndarray | None = None
    """Number of cells x median UMIs of a cell, on which the number of DE genes hangs; P."""


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


class Reduced(NamedTuple):
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
) -> Reduced:
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
        What `starter.columns.scan` told of the cells that are in a group.
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
    return Reduced(summaries, *first, join_genes(sorted_parts) if keep_controls else None)
