import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from copies import copied
from handing_in import RIGHT, STAGE, WRONG, submit
from nbgrader.api import Gradebook
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.grades import read_grades
from autograder.grading.grade import grade_stage
from autograder.grading.lock import hold
from autograder.grading.results import Result, read_result
from autograder.handed_in.attempts import read_attempts
from autograder.handed_in.submissions import Submission
from autograder.safekeeping.backup import write_backup
from autograder.safekeeping.restore import restore_backup
from starter.errors import InputError
from starter.files import sha256

LOST = ("cache", "work", "generated", "exports", "undo")
"""What commands make again."""


@pytest.fixture(scope="module")
def graded_once(
    sandbox_here: None, released_with_text: Course, train_mean: Path, tmp_path_factory: pytest.TempPathFactory
) -> Course:
    """A course in which three handed in, two of them twice; graded, with points and a comment by hand."""
    del sandbox_here, train_mean
    course = copied(released_with_text, tmp_path_factory.mktemp("graded") / "course")
    run = CliRunner()
    inbox = course.root.parent / "inbox"
    for student, code in (("ada", RIGHT), ("bob", WRONG), ("cyd", None)):
        path = submit(course, student, code)
        shutil.copytree(path, inbox / student / STAGE)
        shutil.rmtree(course.grading / "submitted")
    for received in ("2020-10-01T12:00:00Z", "2020-10-02T12:00:00Z"):
        done = run.invoke(app, ["collect", STAGE, str(inbox), "--received", received, "--course", str(course.root)])
        assert done.exit_code == 0, done.output
        (inbox / "ada" / STAGE / "notes.txt").write_text(received)
        (inbox / "bob" / STAGE / "notes.txt").write_text(received)
    done = run.invoke(app, ["grade", STAGE, "--course", str(course.root)])
    assert done.exit_code == 0, done.output
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grade = book.find_grade("train_mean", STAGE, STAGE, "bob")
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        book.find_comment("train_mean_code", STAGE, STAGE, "bob").manual_comment = "mind the mean"
        book.db.commit()
    assert run.invoke(app, ["feedback", STAGE, "--course", str(course.root)]).exit_code == 0
    return course


@pytest.fixture
def graded_course(graded_once: Course, tmp_path: Path) -> Course:
    return copied(graded_once, tmp_path / "course")


def facts(course: Course) -> dict[str, Result]:
    """Read all results but for the seconds, which differ from run to run."""
    found = {}
    for path in sorted((course.grading / "results" / STAGE).glob("*.json")):
        result = read_result(path)
        found[path.stem] = replace(result, questions=[replace(one, seconds=0.0) for one in result.questions])
    return found


