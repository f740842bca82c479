"""Scores as tables for a terminal of 80 columns."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from starter.scoring.compare import OVERALL, Comparison, wins_and_losses
from starter.scoring.history import Look
from starter.scoring.masked_genes import summarise
from starter.scoring.metrics.base import Metric
from starter.scoring.scorecard import Scorecard, number

SIDE_BY_SIDE = 5
"""Predictions in one table."""
ARROWS = {"higher": "↑", "lower": "↓"}


def print_scores(cards: Sequence[Scorecard]) -> None:
    """Print what predictions scored by one rule set: the overall scores, then every scored metric.

    One prediction has its intervals beside its values. Several are numbered, and their intervals are in their
    scorecards.
    """
    console = Console(markup=False, highlight=False)
    rules = cards[0].rules
    full = "a perfect prediction" if rules.full_score == "perfection" else "the replicate"
    console.print(f"Scores by {rules.title}. Scaled: 0 is the baseline, 1 {full}. ↑: higher is better.")
    table = _table()
    if len(cards) > 1:
        table.add_column("", justify="right")
    for heading in ("overall", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("prediction", overflow="fold")
    for place, card in enumerate(cards, start=1):
        which = [str(place)] if len(cards) > 1 else []
        table.add_row(*which, number(card.overall), between(card.overall_interval), card.name)
    console.print(table)
    scored = [metric for metric in rules.metrics if metric.name in rules.scored]
    if len(cards) == 1:
        console.print(_one(cards[0], scored))
    else:
        for start in range(0, len(cards), SIDE_BY_SIDE):
            some = dict(enumerate(cards[start : start + SIDE_BY_SIDE], start=start + 1))
            if any(card.metrics[metric.name]["gradable"] for card in some.values() for metric in scored):
                console.print(_scaled(some, scored))
            console.print(_values(some, scored))
    for note in dict.fromkeys(note for card in cards for note in card.notes):
        console.print(f"- {note}")
    for card in cards:
        for flag in card.flags:
            console.print(f"{flag.level}: {card.name}: {flag.text}")


def print_comparison(cards: Sequence[Scorecard], comparison: Comparison) -> None:
    """Print the ranks of predictions, and of each pair how much better the first is, and where."""
    console = Console(markup=False, highlight=False)
    titles = {metric.name: metric.title for metric in cards[0].rules.metrics} | {OVERALL: "overall"}
    by_name = {card.name: card for card in cards}
    ranks = _table(f"Ranks by {cards[0].rules.title}")
    for column in ("rank", "overall", "95 % interval"):
        ranks.add_column(column, justify="right")
    ranks.add_column("prediction", overflow="fold")
    for name, rank in comparison.ranks.items():
        tie = " (tie)" if (comparison.ranks == rank).sum() > 1 else ""
        card = by_name[str(name)]
        ranks.add_row(f"{rank}{tie}", number(card.overall), between(card.overall_interval), card.name)
    console.print(ranks)
    for (first, second), lines in comparison.differences.groupby(["first", "second"], sort=False):
        table = _table(f"{first} less {second}")
        table.add_column("scaled score of", overflow="fold")
        for column in ("difference", "95 % interval", "better"):
            table.add_column(column, justify="right", overflow="fold")
        for line in lines.itertuples():
            ends = (None, None) if math.isnan(line.low) else (line.low, line.high)
            better = first if line.low > 0 else second if line.high < 0 else "–"
            table.add_row(titles[line.metric], number(line.difference), between(ends), str(better))
        console.print(table)
        wins, losses = wins_and_losses(comparison, str(first), str(second))
        console.print(f"{first} gains most in {', '.join(wins) or 'none'}; loses most in {', '.join(losses) or 'none'}")
        console.print()


def print_history(looks: Sequence[Look], title: str) -> None:
    """Print every look at a truth."""
    table = _table(f"Looks at {title}")
    for column, right in (("when (UTC)", False), ("rules", False), ("overall", True), ("95 % interval", True)):
        table.add_column(column, justify="right" if right else "left")
    table.add_column("prediction", overflow="fold")
    for look in looks:
        table.add_row(look.when[:16], look.rule_set, number(look.overall), between((look.low, look.high)), look.name)
    Console(markup=False, highlight=False).print(table)


def print_calibration(table: pd.DataFrame, title: str) -> None:
    """Print how good each metric is on a screen, as `starter.scoring.calibration.calibration_table` gives it."""
    lines = _table(title)
    lines.add_column("metric", overflow="fold")
    for heading in ("DRF median", "DRF mean", "BDS"):
        lines.add_column(heading, justify="right")
    lines.add_column("in the score")
    for row in table.itertuples():
        numbers = [number(None if math.isnan(value) else value) for value in row[3:]]
        lines.add_row(row.title, *numbers, "yes" if row.scored else "")
    Console(markup=False, highlight=False).print(lines)


def print_masked_genes(scores: Mapping[str, pd.DataFrame]) -> None:
    """Print the masked-gene scores of predictions, those to compare them with, and what they mean."""
    lines = _table("Spearman correlation of predicted and measured change over masked genes (cz-benchmarks)")
    lines.add_column("", overflow="fold")
    for heading in ("conditions", "mean", "95 % interval", "median", "> 0.3", "< 0"):
        lines.add_column(heading, justify="right", no_wrap=True)
    for place, (name, table) in enumerate(scores.items()):
        summary = summarise(table)
        shown = {name: summary["spearman"]}
        if place == len(scores) - 1:  # of the conditions of the last prediction
            shown |= {"perturbed mean": summary["perturbed_mean"], "the file's own counts": summary["input"]}
        for title, of_side in shown.items():
            shares = (f"{of_side[key]:.0%}" for key in ("share_above_0.3", "share_below_0"))
            ends = between((of_side["low"], of_side["high"]))
            lines.add_row(title, f"{len(table):,}", number(of_side["mean"]), ends, number(of_side["median"]), *shares)
    console = Console(markup=False, highlight=False)
    console.print(lines)
    console.print("- the file's own counts are the truth: they must not be what a model sees of the masked genes")
    console.print("- a prediction that is the same for all cells scores 0; the perturbed mean knows no perturbation")


def between(ends: tuple[float | None, float | None]) -> str:
    """Write an interval; a dash if there is none."""
    low, high = ends
    return "–" if low is None else f"{number(low)} to {number(high)}"


def _table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _metric(metric: Metric) -> str:
    return f"{metric.title} {ARROWS[metric.direction]}"


def _scaled_text(row: dict) -> str:
    """Write a scaled score; a dash where the metric is not gradable, which the notes explain."""
    return number(row["scaled"]) if row["gradable"] else "–"


def _one(card: Scorecard, scored: Sequence[Metric]) -> Table:
    table = _table()
    table.add_column("metric", overflow="fold")
    for heading in ("value", "95 % interval", "baseline", "replicate", "scaled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric in scored:
        row = card.metrics[metric.name]
        anchors = (number(row[anchor]) for anchor in ("baseline", "replicate"))
        ends = between((row["low"], row["high"]))
        table.add_row(_metric(metric), number(row["value"]), ends, *anchors, _scaled_text(row))
    return table


def _scaled(cards: dict[int, Scorecard], scored: Sequence[Metric]) -> Table:
    table = _table()
    table.add_column("scaled score of", overflow="fold")
    for place in cards:
        table.add_column(str(place), justify="right", no_wrap=True)
    for metric in scored:
        table.add_row(metric.title, *(_scaled_text(card.metrics[metric.name]) for card in cards.values()))
    return table


def _values(cards: dict[int, Scorecard], scored: Sequence[Metric]) -> Table:
    table = _table()
    table.add_column("value of", overflow="fold")
    for heading in (*(str(place) for place in cards), "baseline", "replicate"):
        table.add_column(heading, justify="right", no_wrap=True)
    first = next(iter(cards.values()))
    for metric in scored:
        values = (number(card.metrics[metric.name]["value"]) for card in cards.values())
        anchors = (number(first.metrics[metric.name][anchor]) for anchor in ("baseline", "replicate"))
        table.add_row(_metric(metric), *values, *anchors)
    return table
