import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.roster import import_roster
from starter.errors import InputError

START = """# our course
[course]
name = "my-course"  # short

[roster]
# whom we know
students = [
  # the first team
  { id = "ada", team = "helix" }, # asked for it
  { id = "eve", name = "Eve Old" },
]

[stages.04_baselines]
title = "Baselines"
"""
# the columns and lines of Canvas's gradebook export, with its line of posting policies and its test student
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Baselines (77),Current Score
,,,,,Manual Posting,
    Points Possible,,,,,5.00,(read only)
"Lovelace, Ada",101,s1,ada@uni.edu,Group A,4.00,80
"Ümlaut, Bob",102,s2,bob@uni.edu,Group B,,
"Student, Test",109,,f00ba7,Group A,,
"""
# Moodle's grades export; its older versions say Surname
MOODLE = """\
First name,Surname,ID number,Email address,Baselines
Ada,Lovelace,s1,ada.lovelace@uni.edu,-
Bob,Ümlaut,,BOB@uni.edu,-
Cyd,New,m3,cyd@uni.edu,-
"""


def make(folder: Path, text: str = START) -> Course:
    (folder / "course.toml").write_text(text)
    return read_course(folder)


def bring(folder: Path, content: str | bytes, text: str | None = None):
    """Import a file into the course of a folder."""
    file = folder / "export.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return import_roster(read_course(folder) if text is None else make(folder, text), file)


def students(folder: Path) -> list[dict]:
    return tomllib.loads((folder / "course.toml").read_text())["roster"]["students"]


def test_canvas_students_are_added_and_all_else_in_the_file_stays(tmp_path: Path):
    changes = bring(tmp_path, CANVAS, START)
    assert (changes.added, changes.updated, changes.absent) == (["bob"], ["ada"], ["eve"])
    ada = (
        '"helix", name = "Ada Lovelace", email = "ada@uni.edu", section = "Group A", canvas_id = "101", sis_id = "s1"}'
    )
    bob = (
        '  {id = "bob", name = "Bob Ümlaut", email = "bob@uni.edu", section = "Group B", '
        'canvas_id = "102", sis_id = "s2"},\n'
    )
    due = START.replace('"helix" }', ada).replace('"Eve Old" },\n', '"Eve Old" },\n' + bob)
    assert (tmp_path / "course.toml").read_text() == due


def test_importing_again_changes_nothing_whatever_the_separator(tmp_path: Path):
    bring(tmp_path, CANVAS, START)
    before = (tmp_path / "course.toml").read_text()
    lines = [line.split(",") for line in CANVAS.replace(", ", "|").splitlines()]
    changes = bring(tmp_path, "\ufeff" + "\r\n".join(";".join(line) for line in lines).replace("|", ", "))
    assert (changes.added, changes.updated, changes.absent) == ([], [], ["eve"])
    assert (tmp_path / "course.toml").read_text() == before


def test_the_other_platform_finds_the_same_students_and_adds_its_ids(tmp_path: Path):
    bring(tmp_path, CANVAS, START)
    changes = bring(tmp_path, MOODLE)
    assert (changes.added, changes.updated, changes.absent) == (["cyd"], ["ada", "bob"], ["eve"])
    ada, _, bob, cyd = students(tmp_path)
    # by the ID number, which is the student's number in Canvas too; Moodle knows where mail arrives
    assert (ada["id"], ada["team"], ada["moodle_id"], ada["email"]) == ("ada", "helix", "s1", "ada.lovelace@uni.edu")
    assert (bob["id"], bob["canvas_id"], bob["email"]) == ("bob", "102", "BOB@uni.edu")
    assert cyd == {"id": "cyd", "name": "Cyd New", "email": "cyd@uni.edu", "moodle_id": "m3"}
    again = bring(tmp_path, CANVAS)
    assert (again.added, again.updated, again.absent) == ([], [], ["eve", "cyd"])


def test_a_name_alone_finds_a_student_only_where_nothing_speaks_against_it(tmp_path: Path):
    known = '{id="x1", name="Ann Lee", canvas_id="7"}, {id="x2", name="Tom Ito", email="tom@old.edu"}'
    text = f'[course]\nname = "c"\n[roster]\nstudents = [{known}]\n'
    changes = bring(tmp_path, "First name,Last name,Email address\nAnn,Lee,al@uni.edu\nTom,Ito,ti@uni.edu\n", text)
    assert (changes.added, changes.updated, changes.absent) == (["ti"], ["x1"], ["x2"])
    assert students(tmp_path)[0] == {"id": "x1", "name": "Ann Lee", "canvas_id": "7", "email": "al@uni.edu"}


def test_the_whole_login_is_the_id_where_its_first_part_is_not_unique(tmp_path: Path):
    rows = 'Student,ID,SIS Login ID\n"A, A",1,kim@a.edu\n"B, B",2,kim@b.edu\n"C, C",3,lou@a.edu\n'
    text = '[course]\nname = "c"\n'
    assert bring(tmp_path, rows, text).added == ["kim@a.edu", "kim@b.edu", "lou"]
    later = 'Student,ID,SIS Login ID\n"C, C",3,lou@a.edu\n"D, D",4,lou@b.edu\n'
    changes = bring(tmp_path, later)
    assert (changes.added, changes.absent) == (["lou@b.edu"], ["kim@a.edu", "kim@b.edu"])


@pytest.mark.parametrize(
    "text",
    [
        '[course]\nname = "c"\n',
        '[course]\nname = "c"\n[roster]\nstudents = []\n[late]\ngrace_hours = 1.0\n',
        '[course]\nname = "c"\n[roster]\nstudents = [{id = "eve"}, {id = "ada"}]  # both\n',
        '[course]\nname = "c"\n[[roster.students]]\nid = "ada"  # first\n[late]\ngrace_hours = 1.0\n',
        'roster.students = [\n{id = "ada"}\n]\n[course]\nname = "c"\r\n',
    ],
)
def test_every_way_to_write_a_roster_is_kept(tmp_path: Path, text: str):
    make(tmp_path, text)
    before = tomllib.loads(text)
    bring(tmp_path, CANVAS)
    now = tomllib.loads((tmp_path / "course.toml").read_text())
    ids = {student["id"] for student in now.pop("roster")["students"]}
    assert ids == {"ada", "bob"} | {student["id"] for student in before.pop("roster", {}).get("students", [])}
    assert now == before
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert all(comment in (tmp_path / "course.toml").read_text() for comment in comments)


def test_the_command_says_what_it_did_in_a_line_each(tmp_path: Path):
    make(tmp_path)
    (tmp_path / "export.csv").write_text(CANVAS)
    done = CliRunner().invoke(app, ["roster", str(tmp_path / "export.csv"), "--course", str(tmp_path)])
    assert done.stdout.splitlines() == [
        "added: 1 (bob)",
        "updated: 1 (ada)",
        "not in the file, and still in course.toml: 1 (eve)",
    ]


def test_names_cannot_steer_a_terminal_or_break_the_file(tmp_path: Path):
    bring(tmp_path, 'First name,Last name,Username\n"A\x1b[2J\n""]",\'x,ada\n', '[course]\nname = "c"\n')
    assert students(tmp_path) == [{"id": "ada", "name": "A [2J \"] 'x"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: there is no line below its headings; export it again"),
        (b"Student,ID,SIS Login ID\n", "is empty: there is no line below its headings"),
        (b"Student,ID,SIS Login ID\n    Points Possible,,\n", "lists no student; export it again when students"),
        (
            b"Student,Section\nx,y\n",
            "has no column ID, SIS Login ID; export it again with it, under this English heading",
        ),
        (b"First name,ID number\nx,y\n", "has no column Last name or Surname, Email address or Username; export"),
        (b"Vorname,Nachname,E-Mail\nx,y,z\n", "is no export of Canvas .* or Moodle .*choose English in Moodle"),
        (MOODLE.encode("utf-16"), "is not UTF-8 text; export it as CSV again"),
        (MOODLE.encode("latin-1"), "is not UTF-8 text; export it as CSV again"),
        (CANVAS.replace("bob@", "ADA@").encode(), "ada@uni.edu is the login of more than one line"),
        (
            CANVAS.replace("ada@uni.edu", "").replace("Ada", "Al").encode(),
            "Al Lovelace has no login; add this student by",
        ),
        (CANVAS.replace("bob@", "../bob@").encode(), r"Bob Ümlaut has the login '../bob', which cannot be a folder"),
        (CANVAS.replace('"Ümlaut, Bob"', "Ümlaut, Bob").encode(), "line 5 has more cells than there are headings"),
        (CANVAS.replace("Group B", "x" * 2000).encode(), "line 5: a cell has more than 1,000 characters"),
        (CANVAS.replace("Group B", "x" * 200_000).encode(), "is not a CSV file that can be read .*field larger"),
    ],
)
def test_a_file_that_cannot_be_taken_says_why_and_changes_nothing(tmp_path: Path, content: bytes, said: str):
    with pytest.raises(InputError, match=said):
        bring(tmp_path, content, START)
    assert (tmp_path / "course.toml").read_text() == START


def test_a_file_that_is_none_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read .*none.csv: No such file"):
        import_roster(make(tmp_path), tmp_path / "none.csv")
