"""Grades: pages for students, tables for platforms, and how a stage went."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autograder.commands.options import HERE, CourseOption
from autograder.folders import EXPORTS
from starter.errors import counted, listed

if TYPE_CHECKING:
    # --help imports this module: it must stay quick
    from rich.table import Table

    from autograder.gradebook.stats import Stats


def feedback(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    student: Annotated[list[str] | None, typer.Option(help="Only this student; may be repeated.")] = None,
    course: CourseOption = HERE,
) -> None:
    """Write a page for each student.

    It has points, what was taken off, reasons, and your comments. Pages are at
    grading/feedback/STUDENT/STAGE/STAGE.html. They say what the gradebook says now, so write them again after you
    graded by hand. Hand them out by your LMS, or with: nbgrader release_feedback STAGE

    Example: autograder feedback 04_baselines
    """
    from autograder.course import read_course
    from autograder.gradebook.feedback import write_feedback
    from autograder.text import printable

    opened = read_course(course)
    pages, failed = write_feedback(opened, stage, student)
    typer.echo(f"wrote {counted(len(pages), 'page')} to {opened.grading / 'feedback'}")
    for reason in failed.values():
        typer.echo(printable(reason), err=True)
    if failed:
        raise typer.Exit(2)


def export(
    stages: Annotated[list[str] | None, typer.Argument(help="Such as 04_baselines. Default: all graded.")] = None,
    kind: Annotated[
        Literal["csv", "canvas", "moodle"],
        typer.Option("--format", help="csv: every question, for a spreadsheet or pandas; or what a platform imports."),
    ] = "csv",
    out: Annotated[Path | None, typer.Option(help="Default: grading/exports/FORMAT.csv.", show_default=False)] = None,
    course: CourseOption = HERE,
) -> None:
    """Write grades to a file, for Canvas, Moodle or pandas.

    They are as the gradebook has them now: by the grader or by hand, less what is off for lateness. Canvas: Grades >
    Import. Moodle: Grades > Import > CSV file. Grades that may still change are left out there, and listed.

    Example: autograder export 04_baselines --format canvas
    """
    from autograder.course import read_course
    from autograder.gradebook.exports import write_export

    opened = read_course(course)
    path = out or opened.grading / EXPORTS / f"{kind}.csv"
    notes = write_export(opened, stages or [], kind, path)
    typer.echo(f"wrote {path}")
    for note in notes:
        typer.echo(note, err=True)


def stats(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    course: CourseOption = HERE,
) -> None:
    """Show how a stage went, question by question.

    Of each question: the mean share of its points (facility), how well it tells strong from weak work
    (discrimination: the correlation with the points in all other questions), what went wrong most, and the seconds
    that it took at most. Then who handed in, is late, waits for you or asks for another look, and who took the grader
    longest. Tables (.csv) and a figure go to grading/stats/. The leaderboard's server shows the same to instructors.

    Example: autograder stats 04_baselines
    """
    from rich.console import Console

    from autograder.course import read_course
    from autograder.folders import STATS
    from autograder.gradebook.stats import read_stats, write_stats

    opened = read_course(course)
    found = read_stats(opened, stage)
    if len(found.questions):
        Console().print(questions_table(found))
    for group, students in found.groups.items():
        if students:
            typer.echo(f"{group}: {len(students):,} ({listed(students)})")
    if len(scores := found.students["score"].dropna()):
        spread = f"median {scores.median():.3f}, from {scores.min():.3f} to {scores.max():.3f}"
        typer.echo(f"scores of predictions: {spread} ({counted(len(scores), 'student')})")
    if len(found.slowest):
        slowest = [f"{student} {row.seconds:.1f} s ({row.question})" for student, row in found.slowest.iterrows()]
        typer.echo(f"slowest: {', '.join(slowest)}")
    for note in found.notes:
        typer.echo(note)
    if len(found.questions):
        paths = write_stats(found, opened.grading / STATS)
        typer.echo(f"wrote {', '.join(path.name for path in paths)} to {opened.grading / STATS}")


def questions_table(found: "Stats") -> "Table":
    """Set how a stage's questions went in a table, a row a question."""
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    from autograder.gradebook.stats import RIGHT

    table = Table(title=f"Questions of {found.stage}", title_justify="left")
    table.add_column("question", no_wrap=True)
    for column in ("n", "points", "facility", "discrimi-\nnation", "seconds,\nlongest"):
        table.add_column(column, justify="right")
    table.add_column("what went wrong most")
    wrong = found.mistakes[found.mistakes["cause"] != RIGHT].groupby("question").first()
    for name, row in found.questions.iterrows():
        most = f"{wrong.loc[name, 'share']:.0%}: {wrong.loc[name, 'cause']}" if name in wrong.index else ""
        numbers = [
            "-" if pd.isna(row[column]) else f"{row[column]:{form}}"
            for column, form in (
                *(("n", ".0f"), ("max", "g"), ("facility", ".0%"), ("discrimination", ".2f")),
                ("seconds_longest", ".1f"),
            )
        ]
        table.add_row(str(name), *numbers, Text(most))
    return table
