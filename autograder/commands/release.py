"""Data, notebooks and the student kit: released, and tried before."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autograder.commands.options import HERE, CourseOption
from starter.errors import InputError, counted

if TYPE_CHECKING:
    # --help imports this module: it must stay quick
    from autograder.course import Course


def release(
    course: CourseOption = HERE,
    notebooks: Annotated[bool, typer.Option("--notebooks", help="Only make the notebooks; leave data alone.")] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Release although labels of one gene stand in several parts of the split.")
    ] = False,
    rehearsal: Annotated[
        bool,
        typer.Option(
            "--rehearsal/--no-rehearsal",
            help="Rehearse what changed, and refuse what fails; else take a broken solution as it is.",
        ),
    ] = True,
) -> None:
    """Cut the screen, and make the students' notebooks.

    The screen becomes students' and hidden data; notebooks are made of solutions/. Students get assignments/ and data/;
    grading/ and solutions/ stay with you. Data that were released before stay as they are. What of a screen and its
    split is unsound is said: too few or too weak hidden perturbations, contexts pooled, what notebooks would miss,
    cells that are public. Stages whose notebook, questions or data changed are rehearsed first, a minute or two each.

    Example: autograder release
    """
    from autograder.course import read_course
    from autograder.release.notebooks import release as release_all
    from autograder.release.notebooks import release_notebooks
    from autograder.release.rehearsal import changed_stages
    from autograder.safekeeping.step import step
    from autograder.sandbox.ready import NoSandboxError, check_sandbox

    opened = read_course(course)

    def rehearse_changed() -> None:
        try:
            check_sandbox()
        except NoSandboxError as error:
            typer.echo(f"warning: nothing was rehearsed: {error}", err=True)
            return
        if stages := changed_stages(opened):
            _rehearse(opened, stages)

    with step(opened, "release"):
        if notebooks:
            release_notebooks(opened, report=typer.echo)
        else:
            rehearse_it = rehearse_changed if rehearsal else lambda: None
            release_all(opened, report=typer.echo, allow=allow, rehearse=rehearse_it)


def rehearse(
    stages: Annotated[list[str] | None, typer.Argument(help="Such as 04_baselines. Default: all.")] = None,
    course: CourseOption = HERE,
) -> None:
    """Try notebooks and questions on this course's data.

    For each stage, in the sandbox: the solved notebook earns all points of its questions, the untouched one none, and
    every cell of the solved one runs; its prediction is scored by the rubric; each usual mistake is caught, and named
    to who makes it. What is not so is said in a sentence, and the exit status is 2. No grade and nothing that was
    handed in is touched; a minute or two each stage. Seconds of all cells are in grading/rehearsals/STAGE.json.

    Example: autograder rehearse 04_baselines
    """
    from autograder.course import read_course

    opened = read_course(course)
    _rehearse(opened, stages or list(opened.stages))


def _rehearse(course: "Course", stages: list[str]) -> None:
    """Rehearse stages, show how they went, and refuse faults."""
    from rich.console import Console
    from rich.table import Table

    from autograder.release.rehearsal import rehearse as rehearse_all
    from autograder.text import printable

    done = rehearse_all(course, stages)
    table = Table(title="Rehearsed on one core of this machine", title_justify="left")
    table.add_column("stage", no_wrap=True)
    for column in ("questions", "points", "mistakes", "minutes", "memory", "faults"):
        table.add_column(column, justify="right")
    for one in done:
        points = f"{one.points:g} of {one.most:g}"
        took = (f"{one.run.seconds / 60:.1f}", f"{one.run.peak / 2**30:.1f} GiB")
        table.add_row(one.stage, str(one.n_questions), points, str(one.n_mistakes), *took, str(len(one.faults)))
    Console().print(table)
    for one in done:
        if one.prediction:
            typer.echo(f"{one.stage}: the solved notebook's prediction earns {printable(one.prediction)}")
    for one in done:
        if lacking := dict.fromkeys(cell.left_out for cell in one.run.cells if cell.left_out):
            n_cells = sum(bool(cell.left_out) for cell in one.run.cells)
            typer.echo(f"{one.stage}: {counted(n_cells, 'cell')} left out; {printable(next(iter(lacking)))}")
    faults = [f"{one.stage}: {printable(fault)}" for one in done for fault in one.faults]
    if faults:
        msg = "\n".join(
            [f"the rehearsal found {counted(len(faults), 'fault')}:", *(f"  - {fault}" for fault in faults)]
        )
        raise InputError(msg)


def student_kit(
    stages: Annotated[
        list[str] | None,
        typer.Argument(help="With --reveal: the stages whose answers are added. Default: all.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="The .zip to write.")] = Path("student-kit.zip"),
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Add modules of starter that answer questions, whatever the deadline is.")
    ] = False,
    course: CourseOption = HERE,
) -> None:
    """Pack what students get, in one .zip.

    It holds notebooks, their data, starter, and how to install it.

    Modules of starter that answer a stage's questions are left out until its deadline, and every extension, is over; a
    stage without a deadline keeps them until --reveal. Then pack again, and hand out the new archive: students put its
    folder starter in place of theirs, and keep their notebooks.

    Example: autograder student-kit; autograder student-kit --reveal 05_cvae
    """
    import starter
    from autograder.course import read_course
    from autograder.release.student_kit import answers_of, last_moment, write_kit
    from autograder.text import both_times

    if stages and not reveal:
        msg = f"stages are named with --reveal: autograder student-kit --reveal {' '.join(stages)}"
        raise InputError(msg)
    opened = read_course(course)
    answers = answers_of(opened, stages or opened.stages if reveal else ())
    modules = {module for some in answers.values() for module in some}
    names = write_kit(opened, Path(starter.__file__).parents[1], out, modules)
    typer.echo(f"wrote {out}: {len(names)} files, {out.stat().st_size / 1e6:.1f} MB")
    for stage, some in answers.items():
        if some:
            end = last_moment(opened.stages[stage])
            until = f"until {both_times(end, opened.zone(stage))}" if end else f"until --reveal {stage}: no deadline"
            typer.echo(f"{stage}: held back {until}: {', '.join(some)}")
