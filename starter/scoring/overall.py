"""The overall score as a function of the perturbations that were drawn: its interval, and that of a difference."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from starter.scoring.metrics.base import Metric
from starter.scoring.metrics.rule_sets import RuleSet
from starter.statistics.intervals import interval

Values = Mapping[str, np.ndarray]
"""Metric name to one value a perturbation (two for a ratio)."""
Rows = Mapping[str, dict]
"""Metric name to its row in the scorecard, for baseline and replicate."""
Score = Callable[[np.ndarray, int], np.ndarray]
"""(values side by side, axis of the perturbations) -> a score."""


def graded_metrics(rules: RuleSet, rows: Rows) -> list[Metric]:
    """List the metrics of which the overall score is the mean: those that are scored, and gradable on this screen."""
    return [metric for metric in rules.metrics if metric.name in rules.scored and rows[metric.name]["gradable"]]


def side_by_side(metrics: Sequence[Metric], values: Values) -> np.ndarray:
    """Set the values of metrics beside each other, perturbations x columns; a ratio takes two."""
    return np.column_stack([values[metric.name] for metric in metrics])


def scaled_scores(rules: RuleSet, metrics: Sequence[Metric], rows: Rows) -> list[Score]:
    """Give a function a metric that scales its mean; baseline and replicate stay, whatever perturbations are drawn."""
    scores, column = [], 0
    for metric in metrics:
        width = 2 if metric.ratio else 1
        scores.append(_scaled(rules, metric, rows[metric.name], slice(column, column + width)))
        column += width
    return scores


def _scaled(rules: RuleSet, metric: Metric, row: dict, columns: slice) -> Score:
    scale = np.vectorize(
        lambda value: rules.scale(metric, float(value), row["baseline"], row["replicate"]), otypes=[float]
    )

    def score(packed: np.ndarray, axis: int) -> np.ndarray:
        values = packed[..., columns] if metric.ratio else packed[..., columns.start]
        return scale(metric.mean(values, axis))

    return score


def mean_of(scores: Sequence[Score]) -> Score:
    """Give the mean of several scores."""
    return lambda packed, axis: np.mean([score(packed, axis) for score in scores], axis=0)


def scaled_interval(
    rules: RuleSet, metric: Metric, contexts: Sequence[tuple[Rows, Values]], seed: int | None
) -> tuple[float | None, float | None]:
    """Bound a metric's scaled score by drawing perturbations within each context.

    Parameters
    ----------
    rules, metric
        The rule set and one of its metrics.
    contexts
        Rows and values of each.
    seed
        Fixes the draws.

    Returns
    -------
    Low and high of the 95 % interval; None where there is none, or the metric is not gradable in some context.
    """
    if not all(rows[metric.name]["gradable"] for rows, _ in contexts):
        return None, None
    samples = [values[metric.name] for _, values in contexts]
    missing = [np.isnan(of_context).reshape(len(of_context), -1).any(axis=1) for of_context in samples]
    if not metric.skip_undefined and any(of_context.any() for of_context in missing):
        return None, None
    packed = [of_context[~out].reshape((~out).sum(), -1) for of_context, out in zip(samples, missing, strict=True)]
    scores = [scaled_scores(rules, [metric], rows)[0] for rows, _ in contexts]
    return interval(packed, scores, seed)


def overall_interval(
    rules: RuleSet, contexts: Sequence[tuple[Rows, Values]], seed: int | None
) -> tuple[float | None, float | None]:
    """Bound the overall score by drawing perturbations within each context.

    Parameters
    ----------
    rules
        The rule set.
    contexts
        Rows and values of each.
    seed
        Fixes the draws.

    Returns
    -------
    Low and high of the 95 % interval; None where `starter.statistics.intervals.interval` gives none, or there is no
    overall score.
    """
    samples, scores = [], []
    for rows, values in contexts:
        metrics = graded_metrics(rules, rows)
        if not metrics or (not rules.gains and len(metrics) < len(rules.scored)):
            return None, None
        samples.append(side_by_side(metrics, values))
        scores.append(mean_of(scaled_scores(rules, metrics, rows)))
    return interval(samples, scores, seed)
