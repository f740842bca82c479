"""The `autograder` command: release a course, grade submissions."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from starter import progress
from starter.console import run

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

    with progress.spinner("releasing"):
        (release_notebooks if notebooks else release_all)(read_course(course), report=typer.echo)


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
    from autograder.grade import grade_stage, students_of

    opened = read_course(course)
    opened.check_stage(stage)
    total = len(student or students_of(opened, stage))
    with progress.bar(f"grade {stage}", total) as advance:
        results = grade_stage(opened, stage, student, report=lambda result: advance())
    gradebook.record(opened, stage, [result.student for result in results])
    Console().print(results_table(results))
    for result in results:
        for note in result.notes:
            typer.echo(f"{result.student}: {note}")


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
            table.add_row(result.student, question.name, points, _plain(question.reason))
    return table


def _plain(text: str) -> str:
    """Leave a student's text no way to steer the terminal or the table's markup."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.replace("[", "\\[")


def main() -> None:
    """Run the command line."""
    run(app)
