"""Predictions of the same perturbations compared with each other: paired differences, ranks, who wins which."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from starter.errors import InputError
from starter.files import whole
from starter.schema import CONTEXT, PERTURBATION
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.overall import Score, graded_metrics, mean_of, scaled_scores, side_by_side
from starter.scoring.scorecard import Scorecard
from starter.scoring.truth.replicate import mean_of_defined
from starter.statistics.intervals import interval

OVERALL = "overall"


@dataclass(frozen=True)
class Comparison:
    """What several scorecards say of each other."""

    differences: pd.DataFrame
    """A line a pair and metric, and one for the overall score: columns first, second, metric, difference (of scaled
    scores; above 0 the first is better), low, high (95 % interval over perturbations, NaN if there are too few)."""
    ranks: pd.Series
    """Name of a prediction to its rank, best first: 1 + how many are clearly better, so that equal ranks are ties."""
    perturbations: pd.DataFrame
    """A line a pair, context and perturbation: columns first, second, context, perturbation, difference (mean over the
    metrics that are defined there), the largest gain of the first on top."""


def compare(cards: Sequence[Scorecard], seed: int = 0) -> Comparison:
    """Compare predictions that were scored against one truth by one rule set.

    Perturbations are drawn alike for both of a pair: what is hard for both cancels. Baseline and replicate, which
    define the scale, stay as they are.

    Parameters
    ----------
    cards
        Two scorecards or more, of different names.
    seed
        Fixes the bootstrap.

    Raises
    ------
    InputError
        If there are fewer than two, two have one name, or they are not of one truth and rule set.
    """
    _check_alike(cards)
    pairs = list(itertools.combinations(cards, 2))
    differences = pd.concat([_differences(one, two, seed) for one, two in pairs], ignore_index=True)
    perturbations = pd.concat([_of_perturbations(one, two) for one, two in pairs], ignore_index=True)
    return Comparison(differences, _ranks(cards, differences), perturbations)


def wins_and_losses(comparison: Comparison, first: str, second: str, n: int = 5) -> tuple[list[str], list[str]]:
    """Name the perturbations in which the first of a pair gains most over the second, and those in which it loses most.

    Parameters
    ----------
    comparison
        What `compare` gave.
    first, second
        A pair, in the order of the comparison.
    n
        How many of each, at most.

    Returns
    -------
    Perturbations, the clearest first; with several contexts as perturbation (context).
    """
    table = comparison.perturbations
    table = table[(table["first"] == first) & (table["second"] == second)].dropna()
    several = len(set(table[CONTEXT])) > 1
    names = [
        f"{line[PERTURBATION]} ({line[CONTEXT]})" if several else str(line[PERTURBATION])
        for line in table.to_dict("records")
    ]
    gains = table["difference"].to_numpy()
    wins = [name for name, gain in zip(names, gains, strict=True) if gain > 0]
    losses = [name for name, gain in zip(names, gains, strict=True) if gain < 0]
    return wins[:n], losses[::-1][:n]


def write_comparison(comparison: Comparison, rules: RuleSet, folder: Path) -> list[Path]:
    """Write `differences.csv`, `perturbations.csv`, `ranks.csv` and `differences.png` into a folder.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    from starter.scoring.figures import comparison_figure  # drawing takes a second to import

    titles = {metric.name: metric.title for metric in rules.metrics}
    figure = comparison_figure(comparison.differences, titles)
    writers = {
        "differences.csv": lambda part: comparison.differences.to_csv(part, index=False),
        "perturbations.csv": lambda part: comparison.perturbations.to_csv(part, index=False),
        "ranks.csv": lambda part: comparison.ranks.to_csv(part, index_label="prediction"),
        "differences.png": lambda part: figure.savefig(part, format="png", dpi=110),
    }
    for name, write in writers.items():
        with whole(folder / name) as part:
            write(part)
    return [folder / name for name in writers]