def content(course: Course) -> dict[str, str]:
    """Hash all files but those that commands make again."""
    files = (path for path in course.root.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    names = {path.relative_to(course.root).as_posix(): path for path in files}
    return {
        name: sha256(path)
        for name, path in names.items()
        if not name.startswith((*(f"grading/{lost}/" for lost in LOST), "screen/", "grading/gradebook.db"))
    }


def test_a_restored_course_has_every_file_and_grades_to_the_same_points(graded_course: Course, tmp_path: Path):
    before, grades = facts(graded_course), read_grades(graded_course, STAGE)
    manifest, left_out = write_backup(graded_course, tmp_path / "backup.zip")
    assert left_out == []
    assert stat.S_IMODE((tmp_path / "backup.zip").stat().st_mode) == 0o600
    was = content(graded_course)
    shutil.rmtree(graded_course.root)
    restore_backup(tmp_path / "backup.zip", tmp_path / "elsewhere" / "course")
    course = read_course(tmp_path / "elsewhere" / "course")
    assert content(course) == was
    assert set(manifest.files) == {*was, "grading/gradebook.db"}
    assert stat.S_IMODE((course.grading / "secret").stat().st_mode) == 0o600
    assert read_grades(course, STAGE) == grades
    assert [len(read_attempts(Submission(course, STAGE, student))) for student in ("ada", "bob", "cyd")] == [2, 2, 1]
    results = course.grading / "results" / STAGE
    times = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    args = ["grade", STAGE, "--course", str(course.root)]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == times  # nothing was run again
    shutil.rmtree(results)
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert facts(course) == before
    assert {grade.student: grade.points for grade in read_grades(course, STAGE)} == {"ada": 5, "bob": 2.5, "cyd": 0}
    assert "mind the mean" in str(read_grades(course, STAGE))


def test_another_secret_would_be_seen(graded_course: Course):
    """The check above can fail: what a hidden input depends on shows in the results."""
    (graded_course.grading / "secret").unlink()
    before = facts(graded_course)
    shutil.rmtree(graded_course.grading / "results")
    grade_stage(graded_course, STAGE, ["bob"])
    assert facts(graded_course)["bob"] != before["bob"]


def test_a_gradebook_that_is_open_is_copied_as_it_was_committed(graded_course: Course, tmp_path: Path):
    book = graded_course.grading / "gradebook.db"
    with closing(sqlite3.connect(book, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE grade SET manual_score = 99")
        write_backup(graded_course, tmp_path / "backup.zip")
        other.execute("ROLLBACK")
    restore_backup(tmp_path / "backup.zip", tmp_path / "new")
    assert {grade.student: grade.points for grade in read_grades(read_course(tmp_path / "new"), STAGE)}["bob"] == 2.5


def test_nothing_is_overwritten(graded_course: Course, tmp_path: Path):
    file = tmp_path / "backup.zip"
    write_backup(graded_course, file)
    was = sha256(file), content(graded_course)
    of_course = ["--course", graded_course.root]
    for run in (["backup", file, *of_course], ["restore", file, graded_course.root]):
        done = CliRunner().invoke(app, list(map(str, run)))
        assert isinstance(done.exception, InputError)
    with pytest.raises(InputError, match=r"holds a course \(assignments, course.toml, .*not overwritten"):
        restore_backup(file, graded_course.root)
    with pytest.raises(InputError, match="is there and is no folder"):
        restore_backup(file, file)
    assert (sha256(file), content(graded_course)) == was


@pytest.mark.parametrize("place", ["data/backup.zip", "assignments/backup.zip"])
def test_no_backup_is_written_where_students_get_it(graded_once: Course, place: str):
    with pytest.raises(InputError, match="which students get, and a backup holds the secret"):
        write_backup(graded_once, graded_once.root / place)


def test_links_are_left_out_and_named(graded_course: Course, tmp_path: Path):
    (graded_course.grading / "submitted" / "ada" / STAGE / "link.txt").symlink_to("/etc/passwd")
    (graded_course.root / "solutions" / "more").symlink_to(tmp_path)
    os.mkfifo(graded_course.root / "solutions" / "pipe")
    (graded_course.root / "questions" / "__pycache__").mkdir(exist_ok=True)
    (graded_course.root / "questions" / "__pycache__" / "x.pyc").write_text("")
    manifest, left_out = write_backup(graded_course, tmp_path / "backup.zip")
    assert set(left_out) == {f"grading/submitted/ada/{STAGE}/link.txt", "solutions/more", "solutions/pipe"}
    assert not any("__pycache__" in name for name in manifest.files)


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Write an archive anew, each member changed or dropped."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if (member := change(name, old.read(name))) is not None:
                new.writestr(*member)


@pytest.fixture(scope="module")
def backup_file(graded_once: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "backup.zip"
    write_backup(graded_once, path)
    return path


def listed_too(name: str, data: bytes, odd: str) -> tuple[str, bytes]:
    """Give the secret an odd name, also in the list."""
    if name == "manifest.json":
        return name, data.replace(b'"grading/secret"', json.dumps(odd).encode())
    return (odd if name == "grading/secret" else name), data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda name, data: (name, data[:-2] + b"x\n") if name == "grading/secret" else (name, data),
            "secret is not what",
        ),
        (lambda name, data: (name, data + b"x") if name == "course.toml" else (name, data), "course.toml is not what"),
        (lambda name, data: None if name == "course.toml" else (name, data), r"missing 1 \(course.toml\)"),
        (lambda name, data: None if name == "manifest.json" else (name, data), "has no manifest.json"),
        (lambda name, data: (name, b"{" if name == "manifest.json" else data), "has no manifest.json that can be read"),
        (lambda name, data: (name, data.replace(b'"format": 1', b'"format": 9')), "another version of the kit"),
        (lambda name, data: ("extra" if name == "course.toml" else name, data), r"extra 1 \(extra\)"),
        *(
            (lambda name, data, odd=odd: listed_too(name, data, odd), "holds what no backup does")
            for odd in ("../secret", "/tmp/secret", "grading/../../secret", "a\\b", "grading//secret", "a\nb")
        ),
    ],
)
def test_what_is_damaged_or_odd_is_refused_whole(backup_file: Path, tmp_path: Path, change: Callable, said: str):
    rewritten(backup_file, tmp_path / "odd.zip", change)
    with pytest.raises(InputError, match=said):
        restore_backup(tmp_path / "odd.zip", tmp_path / "in" / "new")
    assert {path.name for path in tmp_path.rglob("*")} <= {"odd.zip", "in"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_an_archive_are_refused(backup_file: Path, tmp_path: Path, kind: int):
    shutil.copy(backup_file, tmp_path / "odd.zip")
    with zipfile.ZipFile(tmp_path / "odd.zip", "a") as archive:
        info = zipfile.ZipInfo("grading/link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="holds what no backup does"):
        restore_backup(tmp_path / "odd.zip", tmp_path / "new")


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.999])
def test_a_file_that_is_cut_off_is_refused(backup_file: Path, tmp_path: Path, cut: float):
    whole = backup_file.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(InputError, match="is no backup, or is damaged"):
        restore_backup(tmp_path / "cut.zip", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_while_a_stage_is_graded_nothing_is_backed_up(graded_course: Course, tmp_path: Path):
    with hold(graded_course, STAGE), pytest.raises(InputError, match="is being graded already"):
        write_backup(graded_course, tmp_path / "backup.zip")
    assert not (tmp_path / "backup.zip").exists()


def test_a_damaged_gradebook_is_told(graded_course: Course, tmp_path: Path):
    (graded_course.grading / "gradebook.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match=r"gradebook.db is damaged .*restore it from a backup, or move it away"):
        write_backup(graded_course, tmp_path / "backup.zip")
    assert not (tmp_path / "backup.zip").exists()


def test_a_full_disk_is_told_before_anything_is_written(
    graded_course: Course, backup_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(InputError, match="make room there"):
        write_backup(graded_course, tmp_path / "backup.zip")
    with pytest.raises(InputError, match="make room there"):
        restore_backup(backup_file, tmp_path / "new")
    assert not (tmp_path / "backup.zip").exists()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_killed_half_way_nothing_is_left(graded_course: Course, tmp_path: Path, what: str):
    (graded_course.grading / "submitted" / "ada" / STAGE / "big.bin").write_bytes(os.urandom(1 << 20) * 60)
    file = tmp_path / "backup.zip"
    if what == "restore":
        write_backup(graded_course, file)
    load = "from autograder.course import read_course; from autograder.safekeeping"
    calls = {
        "backup": f"{load}.backup import write_backup as f\nargs = read_course({str(graded_course.root)!r}), ",
        "restore": f"{load}.restore import restore_backup as f\nargs = ",
    }
    calls["backup"] += f"Path({str(file)!r})"
    calls["restore"] += f"Path({str(file)!r}), Path({str(tmp_path / 'new')!r})"
    code = f"from pathlib import Path\n{calls[what]}\nprint('go', flush=True)\nf(*args)\nprint('done', flush=True)"
    was = {path for path in tmp_path.iterdir()}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in tmp_path.glob(".*.part/**/*") if part.is_file()):
        assert time.monotonic() < deadline
    process.kill()
    assert process.communicate()[0] == ""
    while (there := {path for path in tmp_path.iterdir()}) != was:  # who clears up needs a moment
        assert time.monotonic() < deadline, there
        time.sleep(0.05)


def test_the_leaderboard_is_in_a_backup_while_it_is_served(graded_course: Course, tmp_path: Path):
    board = graded_course.grading / "leaderboard"
    for name, text in {"web/entries/1/p.vcc": "cells", "private/scores/1.json": "{}", "web/arriving/a": "half"}.items():
        (board / name).parent.mkdir(parents=True)
        (board / name).write_text(text)
    with closing(sqlite3.connect(board / "web" / "board.db")) as open_by_another:
        open_by_another.execute("PRAGMA journal_mode = WAL")
        open_by_another.execute("CREATE TABLE entries (file TEXT)")
        open_by_another.execute("INSERT INTO entries VALUES ('p.vcc')")
        open_by_another.commit()
        write_backup(graded_course, tmp_path / "backup.zip")
    restore_backup(tmp_path / "backup.zip", tmp_path / "elsewhere")
    restored = tmp_path / "elsewhere" / "grading" / "leaderboard"
    files = {path.relative_to(restored).as_posix() for path in restored.rglob("*") if path.is_file()}
    assert files == {"web/board.db", "web/entries/1/p.vcc", "private/scores/1.json"}
    with closing(sqlite3.connect(restored / "web" / "board.db")) as database:
        assert database.execute("SELECT file FROM entries").fetchall() == [("p.vcc",)]
