"""The bench's table for a terminal, and its files."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from starter.bench.results import Result
from starter.bench.standings import BASELINE, REPLICATE, Standings, is_ahead
from starter.files import whole
from starter.scoring.compare import OVERALL
from starter.scoring.scorecard import number
from starter.scoring.tables import ARROWS, between

SIDE_BY_SIDE = 5
"""Metrics in one table of 80 columns."""
FILES = ("bench.json", "bench.parquet", "perturbations.parquet", "bench.png")
"""What is written beside what is kept."""


def print_standings(standings: Standings) -> None:
    """Print ranks, what each arm scores by each metric, and what the numbers mean."""
    console = Console(markup=False, highlight=False)
    rules, full = standings.rules, "the replicate" if standings.rules.full_score == "replicate" else "perfection"
    console.print(_overall(standings))
    titles = {metric.name: f"{metric.title} {ARROWS[metric.direction]}" for metric in rules.metrics}
    scored = [metric.name for metric in rules.metrics if metric.name in rules.scored]
    for start in range(0, len(scored), SIDE_BY_SIDE):
        some = {name: titles[name] for name in scored[start : start + SIDE_BY_SIDE]}
        console.print(_by_metric("value", "value", some, standings))
        console.print(_by_metric("scaled, not clipped", "scaled", some, standings))
    for note in notes(standings):
        console.print(f"- {note}")
    for arm, table in standings.coverage.items():
        console.print(f"- intervals predicted by {arm}: {covered(table)}")
    console.print(
        f"- scaled: 0 is the baseline of the panel, 1 {full}; * differs from {standings.reference} beyond noise"
    )


def covered(table: pd.DataFrame) -> str:
    """Say what share of the measured means lies within predicted intervals, level by level."""
    shares = [
        f"of nominally {float(str(level)):.0%}, {line['covered']:.0%} ({_ends(line['low'], line['high'])})"
        for level, line in table.iterrows()
    ]
    return f"share of measured means inside, {'; '.join(shares)}"


def notes(standings: Standings) -> list[str]:
    """Say what a reader must know to read the numbers."""
    said = [
        f"{standings.n_perturbations} perturbations hidden in {standings.n_panels} panels; the unit is the "
        "perturbation: it is averaged over the panels in which it was hidden, then drawn anew for the 95 % intervals, "
        "alike for both sides of a difference; that a model comes out otherwise when it is trained again is in them "
        "only as far as panels differ"
    ]
    if standings.not_graded:
        titles = {metric.name: metric.title for metric in standings.rules.metrics}
        left_out = ", ".join(titles[name] for name in standings.not_graded)
        said.append(f"left out of the overall score here, since some panel cannot grade it: {left_out}")
    if standings.rules.full_score == "perfection":
        said.append(
            "official: the mean over panels of the score by the rules, where a metric below the baseline counts 0; the "
            "scaled score lets it count below 0, so what it costs is seen"
        )
    return said


def write_standings(
    standings: Standings, results: Sequence[Result], faults: Mapping[str, str], about: Mapping, folder: Path
) -> None:
    """Write `FILES`: all numbers as JSON and parquet, every perturbation's, and the figure.

    Parameters
    ----------
    standings, results, faults
        What came of the arms.
    about
        What they were compared on.
    folder
        The bench's folder.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    from starter.bench.figure import standings_figure  # drawing takes a second to import

    table = standings.metrics.reset_index()
    content = {
        **about,
        "profile": standings.rules.name,
        "reference": standings.reference,
        "graded": standings.graded,
        "not_graded": standings.not_graded,
        "ranks": standings.ranks.to_dict(),
        "seconds": _without_nan(standings.seconds),
        "deviation_over_seeds": _without_nan(standings.seeds),
        "metrics": _lines(table),
        "coverage": {arm: _lines(of.reset_index(names="level")) for arm, of in standings.coverage.items()},
        "panels": [
            {"arm": result.arm, "seed": result.seed, "fold": result.fold, "overall": result.overall}
            | {"flags": result.flags}
            for result in results
        ],
        "failed": dict(faults),
        "notes": notes(standings),
    }
    lines = [result.scores.assign(arm=result.arm, seed=result.seed, fold=result.fold) for result in results]
    figure = standings_figure(standings, str(about["title"]))
    writers = (
        lambda part: part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8"),
        table.to_parquet,
        pd.concat(lines, ignore_index=True).to_parquet,
        lambda part: figure.savefig(part, format="png", dpi=110),
    )
    for name, write in zip(FILES, writers, strict=True):
        with whole(folder / name) as part:
            write(part)


def _overall(standings: Standings) -> Table:
    table = Table(
        title=f"Ranks by {standings.rules.title}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        collapse_padding=True,
    )  # fmt: skip
    for heading in ("rank", "official", "scaled", f"less {standings.reference}", "95 % interval", ""):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("arm", overflow="fold")
    lines = standings.metrics.xs(OVERALL, level="metric")
    for arm, rank in standings.ranks.items():
        line = lines.loc[arm]
        tie = "=" if (standings.ranks == rank).sum() > 1 else ""
        said = "" if arm == standings.reference else is_ahead(line["difference_low"], line["difference_high"])
        ends = between((_or_none(line["difference_low"]), _or_none(line["difference_high"])))
        difference = ("", "") if arm == standings.reference else (_signed(line["difference"]), ends)
        table.add_row(f"{rank}{tie}", _number(line["official"]), _number(line["scaled"]), *difference, said, str(arm))
    for anchor in (BASELINE, REPLICATE):
        table.add_row("", "", _number(lines.loc[anchor, "scaled"]), "", "", "", anchor)
    return table


def _by_metric(what: str, column: str, metrics: Mapping[str, str], standings: Standings) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(what, overflow="fold")
    for title in metrics.values():
        table.add_column(title, justify="right", overflow="fold")
    for arm in (*standings.ranks.index, BASELINE, REPLICATE):
        cells = []
        for name in metrics:
            line = standings.metrics.loc[(arm, name)]
            sure = column == "scaled" and is_ahead(line["difference_low"], line["difference_high"]) != "within noise"
            cells.append(_number(line[column]) + ("*" if sure else ""))
        table.add_row(str(arm), *cells)
    return table


def _ends(low: float, high: float) -> str:
    return "too few for an interval" if math.isnan(low) else f"{low:.0%} to {high:.0%}"


def _number(value: float) -> str:
    return number(_or_none(value))


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_null(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _lines(table: pd.DataFrame) -> list[dict]:
    return [{key: _or_null(value) for key, value in line.items()} for line in table.to_dict("records")]


def _without_nan(values: pd.Series) -> dict:
    return {str(name): _or_null(value) for name, value in values.items()}
