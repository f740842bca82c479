"""The predictions that scores are measured against: the train mean (or the challenge's baseline) and the replicate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

from starter.schema import CONTROL
from starter.scoring.metrics.base import Metric
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.screens.summary import Reference, Summary, needed

SPLITS = 5
"""Split halves over which the replicate is averaged."""
CERTAINTY = 0.95
"""One-sided confidence that the replicate beats the baseline, below which a metric is not gradable on a screen."""
NOT_ASKED = "the truth was built without them"
"""Why there are none."""
Values = Mapping[str, np.ndarray]
"""Metric name to one value a perturbation (for a ratio over the panel: numerator and denominator)."""


@dataclass(frozen=True)
class Halves:
    """One split of every perturbation's cells, each half compared with the same control cells."""

    first: Reference
    """The truth."""
    second: Summary
    """The replicate."""


def split_layers(groups: np.ndarray, seed: int, stream: int = 1) -> np.ndarray:
    """Split each perturbation's cells at random, `SPLITS` times; the controls are in both halves.

    Controls are whole on both sides, as they are when a model predicts with the course's controls.

    Parameters
    ----------
    groups
        Group of each cell: 0 for control, 1 to P for perturbations, negative to leave out.
    seed, stream
        Fix the splits.

    Returns
    -------
    `SPLITS` x cells: 0 for control, 1 to P for first halves, P + 1 to 2 P for second halves. An odd cell goes to the
    second half.
    """
    rng = np.random.default_rng([seed, stream])
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
    """
    rng = np.random.default_rng(seed)
    first, second = [], []
    labels = np.append([CONTROL], perturbations)
    for group in np.argsort(labels):
        cells = rng.permutation(np.flatnonzero(groups == group))
        half = len(cells) // 2
        first.append(cells[:half])
        second.append(cells[half : 2 * half])
    return np.concatenate(first), np.concatenate(second)


def undefined_anchors(rules: RuleSet, n_perturbations: int) -> dict[str, Values]:
    """Give NaN for all scores of baseline and replicate, where there are none."""
    values = {
        metric.name: np.full((1, n_perturbations, 2) if metric.ratio else (1, n_perturbations), np.nan)
        for metric in rules.metrics
    }
    return dict.fromkeys(rules.anchors, values)


def anchor_scores(
    rules: RuleSet,
    halves: Sequence[Halves],
    truth: Reference,
    baseline: Summary,
    baseline_values: Values,
    rows: np.ndarray,
) -> dict[str, dict[str, np.ndarray]]:
    """Score half of each perturbation's cells as a prediction of the other half, beside the baseline.

    The challenge's rules show the split halves as they are.

    By the course's rules, metrics on cells are scored against the first half, model, baseline and replicate alike,
    since half the cells show fewer DE genes than all of them. Metrics on profiles use the interpolated duplicate, and
    the plain half is shown beside it. Half the cells are a noisier truth than all of them, so the baseline is scored
    against the same half, and what the replicate gains over it is added to the baseline's score against all cells: then
    model, baseline and replicate can be compared. Where no split shows a gain (too few cells), the mean gain of the
    other perturbations stands in, so that baseline and replicate are means over the same perturbations.

    Parameters
    ----------
    rules
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
    baseline, replicate and, by the course's rules, plain_half: metric name to 1 x perturbations, means over the splits.
    half_baseline and half_replicate: both against the first half alone, splits x perturbations. NaN where undefined.
    """
    halves = [Halves(half.first.select(rows), half.second.select(rows)) for half in halves]
    of_rows = baseline.select(rows)

    def over_splits(metric: Metric, sides: Sequence[Halves]) -> np.ndarray:
        values = np.full((len(sides), len(truth.perturbations)), np.nan)
        if len(rows):
            values[:, rows] = [metric.compute(side.first, side.second) for side in sides]
        return values

    base, second = [replace(half, second=of_rows) for half in halves], halves
    if rules.gains:
        mean = needed(truth.train_mean, "the train mean")
        second = [replace(half, second=interpolate(half.second, mean)) for half in halves]
    anchors = {name: {} for name in rules.anchors}
    for metric in rules.metrics:
        name, of_all = metric.name, baseline_values[metric.name]
        of_base = over_splits(metric, base)
        plain = over_splits(metric, halves)
        replicate = over_splits(metric, second) if rules.gains and not metric.on_cells else plain
        anchors["half_baseline"][name], anchors["half_replicate"][name] = of_base, replicate
        if not rules.gains or metric.on_cells:
            anchors["baseline"][name] = (mean_of_defined(of_base) if rules.gains else of_all)[None]
            anchors["replicate"][name] = mean_of_defined(replicate)[None]
        else:
            anchors["baseline"][name] = of_all[None]
            anchors["replicate"][name] = (of_all + _mean_gain(replicate - of_base))[None]
        if rules.gains:
            gain = mean_of_defined(plain) if metric.on_cells else of_all + _mean_gain(plain - of_base)
            anchors["plain_half"][name] = gain[None]
    return anchors


def clearly_better(metric: Metric, of_anchor: Values) -> bool:
    """Tell whether the replicate beats the baseline beyond what chance among perturbations explains (paired t).

    Parameters
    ----------
    metric
        The metric.
    of_anchor
        Its scores of baseline and replicate, by anchor: splits x perturbations.
    """
    gain = (of_anchor["replicate"] - of_anchor["baseline"]).mean(axis=0)
    gain = gain[~np.isnan(gain)] * (1 if metric.direction == "higher" else -1)
    if len(gain) < 2:
        return False
    error = gain.std(ddof=1) / math.sqrt(len(gain))
    return bool(gain.mean() > scipy.stats.t.ppf(CERTAINTY, len(gain) - 1) * error)


def _mean_gain(gains: np.ndarray) -> np.ndarray:
    """Average over the splits; where none shows a gain, the mean of the other perturbations stands in."""
    gain = mean_of_defined(gains)
    gain[np.isnan(gain)] = np.nanmean(gain) if not np.isnan(gain).all() else np.nan
    return gain


def interpolate(half: Summary, mean: np.ndarray) -> Summary:
    """Make the interpolated duplicate: a half's profile where it differs from all others, the mean elsewhere.

    x = (1 - p) half + p mean, p = adjusted p of this half against the same halves of all other perturbations, by the
    t-test with overestimated variance (Shift Bioscience 2025, bioRxiv 2025.10.20.683304).

    Parameters
    ----------
    half
        Half the cells of each perturbation, with `change_fdr`.
    mean
        The baseline's mean, one value a gene.

    Returns
    -------
    The half with other profiles.
    """
    p = needed(half.change_fdr, "p against all other perturbations")
    return replace(half, profiles=((1 - p) * half.profiles + p * mean).astype(np.float32))


def mean_of_defined(splits: np.ndarray) -> np.ndarray:
    """Average over the splits in which a value is defined: half the cells may show no DE gene."""
    n_defined = (~np.isnan(splits)).sum(axis=0)
    return np.divide(np.nansum(splits, axis=0), n_defined, out=np.full(n_defined.shape, np.nan), where=n_defined > 0)
