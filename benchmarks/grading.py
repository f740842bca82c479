"""`python -m benchmarks.grading`: a class's submissions of eight questions, graded here and by nbgrader's own means.

The students' notebooks are the same. Here they are graded twice: as forks of a process that imported the libraries, and
each from scratch. nbgrader runs the questions as tests in the notebook's kernel, without a sandbox.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import nbformat
import numpy as np
import typer
from nbgrader.api import Gradebook

from autograder.course import FILE, Course, read_course
from autograder.gradebook.grades import read_grades
from autograder.release.notebooks import release
from benchmarks.stage import PARTS, STAGE, answer, write_stage
from benchmarks.watch import Watched, machine, watch
from starter.console import run
from starter.errors import InputError
from starter.progress import spinner

BIN = Path(sys.executable).parent
COURSE = f'[course]\nname = "class"\n[data]\nseed = 5\n[stages.{STAGE}]\n'
NBGRADER = "c = get_config()\nc.CourseDirectory.course_id = 'class'\nc.ExecutePreprocessor.timeout = 120\n"
FROM_SCRATCH = """
from autograder.sandbox import run, zygotes
zygotes.Zygotes.start = lambda self, *wanted: run.from_scratch(*wanted)
from autograder.cli import main
main()
"""
"""`autograder` where every submission imports the libraries anew."""
SHARE_WRONG = 0.15
"""Of the answers, which are spread over the class."""
PARTLY_RIGHT = "normalise"
"""The question that gives part of the points for a wrong answer, which nbgrader's test does not."""
VERSIONS = ("virtual-cell-course", "nbgrader", "scanpy", "torch", "numpy")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def grading(
    students: Annotated[int, typer.Option(min=1, help="How many hand in.")] = 200,
    jobs: Annotated[int, typer.Option(min=1, help="Submissions that autograder grades at the same time.")] = 2,
    by_nbgrader: Annotated[int, typer.Option(min=0, help="How many of them nbgrader grades too.")] = 60,
    files: Annotated[Path | None, typer.Option(help="Keeps the courses here, for a look.")] = None,
) -> None:
    """Grade the same notebooks in each way, compare points, print a table."""
    with tempfile.TemporaryDirectory() as folder:
        root = files or Path(folder)
        forked, anew, theirs = root / "forked", root / "anew", root / "nbgrader"
        with spinner("lay out the courses"):
            course = _lay_out_ours(forked)
            _lay_out_nbgrader(theirs)
            _hand_in(course, theirs, students, by_nbgrader)
            shutil.copytree(forked, anew)
        grade = ["grade", STAGE, "--jobs", str(jobs)]
        took: dict[str, tuple[int, Watched]] = {}
        with spinner("autograder grade"):
            took[f"autograder {' '.join(grade)}"] = (
                students,
                _succeeded(watch([BIN / "autograder", *grade], root / "forked.log", cwd=forked)),
            )
        with spinner("autograder grade, each from scratch"):
            took["the same, each from scratch"] = (
                students,
                _succeeded(watch([sys.executable, "-c", FROM_SCRATCH, *grade], root / "anew.log", cwd=anew)),
            )
        environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "VCC_COURSE": str(course.public_folder),
        }
        if by_nbgrader:
            command = [BIN / "nbgrader", "autograde", STAGE]
            with spinner("nbgrader autograde"):
                ended = _succeeded(watch(command, root / "nbgrader.log", cwd=theirs, env=environment))
            took["nbgrader autograde"] = min(students, by_nbgrader), ended
        given = {grade.student: grade.points for grade in read_grades(course, STAGE)}
        again = {grade.student: grade.points for grade in read_grades(read_course(anew), STAGE)}
        print(f"{machine(VERSIONS)}\n")
        print(_table(took))
        print(f"\nEach from scratch: {_compared(given, again)}")
        if by_nbgrader:
            print(f"nbgrader: {_compared(given, _points_of_nbgrader(theirs))}")


def _lay_out_ours(root: Path) -> Course:
    root.mkdir(parents=True)
    (root / FILE).write_text(COURSE, encoding="utf-8")
    write_stage(root)
    course = read_course(root)
    release(course)
    return course


def _lay_out_nbgrader(root: Path) -> None:
    write_stage(root, in_process=True)
    (root / "solutions").rename(root / "source")
    (root / "nbgrader_config.py").write_text(NBGRADER, encoding="utf-8")
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    _succeeded(
        watch([BIN / "nbgrader", "generate_assignment", STAGE], root / "generate.log", cwd=root, env=environment)
    )


def _hand_in(course: Course, theirs: Path, students: int, by_nbgrader: int) -> None:
    """Give both the same answers, some of them wrong; nbgrader those of the first students."""
    rng = np.random.default_rng(6)
    names = [part.name for part in PARTS if part.name != PARTLY_RIGHT]
    for number in range(students):
        student = f"student{number:03d}"
        wrong = tuple(name for name in names if rng.random() < SHARE_WRONG)
        for source, root in (
            (course.root / "assignments", course.grading / "submitted"),
            (theirs / "release", theirs / "submitted"),
        )[: 2 if number < by_nbgrader else 1]:
            notebook = nbformat.read(source / STAGE / f"{STAGE}.ipynb", as_version=4)
            folder = root / student / STAGE
            folder.mkdir(parents=True)
            nbformat.write(answer(notebook, wrong), folder / f"{STAGE}.ipynb")


def _succeeded(watched: Watched) -> Watched:
    if watched.failure:
        raise InputError(watched.failure)
    return watched


def _points_of_nbgrader(root: Path) -> dict[str, float]:
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        return {submission.student.id: submission.score for submission in book.assignment_submissions(STAGE)}


def _table(took: dict[str, tuple[int, Watched]]) -> str:
    lines = [
        f"Submissions of {len(PARTS)} questions:\n",
        "| | submissions | seconds | a submission, s | times the first | peak, GiB |",
        "|---|---|---|---|---|---|",
    ]
    each = {name: watched.seconds / students for name, (students, watched) in took.items()}
    first = next(iter(each.values()))
    for name, (students, watched) in took.items():
        cells = f"{watched.seconds:.0f} | {each[name]:.2f} | {each[name] / first:.2f} | {watched.peak / 2**30:.2f}"
        lines.append(f"| {name} | {students} | {cells} |")
    return "\n".join(lines)


def _compared(ours: dict[str, float], theirs: dict[str, float]) -> str:
    same = [student for student in theirs if ours.get(student) == theirs[student]]
    spread = f"from {min(theirs.values()):g} to {max(theirs.values()):g} points"
    return f"Same points for {len(same)} of {len(theirs)} students ({spread})."


if __name__ == "__main__":
    run(app)
