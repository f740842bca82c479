"""The `starter` command: check, pack, list metrics, prepare a truth, score, compare, simulate."""

import importlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from starter.console import run
from starter.errors import InputError, counted
from starter.schema import CONTROL, COURSE_VARIABLE, TARGET_GENE

if TYPE_CHECKING:
    from starter.prediction.requirements import Requirements

app = typer.Typer(
    help="Check, pack and score predictions of how a cell's transcriptome responds to a gene perturbation. "
    "Add --debug to any command to see the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
truth_app = typer.Typer(help="Prepare measured screens for scoring.", no_args_is_help=True)


app.add_typer(truth_app, name="truth")

CourseOption = Annotated[
    Path | None,
    typer.Option("--course", help="The course's data folder, which says what is due.", show_default=False),
]
GenesOption = Annotated[
    Path | None, typer.Option("--genes", help="Genes due, one a line (gene_names.csv).", show_default=False)
]
PertsOption = Annotated[
    Path | None,
    typer.Option(
        "--perts",
        help="Perturbations due, one a line, or pert_counts.csv (target_gene, n_cells).",
        show_default=False,
    ),
]
TruthOption = Annotated[
    Path | None,
    typer.Option(
        "--truth", help="What `starter truth build` wrote, against which it will be scored.", show_default=False
    ),
]
SeasonOption = Annotated[
    int | None,
    typer.Option(
        "--season",
        help="Year of the challenge: 2025 (log1p expression with controls) or 2026 (counts in three contexts). "
        "Default: what an upload says of itself, else 2025.",
        show_default=False,
    ),
]
PertColOption = Annotated[
    str, typer.Option("--pert-col", help="The column of obs that holds the perturbations, in FILE.")
]
NtcNameOption = Annotated[str, typer.Option("--ntc-name", help="What control cells are labelled, in FILE.")]
NOT_COMPARED = "; genes and perturbations were not compared with those due: give "
RULE_SETS = "course, vcc2025, vcc2025-final or vcc2026"
CZ_K562 = "cz-k562"
LEVELS = {"error": "red", "warning": "yellow", "note": "cyan"}


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A prediction, .h5ad or .vcc.")],
    course: CourseOption = None,
    genes: GenesOption = None,
    perts: PertsOption = None,
    truth: TruthOption = None,
    season: SeasonOption = None,
    pert_col: PertColOption = TARGET_GENE,
    ntc_name: NtcNameOption = CONTROL,
) -> None:
    """Report everything that is wrong with a prediction file or upload, at once.

    What is due comes from --course, from --truth, from --genes and --perts together, or from the folder that VCC_COURSE
    names.
    The exit status is 2 if there is an error.

    Example: starter check prediction.h5ad --course data/my-course
    """
    from starter.prediction.check import check_prediction
    from starter.prediction.content import Naming
    from starter.prediction.vcc import season_of

    found = season_of(file)
    required = _required(course, genes, perts, truth, found.year if found else season)
    findings = check_prediction(file, required, season, Naming(pert_col, ntc_name))
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"[{LEVELS[finding.level]}]{finding.level:>7}[/]  ", end="")
        console.print(str(finding), markup=False, highlight=False)
    if errors := sum(finding.level == "error" for finding in findings):
        typer.echo(f"{file} has {counted(errors, 'error')}; scoring would refuse or misjudge it", err=True)
        raise typer.Exit(2)
    typer.echo(f"{file} has no error" + _not_compared(required, found.year if found else season))


