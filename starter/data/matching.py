"""Control cells matched to perturbed cells: of the same batch, and of like depth."""

import anndata
import numpy as np
import scipy.optimize
import scipy.spatial.distance

from starter.data.batches import UNMATCHED, comparable
from starter.data.dataset import PAIR, pairs
from starter.data.preprocess import library_sizes
from starter.errors import InputError
from starter.schema import CONTROL, PERTURBATION

FLAT = 1e-8
"""A feature whose standard deviation is below this is not scaled (cz-benchmarks' limit)."""


def match_controls(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Give every perturbed cell a control cell of its own batch, so that the sum of their distances is smallest.

    The Hungarian assignment in each batch, on Euclidean distances between log1p features, each z-scored over the
    batch's cells of both kinds. No control is given twice. This is `get_matched_controls` of cz-benchmarks (Chan
    Zuckerberg Initiative, commit b292e63).

    Parameters
    ----------
    features
        Cells x features, not negative, such as `depth_features` gives.
    batch
        Label of each cell.
    perturbed
        Which cells are perturbed, boolean; the others are controls.

    Returns
    -------
    For each cell the row of its control; `UNMATCHED` for the controls themselves and for perturbed cells of a batch
    that has no control cell left.

    Raises
    ------
    InputError
        If the arguments do not describe the same cells, or a feature is negative, NaN or infinite.
    """
    features, batch, perturbed = np.asarray(features, dtype=float), np.asarray(batch), np.asarray(perturbed)
    if features.ndim != 2 or not len(features) == len(batch) == len(perturbed) or perturbed.dtype != bool:
        msg = (
            "features (cells x features), batch and perturbed (True or False) describe the same cells; these have the "
            f"shapes {features.shape}, {batch.shape} and {perturbed.shape} (of {perturbed.dtype})"
        )
        raise InputError(msg)
    if not (np.isfinite(features).all() and (features >= 0).all()):
        msg = "a feature is a number from 0 on, such as a cell's UMIs; mend or leave out the cells with others"
        raise InputError(msg)
    control_of = np.full(len(batch), UNMATCHED)
    logs = np.log1p(features)
    for label in np.unique(batch[perturbed]):
        here = batch == label
        spread = logs[here].std(axis=0)
        scaled = logs / np.where(spread < FLAT, 1.0, spread)  # the mean would cancel in the distances
        treated, controls = np.flatnonzero(here & perturbed), np.flatnonzero(here & ~perturbed)
        distances = scipy.spatial.distance.cdist(scaled[treated], scaled[controls])
        rows, columns = scipy.optimize.linear_sum_assignment(distances)
        control_of[treated[rows]] = controls[columns]
    return control_of


def depth_features(adata: anndata.AnnData) -> np.ndarray:
    """Give what cells are matched by: total UMIs and number of genes seen, cells x 2.

    Parameters
    ----------
    adata
        A course data set (raw counts, in memory).
    """
    return np.column_stack([library_sizes(adata), adata.X.getnnz(axis=1)])


def match_screen(adata: anndata.AnnData) -> np.ndarray:
    """Match the cells of every perturbation of a screen, one perturbation after the other.

    A control cell serves one cell of a perturbation at most, and any number of perturbations. Controls come from the
    cell's own context and batch.

    Parameters
    ----------
    adata
        A course data set (raw counts, in memory).

    Returns
    -------
    For each cell the row of its control, or `UNMATCHED`.
    """
    features, batch = depth_features(adata), comparable(adata.obs)
    pair_of_cell, index = pairs(adata.obs).factorize()
    is_control = (index.set_names(PAIR).get_level_values(PERTURBATION) == CONTROL)[pair_of_cell]
    control_of = np.full(adata.n_obs, UNMATCHED)
    for pair in np.unique(pair_of_cell[~is_control]):
        cells = np.flatnonzero((pair_of_cell == pair) | is_control)
        found = match_controls(features[cells], batch[cells], ~is_control[cells])
        matched = found != UNMATCHED
        control_of[cells[matched]] = cells[found[matched]]
    return control_of
