"""What lies in nbgrader's exchange, or in a download from a learning platform, student by student; nothing is trusted.

Only regular files with plain names are taken, no link is followed, and nothing is written here. What the platforms call
files follows their own code: `get_filename` in Canvas's lib/content_zipper.rb, and Moodle's
mod/assign/classes/downloader.php.
"""

import os
import pwd
import re
import stat
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from jupyter_core.application import JupyterApp
from nbgrader.exchange.default import ExchangeCollect
from traitlets.config import Application, Config

from autograder.course import FILE, STUDENT_NAME, Course
from autograder.submissions import MAX_DEPTH, MAX_FILES, MAX_NAME
from starter.files import check_file
from starter.schema import InputError

MOODLE = re.compile(r"(?P<name>[^/_]+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_/|_|/)(?P<file>.+)")
CANVAS = re.compile(r"(?P<name>[^/]+?)(?:_LATE)?_(?P<id>\d+)_\d+_(?P<file>[^/]+)")
"""Read from the left: a name holds at most one `_<number>`, at its end, and that makes nobody's notebook another's."""
HANDED_IN_AGAIN = re.compile(r"-\d+(?=\.[^.]+$)")
"""What Canvas adds to a file's name when a student hands in another one of this name."""


@dataclass(frozen=True)
class File:
    """A file of a student's."""

    size: int
    changed: datetime
    """Since when it is surely there as it is; a student cannot set this back."""
    open: Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Found:
    """One attempt of one student."""

    student: str
    files: Mapping[str, File]
    """By name, with `/` between folders."""
    received: datetime | None
    source: str = ""
    """The name of its folder in the exchange."""


@dataclass
class Inbox:
    """What there is, and what of it cannot be taken."""

    found: list[Found] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """A sentence each."""
    left_out: list[str] = field(default_factory=list)
    """Links, special files and files with odd names."""


@contextmanager
def open_inbox(course: Course, stage: str, source: Path | None, received: datetime | None) -> Iterator[Inbox]:
    """Look for a stage's attempts, whose files can be read while the block runs.

    Parameters
    ----------
    course
        The course.
    stage
        Such as `04_baselines`.
    source
        A folder or .zip: a download from Moodle or Canvas, or `<student>/<stage>.ipynb`, or `<student>/<stage>/` with
        files. Default: nbgrader's exchange.
    received
        When all files of the source were there already. Default: for a .zip its own time, for files since when this
        machine has them.

    Yields
    ------
    What was found.

    Raises
    ------
    InputError
        If the source cannot be read, or holds nothing for this stage.
    """
    if source is None:
        yield _in_exchange(course, stage)
    elif source.is_dir():
        inbox = Inbox()
        files = regular_files(source.resolve(), inbox.left_out)
        yield _in_download(course, stage, source, files, inbox, received)
    else:
        check_file(source)
        try:
            archive = zipfile.ZipFile(source)
        except Exception as error:  # whatever is in the file
            msg = f"{source} is no .zip archive that can be read ({error}); download it again"
            raise InputError(msg) from error
        with archive:
            inbox = Inbox()
            files = _members(archive, _time(source.stat().st_mtime), inbox)
            yield _in_download(course, stage, source, files, inbox, received)


def regular_files(folder: Path, left_out: list[str] | None = None) -> dict[str, File]:
    """List the regular files below a folder, by name; links and special files are named in `left_out`."""
    files = {}
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted([*names, *(name for name in folders if Path(place, name).is_symlink())]):
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            try:
                about = path.lstat()
            except OSError:
                continue  # it went away
            if stat.S_ISREG(about.st_mode):
                files[relative] = File(about.st_size, _time(about.st_ctime), partial(_reading, folder, relative, about))
            elif left_out is not None:
                left_out.append(relative)
    return files


