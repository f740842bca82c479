"""How alike a screen's effects are, and what that leaves a model to gain over the train mean."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from starter.errors import InputError, listed


class PublishedScreen(NamedTuple):
    """What is known of a public screen."""

    name: str
    effect_correlation: float | None
    """Median Pearson correlation of two effects, as the text of Csendes et al. (2025) gives it."""
    estimate: float
    """Median cosine of two effects by `effect_cosines`, from the E-distances of Shift Bioscience (2025), bioRxiv
    2025.10.20.683304: other perturbations of the screen, 50 principal components, corrected for noise."""
    train_mean: float
    """Pearson delta of the train mean on unseen perturbations, Csendes et al. (2025)."""
    best: float
    """Pearson delta of the best model there."""
    best_model: str

    @property
    def gain(self) -> float:
        """What the best model gains over the train mean in Pearson delta."""
        return self.best - self.train_mean


PUBLISHED = (
    PublishedScreen("Adamson", 0.662, 0.326, 0.711, 0.739, "random forest, GO"),
    PublishedScreen("Norman", None, 0.412, 0.557, 0.663, "random forest, scELMO"),
    PublishedScreen("Replogle K562", 0.117, 0.204, 0.373, 0.480, "random forest, GO"),
    PublishedScreen("Replogle RPE1", None, 0.519, 0.628, 0.651, "random forest, scELMO"),
)
"""Pearson delta and two of the medians are in the text of Csendes et al.; the medians of Norman and RPE1 only in a
figure, so that `estimate` is all there is in numbers. It is no substitute: where both are known they disagree."""
E_DISTANCES = {
    "Adamson": "adamson16",
    "Norman": "norman19",
    "Replogle K562": "replogle22k562",
    "Replogle RPE1": "replogle22rpe1",
}
"""Name of each screen's matrix in the E-distances of Shift Bioscience (2025)."""


def effect_correlations(effects: pd.DataFrame) -> np.ndarray:
    """Pearson correlation over the genes of every two effects, each pair once.

    Parameters
    ----------
    effects
        Perturbations x genes, change of mean log1p expression.

    Returns
    -------
    P (P - 1) / 2 values in [-1, 1].

    Raises
    ------
    InputError
        If there are fewer than two effects, or one is the same for every gene.
    """
    if len(effects) < 2:
        msg = f"how alike effects are needs two at least; there are {len(effects)}"
        raise InputError(msg)
    constant = effects.index[np.ptp(effects.to_numpy(), axis=1) == 0]
    if len(constant):
        msg = f"effects that are the same for every gene have no correlation; leave out {listed(constant)}"
        raise InputError(msg)
    return np.corrcoef(effects.to_numpy(float))[np.triu_indices(len(effects), k=1)]


def most_alike(effects: pd.DataFrame, sets: Mapping[str, Sequence[str]], n: int = 5) -> pd.DataFrame:
    """Find the perturbations whose effects are most alike, and what is known to join their targets.

    Parameters
    ----------
    effects
        Perturbations x genes, change of mean log1p expression.
    sets
        Name to genes that belong together, such as pathways.
    n
        How many pairs to give.

    Returns
    -------
    One row a pair, the most alike first: `first`, `second`, `correlation` (Pearson, over genes) and `shared`, the
    smallest set that holds both targets; empty if none does.

    Raises
    ------
    InputError
        As `effect_correlations`.
    """
    correlations, pairs = effect_correlations(effects), np.triu_indices(len(effects), k=1)
    rows = []
    for k in np.argsort(-correlations, kind="stable")[:n]:
        first, second = (str(effects.index[side[k]]) for side in pairs)
        both = [name for name, genes in sets.items() if first in genes and second in genes]
        shared = min(both, key=lambda name: (len(sets[name]), name), default="")
        rows.append({"first": first, "second": second, "correlation": correlations[k], "shared": shared})
    return pd.DataFrame(rows)


def effect_cosines(distances: pd.DataFrame, control: str = "control") -> tuple[np.ndarray, list[str]]:
    """Cosine of every two effects from E-distances alone.

    The E-distance of squared Euclidean distances is 2 ||mean_x - mean_y||^2 (its unbiased form, in which cells are not
    compared with themselves, takes off what noise adds). By the law of cosines the triangle of two perturbations and
    the control has the angle cos = (E_xc + E_yc - E_xy) / (2 sqrt(E_xc E_yc)).

    Parameters
    ----------
    distances
        Conditions x conditions, unbiased E-distances, the control among them.
    control
        The control's label.

    Returns
    -------
    The cosines, each pair once, and the perturbations that are left out because their distance from the control is not
    above 0: noise hides their effect. A cosine may pass -1 or 1 by noise.

    Raises
    ------
    InputError
        If the table is no square of distances with the control in it, or fewer than two perturbations are left.
    """
    if list(distances.index) != list(distances.columns) or distances.index.has_duplicates:
        msg = "E-distances need the same conditions as rows and as columns, in the same order, each once"
        raise InputError(msg)
    if control not in distances.index:
        msg = f"the E-distances have no condition {control!r}; name the control's row"
        raise InputError(msg)
    values = distances.to_numpy(float)
    if not np.allclose(values, values.T) or not np.isfinite(values).all():
        msg = "E-distances must be finite and the same in both directions"
        raise InputError(msg)
    from_control = distances[control].drop(control)
    kept = from_control.index[from_control > 0]
    if len(kept) < 2:
        msg = f"only {len(kept)} perturbations are farther than 0 from the control; an angle needs two"
        raise InputError(msg)
    c = from_control[kept].to_numpy(float)
    cosines = (c[:, None] + c - distances.loc[kept, kept].to_numpy(float)) / (2 * np.sqrt(np.outer(c, c)))
    return cosines[np.triu_indices(len(kept), k=1)], [str(name) for name in from_control.index.difference(kept)]
