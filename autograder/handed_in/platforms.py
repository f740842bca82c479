"""Whose file is it: the names that Moodle and Canvas give, or plain folders."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from autograder.course import FILE, Course
from autograder.handed_in.files import File, with_safe_names
from autograder.handed_in.found import Inbox, take_or_refuse, why_not_a_student
from starter.errors import InputError

MOODLE = re.compile(r"(?P<name>[^/_]+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_/|_|/)(?P<file>.+)")
CANVAS = re.compile(r"(?P<name>[^/]+?)(?:_LATE)?_(?P<id>\d+)_\d+_(?P<file>[^/]+)")
"""Read from the left: a name holds at most one `_<number>`, at its end, and that makes nobody's notebook another's."""
HANDED_IN_AGAIN = re.compile(r"-\d+(?=\.[^.]+$)")
"""What Canvas adds to a file's name when a student hands in another one of this name."""


def read_download(
    course: Course, stage: str, source: Path, given: Mapping[str, File], inbox: Inbox, received: datetime | None
) -> Inbox:
    """Tell whose files these are, by the names that a learning platform gives or by plain folders."""
    files = with_safe_names(given, inbox.left_out)
    for pattern, platform, key, student_of in (
        (MOODLE, "Moodle", "name", _by_name(course)),
        (CANVAS, "Canvas", "canvas_id", _by_canvas_id(course)),
    ):
        matches = {name: match for name in files if (match := pattern.fullmatch(name))}
        if matches:
            if not any(getattr(student, key) for student in course.students.values()):
                msg = (
                    f"{source} is a download from {platform}, whose files are matched by a student's {key}; fill "
                    f"[roster] in {course.root / FILE}, for instance with: autograder roster"
                )
                raise InputError(msg)
            inbox.left_out += [name for name in files if name not in matches]
            _from_platform(course, inbox, files, matches, student_of, received)
            break
    else:
        _from_folders(course, stage, inbox, files, received)
    if not inbox.found and not inbox.refused:
        msg = (
            f"{source} holds nothing for {stage}: a folder or .zip has <student>/{stage}.ipynb or <student>/{stage}/, "
            "or it is a download of all submissions from Moodle or Canvas"
        )
        raise InputError(msg)
    return inbox


def _from_platform(
    course: Course,
    inbox: Inbox,
    files: Mapping[str, File],
    matches: Mapping[str, re.Match],
    student_of: Callable[[re.Match], tuple[str, str]],
    received: datetime | None,
) -> None:
    by_participant: dict[str, dict[str, File]] = defaultdict(dict)
    students, names = {}, {}
    for name, match in matches.items():
        if match.groupdict().get("kind", "file") != "file":
            continue  # text that was typed into Moodle
        participant = match["id"]
        students[participant], names[participant] = student_of(match), match["name"]
        file = match["file"]
        if match.re is CANVAS and (first := HANDED_IN_AGAIN.sub("", file)) not in by_participant[participant]:
            file = first
        by_participant[participant][file] = files[name]
    claims = Counter(student for student, reason in students.values() if not reason)
    for participant, theirs in by_participant.items():
        student, reason = students[participant]
        if not reason and claims[student] > 1:
            reason = f"{claims[student]} participants are called like {student} of the roster; collect theirs by hand"
        if reason:
            inbox.refused.append(f"{names[participant]} ({participant}): not collected: {reason}")
        else:
            take_or_refuse(course, inbox, student, theirs, received)


def _from_folders(
    course: Course, stage: str, inbox: Inbox, files: Mapping[str, File], received: datetime | None
) -> None:
    by_student: dict[str, dict[str, File]] = defaultdict(dict)
    for name, file in files.items():
        student, _, rest = name.partition("/")
        if rest:
            by_student[student][rest] = file
        else:
            inbox.left_out.append(name)
    others = {name for other in course.stages if other != stage for name in (other, f"{other}.ipynb")}
    for student, theirs in by_student.items():
        inside = {name.removeprefix(f"{stage}/"): file for name, file in theirs.items() if name.startswith(f"{stage}/")}
        beside = {name: file for name, file in theirs.items() if name.partition("/")[0] not in others}
        mine = inside or beside
        if not mine:
            continue  # of other stages
        if reason := why_not_a_student(course, student):
            inbox.refused.append(f"{student}: not collected: {reason}")
        elif not inside and f"{stage}.ipynb" not in beside:
            inbox.refused.append(f"{student}: not collected: there is no {student}/{stage}.ipynb and no folder {stage}")
        else:
            take_or_refuse(course, inbox, student, mine, received)


def _by_name(course: Course) -> Callable[[re.Match], tuple[str, str]]:
    """Find students by their name, whatever its order, accents' encoding and punctuation, and teams by theirs.

    A group that hands in together in Moodle appears there once, by its name: any of the team may stand for it.
    """
    ids = defaultdict(list)
    people = {student.id: student.name for student in course.students.values()}
    teams = {course.team_of(student.id)[0]: student.team for student in course.students.values()}
    for student, name in [*people.items(), *teams.items()]:
        if words := _words(name):
            ids[words].append(student)
    return lambda match: _only(ids.get(_words(match["name"]), []), "has this name")


def _by_canvas_id(course: Course) -> Callable[[re.Match], tuple[str, str]]:
    ids = defaultdict(list)
    for student in course.students.values():
        ids[student.canvas_id].append(student.id)
    return lambda match: _only(ids.get(match["id"], []), f"has the canvas_id {match['id']}")


def _only(students: list[str], what: str) -> tuple[str, str]:
    """Give the one student, or why there is none."""
    if len(students) == 1:
        return students[0], ""
    if students:
        return "", f"more than one in the roster of {FILE} {what}: {', '.join(students)}"
    return "", f"nobody in the roster of {FILE} {what}"


def _words(name: str) -> tuple[str, ...]:
    """Give what Moodle leaves of a name in a file's name."""
    words = re.split(r"[\s_]+", unicodedata.normalize("NFKC", name).casefold())
    return tuple(sorted(filter(None, ("".join(filter(str.isalnum, word)) for word in words))))