def _in_exchange(course: Course, stage: str) -> Inbox:
    """List all attempts in nbgrader's exchange.

    An attempt was received when the kernel last saw one of its files change (`st_ctime`). The folder's name and its
    timestamp.txt are written by the student's own process, and modification times can be set at will.
    """
    settings = ExchangeCollect(config=_nbgrader_settings(course))
    folder = Path(settings.root, course.name, "inbound")
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        msg = (
            f"cannot read nbgrader's exchange {folder}: {error.strerror}; set c.Exchange.root in "
            f"{course.root / 'nbgrader_config.py'}, or name a folder or .zip to collect from"
        )
        raise InputError(msg) from error
    inbox = Inbox()
    for name in names:
        # student's login + stage + timestamp + random text, as `nbgrader submit` names it
        parts = re.fullmatch(rf"(.+?)\+{re.escape(stage)}\+.+", name)
        if parts is None:
            continue
        student, attempt = parts[1], folder / name
        owner = _owner(attempt)
        if reason := _unknown(course, student):
            inbox.refused.append(f"{name}: not collected: {reason}")
        elif settings.check_owner and owner != student:
            inbox.refused.append(
                f"{name}: not collected: it belongs to {owner}, who may have handed in for somebody else; where all "
                "students share one login, set c.ExchangeCollect.check_owner = False in nbgrader_config.py"
            )
        else:
            odd: list[str] = []
            files = _plain(regular_files(attempt, odd), odd)
            inbox.left_out += [f"{name}/{file}" for file in odd]
            _add(course, inbox, student, files, None, name)
    return inbox


def _in_download(
    course: Course, stage: str, source: Path, given: Mapping[str, File], inbox: Inbox, received: datetime | None
) -> Inbox:
    """Tell whose files these are, by the names that a learning platform gives or by plain folders."""
    files = _plain(given, inbox.left_out)
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
            _add(course, inbox, student, theirs, received)


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
        if reason := _unknown(course, student):
            inbox.refused.append(f"{student}: not collected: {reason}")
        elif not inside and f"{stage}.ipynb" not in beside:
            inbox.refused.append(f"{student}: not collected: there is no {student}/{stage}.ipynb and no folder {stage}")
        else:
            _add(course, inbox, student, mine, received)


def _add(
    course: Course,
    inbox: Inbox,
    student: str,
    files: Mapping[str, File],
    received: datetime | None,
    source: str = "",
) -> None:
    """Take an attempt whole, or refuse it whole if it is too large; the sizes that an archive states are binding."""
    limit = course.limits.submission_mib + course.limits.prediction_mib
    size = sum(file.size for file in files.values())
    what = source or student
    if len(files) > MAX_FILES:
        inbox.refused.append(f"{what}: not collected: it has {len(files):,} files, and {MAX_FILES} may be handed in")
    elif size > limit << 20:
        inbox.refused.append(
            f"{what}: not collected: {size / (1 << 20):,.0f} MiB are more than the {limit:,} MiB that {FILE} allows "
            "([limits] submission_mib and prediction_mib)"
        )
    elif files:
        inbox.found.append(Found(student, files, received or max(file.changed for file in files.values()), source))


def _unknown(course: Course, student: str) -> str:
    """Say why this is nobody; nothing if it is a student."""
    if not STUDENT_NAME.fullmatch(student):
        return "a student's folder is named with letters, digits and . _ @ -"
    if course.students and student not in course.students:
        return f"{student} is not in the roster of {FILE}"
    return ""


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


def _plain(files: Mapping[str, File], left_out: list[str]) -> dict[str, File]:
    """Take the files whose names mean the same everywhere and stay within their folder."""
    plain = {}
    for name, file in files.items():
        parts = name.split("/")
        if (
            name.isprintable()
            and "\\" not in name
            and len(name.encode()) <= MAX_NAME
            and len(parts) <= MAX_DEPTH
            and not {"", ".", ".."} & set(parts)
        ):
            plain[name] = file
        else:
            left_out.append(name)
    return plain


def _members(archive: zipfile.ZipFile, changed: datetime, inbox: Inbox) -> dict[str, File]:
    files = {}
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if kind not in (0, stat.S_IFREG) or info.filename in files:
            inbox.left_out.append(info.filename)
        else:
            # the times within an archive come from the student's machine
            files[info.filename] = File(info.file_size, changed, partial(archive.open, info))
    return files


@contextmanager
def _reading(folder: Path, name: str, about: os.stat_result) -> Iterator[BinaryIO]:
    """Read a file below a folder through no link, even one that a student sets at this moment.

    Raises
    ------
    InputError
        If the file changed since it was listed.
    """
    *folders, last = name.split("/")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)
    with os.fdopen(handle, "rb") as file:
        yield file
        now = os.fstat(file.fileno())
        if (now.st_ino, now.st_size, now.st_ctime_ns) != (about.st_ino, about.st_size, about.st_ctime_ns):
            msg = f"{name} changed while it was read; collect again"
            raise InputError(msg)


def _nbgrader_settings(course: Course) -> Config:
    """Read nbgrader's settings, those of this machine and those of the course."""
    app = JupyterApp(config_file_name="nbgrader_config")
    app.load_config_file()
    Application.load_config_file(app, "nbgrader_config", path=str(course.root))
    return app.config


def _owner(path: Path) -> str:
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
