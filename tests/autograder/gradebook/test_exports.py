import csv
import io
import os
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from nbgrader.api import Gradebook
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.exports import harmless, write_export
from starter.errors import InputError

STAGES = ("04_baselines", "05_cvae")
COURSE = """
[course]
name = "my-course"

[[roster.students]]
id = "ada"
name = "Ada Lovelace"
team = "helix"
section = "Group A"
canvas_id = "101"
sis_id = "s1"
moodle_id = "m1"
email = "ada@uni.edu"

[[roster.students]]
id = "bob"
name = '=HYPERLINK("http://x","y")'
canvas_id = "102"
moodle_id = "m2"
email = "bob@uni.edu"

[[roster.students]]
id = "cyd"
name = "Cyd New"

[[roster.students]]
id = "dan"
name = "Dan Gone"
canvas_id = "104"
moodle_id = "m4"

[stages.04_baselines]
title = "Baselines"
canvas_id = 77

[stages.05_cvae]

[stages.06_gnn]
"""
EVIL = '\'=HYPERLINK("http://x","y")'
"""Bob's name, made harmless."""
POINTS = {
    # stage, student: train_mean by the grader, extra credit; text by hand or None; late
    ("04_baselines", "ada"): (4.0, 0.5, 1.25, 1.0),
    ("04_baselines", "bob"): (5.0, 0.0, None, 0.0),
    ("04_baselines", "zoe"): (1 / 3, 0.0, 0.0, 0.0),
    ("05_cvae", "ada"): (0.5, 0.0, 0.0, 2.0),
    ("05_cvae", "bob"): (2.0, 0.0, 2.0, 0.0),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course whose gradebook holds points by the grader and by hand, a held question, extra credit and lateness."""
    root = tmp_path_factory.mktemp("course")
    (root / "course.toml").write_text(COURSE)
    (root / "grading").mkdir()
    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    with warnings.catch_warnings(), Gradebook(f"sqlite:///{root / 'grading' / 'gradebook.db'}") as book:
        warnings.simplefilter("ignore")  # nbgrader's own queries
        for stage in STAGES:
            book.add_assignment(stage)
            book.add_notebook(stage, stage)
            book.add_grade_cell("train_mean", stage, stage, max_score=5, cell_type="code")
            book.add_grade_cell("why", stage, stage, max_score=2, cell_type="markdown")
            book.add_solution_cell("why", stage, stage)
        for student in ("ada", "bob", "zoe"):
            book.add_student(student)
        for (stage, student), (points, extra, by_hand, late) in POINTS.items():
            submission = book.add_submission(stage, student)
            submission.notebooks[0].late_submission_penalty = late
            grade = book.find_grade("train_mean", stage, stage, student)
            grade.auto_score, grade.extra_credit, grade.needs_manual_grade = points, extra, False
            grade = book.find_grade("why", stage, stage, student)
            grade.manual_score, grade.needs_manual_grade = by_hand, by_hand is None
        book.find_comment("why", STAGES[0], STAGES[0], "ada").manual_comment = "-1 for the units;\nsee me"
        book.db.commit()
    patch.undo()
    return read_course(root)


def export(course: Course, kind: str, tmp_path: Path, *stages: str) -> tuple[list[list[str]], list[str]]:
    path = tmp_path / "out" / f"{kind}.csv"
    notes = write_export(course, stages, kind, path)
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))), notes


def test_every_question_is_a_line_as_the_gradebook_has_it(graded: Course, tmp_path: Path):
    rows, notes = export(graded, "csv", tmp_path)
    assert notes == []
    assert rows[0] == ["student", "name", "team", "stage", "question", "points", "max", "open", "late", "comment"]
    ada = ["ada", "Ada Lovelace", "helix", "04_baselines"]
    assert rows[1] == [*ada, "train_mean", "4.5", "5.0", "False", "1.0", ""]
    assert rows[2] == [*ada, "why", "1.25", "2.0", "False", "1.0", "'-1 for the units; see me"]
    assert rows[4] == ["bob", EVIL, "", "04_baselines", "why", "0.0", "2.0", "True", "0.0", ""]
    assert [row[0] for row in rows[1:]] == ["ada", "ada", "bob", "bob", "zoe", "zoe", "ada", "ada", "bob", "bob"]
    assert rows[5][5] == "0.33"


def test_pandas_reads_numbers_and_truth_values(graded: Course, tmp_path: Path):
    write_export(graded, ["04_baselines"], "csv", tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert table.columns[0] == "student"
    assert [table[name].dtype.kind for name in ("points", "max", "late", "open")] == ["f", "f", "f", "b"]
    assert table.groupby("student")["points"].sum().to_dict() == {"ada": 5.75, "bob": 5.0, "zoe": 0.33}


def test_canvas_gets_its_columns_and_no_points_that_may_change(graded: Course, tmp_path: Path):
    # "How do I import grades in the Gradebook?" (Canvas Instructor Guide): the columns about students, in this order,
    # then the assignments; `Title (id)` is one that exists; the line Points Possible belongs to new ones
    rows, notes = export(graded, "canvas", tmp_path)
    assert rows == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Baselines (77)", "05_cvae"],
        ["    Points Possible", "", "", "", "", "7.0", "7.0"],
        ["Ada Lovelace", "101", "s1", "", "Group A", "4.75", "0.0"],
        [EVIL, "102", "", "", "", "", "4.0"],
        ["Dan Gone", "104", "", "", "", "", ""],
    ]
    waits = "no grade, since a question waits for you; look at it in formgrader, then export again"
    assert notes == [
        "zoe: left out, since the roster has no such student; import them with autograder roster",
        "cyd: left out, since the roster has no ID in Canvas; import its export with autograder roster",
        f"bob (04_baselines): {waits}",
    ]
    assert (tmp_path / "out" / "canvas.csv").read_bytes().startswith(b"Student,")


def test_moodle_gets_one_identifying_column_that_nobody_lacks_and_a_dash_for_no_grade(graded: Course, tmp_path: Path):
    # "Grade import" (MoodleDocs): a column mapped to useridnumber or useremail, and columns mapped to grade items, as
    # in its own export, which has - for no grade
    rows, notes = export(graded, "moodle", tmp_path, "05_cvae", "04_baselines")
    assert rows == [
        ["ID number", "Name", "05_cvae", "Baselines"],
        ["m1", "Ada Lovelace", "0.0", "4.75"],
        ["m2", EVIL, "4.0", "-"],
        ["m4", "Dan Gone", "-", "-"],
    ]
    assert [note.partition(":")[0] for note in notes] == ["zoe", "cyd", "bob (04_baselines)"]


def test_moodle_users_are_identified_by_e_mail_where_more_have_one(graded: Course, tmp_path: Path):
    (tmp_path / "course.toml").write_text(COURSE.replace("moodle_id", "# moodle_id"))
    (tmp_path / "grading").symlink_to(graded.grading)
    rows, notes = export(read_course(tmp_path), "moodle", tmp_path, "05_cvae")
    assert rows == [
        ["Email address", "Name", "05_cvae"],
        ["ada@uni.edu", "Ada Lovelace", "0.0"],
        ["bob@uni.edu", EVIL, "4.0"],
    ]
    assert notes == [
        "cyd, dan: left out, since the roster has no Email address in Moodle; import its export with autograder roster"
    ]


@pytest.mark.parametrize(
    ("text", "due"),
    [
        *((text, f"'{text}") for text in ("=1+1", "+1", "-1", "@SUM(A1)", "  =1", "=")),
        ("\t=1", "' =1"),
        ("\r=1", "' =1"),
        ("\n=1", "' =1"),
        ("a\tb\nc\x1b[2J", "a b c [2J"),
        ("fine = 1", "fine = 1"),
        ("-", "-"),
        (-1.5, -1.5),
        (True, True),
    ],
)
def test_no_text_is_calculated_and_numbers_stay_numbers(text: object, due: object):
    assert harmless(text) == due


@pytest.mark.parametrize("sign", ["\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\u207a", "\ufe63", "\u3000="])
def test_signs_that_a_spreadsheet_reads_as_plain_ones_are_no_formula_either(sign: str):
    assert harmless(f"{sign}1+1").startswith("'")


def test_the_command_writes_beside_the_grades_and_lists_what_is_left_out(graded: Course):
    run = ["export", "05_cvae", "--format", "canvas", "--course", str(graded.root)]
    done = CliRunner().invoke(app, run)
    path = graded.grading / "exports" / "canvas.csv"
    assert (done.exit_code, done.stdout) == (0, f"wrote {path}\n")
    assert done.stderr.startswith("cyd: left out, since the roster has no ID in Canvas")
    assert path.read_text().splitlines()[0].endswith(",Section,05_cvae")
    assert [entry.name for entry in path.parent.iterdir()] == ["canvas.csv"]


STRANGERS = '[course]\nname = "x"\n[stages.05_cvae]\n'
ONE_TITLE = COURSE.replace("[stages.05_cvae]", '[stages.05_cvae]\ntitle = "Baselines"')


@pytest.mark.parametrize(
    ("text", "stages", "said"),
    [
        (COURSE, ["07_none"], "has no stage '07_none'"),
        (COURSE, ["05_cvae", "06_gnn"], "nobody was graded for 06_gnn; run: autograder grade 06_gnn"),
        (STRANGERS, [], "no student of the roster has an ID in Canvas; import its export with: autograder roster FILE"),
        (ONE_TITLE, [], "two stages have the title 'Baselines', and each needs a column; give them other titles"),
    ],
)
def test_what_cannot_be_exported_says_why(graded: Course, tmp_path: Path, text: str, stages: list[str], said: str):
    (tmp_path / "course.toml").write_text(text)
    (tmp_path / "grading").symlink_to(graded.grading)
    with pytest.raises(InputError, match=said):
        write_export(read_course(tmp_path), stages, "canvas", tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_nothing_graded_says_what_to_run(tmp_path: Path):
    (tmp_path / "course.toml").write_text(COURSE)
    with pytest.raises(
        InputError, match="nobody was graded for 04_baselines, 05_cvae, 06_gnn; run: autograder grade 04"
    ):
        write_export(read_course(tmp_path), [], "csv", tmp_path / "a.csv")
