"""What students hand in, and what they ask."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from autograder.commands.options import HERE, CourseOption
from starter.errors import InputError, counted, listed


def collect(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A download of all submissions from Moodle or Canvas (.zip), or a folder or .zip with "
            "STUDENT/STAGE.ipynb or STUDENT/STAGE/. Default: nbgrader's exchange.",
            show_default=False,
        ),
    ] = None,
    received: Annotated[
        str | None,
        typer.Option(
            help="When all of the download had been handed in, as 2026-10-01T23:59:00+02:00. Default: for a .zip its "
            "own time, for files since when this machine has them.",
            show_default=False,
        ),
    ] = None,
    course: CourseOption = HERE,
) -> None:
    """Bring in what students handed in.

    The attempt that counts is put into grading/submitted/STUDENT/STAGE/. Every attempt is kept in grading/attempts/
    with the time it was received; collecting again adds what is new. The last attempt before a student's deadline
    counts; if there is none, the last one at all.

    Example: autograder collect 04_baselines downloaded.zip --received 2026-10-01T23:59:00+02:00
    """
    from rich.console import Console
    from rich.table import Table

    from autograder.course import read_course
    from autograder.gradebook.book import write_settings
    from autograder.gradebook.late import days_late
    from autograder.handed_in import attempts
    from autograder.handed_in.submissions import Submission
    from autograder.safekeeping.step import step
    from autograder.text import printable, shown_time

    opened = read_course(course)
    opened.check_stage(stage)
    since = _time(received) if received else None
    with step(opened, "collect", stage):
        write_settings(opened)  # it names the exchange, and an earlier kit may have written it
        done = attempts.collect(opened, stage, source, since)
    if done.new:
        table = Table(title=f"New attempts at {stage}", title_justify="left")
        zone = opened.zone(stage)
        clocks = {"received": UTC} | ({"in the course's zone": zone} if zone else {})
        for column in ("student", *clocks, "days late", "counts"):
            table.add_column(column, no_wrap=column in clocks)
        for attempt in done.new:
            submission = Submission(opened, stage, attempt.student)
            counts = any(attempts.counting_attempt(mates) == attempt for mates in submission.team)
            days = days_late(submission, attempt.received)
            times = [shown_time(attempt.received, zone) if attempt.received else "?" for zone in clocks.values()]
            table.add_row(attempt.student, *times, str(days), "yes" if counts else "no")
        Console().print(table)
    typer.echo(f"collected {counted(len(done.new), 'new attempt')}; {done.known:,} were there before")
    for note in done.notes:
        typer.echo(printable(note))
    for name in done.kept:
        typer.echo(f"{name}: the files in grading/submitted/ were placed by hand; they are kept as an attempt")
    if done.placed:
        typer.echo(f"in grading/submitted/ there is another attempt now of: {', '.join(done.placed)}")
    if done.left_out:
        names = listed([printable(name) for name in done.left_out])
        typer.echo(f"left out, since these are no regular files or have odd names: {names}")
    for reason in done.refused:
        typer.echo(printable(reason), err=True)
    if done.refused:
        raise typer.Exit(2)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        msg = f"--received {text}: write date, time and zone, as 2026-10-01T23:59:00+02:00"
        raise InputError(msg)
    return time


def requests(
    stage: Annotated[str | None, typer.Argument(help="Such as 04_baselines. Default: all.", show_default=False)] = None,
    course: CourseOption = HERE,
) -> None:
    """List requests to look at a grade again.

    Students write them into regrade.md or regrade.txt beside a notebook that they handed in. A request waits until a
    feedback page is written after it was collected.

    Example: autograder requests 04_baselines
    """
    from autograder.course import read_course
    from autograder.gradebook.requests import read_requests
    from autograder.text import both_times

    opened = read_course(course)
    if stage:
        opened.check_stage(stage)
    found = [request for name in ([stage] if stage else opened.stages) for request in read_requests(opened, name)]
    for request in found:
        zone = opened.zone(request.stage)
        received = both_times(request.received, zone) if request.received else "at an unknown time"
        state = f"feedback since {both_times(request.answered, zone)}" if request.answered else "waits"
        typer.echo(f"{request.student}, {request.stage}, received {received}: {state}")
        typer.echo("".join(f"    {line}\n" for line in request.text.splitlines()))
    if not found:
        typer.echo("no requests: students write them into regrade.md beside the notebook, and hand in again")
