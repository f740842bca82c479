"""A metric's row in the scorecard: value, interval, baseline, replicate, scaled score."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from starter.errors import InputError
from starter.scoring.calibration import CALIBRATED, calibrate
from starter.scoring.context_score import ContextValues
from starter.scoring.metrics.base import Metric
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.overall import overall_interval, scaled_interval
from starter.scoring.truth.replicate import clearly_better
from starter.statistics.intervals import interval

OVERALL_SCORES = {"overall": "scaled", "overall_unclipped": "unclipped"}
"""Overall scores, and the column of a metric's row of which each is the mean over the scored metrics."""


def summed_up(rules: RuleSet, scored: Sequence[ContextValues], seed: int | None) -> dict:
    """Sum up what was scored in each context, each weighing the same.

    Returns
    -------
    `metrics` (name to row), `overall`, `overall_unclipped`, `overall_interval`, and `contexts`, context to the same of
    it alone but for the interval.
    """
    per_context = {score.context: context_rows(score, rules, seed) for score in scored}
    overall = {name: [context[name] for context in per_context.values()] for name in OVERALL_SCORES}
    sides = [(per_context[score.context]["metrics"], score.per_metric) for score in scored]
    return {
        "metrics": {metric.name: over_contexts(rules, metric, scored, per_context, seed) for metric in rules.metrics},
        **{name: None if None in values else float(np.mean(values)) for name, values in overall.items()},
        "overall_interval": overall_interval(rules, sides, seed),
        "contexts": per_context,
    }


def context_rows(score: ContextValues, rules: RuleSet, seed: int | None) -> dict:
    """Give every metric of one context its row, and the overall scores, as the rules have it and unclipped."""
    rows = {metric.name: _row(metric, score, rules, seed) for metric in rules.metrics}
    return {"metrics": rows, **{name: _mean_of(rules, rows, of) for name, of in OVERALL_SCORES.items()}}


def _mean_of(rules: RuleSet, rows: Mapping[str, dict], column: str) -> float | None:
    scaled = [rows[name][column] for name in rules.scored]
    if rules.gains:  # the course grades what its screen allows
        scaled = [value for value in scaled if value is not None]
    return None if not scaled or None in scaled else float(np.mean(scaled))


def _row(metric: Metric, score: ContextValues, rules: RuleSet, seed: int | None) -> dict:
    values = score.per_metric[metric.name]
    of_anchor = {name: scores[metric.name] for name, scores in score.anchors.items()}
    value = float(metric.mean(values))
    means = {}
    for name in of_anchor.keys() & {"baseline", "replicate", "plain_half"}:
        splits = of_anchor[name]
        if metric.ratio:
            means[name] = float(np.mean([float(metric.mean(split)) for split in splits]))
        else:
            # a perturbation with too few cells to split has no replicate
            mean = metric.mean if name == "baseline" else _nanmean
            means[name] = float(np.mean([float(mean(split)) for split in splits]))
    # a baseline plus a gain may pass the best value there is
    for name in means.keys() - {"baseline"} if rules.gains else ():
        means[name] = float(np.clip(means[name], *metric.range))
    gradable = metric.name in rules.scored and not score.no_anchors
    gradable = gradable and (not rules.gains or clearly_better(metric, of_anchor))
    scaled, unclipped, reason = math.nan, math.nan, score.no_anchors or None
    if gradable:
        try:
            scaled, unclipped = (
                way(metric, value, means["baseline"], means["replicate"]) for way in (rules.scale, rules.unclipped)
            )
        except InputError as error:
            gradable, reason = False, str(error)
    missing = np.isnan(values if values.ndim == 1 else values[:, 0])
    low, high = _interval_over(metric, [score], seed, paired=False)
    row = {"gradable": gradable, "baseline": means["baseline"], "replicate": means["replicate"]}
    scaled_low, scaled_high = scaled_interval(rules, metric, [({metric.name: row}, score.per_metric)], seed)
    difference_low, difference_high = _interval_over(metric, [score], seed, paired=True)
    return {
        "value": _or_null(value),
        "low": low,
        "high": high,
        "direction": metric.direction,
        "baseline": _or_null(means["baseline"]),
        "replicate": _or_null(means["replicate"]),
        **({"plain_half": _or_null(means["plain_half"])} if "plain_half" in means else {}),
        "scaled": _or_null(scaled),
        "unclipped": _or_null(unclipped),
        "scaled_low": scaled_low,
        "scaled_high": scaled_high,
        "gradable": gradable,
        "why_not": reason,
        **{name: _or_null(value) for name, value in calibrate(metric, of_anchor).items()},
        "difference": _or_null(value - means["baseline"]),
        "difference_low": difference_low,
        "difference_high": difference_high,
        "n": int((~missing).sum()),
        "left_out": int(missing.sum()),
    }


def over_contexts(
    rules: RuleSet, metric: Metric, scored: Sequence[ContextValues], per_context: Mapping[str, dict], seed: int | None
) -> dict:
    """Average a metric's row over contexts, each weighing the same."""
    rows = [context["metrics"][metric.name] for context in per_context.values()]
    if len(rows) == 1:
        return rows[0]
    merged = dict(rows[0])
    averaged = ("value", "baseline", "replicate", "plain_half", "scaled", "unclipped", "difference", *CALIBRATED)
    for key in merged.keys() & set(averaged):
        numbers = [row[key] for row in rows]
        merged[key] = None if None in numbers else float(np.mean(numbers))
    merged["gradable"] = all(row["gradable"] for row in rows)
    merged["why_not"] = next((row["why_not"] for row in rows if row["why_not"]), None)
    merged["n"], merged["left_out"] = (sum(row[key] for row in rows) for key in ("n", "left_out"))
    sides = [(per_context[score.context]["metrics"], score.per_metric) for score in scored]
    merged["scaled_low"], merged["scaled_high"] = scaled_interval(rules, metric, sides, seed)
    for keys in (("low", "high"), ("difference_low", "difference_high")):
        merged[keys[0]], merged[keys[1]] = _interval_over(metric, scored, seed, paired=keys[0] != "low")
    return merged


def _interval_over(
    metric: Metric, scored: Sequence[ContextValues], seed: int | None, *, paired: bool
) -> tuple[float | None, float | None]:
    """Bootstrap perturbations within each context, and average over contexts."""
    samples = []
    for score in scored:
        values = score.per_metric[metric.name]
        baseline = score.anchors["baseline"][metric.name].mean(axis=0)
        missing = np.isnan(values).reshape(len(values), -1).any(axis=1)
        if paired:
            missing |= np.isnan(baseline).reshape(len(values), -1).any(axis=1)
        if missing.any() and not metric.skip_undefined:
            return None, None
        samples.append((np.stack([values, baseline], axis=-1) if paired else values)[~missing])
    return interval(samples, _difference_of(metric) if paired else metric.mean, seed)


def _difference_of(metric: Metric) -> Callable[[np.ndarray, int], np.ndarray]:
    """Mean of the prediction minus mean of the baseline, which lie side by side on the last axis."""
    return lambda pairs, axis: metric.mean(pairs[..., 0], axis) - metric.mean(pairs[..., 1], axis)


def _nanmean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan


def _or_null(value: float) -> float | None:
    return None if not math.isfinite(value) else float(value)