def _check_alike(cards: Sequence[Scorecard]) -> None:
    names = [card.name for card in cards]
    if len(set(names)) < max(len(names), 2):
        msg = f"comparing takes two predictions or more, each with a name of its own, and not {', '.join(names)}"
        raise InputError(msg)
    if len({(card.rules.name, card.about["truth"]["sha256"]) for card in cards}) > 1:
        msg = f"{', '.join(names)} were not scored by one rule set against one truth; score them again"
        raise InputError(msg)
    if all(row["baseline"] is None for row in cards[0].metrics.values()):
        msg = f"scores have no scale here, so they cannot be compared: {cards[0].notes[1]}"
        raise InputError(msg)


def _differences(one: Scorecard, two: Scorecard, seed: int) -> pd.DataFrame:
    """Bound the difference of each metric's scaled score, and of the overall score."""
    rules, contexts = one.rules, list(one.scores)
    metrics = {context: graded_metrics(rules, one.rows_of(context)) for context in contexts}
    packed, scores = [], []
    for context in contexts:
        sides = [side_by_side(metrics[context], card.scores[context]) for card in (one, two)]
        packed.append(np.stack(sides))
        scores.append(scaled_scores(rules, metrics[context], one.rows_of(context)))
    lines = []
    for metric in rules.metrics:
        # a metric that one context cannot grade has no mean over contexts
        places = [
            next((place for place, graded in enumerate(metrics[context]) if graded.name == metric.name), None)
            for context in contexts
        ]
        if None not in places:
            of_contexts = [of_context[place] for of_context, place in zip(scores, places, strict=True)]
            lines.append((metric.name, *_bounded(packed, of_contexts, seed)))
    if one.overall is not None and two.overall is not None:
        lines.append((OVERALL, *_bounded(packed, [mean_of(of_context) for of_context in scores], seed)))
    table = pd.DataFrame(lines, columns=["metric", "difference", "low", "high"])
    table.insert(0, "first", one.name)
    table.insert(1, "second", two.name)
    return table


def _bounded(packed: Sequence[np.ndarray], scores: Sequence[Score], seed: int) -> tuple[float, float, float]:
    """Give a difference and its 95 % interval.

    Parameters
    ----------
    packed
        Of each context, 2 x perturbations x columns.
    scores
        Of each context.
    seed
        Fixes the draws.
    """

    def difference(score: Score) -> Score:
        return lambda values, axis: score(values[..., 0], axis) - score(values[..., 1], axis)

    samples, functions = [np.moveaxis(sides, 0, -1) for sides in packed], [difference(score) for score in scores]
    point = float(np.mean([function(values, 0) for function, values in zip(functions, samples, strict=True)]))
    low, high = interval(samples, functions, seed)
    return point, np.nan if low is None else low, np.nan if high is None else high


def _of_perturbations(one: Scorecard, two: Scorecard) -> pd.DataFrame:
    """Scale the difference in each perturbation and average it over metrics."""
    tables = []
    for context in one.scores:
        rows = one.rows_of(context)
        gains = []
        for metric in graded_metrics(one.rules, rows):
            row = rows[metric.name]
            full = row["replicate"] if one.rules.full_score == "replicate" else metric.best
            values = [metric.per_perturbation(card.scores[context][metric.name]) for card in (one, two)]
            gains.append((values[0] - values[1]) / (full - row["baseline"]))
        labels = one.per_perturbation.query(f"{CONTEXT} == @context")[PERTURBATION].unique()
        mean = mean_of_defined(np.array(gains or [np.full(len(labels), np.nan)]))
        tables.append(pd.DataFrame({CONTEXT: context, PERTURBATION: labels, "difference": mean}))
    table = pd.concat(tables).sort_values("difference", ascending=False, ignore_index=True)
    table.insert(0, "first", one.name)
    table.insert(1, "second", two.name)
    return table


def _ranks(cards: Sequence[Scorecard], differences: pd.DataFrame) -> pd.Series:
    """Rank by the overall score; who is not clearly worse than another has no worse rank for it."""
    of_overall = differences[differences["metric"] == OVERALL]
    better = {card.name: 0 for card in cards}
    for line in of_overall.itertuples():
        if line.low > 0:
            better[line.second] += 1
        elif line.high < 0:
            better[line.first] += 1
    scores = {card.name: -np.inf if card.overall is None else card.overall for card in cards}
    names = sorted(better, key=lambda name: (better[name], -scores[name]))
    return pd.Series({name: 1 + better[name] for name in names}, name="rank")