@app.command()
def pack(
    file: Annotated[Path, typer.Argument(help="A prediction file, .h5ad.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .vcc to write.")],
    course: CourseOption = None,
    genes: GenesOption = None,
    perts: PertsOption = None,
    truth: TruthOption = None,
    season: SeasonOption = None,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="Scale counts to their median total and take log1p (season 2025).")
    ] = False,
    pert_col: PertColOption = TARGET_GENE,
    ntc_name: NtcNameOption = CONTROL,
    controls: Annotated[
        Path | None,
        typer.Option(
            help="Add the control cells of this .h5ad, counts or log1p expression (season 2025).", show_default=False
        ),
    ] = None,
) -> None:
    """Check a prediction file and make the challenge's upload (.vcc) of it.

    What is due is found as by starter check. The season is 2025 if --season is not given. An upload of 2025 is what
    cell-eval prep 0.8.2 writes of the same file; its column is named target_gene, its controls non-targeting.

    Example: starter pack prediction.h5ad -o prediction.vcc --course data/my-course
    """
    from starter.prediction.content import Naming
    from starter.prediction.pack import pack as pack_upload
    from starter.prediction.season import SEASON_2025

    year = season or SEASON_2025.year
    required = _required(course, genes, perts, truth, year)
    naming = Naming(pert_col, ntc_name)
    for finding in pack_upload(file, out, required, year, naming=naming, controls=controls, normalise=normalise):
        typer.echo(f"{finding.level}: {finding}")
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)" + _not_compared(required, year))


