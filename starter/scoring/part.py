"""Scores on some of the perturbations, in rows like a scorecard's, and what each adds to the overall score."""

from collections.abc import Mapping

import numpy as np

from starter.scoring.context_score import ContextValues
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.overall import graded_metrics, mean_of, scaled_scores, side_by_side
from starter.scoring.rows import summed_up
from starter.scoring.truth.opened import Truth


def score_part(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    truth: Truth,
    rules: RuleSet,
    chosen: Mapping[str, np.ndarray],
    seed: int = 0,
) -> tuple[dict, np.ndarray]:
    """Sum up a prediction's scores, its baseline's and its replicate's over some perturbations.

    What a perturbation scored stays as it was among all of them: PDS ranks among all that are hidden.

    Parameters
    ----------
    scores
        Context to metric name to one value a perturbation, as a scorecard's `scores`.
    truth, rules
        By which it was scored.
    chosen
        Context to which perturbations count, boolean, in the truth's order. A context without any does not count.
    seed
        Fixes the bootstrap.

    Returns
    -------
    As `starter.scoring.rows.summed_up`; and the jackknife's pseudo-values of the overall score, one a perturbation,
    n theta - (n - 1) theta without it (Tukey 1958), which for a plain mean are its values. NaN where there is none.
    """
    parts = [
        ContextValues(
            context,
            {name: values[keep] for name, values in scores[context].items()},
            {
                anchor: {name: values[:, keep] for name, values in truth.anchor_scores(rules, anchor, context).items()}
                for anchor in rules.anchors
            },
            truth.no_anchors(rules, context),
        )
        for context, keep in chosen.items()
        if keep.any()
    ]
    sums = summed_up(rules, parts, seed)
    return sums, _pseudo_values(rules, parts, sums)


def _pseudo_values(rules: RuleSet, parts: list[ContextValues], sums: dict) -> np.ndarray:
    sizes = [len(next(iter(part.per_metric.values()))) for part in parts]
    n, all_values = sum(sizes), []
    if sums["overall"] is None:
        return np.full(n, np.nan)
    for part, size in zip(parts, sizes, strict=True):
        rows = sums["contexts"][part.context]["metrics"]
        metrics = graded_metrics(rules, rows)
        packed, score = side_by_side(metrics, part.per_metric), mean_of(scaled_scores(rules, metrics, rows))
        without = np.array([float(score(np.delete(packed, row, axis=0), 0)) for row in range(size)])
        # a context weighs as one of several, whatever its number of perturbations
        change = (float(score(packed, 0)) - without) / len(parts)
        all_values.append(sums["overall"] + (n - 1) * change)
    return np.concatenate(all_values)
