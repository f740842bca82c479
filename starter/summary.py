"""What scoring needs to know of a screen, measured or predicted: profiles and the DE table."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from starter.de import DERule, DETable
from starter.pseudobulk import group_means


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

    def effects(self) -> np.ndarray:
        """Profile minus control profile, P x G, float32."""
        return self.profiles - self.control

    def select(self, rows: np.ndarray) -> "Summary":
        """Keep some perturbations."""
        return Summary(
            self.perturbations[rows],
            self.genes,
            self.n_cells[rows],
            self.profiles[rows],
            self.control,
            DETable(*(column[rows] for column in self.de)),
        )


def summarise(
    x: scipy.sparse.spmatrix | np.ndarray,
    groups: np.ndarray,
    perturbations: np.ndarray,
    genes: np.ndarray,
    rule: DERule,
) -> Summary:
    """Reduce cells to profiles and a DE table.

    Parameters
    ----------
    x
        Cells x genes, log1p expression.
    groups
        0 for control cells, i + 1 for cells of perturbations[i], negative to leave out.
    perturbations, genes
        Labels.
    rule
        How DE is called.

    Returns
    -------
    A summary. A perturbation without cells has NaN profiles.
    """
    n_groups = len(perturbations) + 1
    means = group_means(x, groups, n_groups).astype(np.float32)
    n_cells = np.bincount(groups[groups >= 0], minlength=n_groups)[1:]
    return Summary(
        np.asarray(perturbations), np.asarray(genes), n_cells, means[1:], means[0], rule(x, groups, n_groups)
    )
