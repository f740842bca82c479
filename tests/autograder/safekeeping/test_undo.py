import errno
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from commands import run
from copies import copied
from handing_in import RIGHT, STAGE, WRONG, released_notebook
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.gradebook.grades import read_grades
from autograder.safekeeping import step as steps
from autograder.safekeeping import undo as undoing
from autograder.safekeeping.book_copy import hash_gradebook
from autograder.safekeeping.step import step
from starter.files import sha256

MADE = (*(f"grading/{name}/" for name in ("cache", "work", "undo")), "grading/gradebook.db")
"""What no step is about; of the gradebook counts what it says."""


def state(course: Course) -> dict[str, object]:
    """Hash every file, with its time and mode, and what the gradebook says; an empty folder is there too."""
    found: dict[str, object] = {"the gradebook": hash_gradebook(course.grading / "gradebook.db")}
    for path in course.root.rglob("*"):
        name = path.relative_to(course.root).as_posix()
        if not f"{name}/".startswith(MADE) and name != "grading/gradebook.db" and name not in ("grading",):
            about = path.stat()
            found[name] = (sha256(path), about.st_mtime_ns, about.st_mode) if path.is_file() else "a folder"
    return found


def hand_in(course: Course, folder: Path, **code: str) -> Path:
    """Write a download with a notebook for each student."""
    for student, source in code.items():
        notebook = released_notebook(course)
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code":
                cell.source = source
        (folder / student / STAGE).mkdir(parents=True)
        nbformat.write(notebook, folder / student / STAGE / f"{STAGE}.ipynb")
    return folder


def done(course: Course, *arguments: object) -> str:
    ran = run("autograder", *arguments, "--course", course.root)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def refused(course: Course, *arguments: object) -> str:
    ran = run("autograder", *arguments, "--course", course.root)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    return ran.stderr