@app.command("import-prediction")
def import_prediction(
    files: Annotated[list[Path], typer.Argument(help="What the model wrote; of AnnData also several.")],
    layout: Annotated[
        Literal["anndata", "arrays", "cpa", "perturbench", "pie", "state"],
        typer.Option("--from", help="Its format; see above."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A profile table (.parquet), or a prediction file of the cells (.h5ad)."),
    ],
    course: CourseOption = None,
    part: Annotated[
        Literal["hidden", "public", "train"], typer.Option(help="The part of the split to take.")
    ] = "hidden",
    fill: Annotated[
        Literal["control", "train-mean"] | None,
        typer.Option(
            help="What stands in for genes and perturbations that are not predicted. Default: they are refused.",
            show_default=False,
        ),
    ] = None,
    genes: Annotated[
        Path | None,
        typer.Option(help="The model's genes in order, a list or an .h5ad, if FILE has none.", show_default=False),
    ] = None,
    pert_col: Annotated[
        str | None, typer.Option("--pert-col", help="The column of obs that holds perturbations.", show_default=False)
    ] = None,
    context_col: Annotated[
        str | None, typer.Option("--context-col", help="The column of obs that holds contexts.", show_default=False)
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(help="The element with the predictions: X, layers/NAME or obsm/NAME.", show_default=False),
    ] = None,
    target_sum: Annotated[
        float | None,
        typer.Option(
            help="UMIs to which predicted cells were scaled before log1p, if not to the course's target_sum.",
            min=1,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Bring what a published model predicts to a course: labels, genes and scale.

    anndata: cells or means with obs.condition (GENE+ctrl, ctrl, A+B); arrays: a dictionary in .npz or .json, such as of
    GEARS.predict and CellFlow.predict; cpa: obsm CPA_pred; perturbench: its prediction_chunk_*.h5ad; pie: the parquet
    of pie infer; state: .h5ad of state tx infer or predict. Which model needs what: docs/models.md.

    Labels are read as other tools write them. Genes and perturbations that are due must be there, or --fill says what
    stands in. Expression must be log1p at the course's target_sum; cells at another are rescaled, means are refused,
    since the mean of logs is not the log of the mean. Pickles are never read.

    Example: starter import-prediction gears.npz --from arrays -o gears.parquet --course data/my-course
    """
    from starter.data.course import open_course
    from starter.files import whole
    from starter.prediction.imported import Due, profile_table, write_cells
    from starter.prediction.published import FORMATS, open_written

    if out.suffix not in (".parquet", ".h5ad"):
        msg = f"--out is {out}; name a profile table (.parquet) or a prediction file (.h5ad)"
        raise InputError(msg)
    if fill and out.suffix == ".h5ad":
        msg = "--fill is for profile tables: a gene with one value in all cells would look significant; name a .parquet"
        raise InputError(msg)
    kind = FORMATS[layout] if values is None else FORMATS[layout]._replace(element=values)
    due = Due(open_course(course), part)
    with open_written(files, kind, genes, pert_col, context_col) as written:
        if out.suffix == ".h5ad":
            done = write_cells(written, due, out, target_sum)
        else:
            table, done = profile_table(written, due, fill, target_sum)
            with whole(out) as temporary:
                table.to_parquet(temporary)
    for finding in done:
        typer.echo(f"{finding.level}: {finding}")
    what = "cells of " if out.suffix == ".h5ad" else ""
    typer.echo(f"wrote {out}: {what}{counted(len(due.pairs), 'perturbation')} x {len(due.genes):,} genes")


@app.command()
def predict(
    model: Annotated[
        str, typer.Argument(help="A model of the kit by name, such as kNN, or a file such as my_model.py.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The profile table to write (.parquet).")],
    train: Annotated[
        list[Path] | None,
        typer.Option(
            help="The screen to learn from, .h5ad of raw counts with its controls; again for another context.",
            show_default=False,
        ),
    ] = None,
    perts: PertsOption = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--other", help="A screen of another cell line to learn from; again for more.", show_default=False
        ),
    ] = None,
    priors: Annotated[
        Path | None, typer.Option(help="Folder with what is known of genes (priors).", show_default=False)
    ] = None,
    course: CourseOption = None,
    spread: Annotated[
        Path | None,
        typer.Option(help="Write how sure the model is too, if it says so (.parquet).", show_default=False),
    ] = None,
) -> None:
    """Learn from a screen and predict profiles, which starter cells makes an upload of.

    Predicted are the perturbations of --perts in every context of the screen; with --course, the course's hidden ones.
    Only profiles are held in memory, whatever the size of the screen; models of single cells read 200 of each
    perturbation at most. The models: docs/models.md.

    Example: starter predict kNN --train train.h5ad --perts pert_counts.csv --priors priors -o knn.parquet
    """
    import pandas as pd

    from starter.data.course import open_course
    from starter.data.dataset import PAIR
    from starter.files import whole
    from starter.models import contract, kit
    from starter.models.training_data import read_training, training_of_course
    from starter.prediction.lists import read_list
    from starter.prediction.requirements import PERTURBATION_HEADERS
    from starter.priors.knowledge import read_knowledge

    chosen = kit.find_model(model)
    if spread is not None and chosen.spread is None:
        msg = f"{chosen.name} does not say how sure it is; leave out --spread"
        raise InputError(msg)
    if course is not None and (train or perts or others or priors):
        msg = "--course tells what to learn from and what is due; leave out --train, --perts, --other and --priors"
        raise InputError(msg)
    if course is not None:
        opened = open_course(course)
        data, pairs = training_of_course(opened, ("train", "public")), opened.split().pairs("hidden")
    elif train and perts is not None:
        names = [name for name in read_list(perts, PERTURBATION_HEADERS, "perturbation").names if name != CONTROL]
        data = read_training(train, read_knowledge(priors) if priors else None, others=others or [])
        pairs = pd.MultiIndex.from_product([data.contexts, names], names=PAIR)
    else:
        msg = "give --train and --perts together, or --course"
        raise InputError(msg)
    fitted = chosen.fit(data)
    with whole(out) as part:
        contract.predict(chosen, fitted, pairs, data.profiles.columns).astype("float32").to_parquet(part)
    typer.echo(f"wrote {out}: {len(pairs):,} profiles x {data.profiles.shape[1]:,} genes, by {chosen.name}")
    doubt = contract.spread(chosen, fitted, pairs, data.profiles.columns) if spread is not None else None
    if spread is not None and doubt is not None:
        with whole(spread) as part:
            doubt.astype("float32").to_parquet(part)
        typer.echo(f"wrote {spread}")


@app.command()
def cells(
    table: Annotated[
        Path | None, typer.Argument(help="A profile table (.parquet), as starter predict writes.", show_default=False)
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The upload to write (.vcc), or the prediction file in it (.h5ad).")
    ],
    controls: Annotated[
        list[Path] | None,
        typer.Option(
            help="Raw counts with the control cells, .h5ad; its other cells are not read. Of season 2026 also several "
            "files, each cell's context in obs.context.",
            show_default=False,
        ),
    ] = None,
    perts: Annotated[
        Path | None,
        typer.Option(
            "--perts",
            "--counts",
            help="What is due: pert_counts.csv (target_gene, n_cells). Of season 2026 without n_cells: 400 each.",
            show_default=False,
        ),
    ] = None,
    genes: Annotated[
        Path | None,
        typer.Option("--genes", help="Genes due, in order. Default: those of the control cells.", show_default=False),
    ] = None,
    course: Annotated[
        Path | None,
        typer.Option(
            "--course", help="A course's data folder instead: its controls, and what is due.", show_default=False
        ),
    ] = None,
    season: SeasonOption = None,
    way: Annotated[
        str,
        typer.Option(
            help="How: thin, negative_binomial, poisson; of season 2025 also shift, scale, gaussian, constant."
        ),
    ] = "thin",
    seed: Annotated[int, typer.Option(help="Fixes the cells.", min=0)] = 0,
    spread: Annotated[
        Path | None,
        typer.Option(
            help="How sure the model is: standard deviation of each mean (.parquet, same rows and genes). Each effect "
            "is multiplied by effect^2 / (effect^2 + spread^2) first, unless the model's are means already.",
            show_default=False,
        ),
    ] = None,
    target_sum: Annotated[
        float | None,
        typer.Option(
            help="UMIs to which TABLE is scaled. Default: what the control cells' file says, else their median total.",
            min=1,
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Literal["train-mean", "replicate"] | None,
        typer.Option(
            help="Instead of TABLE: the mean of the training profiles for all; or half of the real cells of every "
            "training perturbation (season 2025).",
            show_default=False,
        ),
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="With --baseline, the training cells (.h5ad).", show_default=False)
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="With --baseline replicate, receives the other half (.h5ad), to score it against.", show_default=False
        ),
    ] = None,
) -> None:
    """Make cells of predicted profiles and an upload of them: written, checked and packed in one go.

    Cells are made of control cells, in each context of its own, so that they have the zeros and the spread of real
    ones; the mean of each gene is the predicted one (thin: to one UMI). Season 2025 and courses: log1p expression with
    the control cells. Season 2026: raw counts without. What is wrong is said before anything is written, the disk is
    looked at first, and what stood at --out stays until the new file is complete. Season 2025 takes about a minute and
    3 GB of memory, 2026 some minutes.

    Example: starter cells knn.parquet -o pred.vcc --controls train.h5ad --perts pert_counts.csv
    """
    from starter.prediction.season import SEASON_2025
    from starter.prediction.upload_of_files import Sources, upload_files

    sources = Sources(table, baseline, controls or (), train, perts, genes, course, spread, measured)
    for finding in upload_files(sources, out, season or SEASON_2025.year, way, seed, target_sum):
        typer.echo(f"{finding.level}: {finding}")
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


@app.command()
def metrics(
    truth: Annotated[
        Path | None,
        typer.Option(help="Say instead how good each metric is on this screen.", show_default=False),
    ] = None,
    profile: Annotated[str, typer.Option(help=f"With --truth, the rule set: {RULE_SETS}.")] = "course",
) -> None:
    """List the rule sets and their metrics: name, what is better, range, whether it counts for the score, source.

    With --truth: how far from the baseline to perfection a replicate of the experiment gets by each metric (dynamic
    range fraction, median and mean over perturbations), and for which share of the perturbations it beats the baseline
    (bound discrimination score). Where both are low, a metric cannot tell a good model from the baseline on this
    screen.

    Example: starter metrics --truth truth
    """
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


@truth_app.command("build")
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
    """Prepare a measured screen, so that predictions can be scored against it many times.

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


@app.command()
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
    """Score predictions: a table here, and a scorecard (JSON, tables, page with pictures) for each in OUT.

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


@app.command()
def compare(
    predictions: Annotated[list[Path], typer.Argument(help="Two predictions or more, .h5ad or .vcc.")],
    truth: Annotated[Path, typer.Option(help="What `starter truth build` wrote.")],
    profile: Annotated[str, typer.Option(help=f"The rule set: {RULE_SETS}.")],
    out: Annotated[Path, typer.Option(help="Receives the tables and the figure.")] = Path("comparison"),
) -> None:
    """Compare predictions on the same perturbations: differences with intervals, ranks, who wins which.

    A difference is the first's scaled score less the second's. Its 95 % interval draws perturbations alike for both, so
    what is hard for both cancels; ranks are equal where the overall scores differ within noise.

    Example: starter compare mine.vcc ridge.vcc --truth truth --profile course
    """
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


@app.command()
def history(
    truth: Annotated[Path, typer.Option(help="What `starter truth build` wrote.")],
    out: Annotated[Path, typer.Option(help="The figure (.png).")] = Path("history.png"),
) -> None:
    """Show every look at a truth: what `starter score` and `starter compare` scored against it, and when.

    The more often the same hidden cells are looked at, the more of the best score is luck.

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


@app.command("try")
def try_(
    model: Annotated[
        Path | None, typer.Argument(help="Your model: a .py file with fit and predict.", show_default=False)
    ] = None,
    course: CourseOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Receives all files. Default: try_<name of the model>.", show_default=False),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Write my_model.py, a model to begin with, and stop.")
    ] = False,
) -> None:
    """Try your own model, and say whether it is ahead of the train mean and of the kit's models beyond noise.

    MODEL has two functions: fit(data) learns from the training perturbations, predict(model, pairs) gives a profile
    table. It is fitted without a quarter of the training perturbations, four times, and scored on those left out by the
    course's rules, beside models of the kit. Then it is fitted on all of them: OUT receives the profile table of the
    hidden perturbations, the prediction file made of it, its check, and the scorecard of public validation.

    Example: starter try --example; starter try my_model.py --course data/my-course
    """
    from starter.bench.trial import EXAMPLE, write_example

    if example:
        write_example(model or Path(EXAMPLE))
        typer.echo(f"wrote {model or EXAMPLE}; try it with: starter try {model or EXAMPLE}")
        return
    if model is None:
        msg = "name your model's file, such as my_model.py; starter try --example writes one to begin with"
        raise InputError(msg)
    from starter.bench.trial import print_trial, try_model
    from starter.data.course import open_course

    folder = out or Path(f"try_{model.stem}")
    print_trial(try_model(model, open_course(course), folder), folder)


@app.command()
def bench(
    arms: Annotated[
        list[str],
        typer.Argument(
            help="Models of the kit by name, your own (.py), profile tables (.parquet), predictions (.h5ad, .vcc)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for tables and figure, and what is kept.")],
    screen: Annotated[
        Path | None,
        typer.Option(
            help="Measured cells, .h5ad, with `priors` beside it. Default: a simulated screen on the challenge's "
            "scale, made in OUT.",
            show_default=False,
        ),
    ] = None,
    course: Annotated[
        Path | None,
        typer.Option("--course", help="Take the training perturbations of a course.", show_default=False),
    ] = None,
    profile: Annotated[str, typer.Option(help=f"The rule set: {RULE_SETS}.")] = "vcc2025",
    hide: Annotated[
        int | None,
        typer.Option(help="Perturbations hidden in a panel. Default: a quarter, 50 at most.", show_default=False),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Panels that share no perturbation. Default: 4.", show_default=False)
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How often perturbations are dealt out anew. Default: 1.", show_default=False)
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            help="Hide them in this context only: what they do in the others may be learned from.", show_default=False
        ),
    ] = None,
) -> None:
    """Compare models and uploads offline, as the challenge would: hide perturbations, predict, make cells, score.

    Each arm learns from what a panel does not hide, and its profiles become cells, a prediction file, and a score by
    the full rule set, as by starter cells, check and score. A prediction that is ready (a table, an upload) fixes who
    is hidden. OUT keeps what is finished: the same command goes on where it was stopped, and more arms, folds or seeds
    cost only themselves.

    Example: starter bench "neighbour mean" ridge my_model.py --screen screen.h5ad --out bench
    """
    from starter.bench.bench import Dealt
    from starter.bench.bench import bench as compare_arms
    from starter.bench.ground import ground_of_course, ground_of_screen, simulated_screen
    from starter.bench.report import FILES, print_standings
    from starter.data.course import open_course

    if screen and course:
        msg = "give one of --screen and --course"
        raise InputError(msg)
    if course:
        ground = ground_of_course(open_course(course), profile)
    else:
        ground = ground_of_screen(screen or simulated_screen(out / "screen"), profile)
    came = compare_arms(arms, ground, out, Dealt(hide, folds, seeds, context))
    print_standings(came.standings)
    typer.echo(f"wrote {', '.join(str(out / name) for name in FILES)}")
    for fault in came.ran.faults.values():
        typer.echo(f"error: {fault}", err=True)
    if came.ran.faults:
        raise typer.Exit(2)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    seed: Annotated[int, typer.Option(help="Equal seeds give equal screens. Who knows it can make the hidden cells.")],
    layout: Annotated[
        str,
        typer.Option(
            help="course: one course data set; vcc2025: training and validation cells of season 2025; vcc2026: the "
            "control cells of season 2026's contexts, its lists, and the truth in a folder of its own."
        ),
    ] = "course",
    size: Annotated[
        str | None,
        typer.Option(
            help="course, vcc (150 training and 50 validation perturbations), vcc-small (the same with fewer cells and "
            "genes), vcc2025 (50 perturbations) or vcc2026. Default: course, vcc or vcc2026, by the layout.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="What the screen resembles: default, papalexi, hard or vcc. Default: that of the course, or vcc.",
            show_default=False,
        ),
    ] = None,
    contexts: Annotated[
        int | None, typer.Option(help="Cell lines. Default: as the size has it.", min=1, max=26, show_default=False)
    ] = None,
    doubles: Annotated[int, typer.Option(help="Perturbations of two genes, A+B.", min=0)] = 0,
) -> None:
    """Write a simulated screen, whose truth is known, in the layout of a course or of a challenge.

    Files say in their names that they are simulated. Beside the cells stands what is known of the genes (priors/).

    Example: starter simulate --layout vcc2025 --size vcc-small --seed 1 -o simulated_vcc
    """
    from starter.simulation import biology, challenge, write
    from starter.simulation.setup import SIZES

    layouts = {
        "course": ("course", "default", lambda drawn, folder: [write.write(drawn, folder)]),
        "vcc2025": ("vcc", "vcc", challenge.write_2025),
        "vcc2026": ("vcc2026", "vcc", challenge.write_2026),
    }
    for given, known, what in ((layout, layouts, "layout"), (size, (*SIZES, None), "size")):
        if given not in known:
            msg = f"there is no {what} {given!r}; the {what}s are {', '.join(filter(None, known))}"
            raise InputError(msg)
    usual_size, usual_preset, write_screen = layouts[layout]
    wanted = replace(SIZES[size or usual_size], doubles=doubles)
    if contexts is not None:
        wanted = replace(wanted, contexts=contexts)
    for path in write_screen(biology.draw(preset or usual_preset, seed, wanted), out):
        typer.echo(f"wrote {path} ({path.stat().st_size / 1e6:,.0f} MB): simulated")


