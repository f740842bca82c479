"""A student's notebooks: how far they are, and handing them in."""

from pathlib import Path
from typing import Annotated

import typer

from starter.errors import InputError


def progress(
    folder: Annotated[
        Path, typer.Argument(help="The course's folder, that of all notebooks, or that of one.", show_default=False)
    ] = Path(),
) -> None:
    """Show how far you are in all notebooks.

    Nothing is run: the points are what the last cell of each notebook, progress(), found when it ran. What was saved
    with other blanks since is said; run the notebook again.

    Example: starter progress
    """
    from rich.console import Console

    from starter.assignment.overview import look_at, overview_table
    from starter.assignment.stage import stage_folders

    folders = stage_folders(folder)
    if not folders:
        msg = f"{folder.absolute()} holds no notebook of a course; name the course's folder, which has assignments/"
        raise InputError(msg)
    Console().print(overview_table(map(look_at, folders)))


def hand_in(
    stage: Annotated[str, typer.Argument(help="The notebook, such as 04 or 04_baselines.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Further files beside it that it reads.", show_default=False)
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(help="Your id in the course. Default: your login.", show_default=False),
    ] = None,
) -> None:
    """Check a notebook with its files, and hand them in.

    Taken are the notebook as it is saved, the prediction and files that its questions ask for, regrade.md, and FILES.
    They are looked at as the grader does: what would cost points is said, what could not be graded is refused. Then
    they go where course.toml says ([hand_in]): to a folder, to nbgrader's exchange, or into a .zip to upload.

    Example: starter hand-in 04
    """
    from datetime import UTC, datetime

    from starter.assignment.bundle import bundle_of
    from starter.assignment.course_file import read_course_file
    from starter.assignment.hand_in import hand_in as hand_in_bundle
    from starter.assignment.hand_in import login
    from starter.assignment.overview import ago
    from starter.assignment.progress import summary
    from starter.assignment.record import read_record
    from starter.assignment.stage import find_stage

    folder = find_stage(stage, Path())
    course = read_course_file(folder)
    bundle = bundle_of(folder, course.sizes, files or ())
    name, notebook = next(iter(bundle.files.items()))
    saved = datetime.fromtimestamp(notebook.stat().st_mtime, UTC)
    typer.echo(f"{name}, saved {ago(saved)}; if you changed it since, save it and hand in again")
    for other, path in list(bundle.files.items())[1:]:
        typer.echo(f"with {other}, {path.stat().st_size / 1e6:,.1f} MB")
    if record := read_record(folder):
        typer.echo(f"its last cell found {ago(record.when)}: {summary(record.standings)}")
    for note in bundle.notes:
        typer.echo(f"mind: {note}", err=True)
    typer.echo(hand_in_bundle(bundle, course, student or login()))
    if deadline := course.deadlines.get(bundle.stage.name):
        over = datetime.now(UTC) > deadline
        typer.echo(f"the deadline {'was' if over else 'is'} {deadline:%Y-%m-%d %H:%M %z}")
    if course.hand_in.leaderboard:
        typer.echo(f"the class's leaderboard of predictions: {course.hand_in.leaderboard}")


def submit(
    file: Annotated[Path, typer.Argument(help="The prediction, a .vcc or .h5ad.")],
    to: Annotated[
        str | None,
        typer.Option("--to", help="The leaderboard's page. Default: the one that course.toml names."),
    ] = None,
    note: Annotated[str, typer.Option(help="What your team says of it, such as: ridge on GO, alpha 10.")] = "",
) -> None:
    """Send a prediction to the class's leaderboard.

    It is sent in parts; where the connection breaks, it goes on from there, and so it does if you stop it and run it
    again. Your team's token is taken from the environment variable VCC_TOKEN, else it is asked for. `starter check`
    finds beforehand what would be refused.

    Example: starter submit prediction.vcc --note "ridge on GO"
    """
    import os

    from starter.assignment.course_file import read_course_file
    from starter.assignment.leaderboard import submit as send

    url = to or read_course_file(Path()).hand_in.leaderboard
    if not url:
        msg = "course.toml names no leaderboard ([hand_in] leaderboard); give its page with --to"
        raise InputError(msg)
    token = os.environ.get("VCC_TOKEN") or typer.prompt("your team's token", hide_input=True)
    typer.echo(f"handed in: {send(file, url, token, note)}")
