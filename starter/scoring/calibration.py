"""How good a metric is on a screen: how well it tells a replicate of the experiment from the baseline."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from starter.scoring.metrics.base import Metric
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.replicate import mean_of_defined

CALIBRATED = ("dynamic_range", "dynamic_range_mean", "bound_discrimination")
"""What `calibrate` gives."""
SMALLEST = 1e-6
"""Added to the denominator of the dynamic range fraction, as in its sources."""


def dynamic_range_fraction(metric: Metric, replicate: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Share of the way from the baseline to perfection that the replicate goes.

    (replicate - baseline) / (best - baseline), cut to [-1, 1]. Miller et al. (2025), bioRxiv 2025.10.20.683304; as in
    scPertEval 0.2.0, Schäfer et al. (2026), bioRxiv 2026.07.23.740433.

    Parameters
    ----------
    metric
        Tells which way is better, and the best value.
    replicate, baseline
        Scores of the two against the same cells, of any shape.

    Returns
    -------
    Of the same shape; NaN where a score is undefined, or the baseline is beyond the best value.
    """
    sign = 1 if metric.direction == "higher" else -1
    room = sign * (metric.best - baseline)
    share = np.clip(sign * (replicate - baseline) / (room + SMALLEST), -1, 1)
    return np.where(room < 0, np.nan, share)


def bound_discrimination(metric: Metric, replicate: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Whether the replicate beats the baseline; its mean over perturbations is the bound discrimination score.

    As in scPertEval 0.2.0, Schäfer et al. (2026), bioRxiv 2026.07.23.740433.

    Parameters
    ----------
    metric
        Tells which way is better.
    replicate, baseline
        Scores of the two against the same cells, of any shape.

    Returns
    -------
    1 or 0 (also for a tie), of the same shape; NaN where a score is undefined.
    """
    wins = replicate > baseline if metric.direction == "higher" else replicate < baseline
    return np.where(np.isnan(replicate) | np.isnan(baseline), np.nan, wins)


def calibrate(metric: Metric, anchors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Say how well a metric tells replicate from baseline.

    Both are scored against the first half of the measured cells, split by split; a perturbation's value is the mean
    over the splits. (By the rules of 2026 the baseline is scored against all cells, as there.)

    Parameters
    ----------
    metric
        The metric.
    anchors
        Its scores, as `starter.scoring.truth.opened.Truth.anchor_scores` gives them: splits x perturbations (x 2 for a
        ratio, which has one value for the panel).

    Returns
    -------
    dynamic_range, its median over perturbations; dynamic_range_mean; bound_discrimination. NaN where undefined.
    """
    sides = [anchors.get(f"half_{name}", anchors[name]) for name in ("replicate", "baseline")]
    if metric.ratio:
        sides = [np.array([[float(metric.mean(split))] for split in side]) for side in sides]
    sides = np.broadcast_arrays(*sides)
    shares = mean_of_defined(dynamic_range_fraction(metric, *sides))
    wins = mean_of_defined(bound_discrimination(metric, *sides))
    if np.isnan(wins).all():
        return dict.fromkeys(CALIBRATED, math.nan)
    values = pd.Series(shares)  # skips what is undefined
    return dict(zip(CALIBRATED, map(float, (values.median(), values.mean(), pd.Series(wins).mean())), strict=True))


def calibration_table(truth: Truth, rules: RuleSet) -> pd.DataFrame:
    """Calibrate every metric of a rule set on a truth; a mean over its contexts.

    Returns
    -------
    Index metric; columns title, scored and what `calibrate` gives.
    """
    table = []
    for metric in rules.metrics:
        of_contexts = [
            calibrate(
                metric, {anchor: truth.anchor_scores(rules, anchor, context)[metric.name] for anchor in rules.anchors}
            )
            for context in truth.contexts
        ]
        means = pd.DataFrame(of_contexts).mean(skipna=False)
        table.append({"metric": metric.name, "title": metric.title, "scored": metric.name in rules.scored, **means})
    return pd.DataFrame(table).set_index("metric")
