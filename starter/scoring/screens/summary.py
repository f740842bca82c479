"""What scoring needs to know of a screen, measured or predicted: profiles and the DE table."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from starter.statistics.de import DETable


def needed(values: np.ndarray | None, what: str) -> np.ndarray:
    """Give an array that not every summary has.

    Raises
    ------
    ValueError
        If this one was made without it.
    """
    if values is None:
        msg = f"this needs {what}, without which the summary was made"
        raise ValueError(msg)
    return values


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
    """How strongly each gene changes, P x G, rows sum to 1 (`starter.statistics.t_test.change_weights`)."""
    change_fdr: np.ndarray | None = None
    """Adjusted p of each gene against all other perturbations, P x G (`starter.statistics.t_test.change_fdr`)."""
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

    @cached_property
    def genes_by_t_score(self) -> np.ndarray:
        """Positions of each perturbation's genes, the largest absolute t score first; P x G."""
        size = np.nan_to_num(np.abs(needed(self.t_score, "t scores")), nan=0, posinf=np.inf)
        return np.argsort(-size, axis=1, kind="stable")

    @cached_property
    def genes_by_p_value(self) -> np.ndarray:
        """Positions of each perturbation's genes, the smallest p first and of equal ones the largest effect; P x G."""
        return np.lexsort((-np.abs(self.effects()), self.de.p_value), axis=1)

    def own_targets(self) -> np.ndarray:
        """Mark the target gene of each perturbation, both of A+B; P x G, boolean."""
        return np.stack([np.isin(self.genes, name.split("+")) for name in self.perturbations.astype(str)])

    def select(self, rows: np.ndarray) -> Self:
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
        per_row = (
            "perturbations",
            "n_cells",
            "profiles",
            "t_score",
            "weights",
            "change_fdr",
            "noise",
            "spread",
            "depth",
            "power",
        )
        kept = {field.name: getattr(self, field.name) for field in fields(self) if field.name in per_row}
        kept = {name: None if values is None else values[rows] for name, values in kept.items()}
        kept["de"] = DETable(*(column[rows] for column in self.de))
        if self.points is not None:
            blocks = self.points_of_each()
            kept["points"] = np.concatenate([self.points[:0], *(blocks[row] for row in rows)])
        return replace(self, **kept)

    def points_of_each(self) -> list[np.ndarray]:
        """Cut `points` by perturbation: P arrays, n_cells[p] x K each."""
        return np.split(needed(self.points, "points"), np.cumsum(self.n_cells)[:-1])


@dataclass(frozen=True)
class Reference(Summary):
    """A measured screen, with what metrics need beside it."""

    train_mean: np.ndarray | None = None
    """Unweighted mean of the training profiles, G, float32."""
    others: np.ndarray | None = None
    """Profiles of perturbations that were measured too and are not scored, Q x G, float32."""
    power: np.ndarray | None = None
    """Number of cells x median UMIs of a cell, on which the number of DE genes hangs; P."""


Controls = TypeVar("Controls")
"""Control cells as a family of rule sets keeps them: those that start from logs, or from counts."""


class Summaries(NamedTuple, Generic[Controls]):
    """Several groupings of the same cells, reduced in one pass."""

    summaries: list[Summary]
    """One a panel of a grouping."""
    controls: Controls | None
    """The control cells of the first grouping, sorted, if asked for."""
    means: np.ndarray | None
    """Of the first grouping, if the controls were asked for: mean of each group's values (log1p expression or counts),
    groups x genes, control first, float64."""


def group_sizes(layers: np.ndarray, n_groups: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Count the cells of each group in each grouping, or add up their weights.

    Parameters
    ----------
    layers
        Group of each cell in each grouping, L x cells; negative to leave out.
    n_groups
        How many groups there are.
    weights
        Of each cell.

    Returns
    -------
    L x n_groups.
    """
    of_layers = [(groups[groups >= 0], weights if weights is None else weights[groups >= 0]) for groups in layers]
    return np.stack([np.bincount(groups, of_cells, minlength=n_groups) for groups, of_cells in of_layers])
