"""Scores: rule sets, measured truths, scorecards, comparisons and their history."""

import importlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from starter.commands.options import CZ_K562, RULE_SETS
from starter.errors import InputError


def metrics(
    truth: Annotated[
        Path | None,
        typer.Option(help="Say instead how good each metric is on this screen.", show_default=False),
    ] = None,
    profile: Annotated[str, typer.Option(help=f"With --truth, the rule set: {RULE_SETS}.")] = "course",
) -> None:
    """List the rule sets and their metrics.

    Of each metric: name, what is better, range, whether it counts for the score, source.

    With --truth: how far from the baseline to perfection a replicate of the experiment gets by each metric (dynamic
    range fraction, median and mean over perturbations), and for which share of the perturbations it beats the baseline
    (bound discrimination score). Where both are low, a metric cannot tell a good model from the baseline on this
    screen.

    Example: starter metrics --truth truth
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from starter.scoring.metrics.rule_sets import RULE_SETS

    if truth:
        from starter.scoring.calibration import calibration_table
        from starter.scoring.metrics.rule_sets import get_rule_set
        from starter.scoring.tables import print_calibration
        from starter.scoring.truth.opened import open_truth

        opened, rules = open_truth(truth), get_rule_set(profile)
        opened.check_prepared(rules)
        print_calibration(calibration_table(opened, rules), f"{opened.about['title']}, by {rules.title}")
        return
    console = Console(markup=False, highlight=False)
    for rules in RULE_SETS.values():
        title = f"{rules.name}: {rules.title}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("name", "title", "better", "range", "in the score", "source"):
            table.add_column(heading, overflow="fold")
        for metric in rules.metrics:
            low, high = (f"{end:g}" for end in metric.range)
            scored = "yes" if metric.name in rules.scored else ""
            table.add_row(metric.name, metric.title, metric.direction, f"{low} to {high}", scored, metric.source)
        console.print(table)
    console.print(f"{CZ_K562}: the masked-gene task of cz-benchmarks, a Spearman correlation; starter score alone")


def truth_build(
    real: Annotated[
        Path, typer.Argument(help="Measured cells with their controls, .h5ad, counts or log1p expression.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    split: Annotated[
        Path | None, typer.Option(help="split.json; score one part of it only.", show_default=False)
    ] = None,
    part: Annotated[str | None, typer.Option(help="Which part of it: hidden or public.", show_default=False)] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Training cells, for the train mean; else it is made from REAL.", show_default=False),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help=f"One rule set: {RULE_SETS}. Default: all that the data allow.", show_default=False),
    ] = None,
    target_sum: Annotated[
        float | None,
        typer.Option(
            help="UMIs to which counts are scaled before log1p. Default: what the course says, else the median total "
            "of the control cells of --train, else of REAL.",
            min=1,
            show_default=False,
        ),
    ] = None,
    anchors: Annotated[
        bool,
        typer.Option(
            "--anchors/--no-anchors", help="Whether to make baseline and replicate, without which scores are raw."
        ),
    ] = True,
) -> None:
    """Prepare a measured screen once, for all scoring.

    Example: starter truth build hidden.h5ad --out truth --split split.json --part hidden --train train.h5ad
    """
    from starter.data.targets import measured_targets
    from starter.scoring.truth.build import build_truth

    truth = build_truth(
        real, out, split=split, part=part, train=train, rule_set=profile, target_sum=target_sum, anchors=anchors
    )
    prepared = truth.about["profiles"]
    n_pairs, n_genes = sum(len(names) for names in truth.contexts.values()), len(truth.about["genes"])
    where = f" in {len(truth.contexts)} contexts" if len(truth.contexts) > 1 else ""
    typer.echo(f"wrote {out}: {n_pairs} perturbations{where} x {n_genes:,} genes, for {', '.join(prepared)}")
    names = {name for of_context in truth.contexts.values() for name in of_context}
    typer.echo(f"  {measured_targets(names, truth.about['genes'])}")
    for name, how in prepared.items():
        known = {f"{target:,.0f}" for target in how["target_sum"].values() if target}
        scaled = f" (target_sum {', '.join(sorted(known))})" if known else ""
        typer.echo(f"  {name}: {how['scale']}{scaled}; baseline: {how['baseline']}")
    for name, reason in truth.about["left_out"].items():
        typer.echo(f"  not for {name}: {reason}")


def score(
    predictions: Annotated[list[Path], typer.Argument(help="Predictions, .h5ad or .vcc.")],
    truth: Annotated[Path, typer.Option(help="What `starter truth build` wrote; for cz-k562, the benchmark's folder.")],
    profile: Annotated[
        str, typer.Option(help=f"The rule set: {RULE_SETS}; or {CZ_K562}, the masked-gene task of cz-benchmarks.")
    ],
    out: Annotated[Path, typer.Option(help="Receives a folder for each prediction.")],
    real: Annotated[
        Path | None,
        typer.Option(help="Measured cells, of which TRUTH is prepared first if it is not there.", show_default=False),
    ] = None,
    de_tables: Annotated[
        bool,
        typer.Option(
            "--de-tables",
            help="Write de_tables.parquet too: fold change, p and false discovery rate of every perturbation and gene, "
            "measured and predicted.",
        ),
    ] = False,
) -> None:
    """Score predictions: a table, and a scorecard each.

    OUT receives the scorecards: JSON, tables, page with pictures.

    Example: starter score prediction.vcc --truth truth --profile course --out scores
    """
    from starter.data.h5ad import unreadable
    from starter.scoring.de_tables import write_de_tables
    from starter.scoring.metrics.rule_sets import get_rule_set
    from starter.scoring.score import score as score_and_count
    from starter.scoring.scorecard import prediction_name
    from starter.scoring.tables import print_scores
    from starter.scoring.truth.build import build_truth
    from starter.scoring.truth.opened import open_truth

    names = [prediction_name(path) for path in predictions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"several predictions are named {', '.join(twice)}, and would get the same folder in {out}; rename them"
        raise InputError(msg)
    if profile == CZ_K562:
        if real or de_tables:
            msg = f"--real and --de-tables are not for {CZ_K562}, whose folder has cells and DE tables; leave them out"
            raise InputError(msg)
        _score_masked_genes(predictions, truth, out)
        return
    rules = get_rule_set(profile)
    if real and not truth.exists():
        opened = build_truth(real, truth, rule_set=profile)
    else:
        opened = open_truth(truth)
        opened.check_prepared(rules)
        if real:
            opened.check_made_of(real)
    cards, faults, look = [], [], ""
    # figures take a second to import, in which cells can be read and ranked
    threading.Thread(target=importlib.import_module, args=["starter.scoring.page"], daemon=True).start()
    for path in predictions:
        try:
            card = score_and_count(path, opened, profile)
            from starter.scoring.page import write_scorecard

            write_scorecard(card, out / card.name)
            if de_tables:
                write_de_tables(card.sides, out / card.name / "de_tables.parquet")
            *notes, look = card.notes
            cards.append(replace(card, notes=notes, sides={}))  # which are large
        except InputError as error:
            faults.append(str(error))
        except Exception as error:  # whatever is in somebody's file: the others are scored all the same
            fault = unreadable(str(path), error)
            if not isinstance(fault, InputError):
                raise
            faults.append(str(fault))
    if cards:
        print_scores(cards)
        typer.echo(f"- {look}")
    for card in cards:
        typer.echo(f"{card.name}: {out / card.name / 'scorecard.html'}")
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
    if faults:
        raise typer.Exit(2)


def _score_masked_genes(predictions: list[Path], benchmark: Path, out: Path) -> None:
    from starter.scoring.masked_genes import score_masked_genes, write_scores
    from starter.scoring.scorecard import prediction_name
    from starter.scoring.tables import print_masked_genes

    scores = {}
    for path in predictions:
        name = prediction_name(path)
        scores[name] = score_masked_genes(path, benchmark)
        write_scores(scores[name], name, out / name)
    print_masked_genes(scores)
    for name in scores:
        typer.echo(f"{name}: {out / name / 'scorecard.json'}")


def compare(
    predictions: Annotated[list[Path], typer.Argument(help="Two predictions or more, .h5ad or .vcc.")],
    truth: Annotated[Path, typer.Option(help="What `starter truth build` wrote.")],
    profile: Annotated[str, typer.Option(help=f"The rule set: {RULE_SETS}.")],
    out: Annotated[Path, typer.Option(help="Receives the tables and the figure.")] = Path("comparison"),
) -> None:
    """Compare predictions on the same perturbations.

    There are differences with intervals, ranks, and who wins which. A difference is the first's scaled score less the
    second's. Its 95 % interval draws perturbations alike for both, so what is hard for both cancels; ranks are equal
    where the overall scores differ within noise.

    Example: starter compare mine.vcc ridge.vcc --truth truth --profile course
    """
    from rich.console import Console

    from starter.scoring.compare import compare as compare_cards
    from starter.scoring.compare import write_comparison
    from starter.scoring.score import score as score_and_count
    from starter.scoring.tables import print_comparison
    from starter.scoring.truth.opened import open_truth

    opened = open_truth(truth)
    cards = [score_and_count(path, opened, profile) for path in predictions]
    for card in cards:
        Console(markup=False, highlight=False).print(f"{card.name}: {card.notes[-1]}")
    comparison = compare_cards(cards)
    print_comparison(cards, comparison)
    for path in write_comparison(comparison, cards[0].rules, out):
        typer.echo(f"wrote {path}")


def history(
    truth: Annotated[Path, typer.Option(help="What `starter truth build` wrote.")],
    out: Annotated[Path, typer.Option(help="The figure (.png).")] = Path("history.png"),
) -> None:
    """Show every look at a truth: what was scored, and when.

    `starter score` and `starter compare` are looks. The more often the same hidden cells are looked at, the more of the
    best score is luck.

    Example: starter history --truth truth
    """
    import pandas as pd

    from starter.files import whole
    from starter.scoring.figures import history_figure
    from starter.scoring.history import read_history
    from starter.scoring.tables import print_history
    from starter.scoring.truth.opened import open_truth

    opened = open_truth(truth)
    looks = read_history(truth)
    if not looks:
        typer.echo(f"nobody has looked at {truth} yet; starter score and starter compare count their looks there")
        return
    print_history(looks, opened.about["title"])
    figure = history_figure(pd.DataFrame(looks), opened.about["title"])
    with whole(out) as part:
        figure.savefig(part, format="png", dpi=110)
    typer.echo(f"wrote {out}")
