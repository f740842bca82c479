"""The roster in `course.toml`, from the files that Canvas and Moodle export.

Columns as in "How do I export grades in the Gradebook?" (Canvas Instructor Guide), and "Grade export" and "Enrolled
users" (MoodleDocs).
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import tomlkit
from tomlkit.items import AoT

from autograder.course import FILE, Course, read_course
from autograder.settings import STUDENT_NAME, Student
from autograder.text import printable
from starter.errors import InputError
from starter.files import check_file, whole

CANVAS = {
    "name": ("Student",),
    "canvas_id": ("ID",),
    "sis_id": ("SIS User ID",),
    "login": ("SIS Login ID",),
    "section": ("Section",),
}
"""What a student's line in Canvas's file says, and its column's heading."""
MOODLE = {
    "first": ("First name",),
    "last": ("Last name", "Surname"),
    "email": ("Email address", "Email"),
    "username": ("Username",),
    "moodle_id": ("ID number",),
}
"""The same in Moodle's file, whose headings differ with its version."""
TEST_STUDENTS = ("Student, Test", "Test Student")
"""The instructor's own view in Canvas."""
MAX_CELL = 1000
"""Characters; a longer cell is of no roster."""
FIELDS = ("name", "email", "section", "canvas_id", "sis_id", "moodle_id")
"""What an import may change."""
RULES = (
    (("canvas_id",), ("canvas_id",), True),
    (("moodle_id",), ("moodle_id",), True),
    (("sis_id",), ("sis_id",), True),
    (("moodle_id",), ("sis_id",), True),
    (("sis_id",), ("moodle_id",), True),
    (("login",), ("id",), True),
    (("email",), ("email",), True),
    (("id", "name"), ("id", "name"), True),
    (("id",), ("id",), False),
    (("name",), ("name",), False),
)
"""By what a student of the file is found in the roster, the surest first: fields there, fields here, and whether this
holds even where an e-mail address or an LMS's id differs."""


@dataclass(frozen=True)
class Entry:
    """One student as an LMS exported them."""

    login: str
    name: str
    email: str
    section: str = ""
    canvas_id: str = ""
    sis_id: str = ""
    moodle_id: str = ""

    @property
    def id(self) -> str:
        """The login, or what stands before its @."""
        return self.login.partition("@")[0]


Person = TypeVar("Person", Entry, Student)


@dataclass(frozen=True)
class Changes:
    """What an import did: students' ids."""

    added: list[str]
    updated: list[str]
    absent: list[str]
    """In the roster and not in the file; they stay."""


def import_roster(course: Course, file: str | Path) -> Changes:
    """Add and update the students of `course.toml` by an export of Canvas's gradebook or Moodle's participants.

    Nobody is removed, teams stay as they are, and so does everything else in `course.toml`.

    Parameters
    ----------
    file
        The CSV file that Canvas or Moodle exported.

    Returns
    -------
    Who was added, who was updated, and who is not in the file.

    Raises
    ------
    InputError
        If the file is no such export, or a student's login cannot be an id; nothing is changed then.
    """
    entries = read_export(file)
    students = list(course.students.values())
    found = _matched(entries, students)
    new = _ids([entry for entry in entries if entry not in found], students, file)
    news = {student.id: changed for entry, student in found.items() if (changed := _news(entry, student))}
    if new or news:
        path = course.root / FILE
        with whole(path) as part:
            part.write_bytes(_with_students(path.read_bytes().decode(), new, news).encode())
            read_course(part)
    present = {student.id for student in found.values()}
    return Changes(list(new), list(news), [student.id for student in students if student.id not in present])


def read_export(file: str | Path) -> list[Entry]:
    """Read who is in a CSV file of Canvas's gradebook or Moodle's participants or grades.

    Returns
    -------
    One entry a student, without Canvas's lines of points and its test student.

    Raises
    ------
    InputError
        If it is another file, lacks a column, or holds a login twice or nobody.
    """
    check_file(file)
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{file} is not UTF-8 text; export it as CSV again, and do not save it in a spreadsheet program"
        raise InputError(msg) from error
    first = text.partition("\n")[0]
    try:
        lines = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)))
    except csv.Error as error:
        msg = f"{file} is not a CSV file that can be read ({error}); export it again"
        raise InputError(msg) from error
    if not lines:
        msg = f"{file} is empty: there is no line below its headings; export it again"
        raise InputError(msg)
    entries = _entries(lines, file)
    if not entries:
        msg = f"{file} lists no student; export it again when students are enrolled"
        raise InputError(msg)
    logins = Counter(entry.login.casefold() for entry in entries if entry.login)
    if twice := [login for login, times in logins.items() if times > 1]:
        msg = f"{file}: {', '.join(twice)} is the login of more than one line; leave one of them, and import again"
        raise InputError(msg)
    return entries


