"""The predictions that scores are measured against: the train mean (or the challenge's baseline) and the replicate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from starter.cells import Controls, shift, thin
from starter.columns import Cells, float_csr, scan
from starter.de import CELL_EVAL_082, expm1, sum_of_copies
from starter.metrics import Profile
from starter.ranksum import RankSum, SortedControls, p_values, rank_sum
from starter.schema import CONTROL, InputError, counted
from starter.summary import Reference, Summary

SPLITS = 5
"""Split halves over which the replicate is averaged."""
Values = Mapping[str, np.ndarray]
"""Metric name to one value a perturbation (for a ratio over the panel: numerator and denominator)."""


@dataclass(frozen=True)
class Halves:
    """One split of every perturbation's cells, each half compared with the same control cells."""

    first: Reference
    """The truth."""
    second: Summary
    """The replicate."""


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


def constant_cells(mean: np.ndarray, controls: scipy.sparse.csr_matrix, n_cells: np.ndarray) -> Cells:
    """Make control cells as they are, then cells of each perturbation that all equal the mean.

    Parameters
    ----------
    mean
        log1p expression of each gene.
    controls
        Control cells x genes, log1p expression.
    n_cells
        Cells of each perturbation.
    """
    row = float_csr(mean.astype(np.float32)[None])

    def make(perturbation: int) -> scipy.sparse.csr_matrix:
        return row[np.zeros(n_cells[perturbation], int)]

    return _made(controls, n_cells, make)


def constant_summary(
    mean: np.ndarray, truth: Summary, sorted_controls: SortedControls, control_natural: np.ndarray
) -> Summary:
    """Summarise what `constant_cells` makes by the rules of cell-eval 0.8.2, without making the cells.

    Equal cells are one tie: against the same controls, n of them have n times the U of one.

    Parameters
    ----------
    mean
        log1p expression of each gene.
    truth
        Labels, numbers of cells and control profile.
    sorted_controls
        The control cells.
    control_natural
        Their mean on the natural scale, as the rule takes it.
    """
    value = mean.astype(np.float32)
    # one cell, and a group without cells, whose ties are those among the controls
    one = rank_sum(value[None], np.array([1]), 3, sorted_controls)
    among_controls = one.ties[1]
    # one cell more in a run of c controls adds (c + 1)^3 - (c + 1) - (c^3 - c) = 3 c^2 + 3 c
    equal = np.rint((np.sqrt(9 + 12 * (one.ties[0] - among_controls)) - 3) / 6)
    n = truth.n_cells[:, None].astype(float)
    ties = among_controls - (equal**3 - equal) + ((equal + n) ** 3 - (equal + n))
    ranks = RankSum(n * one.u[0], ties, truth.n_cells, sorted_controls.n_cells)
    natural = np.vstack([control_natural, expm1(sum_of_copies(value, truth.n_cells)).astype(float)])
    p = np.nan_to_num(p_values(ranks), nan=1.0)
    profiles = np.broadcast_to(value, truth.profiles.shape)
    return replace(
        truth, profiles=profiles, de=CELL_EVAL_082.table(p, natural), spread=np.zeros(len(truth.n_cells)), points=None
    )


def thinned_cells(
    mean: np.ndarray, controls: scipy.sparse.csr_matrix, counts: Controls | None, n_cells: np.ndarray, seed: int
) -> tuple[Cells, str]:
    """Make control cells as they are, then cells of each perturbation with the predicted mean.

    Parameters
    ----------
    mean, controls, n_cells
        As for `constant_cells`.
    counts
        The control cells as counts, of which cells are made by thinning; None where counts are not known.
    seed
        Fixes the cells.

    Returns
    -------
    The cells, which are made anew whenever they are read, and how.
    """
    source = counts or Controls(controls, np.ones(controls.shape[0]))
    way = thin if counts else shift

    def make(perturbation: int) -> scipy.sparse.csr_matrix:
        return way(mean, source, n_cells[perturbation], np.random.default_rng([seed, perturbation]))

    how = (
        "cells by thinning control cells"
        if counts
        else "control cells plus the effect, since raw counts could not be recovered"
    )
    return _made(controls, n_cells, make), how


