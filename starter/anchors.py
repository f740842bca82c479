"""The predictions that scores are measured against: the train mean (or the challenge's baseline) and the replicate."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from starter.cells import Controls, shift, thin
from starter.metrics import Profile
from starter.summary import Summary, summarise

SPLITS = 5
"""Split halves over which the replicate is averaged."""


@dataclass(frozen=True)
class Measured:
    """The measured cells of one context on the scale of a rule set."""

    x: scipy.sparse.csr_matrix
    """Cells x genes, log1p expression."""
    groups: np.ndarray
    """0 for control cells, i + 1 for perturbations[i], negative for cells that are not scored."""
    perturbations: np.ndarray
    genes: np.ndarray
    controls: Controls | None
    """The control cells as counts; None if only logs were given and counts cannot be recovered."""


def train_mean(profiles: np.ndarray) -> np.ndarray:
    """Unweighted mean of training profiles (Csendes et al. 2025, BMC Genomics 26:393).

    Parameters
    ----------
    profiles
        Training perturbations x genes, without the control.

    Returns
    -------
    One value a gene.
    """
    return profiles.mean(axis=0)


def baseline(profile: Profile, measured: Measured, mean: np.ndarray, seed: int) -> tuple[Summary, str]:
    """Make the prediction that scores 0.

    Parameters
    ----------
    profile
        The rule set.
    measured
        The truth's cells; the prediction has as many of each perturbation, and these controls.
    mean
        The profile that is predicted for every perturbation, one value a gene.
    seed
        Fixes the cells.

    Returns
    -------
    The prediction, and how its cells were made.
    """
    n_cells = np.bincount(measured.groups[measured.groups >= 0], minlength=len(measured.perturbations) + 1)[1:]
    if profile.baseline == "constant":
        cells = scipy.sparse.csr_matrix(np.broadcast_to(mean.astype(np.float32), (n_cells.sum(), len(mean))))
        how = "every cell is the mean"
    else:
        rng = np.random.default_rng(seed)
        if measured.controls is not None:
            cells = scipy.sparse.vstack([thin(mean, measured.controls, n, rng) for n in n_cells])
            how = "cells by thinning control cells"
        else:
            logs = measured.x[measured.groups == 0]
            source = Controls(logs, np.ones(logs.shape[0]))
            cells = scipy.sparse.vstack([shift(mean, source, n, rng) for n in n_cells])
            how = "control cells plus the effect, since raw counts could not be recovered"
    x = scipy.sparse.vstack([measured.x[measured.groups == 0], cells]).tocsr()
    n_control = x.shape[0] - n_cells.sum()
    groups = np.concatenate([np.zeros(n_control, dtype=int), np.repeat(np.arange(1, len(n_cells) + 1), n_cells)])
    return summarise(x, groups, measured.perturbations, measured.genes, profile.de), how


def replicate(
    profile: Profile,
    measured: Measured,
    mean: np.ndarray,
    truth: Summary,
    baseline: Summary,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Score half of each perturbation's cells as a prediction of the other half.

    Controls are whole on both sides, as they are when a model predicts with the course's controls. The challenge's
    profiles show the split halves as they are.

    In the course's profile, metrics on profiles use the interpolated duplicate. Half the cells are a noisier truth than
    all of them, so the baseline is scored against the same half, and what the replicate gains over it is added to the
    baseline's score against all cells: then model, baseline and replicate can be compared. Where no split shows a gain
    (too few cells, or no DE gene in half of them), the mean gain of the other perturbations stands in, so that baseline
    and replicate are means over the same perturbations.

    Parameters
    ----------
    profile
        The rule set.
    measured
        The truth's cells.
    mean
        The train mean, one value a gene.
    truth, baseline
        All measured cells and the baseline's prediction, as summaries.
    seed
        Fixes the splits.
    advance
        Called after each split.

    Returns
    -------
    Metric name to the mean over `SPLITS` splits, one value a perturbation; NaN where it is undefined, for split halves
    as they are also where a perturbation has fewer than 2 cells.
    """
    rng = np.random.default_rng([seed, 1])
    large = np.flatnonzero(truth.n_cells >= 2)
    groups = _keep(measured.groups, large)
    values = {metric.name: np.full((SPLITS, len(truth.n_cells)), np.nan) for metric in profile.metrics}
    for split in range(SPLITS):
        first, second = (
            summarise(measured.x, half, measured.perturbations[large], measured.genes, profile.de)
            for half in _halves(groups, rng)
        )
        duplicate = interpolate(second, mean)
        for metric in profile.metrics:
            if profile.replicate == "plain":
                values[metric.name][split, large] = metric.compute(first, second)
            else:
                score = metric.compute(first, second if metric.on_cells else duplicate)
                values[metric.name][split, large] = score - metric.compute(first, baseline.select(large))
        advance()
    scores = {name: _mean_of_defined(splits) for name, splits in values.items()}
    if profile.replicate == "interpolated":
        for metric in profile.metrics:
            gain = scores[metric.name]
            gain[np.isnan(gain)] = np.nanmean(gain) if not np.isnan(gain).all() else np.nan
            scores[metric.name] = metric.compute(truth, baseline) + gain
    return scores


def interpolate(half: Summary, mean: np.ndarray) -> Summary:
    """Make the interpolated duplicate: a half's profile where its own test finds a change, the mean elsewhere.

    x = a half + (1 - a) mean, a = 1 - p_adj of the half (Shift Bioscience 2025, bioRxiv 2025.10.20.683304).

    Parameters
    ----------
    half
        Half the cells of each perturbation.
    mean
        The train mean, one value a gene.

    Returns
    -------
    The half with other profiles.
    """
    sure = 1 - half.de.fdr
    return replace(half, profiles=(sure * half.profiles + (1 - sure) * mean).astype(np.float32))


def _mean_of_defined(splits: np.ndarray) -> np.ndarray:
    """Average over the splits in which a value is defined: half the cells may show no DE gene."""
    n_defined = (~np.isnan(splits)).sum(axis=0)
    return np.divide(np.nansum(splits, axis=0), n_defined, out=np.full(len(n_defined), np.nan), where=n_defined > 0)


def _keep(groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Renumber groups so that only the control and these perturbations are left."""
    renumbered = np.full(groups.max() + 1, -1)
    renumbered[0] = 0
    renumbered[rows + 1] = np.arange(1, len(rows) + 1)
    return np.where(groups >= 0, renumbered[groups], -1)


def _halves(groups: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split each perturbation's cells at random; the controls are in both halves."""
    first, second = groups.copy(), groups.copy()
    for group in range(1, groups.max() + 1):
        cells = rng.permutation(np.flatnonzero(groups == group))
        second[cells[: len(cells) // 2]] = -1
        first[cells[len(cells) // 2 :]] = -1
    return first, second
