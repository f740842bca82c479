"""Predictions: made, brought in from elsewhere, turned into cells and uploads, checked."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from starter.commands.options import (
    LEVELS,
    CourseOption,
    GenesOption,
    NtcNameOption,
    PertColOption,
    PertsOption,
    SeasonOption,
    TruthOption,
    not_compared,
    requirements_due,
)
from starter.errors import InputError, counted
from starter.schema import CONTROL, TARGET_GENE


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
    """Report all that is wrong with a prediction or upload.

    What is due comes from --course, from --truth, from --genes and --perts together, or from the folder that VCC_COURSE
    names.
    The exit status is 2 if there is an error.

    Example: starter check prediction.h5ad --course data/my-course
    """
    from rich.console import Console

    from starter.prediction.check import check_prediction
    from starter.prediction.content import Naming
    from starter.prediction.vcc import season_of

    found = season_of(file)
    required = requirements_due(course, genes, perts, truth, found.year if found else season)
    findings = check_prediction(file, required, season, Naming(pert_col, ntc_name))
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"[{LEVELS[finding.level]}]{finding.level:>7}[/]  ", end="")
        console.print(str(finding), markup=False, highlight=False)
    if errors := sum(finding.level == "error" for finding in findings):
        typer.echo(f"{file} has {counted(errors, 'error')}; scoring would refuse or misjudge it", err=True)
        raise typer.Exit(2)
    typer.echo(f"{file} has no error" + not_compared(required, found.year if found else season))


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
    """Check a prediction and make the upload (.vcc) of it.

    What is due is found as by starter check. The season is 2025 if --season is not given. An upload of 2025 is what
    cell-eval prep 0.8.2 writes of the same file; its column is named target_gene, its controls non-targeting.

    Example: starter pack prediction.h5ad -o prediction.vcc --course data/my-course
    """
    from starter.prediction.content import Naming
    from starter.prediction.pack import pack as pack_upload
    from starter.prediction.season import SEASON_2025

    year = season or SEASON_2025.year
    required = requirements_due(course, genes, perts, truth, year)
    naming = Naming(pert_col, ntc_name)
    for finding in pack_upload(file, out, required, year, naming=naming, controls=controls, normalise=normalise):
        typer.echo(f"{finding.level}: {finding}")
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)" + not_compared(required, year))


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
    """Bring a published model's prediction to a course.

    Its labels, genes and scale become the course's. anndata: cells or means with obs.condition (GENE+ctrl, ctrl, A+B);
    arrays: a dictionary in .npz or .json, such as of GEARS.predict and CellFlow.predict; cpa: obsm CPA_pred;
    perturbench: its prediction_chunk_*.h5ad; pie: the parquet of pie infer; state: .h5ad of state tx infer or predict.
    Which model needs what: docs/models.md.

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
    """Learn from a screen and predict profiles.

    `starter cells` makes an upload of them. Predicted are the perturbations of --perts in every context of the screen;
    with --course, the course's hidden ones. Only profiles are held in memory, whatever the size of the screen; models
    of single cells read 200 of each perturbation at most. The models: docs/models.md.

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
    """Make cells of predicted profiles, and an upload.

    It is written, checked and packed in one go. Cells are made of control cells, in each context of its own, so that
    they have the zeros and the spread of real ones; the mean of each gene is the predicted one (thin: to one UMI).
    Season 2025 and courses: log1p expression with the control cells. Season 2026: raw counts without. What is wrong is
    said before anything is written, the disk is looked at first, and what stood at --out stays until the new file is
    complete. On two cores 100,000 cells of season 2025 take two minutes and 3 GB of memory, 360,000 of 2026 three and a
    half.

    Example: starter cells knn.parquet -o pred.vcc --controls train.h5ad --perts pert_counts.csv
    """
    from starter.prediction.season import SEASON_2025
    from starter.prediction.upload_of_files import Sources, upload_files

    sources = Sources(table, baseline, controls or (), train, perts, genes, course, spread, measured)
    for finding in upload_files(sources, out, season or SEASON_2025.year, way, seed, target_sum):
        typer.echo(f"{finding.level}: {finding}")
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
