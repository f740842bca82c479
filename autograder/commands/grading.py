"""Points, and code that is alike."""

from typing import TYPE_CHECKING, Annotated

import typer

from autograder.commands.options import HERE, CourseOption
from starter.errors import counted

if TYPE_CHECKING:
    # --help imports this module: it must stay quick
    from rich.table import Table


FEW = 5
"""Students up to whom every question is shown."""


def grade(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    student: Annotated[list[str] | None, typer.Option(help="Only this student; may be repeated.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Submissions at the same time. Default: as cores and memory allow.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Grade on the workers of this Dask scheduler, tcp://HOST:PORT (docs/cluster.md).")
    ] = None,
    course: CourseOption = HERE,
) -> None:
    """Grade submissions in a sandbox.

    The points go into nbgrader's gradebook. Submissions are at grading/submitted/STUDENT/STAGE/STAGE.ipynb. One that
    was graded before is not run again, so a batch that was stopped goes on where it stopped. What could not be graded
    is listed at the end, a line each.

    Example: autograder grade 04_baselines --jobs 2
    """
    from rich.console import Console

    from autograder.course import read_course
    from autograder.gradebook import book
    from autograder.gradebook.requests import read_requests
    from autograder.grading.batch import fitting_jobs
    from autograder.grading.grade import grade_stage
    from autograder.handed_in.attempts import place_attempts
    from autograder.handed_in.submissions import students_of
    from autograder.safekeeping.step import step
    from autograder.sandbox.ready import gpu_devices
    from autograder.text import printable
    from starter import progress

    opened = read_course(course)
    opened.check_stage(stage)
    remarks: list[str] = []
    with step(opened, "grade", stage):
        if (board := opened.settings.leaderboard) and board.stage == stage:
            from autograder.leaderboard.board import board_of
            from autograder.leaderboard.handover import hand_over
            from autograder.leaderboard.store import open_board

            for name in hand_over(opened, open_board(board_of(opened).url)):
                typer.echo(f"{name}: the entry that the team chose on the leaderboard counts")
        # a deadline or an extension may have changed since they were collected
        for name in place_attempts(opened, stage, student):
            typer.echo(f"{name}: another attempt counts than before")
        known, odd = students_of(opened, stage)
        book.check_points(opened, stage)
        if opened.limits.gpu:
            here = ", ".join(map(str, gpu_devices())) or "nothing: this machine has no GPU"
            devices = "the GPUs of each worker" if dask else here
            typer.echo(f"limits.gpu opens to students' code: {devices}")
        jobs = jobs or fitting_jobs(opened.limits.memory_gib)
        with progress.bar(f"grade {stage}", len(student or known)) as advance:
            results, failed = grade_stage(opened, stage, student, lambda student: advance(), jobs, dask, remarks.append)
        with progress.spinner("fill the gradebook"):
            failed |= book.record_results(opened, stage, [result.student for result in results])
    if results:
        Console().print(results_table(results) if len(results) <= FEW else summary_table(results))
    for remark in remarks:
        typer.echo(printable(remark))
    for result in results:
        for note in [*result.notes, *(f"held: {question.held}" for question in result.questions if question.held)]:
            typer.echo(f"{result.student}: {note}")
    for name in odd:
        failed[name] = "not graded: a student's folder is named with letters, digits and . _ @ -"
    if waiting := sum(request.answered is None for request in read_requests(opened, stage)):
        typer.echo(f"{counted(waiting, 'request')} to look at a grade again: autograder requests {stage}")
    for name, reason in failed.items():
        typer.echo(f"{printable(name)}: {printable(reason)}", err=True)
    if failed:
        raise typer.Exit(2)


def similar(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    course: CourseOption = HERE,
) -> None:
    """Show pairs of submissions that share unusual code.

    It is a hint where to look, not a proof. Submissions that share code with modules of the kit which the questions
    leave out are shown, too. The page grading/similar/STAGE.html has both texts side by side.

    Example: autograder similar 04_baselines
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from autograder.course import read_course
    from autograder.gradebook.similar import compare_stage

    pairs, path, notes = compare_stage(read_course(course), stage)
    titles = {
        f"Unusual code that pairs share in {stage}: a hint, not a proof": [pair for pair in pairs if not pair.of_kit],
        "Code that left-out modules of the kit have too: a hint, not a proof": [pair for pair in pairs if pair.of_kit],
    }
    for title, some in titles.items():
        if some:
            table = Table(title=title, title_justify="left")
            table.add_column("pair")
            table.add_column("of the shorter's", justify="right")
            table.add_column("fingerprints", justify="right")
            for pair in some:
                table.add_row(Text(" and ".join(pair.students)), f"{100 * pair.share:.0f} %", str(pair.shared))
            Console().print(table)
    if all(pair.of_kit for pair in pairs):
        typer.echo("no two submissions share much unusual code")
    typer.echo(f"wrote {path}")
    for note in notes:
        typer.echo(note, err=True)


def summary_table(results: list) -> "Table":
    """Set the points of many in a table, a row a student."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Points for {results[0].stage}", title_justify="left")
    table.add_column("student")
    table.add_column("points", justify="right")
    table.add_column("points lost in")
    for result in results:
        lost = [question for question in result.questions if question.points < question.max]
        where = ", ".join(f"{question.name} ({question.points - question.max:g})" for question in lost)
        table.add_row(*(Text(text) for text in (result.student, f"{result.points:g} of {result.max:g}", where)))
    return table


def results_table(results: list) -> "Table":
    """Set points and reasons in a table, a row a student and question."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Points for {results[0].stage}", title_justify="left")
    table.add_column("student")
    table.add_column("question")
    table.add_column("points", justify="right")
    table.add_column("reason")
    for result in results:
        for question in result.questions:
            points = f"{question.points:g} of {question.max:g}"
            table.add_row(*(Text(text) for text in (result.student, question.name, points, question.reason)))
    return table
