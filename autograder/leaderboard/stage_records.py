"""What an instructor sees of the course's stages, as files: the numbers of `autograder stats`, and feedback pages.

The web process, which sees nothing else of what was graded, reads them.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from autograder.course import Course
from autograder.gradebook.feedback import page_of
from autograder.gradebook.grades import Grade, read_grades
from autograder.gradebook.requests import Request
from autograder.gradebook.stats import NOTHING, Stats, read_stats
from autograder.handed_in.submissions import Submission
from autograder.leaderboard.stage_files import files_seen
from starter.errors import InputError
from starter.files import whole

FORMAT = 2
"""Of a record: another kit's is written anew."""


def write_records(course: Course, folder: Path) -> list[str]:
    """Write the records and pages of all stages that changed since they were written.

    Parameters
    ----------
    folder
        Gets `STAGE.json` and `pages/STAGE/STUDENT.html`; what it has of stages that are no more goes.

    Returns
    -------
    The stages that were written.

    Raises
    ------
    InputError
        If the folder cannot be written, or the gradebook not be read.
    """
    written = []
    for stage in course.stages:
        grades = read_grades(course, stage)
        of = hashlib.sha256(f"{FORMAT} {files_seen(course, stage)} {grades!r}".encode()).hexdigest()
        path = folder / f"{stage}.json"
        if _of_what(path) == of:
            continue
        record = {"of": of, "made": datetime.now(UTC).isoformat(), **_record(course, stage, folder / "pages", grades)}
        with whole(path) as part:
            part.write_text(json.dumps(record, allow_nan=False) + "\n", encoding="utf-8")
        written.append(stage)
    for path in folder.glob("*.json"):
        if path.stem not in course.stages:
            path.unlink()
            shutil.rmtree(folder / "pages" / path.stem, ignore_errors=True)
    return written


def _of_what(path: Path) -> str:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["of"]
    except (OSError, ValueError, KeyError):
        return ""


def _record(course: Course, stage: str, pages: Path, grades: Sequence[Grade]) -> dict[str, Any]:
    about = {"stage": stage, "title": course.stages[stage].title, "deadline": course.stages[stage].deadline}
    about["deadline"] = about["deadline"].isoformat() if about["deadline"] else None
    try:
        stats = read_stats(course, stage)
    except InputError as error:  # of one stage, whose record or attempt is damaged
        return {**about, "fault": str(error)}
    return {**about, "fault": "", **record_of(stats), "no_page": _write_pages(course, stats, pages / stage, grades)}


def record_of(stats: Stats) -> dict[str, Any]:
    """Set a stage's numbers as plain values, each with the students behind it; NaN becomes None."""
    students = stats.students
    settled = students[students["points"].notna() & (students["waiting"] == 0)]
    causes = {name: _plain(rows[["cause", "n", "share"]]) for name, rows in stats.mistakes.groupby("question")}
    questions = _plain(stats.questions.reset_index())
    return {
        "groups": stats.groups,
        "questions": [row | {"causes": causes.get(row["question"], [])} for row in questions],
        "hand_ins": _plain(stats.hand_ins),
        "students": _plain(students.reset_index()),
        "slowest": _plain(stats.slowest.reset_index()),
        "bins": _binned(settled["points"], stats.edges),
        "score_bins": _binned(students["score"].dropna(), stats.score_edges),
        "requests": [TypeAdapter(Request).dump_python(request, mode="json") for request in stats.requests],
        "notes": list(stats.notes),
    }


def _binned(values: pd.Series, edges: np.ndarray) -> list[dict[str, Any]]:
    """Say who is in which bin; the last one has its upper edge too. No bins where there is nobody."""
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return [
        {"low": float(low), "high": float(high), "students": list(values.index[places == place])}
        for place, (low, high) in enumerate(itertools.pairwise(edges) if len(values) else ())
    ]


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records", double_precision=15))


def _write_pages(course: Course, stats: Stats, folder: Path, grades: Sequence[Grade]) -> dict[str, str]:
    """Write the pages that `autograder feedback` would write now, and say why there is none of whom."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {grade.student: grade for grade in grades}
    missing = {}
    for student, state in stats.students["state"].items():
        path = folder / f"{student}.html"
        try:
            page = page_of(Submission(course, stats.stage, str(student)), given) if state != NOTHING else None
        except InputError as error:
            page, missing[str(student)] = None, str(error)
        if page is None:
            path.unlink(missing_ok=True)
        elif not path.is_file() or path.read_text(encoding="utf-8") != page:
            with whole(path) as part:
                part.write_text(page, encoding="utf-8")
    for path in folder.iterdir():
        if path.stem not in stats.students.index:
            path.unlink()
    return missing