def _entries(lines: Sequence[Mapping[str | None, str]], file: str | Path) -> list[Entry]:
    """Tell whose export it is, and take from each line what the roster holds."""
    headings = {str(heading).strip().casefold(): heading for heading in lines[0]}

    def column(names: Sequence[str]) -> str | None:
        return next((headings[name.casefold()] for name in names if name.casefold() in headings), None)

    canvas, moodle = ({field: column(names) for field, names in kind.items()} for kind in (CANVAS, MOODLE))
    if canvas["name"] or canvas["login"]:
        columns, needed = canvas, [CANVAS[field] for field in ("name", "canvas_id", "login") if not canvas[field]]
    elif any(moodle.values()):
        columns, needed = moodle, [MOODLE[field] for field in ("first", "last") if not moodle[field]]
        if not moodle["email"] and not moodle["username"]:
            needed.append((MOODLE["email"][0], *MOODLE["username"]))
    else:
        msg = (
            f"{file} is no export of Canvas (columns Student, ID, SIS Login ID) or Moodle (columns First name, "
            "Last name, Email address; choose English in Moodle, then export)"
        )
        raise InputError(msg)
    if needed:
        names = ", ".join(" or ".join(names) for names in needed)
        msg = f"{file} has no column {names}; export it again with it, under this English heading"
        raise InputError(msg)

    entries = []
    for number, line in enumerate(lines, start=2):
        if None in line:
            msg = f"{file}, line {number} has more cells than there are headings; export the file again"
            raise InputError(msg)
        cells = {field: printable(line.get(heading) or "").strip() for field, heading in columns.items()}
        if any(len(cell) > MAX_CELL for cell in cells.values()):
            msg = f"{file}, line {number}: a cell has more than {MAX_CELL:,} characters; export the file again"
            raise InputError(msg)
        entry = _of_canvas(cells) if columns is canvas else _of_moodle(cells)
        if entry:
            entries.append(entry)
    return entries


def _of_canvas(cells: Mapping[str, str]) -> Entry | None:
    if not cells["canvas_id"] or cells["name"] in TEST_STUDENTS:
        return None  # points possible, manual posting
    last, _, first = cells["name"].partition(", ")
    name = f"{first} {last}" if first and ", " not in first else cells["name"]
    email = cells["login"] if "@" in cells["login"] else ""
    return Entry(cells["login"], name, email, cells["section"], cells["canvas_id"], cells["sis_id"])


def _of_moodle(cells: Mapping[str, str]) -> Entry | None:
    if not any(cells.values()):
        return None
    name = f"{cells['first']} {cells['last']}".strip()
    return Entry(cells["username"] or cells["email"], name, cells["email"], moodle_id=cells["moodle_id"])


def _matched(entries: Sequence[Entry], students: Sequence[Student]) -> dict[Entry, Student]:
    """Find the students of the file in the roster, each by the surest rule that tells them from all others."""
    found: dict[Entry, Student] = {}
    for there, here, sure in RULES:
        taken = {student.id for student in found.values()}
        new = _told_apart([entry for entry in entries if entry not in found], there)
        known = _told_apart([student for student in students if student.id not in taken], here)
        for values, entry in new.items():
            if values in known and (sure or not _differ(entry, known[values])):
                found[entry] = known[values]
    return found


def _told_apart(people: Sequence[Person], fields: Sequence[str]) -> dict[tuple[str, ...], Person]:
    """Give the people who alone have their values of some fields, by these values."""
    by_values: dict[tuple[str, ...], list[Person]] = defaultdict(list)
    for person in people:
        values = tuple(getattr(person, field).casefold() for field in fields)
        if all(values):
            by_values[values].append(person)
    return {values: same[0] for values, same in by_values.items() if len(same) == 1}


def _differ(entry: Entry, student: Student) -> bool:
    pairs = [(getattr(entry, name), getattr(student, name)) for name in ("email", "canvas_id", "sis_id", "moodle_id")]
    return any(there and here and there.casefold() != here.casefold() for there, here in pairs)


def _news(entry: Entry, student: Student) -> dict[str, str]:
    """Say which of a student's values the file changes."""
    news = {field: value for field in FIELDS if (value := getattr(entry, field)) and value != getattr(student, field)}
    if entry.canvas_id and student.email:
        news.pop("email", None)  # Canvas gives a login, which need not be where mail arrives
    return news


def _ids(entries: Sequence[Entry], students: Sequence[Student], file: str | Path) -> dict[str, Entry]:
    """Choose the folders of new students: the login before its @, or all of it where that is not unique."""
    taken = {student.id.casefold() for student in students}
    times = Counter(entry.id.casefold() for entry in entries)
    ids = {}
    for entry in entries:
        alone = times[entry.id.casefold()] == 1 and entry.id.casefold() not in taken
        name = entry.id if alone else entry.login
        reason = ""
        if not entry.login:
            reason = "has no login"
        elif not STUDENT_NAME.fullmatch(name):
            reason = f"has the login {name!r}, which cannot be a folder (letters, digits and . _ @ -)"
        elif name.casefold() in taken:
            reason = f"has the login {name!r}, which is another student's id in {FILE}"
        if reason:
            known = "canvas_id" if entry.canvas_id else "name"
            msg = f"{file}: {entry.name} {reason}; add this student by hand to [roster], with an id and {known}"
            raise InputError(msg)
        ids[name] = entry
    return ids


def _with_students(text: str, new: Mapping[str, Entry], news: Mapping[str, Mapping[str, str]]) -> str:
    """Write students into the text of `course.toml`, and leave all else as it stands."""
    document = tomlkit.parse(text)
    roster = document.setdefault("roster", tomlkit.table())
    lines = roster.setdefault("students", tomlkit.array())
    for line in lines:
        line.update(news.get(line["id"], {}))
    for name, entry in new.items():
        line = tomlkit.table() if isinstance(lines, AoT) else tomlkit.inline_table()
        line.update({"id": name} | {field: value for field in FIELDS if (value := getattr(entry, field))})
        if isinstance(lines, AoT):
            lines.append(line)
        else:
            lines.add_line(line, indent="  ")
    if not isinstance(lines, AoT) and not lines.as_string().endswith("\n]"):
        lines.add_line(indent="")
    return tomlkit.dumps(document)
