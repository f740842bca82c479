"""The `autograder` command: release a course, grade submissions."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from starter import progress
from starter.console import run
from starter.schema import counted

app = typer.Typer(
    help="Run a course: release its data and notebooks, grade what students hand in. "
    "Add --debug to any command to see the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
CourseOption = Annotated[Path, typer.Option("--course", help="The course's course.toml, or its folder.")]
HERE = Path("course.toml")


@app.command()
def release(
    course: CourseOption = HERE,
    notebooks: Annotated[bool, typer.Option("--notebooks", help="Only make the notebooks; leave data alone.")] = False,
) -> None:
    """Cut the screen into students' and hidden data, and make the students' notebooks from solutions/.

    Students get assignments/ and data/; grading/ and solutions/ stay with you. Data that were released before stay as
    they are.

    Example: autograder release
    """
    from autograder.course import read_course
    from autograder.release import release as release_all
    from autograder.release import release_notebooks

    (release_notebooks if notebooks else release_all)(read_course(course), report=typer.echo)


@app.command("student-kit")
def student_kit(
    out: Annotated[Path, typer.Option(help="The .zip to write.")] = Path("student-kit.zip"),
    course: CourseOption = HERE,
) -> None:
    """Pack what students get: notebooks, their data, starter, and how to install it.

    Example: autograder student-kit
    """
    import starter
    from autograder.course import read_course
    from autograder.kit import write_kit

    names = write_kit(read_course(course), Path(starter.__file__).parents[1], out)
    typer.echo(f"wrote {out}: {len(names)} files, {out.stat().st_size / 1e6:.1f} MB")


@app.command()
def grade(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    student: Annotated[list[str] | None, typer.Option(help="Only this student; may be repeated.")] = None,
    course: CourseOption = HERE,
) -> None:
    """Grade submissions in a sandbox, and put the points into nbgrader's gradebook.

    Submissions are at grading/submitted/STUDENT/STAGE/STAGE.ipynb. One that was graded before is not run again.

    Example: autograder grade 04_baselines
    """
    from autograder import gradebook
    from autograder.course import read_course
    from autograder.grade import grade_stage
    from autograder.submissions import printable, students_of

    opened = read_course(course)
    opened.check_stage(stage)
    known, odd = students_of(opened, stage)
    total = len(student or known)
    with progress.bar(f"grade {stage}", total) as advance:
        results, failed = grade_stage(opened, stage, student, report=lambda student: advance())
    failed |= gradebook.record(opened, stage, [result.student for result in results])
    if results:
        Console().print(results_table(results))
    for result in results:
        for note in [*result.notes, *(f"held: {question.held}" for question in result.questions if question.held)]:
            typer.echo(f"{result.student}: {note}")
    for name in odd:
        failed[name] = "not graded: a student's folder is named with letters, digits and . _ @ -"
    for name, reason in failed.items():
        typer.echo(f"{printable(name)}: {printable(reason)}", err=True)
    if failed:
        raise typer.Exit(2)


@app.command()
def feedback(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    student: Annotated[list[str] | None, typer.Option(help="Only this student; may be repeated.")] = None,
    course: CourseOption = HERE,
) -> None:
    """Write a page for each student: points, what was taken off, reasons, your comments.

    Pages are at grading/feedback/STUDENT/STAGE/STAGE.html. They say what the gradebook says now, so write them again
    after you graded by hand. Hand them out by your LMS, or with: nbgrader release_feedback STAGE

    Example: autograder feedback 04_baselines
    """
    from autograder.course import read_course
    from autograder.feedback import write_feedback

    opened = read_course(course)
    pages, failed = write_feedback(opened, stage, student)
    typer.echo(f"wrote {counted(len(pages), 'page')} to {opened.grading / 'feedback'}")
    for reason in failed.values():
        typer.echo(reason, err=True)
    if failed:
        raise typer.Exit(2)


def results_table(results: list) -> Table:
    """Set points and reasons in a table, a row a student and question."""
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


def main() -> None:
    """Run the command line."""
    run(app)
