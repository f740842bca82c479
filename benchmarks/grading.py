"""`python -m benchmarks.grading`: a class's submissions of eight questions, graded here and by nbgrader's own means.

The students' notebooks are the same. nbgrader runs the questions as tests in the notebook's kernel, without a sandbox.
"""

import os
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
    files: Annotated[Path | None, typer.Option(help="Keeps the two courses here, for a look.")] = None,
) -> None:
    """Grade the same notebooks both ways, compare points, print a table."""
    with tempfile.TemporaryDirectory() as folder:
        root = files or Path(folder)
        ours, theirs = root / "ours", root / "nbgrader"
        with spinner("lay out two courses"):
            course = _lay_out_ours(ours)
            _lay_out_nbgrader(theirs)
            _hand_in(course, theirs, students)
        command = [BIN / "autograder", "grade", STAGE, "--jobs", str(jobs)]
        with spinner("autograder grade"):
            mine = _succeeded(watch(command, root / "ours.log", cwd=ours))
        environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "VCC_COURSE": str(course.public_folder),
        }
        with spinner("nbgrader autograde"):
            other = _succeeded(
                watch([BIN / "nbgrader", "autograde", STAGE], root / "nbgrader.log", cwd=theirs, env=environment)
            )
        given = {grade.student: grade.points for grade in read_grades(course, STAGE)}
        print(f"{machine(VERSIONS)}\n")
        print(_table(students, jobs, mine, other))
        print(f"\n{_compared(given, _points_of_nbgrader(theirs))}")


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


def _hand_in(course: Course, theirs: Path, students: int) -> None:
    """Give both the same answers, some of them wrong."""
    rng = np.random.default_rng(6)
    names = [part.name for part in PARTS if part.name != PARTLY_RIGHT]
    for number in range(students):
        student = f"student{number:03d}"
        wrong = tuple(name for name in names if rng.random() < SHARE_WRONG)
        for source, root in (
            (course.root / "assignments", course.grading / "submitted"),
            (theirs / "release", theirs / "submitted"),
        ):
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


def _table(students: int, jobs: int, mine: Watched, other: Watched) -> str:
    lines = [
        f"{students} submissions of {len(PARTS)} questions:\n",
        "| | seconds | a submission, s | peak, GiB |",
        "|---|---|---|---|",
    ]
    for name, watched in ((f"autograder grade --jobs {jobs}", mine), ("nbgrader autograde", other)):
        each = watched.seconds / students
        lines.append(f"| {name} | {watched.seconds:.0f} | {each:.2f} | {watched.peak / 2**30:.2f} |")
    return "\n".join([*lines, f"\nA submission takes nbgrader {other.seconds / mine.seconds:.2f} times as long."])


def _compared(ours: dict[str, float], theirs: dict[str, float]) -> str:
    same = [student for student in theirs if ours.get(student) == theirs[student]]
    spread = f"from {min(theirs.values()):g} to {max(theirs.values()):g} points"
    return f"Same points for {len(same)} of {len(theirs)} students ({spread})."


if __name__ == "__main__":
    run(app)
