"""Models beside each other: one that is tried, and the bench."""

from pathlib import Path
from typing import Annotated

import typer

from starter.commands.options import RULE_SETS, CourseOption
from starter.errors import InputError


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
    """Try your own model, and say whether it is ahead.

    Ahead means beyond noise, of the train mean and the kit's models. MODEL has two functions: fit(data) learns from the
    training perturbations, predict(model, pairs) gives a profile table. It is fitted without a quarter of the training
    perturbations, four times, and scored on those left out by the course's rules, beside models of the kit. Then it is
    fitted on all of them: OUT receives the profile table of the hidden perturbations, the prediction file made of it,
    its check, and the scorecard of public validation.

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
    """Compare models and uploads as the challenge would.

    All of it is done offline: hide perturbations, predict, make cells, score. Each arm learns from what a panel does
    not hide, and its profiles become cells, a prediction file, and a score by the full rule set, as by starter cells,
    check and score. A prediction that is ready (a table, an upload) fixes who is hidden. OUT keeps what is finished:
    the same command goes on where it was stopped, and more arms, folds or seeds cost only themselves.

    Example: starter bench "neighbour mean" ridge my_model.py --screen screen.h5ad --out bench
    """
    from starter.bench.arms import read_arms
    from starter.bench.bench import Dealt
    from starter.bench.bench import bench as compare_arms
    from starter.bench.ground import ground_of_course, ground_of_screen, simulated_screen
    from starter.bench.report import FILES, print_standings
    from starter.data.course import open_course

    if screen and course:
        msg = "give one of --screen and --course"
        raise InputError(msg)
    read = read_arms(arms)  # before a screen is made, which takes long
    if course:
        ground = ground_of_course(open_course(course), profile)
    else:
        ground = ground_of_screen(screen or simulated_screen(out / "screen"), profile)
    came = compare_arms(read, ground, out, Dealt(hide, folds, seeds, context))
    print_standings(came.standings)
    typer.echo(f"wrote {', '.join(str(out / name) for name in FILES)}")
    for fault in came.ran.faults.values():
        typer.echo(f"error: {fault}", err=True)
    if came.ran.faults:
        raise typer.Exit(2)
