"""Grades as files: one for spreadsheets and pandas, and those that Canvas and Moodle import."""

import csv
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from autograder.course import Course
from autograder.gradebook.grades import Grade, read_grades
from autograder.settings import Student
from autograder.text import printable
from starter.errors import InputError
from starter.files import whole

Format = Literal["csv", "canvas", "moodle"]
Cell = str | float | bool
FORMULA = ("=", "+", "-", "@")
"""A spreadsheet calculates text that begins with one of these."""
NO_GRADE = "-"
"""In Moodle's file, as in its own exports: an empty cell of a new grade item would become 0 points."""


def write_export(course: Course, stages: Sequence[str], kind: Format, path: str | Path) -> list[str]:
    """Write the grades of stages as nbgrader's gradebook has them: by hand or by the grader, late points taken off.

    Parameters
    ----------
    stages
        Such as `04_baselines`; none means all that were graded.
    kind
        `csv`: a line a student, stage and question. `canvas` and `moodle`: a line a student and a column a stage, for
        the students that the learning platform knows; a grade that may still change, or that nobody handed in for, is
        left out.
    path
        The file.

    Returns
    -------
    What the instructor should know: who was left out, and why.

    Raises
    ------
    InputError
        If a stage is unknown or nobody was graded for it, or two columns would have one title.
    """
    for stage in stages:
        course.check_stage(stage)
    grades = {stage: read_grades(course, stage) for stage in dict.fromkeys(stages or course.stages)}
    if missing := [stage for stage in grades if not grades[stage] and (stages or not any(grades.values()))]:
        msg = f"nobody was graded for {', '.join(missing)}; run: autograder grade {missing[0]}"
        raise InputError(msg)
    grades = {stage: some for stage, some in grades.items() if some}
    rows, notes = {"csv": _long, "canvas": _canvas, "moodle": _moodle}[kind](course, grades)
    # spreadsheet programs take a file for UTF-8 by its mark; platforms need none
    with whole(path) as part, part.open("w", encoding="utf-8-sig" if kind == "csv" else "utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([[harmless(cell) for cell in row] for row in rows])
    return notes


def harmless(cell: Cell) -> Cell:
    """Keep a text from being calculated or from breaking a line; numbers stay numbers.

    >>> harmless("=1+1"), harmless("fine"), harmless(-1.5)
    ("'=1+1", 'fine', -1.5)
    """
    if not isinstance(cell, str) or cell == NO_GRADE:
        return cell
    text = printable(cell)
    # some programs read full-width signs, superscripts and the like as the plain ones
    return f"'{text}" if unicodedata.normalize("NFKC", text).lstrip().startswith(FORMULA) else text


def _long(course: Course, grades: Mapping[str, Sequence[Grade]]) -> tuple[list[list[Cell]], list[str]]:
    heading: list[Cell] = ["student", "name", "team", "stage", "question", "points", "max", "open", "late", "comment"]
    rows: list[list[Cell]] = [heading]
    for stage, given in grades.items():
        for grade in given:
            student = course.students.get(grade.student, Student(id=grade.student))
            for question in grade.questions:
                points, most, late = (round(value, 2) for value in (question.points, question.max, grade.late))
                about = [student.id, student.name, student.team, stage, question.name]
                rows.append([*about, points, most, question.open, late, question.comment])
    return rows, []


def _canvas(course: Course, grades: Mapping[str, Sequence[Grade]]) -> tuple[list[list[Cell]], list[str]]:
    """Set Canvas's table, as in "How do I import grades in the Gradebook?" (Canvas Instructor Guide).

    The columns about students stand first and in this order; a column `Title (id)` is an assignment that exists, any
    other becomes a new one, with the points of the line `Points Possible`. The ID identifies a student.
    """
    lines, notes = _lines(course, grades, "canvas_id", "ID in Canvas", nothing="")
    ids = [course.stages[stage].canvas_id for stage in grades]
    titles = [f"{title} ({id_})" if id_ else title for title, id_ in zip(_titles(course, grades), ids, strict=True)]
    rows: list[list[Cell]] = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles],
        ["    Points Possible", "", "", "", "", *(round(given[0].max, 2) for given in grades.values())],
    ]
    for student, points in lines:
        rows.append([student.name, student.canvas_id, student.sis_id, "", student.section, *points])
    return rows, notes


def _moodle(course: Course, grades: Mapping[str, Sequence[Grade]]) -> tuple[list[list[Cell]], list[str]]:
    """Set Moodle's table, as in "Grade import" (MoodleDocs): a column that identifies the user, and one a grade item.

    One column identifies all students, since Moodle gives the grades of a line without this value to the user of the
    line before.
    """
    fields = {"moodle_id": "ID number", "email": "Email address"}
    field = max(fields, key=lambda field: sum(bool(getattr(student, field)) for student in course.students.values()))
    lines, notes = _lines(course, grades, field, f"{fields[field]} in Moodle", nothing=NO_GRADE)
    rows: list[list[Cell]] = [[fields[field], "Name", *_titles(course, grades)]]
    rows += [[getattr(student, field), student.name, *points] for student, points in lines]
    return rows, notes


def _lines(
    course: Course, grades: Mapping[str, Sequence[Grade]], field: str, what: str, nothing: Cell
) -> tuple[list[tuple[Student, list[Cell]]], list[str]]:
    """Give the points of the students whom a platform knows, and say who or what is left out."""
    settled, waiting, strangers = {}, [], []
    for stage, given in grades.items():
        for grade in given:
            if grade.student not in course.students:
                strangers.append(grade.student)
            elif grade.open:
                waiting.append(f"{grade.student} ({stage})")
            else:
                settled[grade.student, stage] = round(grade.points, 2)
    unknown = [student.id for student in course.students.values() if not getattr(student, field)]
    reasons = {
        "left out, since the roster has no such student; import them with autograder roster": dict.fromkeys(strangers),
        f"left out, since the roster has no {what}; import its export with autograder roster": unknown,
        "no grade, since a question waits for you; look at it in formgrader, then export again": waiting,
    }
    lines = [
        (student, [settled.get((student.id, stage), nothing) for stage in grades])
        for student in course.students.values()
        if getattr(student, field)
    ]
    if not lines:
        msg = f"no student of the roster has an {what}; import its export with: autograder roster FILE"
        raise InputError(msg)
    return lines, [f"{', '.join(names)}: {reason}" for reason, names in reasons.items() if names]


def _titles(course: Course, grades: Mapping[str, Sequence[Grade]]) -> list[str]:
    titles = [course.stages[stage].title or stage for stage in grades]
    if twice := [title for title in titles if titles.count(title) > 1]:
        msg = f"two stages have the title {twice[0]!r}, and each needs a column; give them other titles in course.toml"
        raise InputError(msg)
    return titles