def by_hand(course: Course, student: str, points: float) -> None:
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        grade = book.find_grade("train_mean", STAGE, STAGE, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        book.db.commit()


@pytest.fixture(scope="module")
def collected_once(
    sandbox_here: None, released_with_text: Course, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Course, Course]:
    """A course in which two handed in, collected; and the same, graded. Read only."""
    del sandbox_here
    root = tmp_path_factory.mktemp("undo")
    course = copied(released_with_text, root / "collected")
    course.secret()  # the first grade makes it, and it stays
    inbox = hand_in(course, root / "inbox", ada=RIGHT, bob=WRONG)
    done(course, "collect", STAGE, inbox, "--received", "2020-10-01T12:00:00Z")
    graded = copied(course, root / "graded")
    done(graded, "grade", STAGE)
    return course, graded


@pytest.fixture(scope="module")
def before_grade(collected_once: tuple[Course, Course]) -> dict[str, object]:
    return state(collected_once[0])


@pytest.fixture
def collected(collected_once: tuple[Course, Course], tmp_path: Path) -> Course:
    return copied(collected_once[0], tmp_path / "collected")


@pytest.fixture
def graded(collected_once: tuple[Course, Course], tmp_path: Path) -> Course:
    return copied(collected_once[1], tmp_path / "graded")


def test_a_collect_is_taken_back_to_the_byte(graded: Course, tmp_path: Path):
    was = state(graded)
    inbox = hand_in(graded, tmp_path / "inbox", ada=WRONG, cyd=RIGHT)
    (inbox / "ada" / STAGE / "big.bin").write_bytes(bytes(2 << 20))
    done(graded, "collect", STAGE, inbox, "--received", "2020-10-03T12:00:00Z")
    now = state(graded)
    assert f"grading/submitted/cyd/{STAGE}/{STAGE}.ipynb" in now
    said = done(graded, "undo", "--yes")
    assert said.startswith(f"takes back autograder collect {STAGE} of 20")
    assert state(graded) == was
    # it can be collected again
    assert "collected 2 new attempts" in done(graded, "collect", STAGE, inbox, "--received", "2020-10-03T12:00:00Z")
    assert {**state(graded), **dict.fromkeys(now)}.keys() == now.keys()


def test_a_first_grade_is_taken_back_to_the_byte(graded: Course, before_grade: dict):
    assert len(read_grades(graded, STAGE)) == 2
    assert "the gradebook says again what it said before" in done(graded, "undo", "--yes")
    assert state(graded) == before_grade
    assert "there is nothing to take back" in refused(graded, "undo", "--yes")


def test_a_later_grade_is_taken_back_with_what_was_given_by_hand_before(graded: Course, tmp_path: Path):
    by_hand(graded, "bob", 3.0)
    inbox = hand_in(graded, tmp_path / "inbox", bob=RIGHT, cyd=RIGHT)
    done(graded, "collect", STAGE, inbox, "--received", "2020-10-03T12:00:00Z")
    was, grades = state(graded), read_grades(graded, STAGE)
    done(graded, "grade", STAGE)
    assert read_grades(graded, STAGE) != grades
    done(graded, "undo", "--yes")
    assert state(graded) == was
    assert read_grades(graded, STAGE) == grades
    done(graded, "grade", STAGE)  # and forward again
    assert [grade.student for grade in read_grades(graded, STAGE)] == ["ada", "bob", "cyd"]


def test_points_given_since_are_not_lost_in_silence(graded: Course):
    by_hand(graded, "bob", 3.0)
    now = state(graded)
    said = refused(graded, "undo", "--yes")
    assert f"given by hand: bob, {STAGE}, train_mean: points 3.0" in said
    assert "--force" in said
    assert state(graded) == now
    assert f"is lost: given by hand: bob, {STAGE}, train_mean: points 3.0" in done(graded, "undo", "--yes", "--force")
    assert read_grades(graded, STAGE) == []


def test_files_changed_since_are_not_lost_in_silence(graded: Course):
    path = graded.grading / "submitted" / "ada" / STAGE / "notes.txt"
    path.write_text("mine")
    assert f"grading/submitted/ada/{STAGE}/notes.txt changed" in refused(graded, "undo", "--yes")
    done(graded, "undo", "--yes", "--force")
    assert not path.exists()


def test_a_release_is_taken_back_to_the_byte(graded: Course):
    was = state(graded)
    path = graded.root / "solutions" / STAGE / f"{STAGE}.ipynb"
    text = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source += "\n\nMore."
    nbformat.write(notebook, path)
    done(graded, "release", "--notebooks")
    assert "More." in (graded.root / "assignments" / STAGE / f"{STAGE}.ipynb").read_text()
    done(graded, "undo", "--yes")
    path.write_bytes(text)
    now = state(graded)
    name = f"solutions/{STAGE}/{STAGE}.ipynb"
    assert str(now.pop(name))[:64] == str(was.pop(name))[:64]  # the instructor's own file is not a part of it
    assert now == was


def test_it_asks(graded: Course, monkeypatch: pytest.MonkeyPatch):
    now = state(graded)
    monkeypatch.setattr("typer.confirm", lambda text: False)
    assert "done" not in done(graded, "undo")
    assert state(graded) == now
    monkeypatch.setattr("typer.confirm", lambda text: True)
    assert done(graded, "undo").endswith("done\n")


def test_what_changes_nothing_leaves_the_last_step(graded: Course, before_grade: dict):
    done(graded, "grade", STAGE)
    refused(graded, "grade", "99_nothing")
    assert f"takes back autograder grade {STAGE}" in done(graded, "undo", "--yes")
    assert state(graded) == before_grade


@pytest.mark.slow
def test_a_grade_that_was_killed_and_goes_on_is_one_step(collected: Course):
    was = state(collected)
    code = "from commands import run; run('autograder', 'grade', *{!r}); print('end')"
    arguments = [STAGE, "--course", str(collected.root), "--jobs", "1"]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", code.format(arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not list((collected.grading / "results").glob("*/*.json")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.communicate()[0] == ""
    stopped = copied(collected, collected.root.parent / "stopped")
    done(stopped, "undo", "--yes")
    assert state(stopped) == was
    done(collected, "grade", STAGE)
    assert len(read_grades(collected, STAGE)) == 2
    done(collected, "undo", "--yes")
    assert state(collected) == was


def test_an_undo_that_was_stopped_is_finished_by_the_next(
    graded: Course, before_grade: dict, monkeypatch: pytest.MonkeyPatch
):
    bring, calls = undoing._put_book_back, []

    def full(*given: object) -> None:
        calls.append(given)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(undoing, "_put_book_back", full)
    assert "stopped half-way (No space left on device); make room" in refused(graded, "undo", "--yes")
    assert calls
    monkeypatch.setattr(undoing, "_put_book_back", bring)
    assert "finish it first: autograder undo" in refused(graded, "grade", STAGE)
    done(graded, "undo", "--yes")
    assert state(graded) == before_grade


def test_without_room_to_keep_it_nothing_is_done(collected: Course, monkeypatch: pytest.MonkeyPatch):
    was = state(collected)

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(steps, "bring", full)
    assert "cannot keep what autograder grade 04_baselines changes" in refused(collected, "grade", STAGE)
    assert state(collected) == was


def test_what_was_kept_and_changed_is_not_put_back(graded: Course):
    now = state(graded)
    kept = graded.grading / "undo" / "last" / "files" / "grading" / "submitted" / "ada" / STAGE / f"{STAGE}.ipynb"
    kept.write_text("{}")
    assert "what was kept of grading/submitted/ada" in refused(graded, "undo", "--yes")
    assert state(graded) == now


def test_two_commands_at_a_time_cannot_be_taken_back(collected: Course):
    with step(collected, "collect", STAGE):
        (collected.grading / "submitted" / "zoe" / STAGE).mkdir(parents=True)
        with step(collected, "grade", STAGE):
            pass
        assert "another autograder command is at work" in refused(collected, "undo", "--yes")
    assert f"autograder grade {STAGE} ran at the same time" in refused(collected, "undo", "--yes")


def test_a_gradebook_that_broke_comes_back(graded: Course, before_grade: dict):
    (graded.grading / "gradebook.db").write_bytes(b"no database" * 99)
    assert "gradebook.db is damaged" in refused(graded, "undo", "--yes")
    done(graded, "undo", "--yes", "--force")
    assert state(graded) == before_grade


def test_a_link_in_the_place_of_a_submission_is_left_alone(collected: Course, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("mine")
    (collected.grading / "submitted" / "eve").mkdir()
    (collected.grading / "submitted" / "eve" / STAGE).symlink_to(tmp_path / "elsewhere")
    before = datetime.now(UTC)
    with step(collected, "grade", STAGE):
        (collected.grading / "results").mkdir(exist_ok=True)
        (collected.grading / "results" / STAGE).mkdir()
        (tmp_path / "elsewhere" / "file").write_text("changed")
    kept = steps.read_step(collected.grading / "undo" / "last")
    assert kept is not None
    assert kept.began >= before
    done(collected, "undo", "--yes")
    assert (tmp_path / "elsewhere" / "file").read_text() == "changed"
    assert (collected.grading / "submitted" / "eve" / STAGE).is_symlink()
    assert not (collected.grading / "results" / STAGE).exists()
