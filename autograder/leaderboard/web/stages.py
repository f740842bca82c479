"""An instructor's pages of the stages: the numbers of `autograder stats`, and the submissions behind each."""

import functools
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from autograder.leaderboard.web import pages
from autograder.leaderboard.web.security import Instructing, RefusalError
from autograder.leaderboard.web.site import Site

FEEDBACK_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of a page that shows what a student wrote: it runs nothing, asks nothing of this site, and is none of its pages."""
ALL, NONE = "all", "none"
"""Points in a question."""
Record: TypeAlias = Mapping[str, Any]
"""A stage's, as `autograder.leaderboard.stage_records` writes it."""
router = APIRouter(prefix="/instructor/stages")


@router.get("")
def show_stages(request: Request, who: Instructing) -> Response:
    """Show of each stage who handed in, is graded, held, late and missing."""
    del who
    site: Site = request.app.state.site
    paths = sorted(site.stages.glob("*.json")) if site.stages else []
    return pages.page(request, "stages.html", records=[_read(path, path.stat().st_mtime_ns) for path in paths])


@router.get("/{stage}")
def show_stage(request: Request, stage: str, who: Instructing) -> Response:
    """Show how a stage went: points, questions and their usual mistakes, slow submissions, requests."""
    del who
    return pages.page(request, "stage.html", record=_record(request, stage), moment_of=datetime.fromisoformat)


@router.get("/{stage}/submissions")
def show_submissions(
    request: Request,
    stage: str,
    who: Instructing,
    group: str = "",
    question: str = "",
    cause: str = "",
    points: str = "",
    place: int = -1,
    score: int = -1,
) -> Response:
    """List the submissions behind a number: of a group, of a question or a mistake in it, or of a bin of points."""
    del who
    record = _record(request, stage)
    names, answers = chosen(record, group, question, cause, points, place, score)
    rows = [student for student in record["students"] if student["student"] in names]
    if question and not cause and not points:  # who is behind its longest time comes first
        rows.sort(key=lambda row: -(answers[row["student"]]["seconds"] or 0.0))
    held: dict[str, list[str]] = {}
    for one in record["hand_ins"]:
        if one["held"] and question in ("", one["question"]):
            held.setdefault(one["student"], []).append(f"{one['question']}: {one['held']}")
    return pages.page(request, "submissions.html", record=record, rows=rows, answers=answers, held=held, group=group,
                      question=question, cause=cause, points=points,
                      place=record["bins"][place] if place >= 0 else None,
                      score=record["score_bins"][score] if score >= 0 else None)  # fmt: skip


@router.get("/{stage}/feedback/{student}")
def show_feedback(request: Request, stage: str, student: str, who: Instructing) -> Response:
    """Send a student's feedback page, as `autograder feedback` would write it now."""
    del who
    site: Site = request.app.state.site
    known = {row["student"] for row in _record(request, stage)["students"]}
    path = site.stages / "pages" / stage / f"{student}.html" if site.stages and student in known else None
    if path is None or path.is_symlink() or not path.is_file():
        raise RefusalError(404, "not there")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": FEEDBACK_POLICY})


def chosen(
    record: Record, group: str, question: str, cause: str, points: str, place: int, score: int
) -> tuple[set[str], dict[str, Record]]:
    """Find the students behind a number.

    Returns
    -------
    Students; and of a question what each of them got in it.

    Raises
    ------
    RefusalError
        If there is no such group, question or bin.
    """
    names = {student["student"] for student in record["students"]}
    answers: dict[str, Record] = {}
    if group:
        names &= set(_found(record["groups"], group))
    for bins, number in (("bins", place), ("score_bins", score)):
        if number >= 0:
            names &= set(_found(dict(enumerate(record[bins])), number)["students"])
    if question:
        _found({one["question"]: one for one in record["questions"]}, question)
        answers = {
            one["student"]: one
            for one in record["hand_ins"]
            if one["question"] == question
            and cause in ("", one["cause"])
            and (not points or _earned(one) == points or (points == "settled" and not one["waiting"]))
        }
        names &= set(answers)
    return names, answers


def _found(table: Mapping[Any, Any], key: object) -> Any:
    if key not in table:
        raise RefusalError(404, "not there")
    return table[key]


def _earned(answer: Record) -> str:
    if answer["waiting"]:
        return "waiting"
    return ALL if answer["points"] >= answer["max"] else NONE if answer["points"] <= 0 else ""


def _record(request: Request, stage: str) -> Record:
    site: Site = request.app.state.site
    known = {path.stem: path for path in site.stages.glob("*.json")} if site.stages else {}
    path = _found(known, stage)
    record = _read(path, path.stat().st_mtime_ns)
    if record["fault"]:
        raise RefusalError(404, "fault of a stage", fault=record["fault"])
    return record


@functools.lru_cache(maxsize=16)  # of a large class one takes some MiB
def _read(path: Path, changed: int) -> Record:
    del changed
    return json.loads(path.read_text(encoding="utf-8"))
