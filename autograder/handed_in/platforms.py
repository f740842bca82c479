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
from autograder.handed_in.recognised import without_litter
from autograder.settings import STUDENT_NAME
from starter.errors import InputError

MOODLE = re.compile(r"(?P<name>[^/_]+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_/|_|/)(?P<file>.+)")
CANVAS = re.compile(r"(?P<name>[^/]+?)(?:_LATE)?_(?P<id>\d+)_\d+_(?P<file>[^/]+)")
"""Read from the left: a name holds at most one `_<number>`, at its end, and that makes nobody's notebook another's."""
NUMBERED = re.compile(r"\d+_")
"""A file that begins so may belong to the student of its own number, whose name ends with one."""
HANDED_IN_AGAIN = re.compile(r"-\d+(?=\.[^.]+$)")
"""What Canvas adds to a file's name when a student hands in another one of this name."""


def read_download(
    course: Course, stage: str, source: Path, given: Mapping[str, File], inbox: Inbox, received: datetime | None
) -> Inbox:
    """Tell whose files these are, by the names that a learning platform gives or by plain folders."""
    files = _unwrapped(course, stage, with_safe_names(without_litter(given), inbox.left_out))
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
            _from_platform(course, stage, inbox, files, matches, student_of, received)
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


def _unwrapped(course: Course, stage: str, files: Mapping[str, File]) -> Mapping[str, File]:
    """Take everything out of a folder that holds all of it and is nobody's, such as an archiver makes."""
    while len(tops := {name.partition("/")[0] for name in files}) == 1 and all("/" in name for name in files):
        (top,) = tops
        if any(MOODLE.fullmatch(name) for name in files) or _is_students(course, stage, top, files):
            break
        files = {name.partition("/")[2]: file for name, file in files.items()}
    return files


def _is_students(course: Course, stage: str, folder: str, files: Mapping[str, File]) -> bool:
    if course.students or not STUDENT_NAME.fullmatch(folder):
        return folder in course.students
    deeper = re.compile(rf"[^/]+/[^/]+/{re.escape(stage)}(\.ipynb|/.+)")
    own = any(name == f"{folder}/{stage}.ipynb" or name.startswith(f"{folder}/{stage}/") for name in files)
    return own or not any(deeper.fullmatch(name) for name in files)


def _from_platform(
    course: Course,
    stage: str,
    inbox: Inbox,
    files: Mapping[str, File],
    matches: Mapping[str, re.Match],
    student_of: Callable[[re.Match], tuple[str, str]],
    received: datetime | None,
) -> None:
    by_participant: dict[str, dict[str, File]] = defaultdict(dict)
    students, names = {}, {}
    for name, match in matches.items():
        participant, file = match["id"], match["file"]
        if match.re is CANVAS and NUMBERED.match(file) and not file.startswith(stage):
            inbox.refused.append(f"{name}: not collected: its numbers may be another student's; collect it by hand")
            continue
        students[participant], names[participant] = student_of(match), match["name"]
        if match.groupdict().get("kind", "file") != "file":
            continue  # text that was typed into Moodle
        if match.re is CANVAS and (first := HANDED_IN_AGAIN.sub("", file)) not in by_participant[participant]:
            file = first
        by_participant[participant][file] = files[name]
    claims = Counter(student for student, reason in students.values() if not reason)
    for participant, (student, reason) in students.items():
        theirs = by_participant.get(participant, {})
        if not theirs:
            reason = "no file was handed in, only text that was typed into Moodle"
        if not reason and claims[student] > 1:
            reason = f"{claims[student]} participants are called like {student} of the roster; collect theirs by hand"
        if reason:
            inbox.refused.append(f"{names[participant]} ({participant}): not collected: {reason}")
        else:
            take_or_refuse(course, stage, inbox, student, theirs, received)


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
    others = {other for other in course.stages if other != stage}
    for student, theirs in by_student.items():
        inside = {name.removeprefix(f"{stage}/"): file for name, file in theirs.items() if name.startswith(f"{stage}/")}
        beside = {name: file for name, file in theirs.items() if name.partition("/")[0].partition(".")[0] not in others}
        mine = inside or beside
        if not mine:
            continue  # of other stages
        if reason := why_not_a_student(course, student):
            inbox.refused.append(f"{student}: not collected: {reason}")
        else:
            take_or_refuse(course, stage, inbox, student, mine, received)


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
