"""The `autograder` command: release a course, grade submissions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autograder.folders import EXPORTS
from starter.console import run
from starter.errors import InputError, counted, listed

if TYPE_CHECKING:
    # --help imports this module: it must stay quick
    from rich.table import Table

    from autograder.course import Course
    from autograder.gradebook.stats import Stats

app = typer.Typer(
    help="Run a course: release its data and notebooks, grade what students hand in. "
    "Add --debug to any command to see the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # to set a page of help in boxes takes longer than all else that --help does
    context_settings={"max_content_width": 100},
)
CourseOption = Annotated[Path, typer.Option("--course", help="The course's course.toml, or its folder.")]
HERE = Path("course.toml")
FEW = 5
"""Students up to whom every question is shown."""


@app.command()
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


@app.command()
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


@app.command("student-kit")
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def roster(
    file: Annotated[Path, typer.Argument(help="What Canvas's gradebook or Moodle's participants or grades exported.")],
    course: CourseOption = HERE,
) -> None:
    """Take students from Canvas or Moodle into course.toml.

    Import again whenever students come: nobody is removed, and teams and all else in course.toml stay. Import the
    exports of both platforms, and students are found by id, login, e-mail address or name.

    Example: autograder roster Gradebook.csv
    """
    from autograder.course import read_course
    from autograder.roster import import_roster

    changes = import_roster(read_course(course), file)
    for names, what in (
        (changes.added, "added"),
        (changes.updated, "updated"),
        (changes.absent, "not in the file, and still in course.toml"),
    ):
        typer.echo(f"{what}: {len(names)}" + (f" ({', '.join(names)})" if names else ""))


@app.command()
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


@app.command()
def stats(
    stage: Annotated[str, typer.Argument(help="Such as 04_baselines.")],
    course: CourseOption = HERE,
) -> None:
    """Show how a stage went, question by question.

    Of each question: the mean share of its points (facility), how well it tells strong from weak work
    (discrimination: the correlation with the points in all other questions), what went wrong most, and the seconds
    that it took at most. Then who handed in, who is late, and what waits for you. Tables (.csv) and a figure go to
    grading/stats/.

    Example: autograder stats 04_baselines
    """
    from rich.console import Console

    from autograder.course import read_course
    from autograder.folders import STATS
    from autograder.gradebook.stats import read_stats, write_stats

    opened = read_course(course)
    found = read_stats(opened, stage)
    paths = write_stats(found, opened.grading / STATS)
    Console().print(questions_table(found))
    states = found.students["state"]
    for state, names in states.groupby(states).groups.items():
        typer.echo(f"{state}: {len(names):,}" + (f" ({listed(names)})" if len(names) < len(states) else ""))
    for column, what in (("days_late", "late"), ("held", "held by the grader"), ("waiting", "waiting for you")):
        if len(names := found.students.index[found.students[column] > 0]):
            typer.echo(f"{what}: {len(names):,} ({listed(names)})")
    for note in found.notes:
        typer.echo(note)
    typer.echo(f"wrote {', '.join(path.name for path in paths)} to {opened.grading / STATS}")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The .zip to write; it must not be there yet.")],
    course: CourseOption = HERE,
) -> None:
    """Write the course into one file.

    It holds what cannot be made again: course.toml with its roster, solutions/, questions/, what students were given,
    the hidden cells, the secret, every attempt, results, the gradebook with all that you gave by hand, and feedback
    pages. It holds the secret and grades, so it is yours alone. The screen that [data] names is not in it.

    Example: autograder backup ../course-2026-10-02.zip
    """
    from autograder.course import read_course
    from autograder.safekeeping.backup import write_backup

    manifest, left_out = write_backup(read_course(course), file)
    size = sum(kept.size for kept in manifest.files.values())
    typer.echo(f"wrote {file}: {counted(len(manifest.files), 'file')} of {size / 1e6:,.1f} MB, each with its hash")
    if left_out:
        typer.echo(f"left out, since these are links, special files or have odd names: {listed(left_out)}", err=True)


@app.command()
def undo(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if what was changed by hand since is lost.")] = False,
    course: CourseOption = HERE,
) -> None:
    """Take back the last collect, grade or release.

    All that it changed is put back as it was: attempts and what counts of them, results, notebooks, the gradebook,
    what was released. It says what that is, and asks. Points and comments that you gave since would be lost, so it
    refuses then. It goes back one step; for more, restore a backup.

    Example: autograder undo
    """
    from autograder.course import read_course
    from autograder.safekeeping.undo import undo as take_back

    def agree(plan: str) -> bool:
        typer.echo(plan)
        return yes or typer.confirm("go on?")

    if take_back(read_course(course), agree, force=force):
        typer.echo("done")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What autograder backup wrote.")],
    folder: Annotated[Path, typer.Argument(help="A new folder for the course.")],
) -> None:
    """Unpack a backup into a new folder.

    Every file is compared with its hash, and nothing is overwritten. The same points come out when you grade there.

    Example: autograder restore course-2026-10-02.zip course
    """
    from autograder.course import read_course
    from autograder.safekeeping.restore import restore_backup
    from autograder.settings import SIMULATED
    from autograder.text import both_times

    manifest = restore_backup(file, folder)
    typer.echo(f"restored {counted(len(manifest.files), 'file')} of {manifest.course} to {folder}")
    opened = read_course(folder)
    typer.echo(f"it is as of {both_times(manifest.made, opened.zone())}; grade there, or with --course {folder}")
    screen = opened.data.screen
    if screen != SIMULATED and not (opened.root / screen).is_file():
        typer.echo(f"the screen {screen} is not in a backup; put it there before you run autograder release")


@app.command()
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


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        msg = f"--received {text}: write date, time and zone, as 2026-10-01T23:59:00+02:00"
        raise InputError(msg)
    return time


def main() -> None:
    """Run the command line."""
    run(app)