def _required(
    course: Path | None, genes: Path | None, perts: Path | None, truth: Path | None, year: int | None
) -> "Requirements | None":
    from starter.prediction.requirements import requirements_of_course, requirements_of_lists
    from starter.prediction.season import SEASON_2026

    if sum(map(bool, (course, genes or perts, truth))) > 1:
        msg = "give one of --course, --truth, or --genes and --perts together"
        raise InputError(msg)
    if truth:
        from starter.scoring.truth.opened import open_truth
        from starter.scoring.truth.requirements import requirements_of_truth

        return requirements_of_truth(open_truth(truth))
    if genes and perts:
        return requirements_of_lists(genes, perts)
    if genes or perts:
        msg = "--genes and --perts go together: give both lists"
        raise InputError(msg)
    if year == SEASON_2026.year:
        if course:
            msg = f"a course asks for log1p expression, season {year} for counts; give --genes and --perts"
            raise InputError(msg)
        return None
    folder = course or os.environ.get(COURSE_VARIABLE)
    return requirements_of_course(folder) if folder else None


def _not_compared(required: "Requirements | None", year: int | None) -> str:
    from starter.prediction.season import SEASON_2026

    options = "--genes and --perts"
    if year != SEASON_2026.year:
        options = f"--course, --truth, or {options}"
    return f"{NOT_COMPARED}{options}" if required is None else ""


def main() -> None:
    """Run the command line."""
    run(app)
