"""Who is ahead: means over perturbations, paired differences with intervals, ranks in which noise is a tie.

The unit is the perturbation. What an arm scores on one is averaged over all panels (seeds, folds) and contexts in
which it was hidden, and then perturbations are drawn anew, alike for both sides of a difference: what is hard for all
cancels, and a perturbation that was dealt out in five seeds still counts once. Scores are scaled by the panel in which
they were made: 0 is its baseline, 1 full score, as the rule set has it, but never clipped, so that each metric shows
what it costs; the official score, clipped where the rules clip, stands beside it.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from starter.bench.results import Result
from starter.errors import InputError
from starter.schema import CONTEXT, PERTURBATION
from starter.scoring.compare import OVERALL
from starter.scoring.coverage import coverage_table
from starter.scoring.metrics.rule_sets import RuleSet
from starter.statistics.intervals import interval

BASELINE, REPLICATE = "baseline", "replicate"
"""What anchors are called among the arms."""


@dataclass(frozen=True)
class Standings:
    """How arms stand to each other."""

    rules: RuleSet
    reference: str
    """The arm to which the others are compared."""
    graded: list[str]
    """Names of the metrics that make the overall score: those that are gradable in every panel."""
    not_graded: list[str]
    """Those that the rule set scores, but some panel cannot grade."""
    n_perturbations: int
    n_panels: int
    metrics: pd.DataFrame
    """Index arm and metric (and `OVERALL`); columns value, scaled (not clipped) with low and high, official (clipped
    where the rules clip; mean over panels), difference (of scaled, from the reference) with difference_low and
    difference_high. NaN where there is none; the two anchors have no intervals."""
    ranks: pd.Series
    """Arm to rank, best first: 1 + how many are clearly better, so that equal ranks are ties."""
    tables: dict[str, pd.DataFrame]
    """Arm to perturbations x metrics: scaled scores, averaged over the panels in which a perturbation was hidden."""
    coverage: dict[str, pd.DataFrame]
    """Of each arm that predicts a spread, what `starter.scoring.coverage.coverage_table` says of it."""
    seeds: pd.Series
    """Arm to the standard deviation of its scaled overall score over seeds; NaN of one."""
    seconds: pd.Series
    """Arm to the mean time to fit and predict, a panel."""


def standings(results: Sequence[Result], rules: RuleSet, reference: str, seed: int = 0) -> Standings:
    """Compare arms that predicted the same panels.

    Parameters
    ----------
    results
        Of every arm in every panel.
    rules
        By which they were scored.
    reference
        The arm from which differences are taken.
    seed
        Fixes the bootstrap.

    Raises
    ------
    InputError
        If there is none, or no result of the reference.
    """
    arms = list(dict.fromkeys(result.arm for result in results))
    if reference not in arms:
        msg = f"there is no score of {reference}, to which the others are compared"
        raise InputError(msg)
    graded = [name for name in rules.scored if all(result.metrics[name]["gradable"] for result in results)]
    scores = pd.concat(
        [result.scores.assign(arm=result.arm, seed=result.seed, fold=result.fold) for result in results],
        ignore_index=True,
    )
    tables = {arm: _by_perturbation(scores[scores["arm"] == arm], rules, "scaled") for arm in arms}
    compared = {arm: _compare(tables[arm], tables[reference], graded, seed) for arm in arms}
    lines = []
    for arm in arms:
        own, official = [result for result in results if result.arm == arm], {}
        for metric in rules.metrics:
            official[metric.name] = _mean([result.metrics[metric.name]["scaled"] for result in own])
        official[OVERALL] = _mean([result.overall for result in own])
        values = _by_perturbation(scores[scores["arm"] == arm], rules, "value").mean()
        for name in (*(metric.name for metric in rules.metrics), OVERALL):
            lines.append((arm, name, values.get(name, np.nan), official[name], *compared[arm][name]))
    first = scores[scores["arm"] == reference]
    for anchor, scaled in ((BASELINE, None), (REPLICATE, "replicate_scaled")):
        values = _by_perturbation(first, rules, anchor).mean()
        table = _by_perturbation(first, rules, scaled).mean() if scaled else pd.Series(0.0, graded)
        table[OVERALL] = table[graded].mean() if graded else np.nan
        for name in (*(metric.name for metric in rules.metrics), OVERALL):
            of = table.get(name, np.nan) if name in (*graded, OVERALL) else np.nan
            lines.append((anchor, name, values.get(name, np.nan), np.nan, of, *[np.nan] * 5))
    columns = ["arm", "metric", "value", "official", "scaled", "low", "high"]
    columns += ["difference", "difference_low", "difference_high"]
    metrics = pd.DataFrame(lines, columns=columns).set_index(["arm", "metric"]).astype(float)
    return Standings(
        rules=rules,
        reference=reference,
        graded=graded,
        not_graded=[name for name in rules.scored if name not in graded],
        n_perturbations=scores[PERTURBATION].nunique(),
        n_panels=len(scores[["seed", "fold"]].drop_duplicates()),
        metrics=metrics,
        ranks=_ranks(tables, metrics["scaled"].xs(OVERALL, level="metric"), graded, seed),
        tables=tables,
        coverage=_coverage(results, seed),
        seeds=pd.Series({arm: _spread_over_seeds(scores[scores["arm"] == arm], graded) for arm in arms}),
        seconds=pd.Series({arm: np.mean([result.seconds for result in results if result.arm == arm]) for arm in arms}),
    )


def paired_difference(
    one: pd.DataFrame, two: pd.DataFrame, metrics: Sequence[str], seed: int = 0
) -> tuple[float, float, float]:
    """Bound how far the mean of one arm's metrics lies above another's.

    Parameters
    ----------
    one, two
        Perturbations x metrics, scaled scores; the same perturbations in the same order. NaN where undefined.
    metrics
        Over which columns to take the mean of means.
    seed
        Fixes the draws.

    Returns
    -------
    Difference, low and high of the 95 % interval over perturbations (BCa bootstrap); NaN where there is none.
    """
    sides = np.stack([side[list(metrics)].to_numpy() for side in (one, two)], axis=-1)

    def difference(values: np.ndarray, axis: int) -> np.ndarray:
        means = mean_of_means(values, axis)
        return means[..., 0] - means[..., 1]

    point = float(difference(sides, 0))
    return point, *_bounds(sides, difference, seed)


def mean_of_means(values: np.ndarray, axis: int) -> np.ndarray:
    """Average each metric over perturbations, then over metrics; undefined values are left out.

    Parameters
    ----------
    values
        (...) x perturbations x metrics x sides.
    axis
        The axis of the perturbations.
    """
    defined = ~np.isnan(values)
    n = defined.sum(axis=axis)
    means = np.divide(np.where(defined, values, 0).sum(axis=axis), n, out=np.full(n.shape, np.nan), where=n > 0)
    return means.mean(axis=-2)


def is_ahead(low: float, high: float) -> str:
    """Say in a word what an interval of a difference says: ahead, behind, or within noise."""
    return "ahead" if low > 0 else "behind" if high < 0 else "within noise"


def _coverage(results: Sequence[Result], seed: int) -> dict[str, pd.DataFrame]:
    shares: dict[str, list[pd.DataFrame]] = {}
    for result in results:
        if result.coverage is not None:
            shares.setdefault(result.arm, []).append(result.coverage.set_index([CONTEXT, PERTURBATION]))
    return {arm: coverage_table(pd.concat(tables), seed) for arm, tables in shares.items()}


def _by_perturbation(scores: pd.DataFrame, rules: RuleSet, column: str) -> pd.DataFrame:
    """Average over panels and contexts: perturbations x metrics."""
    table = scores.pivot_table(index=PERTURBATION, columns="metric", values=column, aggfunc="mean", dropna=False)
    return table.reindex(columns=[metric.name for metric in rules.metrics]).sort_index()


def _compare(
    own: pd.DataFrame, reference: pd.DataFrame, graded: Sequence[str], seed: int
) -> Mapping[str, tuple[float, ...]]:
    """Give of each metric, and overall, the scaled score, its interval, and the difference with its own."""
    found = {}
    for name, metrics in [*((name, [name]) for name in own.columns), (OVERALL, list(graded))]:
        if not metrics or not set(metrics) <= set(graded):
            found[name] = (np.nan,) * 6
            continue
        values = own[metrics].to_numpy()[..., None]
        found[name] = (float(_one_side(values, 0)), *_bounds(values, _one_side, seed))
        found[name] += paired_difference(own, reference, metrics, seed)
    return found


def _one_side(values: np.ndarray, axis: int) -> np.ndarray:
    return mean_of_means(values, axis)[..., 0]


def _bounds(values: np.ndarray, statistic: Callable[[np.ndarray, int], np.ndarray], seed: int) -> tuple[float, float]:
    low, high = interval([values], statistic, seed)
    return (math.nan, math.nan) if low is None or high is None else (low, high)


def _ranks(tables: Mapping[str, pd.DataFrame], overall: pd.Series, graded: Sequence[str], seed: int) -> pd.Series:
    """Rank by the overall score; who is not clearly worse than another has no worse rank for it."""
    better = dict.fromkeys(tables, 0)
    for one, two in itertools.combinations(tables, 2) if graded else ():
        _, low, high = paired_difference(tables[one], tables[two], graded, seed)
        if low > 0:
            better[two] += 1
        elif high < 0:
            better[one] += 1
    names = sorted(better, key=lambda name: (better[name], -overall[name] if graded else 0))
    return pd.Series({name: 1 + better[name] for name in names}, name="rank")


def _spread_over_seeds(scores: pd.DataFrame, graded: Sequence[str]) -> float:
    kept = scores[scores["metric"].isin(graded)]
    return float(kept.groupby(["seed", "metric"])["scaled"].mean().groupby("seed").mean().std())


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None])) if None not in values else math.nan