def _made(
    controls: scipy.sparse.csr_matrix, n_cells: np.ndarray, make: Callable[[int], scipy.sparse.csr_matrix]
) -> Cells:
    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        yield float_csr(controls)
        for perturbation in range(len(n_cells)):
            yield float_csr(make(perturbation))

    return Cells((controls.shape[0] + int(n_cells.sum()), controls.shape[1]), read)


def baseline_groups(n_control: int, n_cells: np.ndarray) -> np.ndarray:
    """Give the group of each cell that `constant_cells` and `thinned_cells` make."""
    return np.repeat(np.arange(len(n_cells) + 1), np.concatenate([[n_control], n_cells]))


def split_layers(groups: np.ndarray, seed: int) -> np.ndarray:
    """Split each perturbation's cells at random, `SPLITS` times; the controls are in both halves.

    Controls are whole on both sides, as they are when a model predicts with the course's controls.

    Parameters
    ----------
    groups
        Group of each cell: 0 for control, 1 to P for perturbations, negative to leave out.
    seed
        Fixes the splits.

    Returns
    -------
    `SPLITS` x cells: 0 for control, 1 to P for first halves, P + 1 to 2 P for second halves. An odd cell goes to the
    second half.
    """
    rng = np.random.default_rng([seed, 1])
    n_perturbations = int(groups.max())
    of_group = [np.flatnonzero(groups == group) for group in range(1, n_perturbations + 1)]
    layers = np.tile(groups, (SPLITS, 1))
    for layer in layers:
        for cells in of_group:
            mixed = rng.permutation(cells)
            layer[mixed[len(cells) // 2 :]] += n_perturbations
    return layers


def split_with_controls(groups: np.ndarray, perturbations: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the cells of every group in halves, the controls too, as cell-eval2 does.

    Parameters
    ----------
    groups
        Group of each cell: 0 for control, i + 1 for perturbations[i], negative to leave out.
    perturbations
        Labels; groups are drawn in the order of all labels, the control's among them.
    seed
        Of this split.

    Returns
    -------
    The cells of the first half (the truth) and of the second (the prediction) in the order in which they were drawn. An
    odd cell is in neither.

    Raises
    ------
    InputError
        If a group has one cell only.
    """
    rng = np.random.default_rng(seed)
    first, second = [], []
    labels = np.append([CONTROL], perturbations)
    for group in np.argsort(labels):
        cells = rng.permutation(np.flatnonzero(groups == group))
        half = len(cells) // 2
        if not half:
            msg = f"{labels[group]} has {counted(len(cells), 'cell')}; the rules of 2026 split each group in halves"
            raise InputError(msg)
        first.append(cells[:half])
        second.append(cells[half : 2 * half])
    return np.concatenate(first), np.concatenate(second)


def resampled_cells(controls: scipy.sparse.csr_matrix, truth: Summary, means: np.ndarray) -> tuple[Cells, np.ndarray]:
    """Make the cells of cell-eval2's baseline: control cells drawn at random, each gene scaled to the mean response.

    The mean response is the mean over perturbations of their mean counts, equally weighted; a perturbation plays no
    part in the mean of its own gene. Values are fractional.

    Parameters
    ----------
    controls
        Control cells x genes, counts.
    truth
        Labels, genes and numbers of cells.
    means
        Mean counts of each group of measured cells, control first; P + 1 x genes.

    Returns
    -------
    The cells, perturbation after perturbation in the order of `truth`, and the total of each.
    """
    total, count = means[1:].sum(axis=0), np.full(means.shape[1], float(len(truth.perturbations)))
    place = {gene: column for column, gene in enumerate(truth.genes)}
    for row, label in enumerate(truth.perturbations):
        if (column := place.get(label)) is not None:
            total[column] -= means[row + 1, column]
            count[column] -= 1
    if not count.all():
        msg = (
            f"the mean response of {truth.genes[count == 0][0]} cannot be taken: only its own perturbation is measured"
        )
        raise InputError(msg)
    scale = np.divide(total / count, means[0], out=np.zeros(len(total)), where=means[0] > 0)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, controls.shape[0], size=int(n)) for n in truth.n_cells]

    def make(perturbation: int) -> scipy.sparse.csr_matrix:
        block = controls[drawn[perturbation]].astype(np.float64)
        block.data = (block.data * scale[block.indices]).astype(np.float32)
        block.eliminate_zeros()
        return block

    made = _made(controls[:0], truth.n_cells, make)
    return made, scan(made, np.ones(made.shape[0], bool)).totals


def replicate_scores(
    profile: Profile,
    halves: Sequence[Halves],
    truth: Reference,
    baseline: Summary,
    baseline_values: Values,
    rows: np.ndarray,
) -> tuple[Values, Values]:
    """Score half of each perturbation's cells as a prediction of the other half.

    The challenge's profiles show the split halves as they are.

    In the course's profile, metrics on cells are scored against the first half, model, baseline and replicate alike,
    since half the cells show fewer DE genes than all of them. Metrics on profiles use the interpolated duplicate. Half
    the cells are a noisier truth than all of them, so the baseline is scored against the same half, and what the
    replicate gains over it is added to the baseline's score against all cells: then model, baseline and replicate can
    be compared. Where no split shows a gain (too few cells), the mean gain of the other perturbations stands in, so
    that baseline and replicate are means over the same perturbations.

    Parameters
    ----------
    profile
        The rule set.
    halves
        Of each split.
    truth, baseline
        All measured cells and the baseline's prediction, as summaries.
    baseline_values
        The baseline's scores against all cells.
    rows
        The perturbations that can be split, having two cells at least.

    Returns
    -------
    Scores of the replicate and of the baseline; metric name to splits x perturbations, NaN where undefined. Averages
    over splits count as one split.
    """
    scores, base = {}, dict(baseline_values)
    halves = [Halves(half.first.select(rows), half.second.select(rows)) for half in halves]
    duplicates = [interpolate(half.second, truth.train_mean) for half in halves] if profile.gains else []
    of_rows = baseline.select(rows)

    def over_splits(score: Callable[[int], np.ndarray]) -> np.ndarray:
        values = np.full(len(truth.perturbations), np.nan)
        if len(rows):
            values[rows] = mean_of_defined([score(split) for split in range(len(halves))])
        return values

    for metric in profile.metrics:
        name, compute = metric.name, metric.compute
        if not profile.gains or metric.on_cells:
            scores[name] = over_splits(lambda i, compute=compute: compute(halves[i].first, halves[i].second))
        if profile.gains and metric.on_cells:
            base[name] = over_splits(lambda i, compute=compute: compute(halves[i].first, of_rows))
        elif profile.gains:
            gain = over_splits(
                lambda i, compute=compute: compute(halves[i].first, duplicates[i]) - compute(halves[i].first, of_rows)
            )
            gain[np.isnan(gain)] = np.nanmean(gain) if not np.isnan(gain).all() else np.nan
            scores[name] = baseline_values[name] + gain
    return {name: values[None] for name, values in scores.items()}, {
        name: values[None] for name, values in base.items()
    }


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


def mean_of_defined(values: Sequence[np.ndarray]) -> np.ndarray:
    """Average over the splits in which a value is defined: half the cells may show no DE gene."""
    splits = np.stack(values)
    n_defined = (~np.isnan(splits)).sum(axis=0)
    return np.divide(np.nansum(splits, axis=0), n_defined, out=np.full(n_defined.shape, np.nan), where=n_defined > 0)
