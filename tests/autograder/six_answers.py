"""A small class on one stage, whose numbers can be worked out by hand."""

import dataclasses
from pathlib import Path

from handing_in import RIGHT, STAGE, WRONG, put_result, submit

from autograder.course import Course, read_course
from autograder.gradebook import book
from autograder.grading.judge import EMPTY
from autograder.grading.results import QuestionResult

CAUSE = "this takes the largest; use the mean"
QUESTION = QuestionResult("train_mean", 0.0, 5.0, "wrong", 1.0)
ANSWERS = {
    "ada": dataclasses.replace(QUESTION, points=5.0, reason="right", seconds=0.5),
    "bob": dataclasses.replace(QUESTION, points=2.0, cause=CAUSE, seconds=2.0),
    "cyd": dataclasses.replace(QUESTION, cause=CAUSE, held="look at it"),
    "dan": dataclasses.replace(QUESTION, cause=EMPTY, seconds=0.1),
    "eve": dataclasses.replace(QUESTION, reason="NameError: x", seconds=9.0),
    "fay": dataclasses.replace(QUESTION, points=5.0, reason="right", seconds=0.5),
}
ROSTER = """
[[roster.students]]
id = "ada"
name = "=Ada"
team = "helix"

[[roster.students]]
id = "fay"
team = "helix"

[[roster.students]]
id = "gus"
"""


def record_six(root: Path) -> Course:
    """Have seven hand in: six results, of which two are a team's on the same files, and one that was not graded."""
    path = root / "course.toml"
    path.write_text(f"{path.read_text()}{ROSTER}")
    course = read_course(root)
    for student, result in ANSWERS.items():
        submit(course, student, RIGHT if student in ("ada", "fay") else f"{WRONG}\n# {student}")
        put_result(course, student, [result])
    submit(course, "zoe", RIGHT)
    assert book.record_results(course, STAGE, list(ANSWERS)) == {}
    return course
