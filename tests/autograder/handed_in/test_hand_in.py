"""What `starter hand-in` puts somewhere is what `autograder collect` takes from there."""

import getpass
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import nbformat
import pytest
from commands import run
from handing_in import RIGHT, STAGE, grade_one
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default import ExchangeCollect

from autograder.course import Course, read_course
from autograder.gradebook.book import configuration, write_settings
from autograder.handed_in import attempts
from autograder.handed_in.notebook import rebuild_notebook
from autograder.release.student_kit import students_settings
from starter.assignment.bundle import bundle_of
from starter.assignment.course_file import read_course_file
from starter.assignment.files import Sizes
from starter.assignment.notebook import read_cells
from starter.errors import InputError

ME = getpass.getuser()
WHOLE = Sizes(64 << 20, 1 << 30)


class Desk:
    """A student's copy of a course, which the instructor told where to hand in."""

    def __init__(self, course: Course, root: Path, where: str = "") -> None:
        settings = course.root / "course.toml"
        settings.write_text(f"{settings.read_text()}\n[hand_in]\n{where}\n")
        self.course, self.root = read_course(course.root), root
        shutil.copytree(course.root / "assignments", root / "assignments")
        (root / "data").symlink_to(course.root / "data")
        (root / "course.toml").write_text(students_settings(self.course))
        self.stage = root / "assignments" / STAGE
        self.notebook = self.stage / f"{STAGE}.ipynb"

    def solve(self, code: str = RIGHT) -> None:
        notebook = nbformat.read(self.notebook, as_version=4)
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code":
                cell.source = code
        nbformat.write(notebook, self.notebook)

    def hand_in(self, *arguments: object) -> subprocess.CompletedProcess:
        return run("starter", "hand-in", *arguments, cwd=self.root, env={"VCC_COURSE": ""})


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def test_from_a_folder_it_is_collected_and_graded(
    sandbox_here, course: Course, inbox: Path, tmp_path: Path, train_mean
):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")
    desk.solve()
    (desk.stage / "regrade.md").write_text("question train_mean: why?")
    (desk.stage / "own").mkdir()
    (desk.stage / "own" / "helper.py").write_text("x = 1\n")
    (desk.stage / "predictions").mkdir()
    (desk.stage / "predictions" / "large.bin").write_bytes(b"not asked for")
    shutil.copyfile(train_mean, desk.stage / "prediction.h5ad")
    answer = desk.hand_in("04", desk.stage / "own" / "helper.py")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"{STAGE}.ipynb, saved just now" in answer.stdout
    assert f"handed in as {ME}: {inbox}" in answer.stdout
    (attempt,) = inbox.iterdir()
    due = {f"{STAGE}.ipynb", "prediction.h5ad", "regrade.md", "own/helper.py"}
    assert {str(path.relative_to(attempt)) for path in attempt.rglob("*") if path.is_file()} == due
    desk.hand_in("04", desk.stage / "own" / "helper.py")
    done = attempts.collect(desk.course, STAGE, inbox)
    assert (done.refused, done.left_out, {one.student for one in done.new}) == ([], [], {ME})
    assert len(list(inbox.iterdir())) == 2
    result = grade_one(desk.course, ME)
    assert (result.questions[0].name, result.questions[0].points) == ("train_mean", 5)
    placed = desk.course.grading / "submitted" / ME / STAGE / "prediction.h5ad"
    assert placed.read_bytes() == train_mean.read_bytes()
    assert attempts.collect(desk.course, STAGE, inbox).new == []


def test_nbgraders_exchange_takes_it_as_its_own(course: Course, tmp_path: Path):
    exchange = tmp_path / "exchange"
    desk = Desk(course, tmp_path / "desk", f"exchange = {json.dumps(str(exchange))}")
    assert "is not there; ask your instructor" in desk.hand_in("04").stderr
    inbound = exchange / course.name / "inbound"
    inbound.mkdir(parents=True)
    desk.solve()
    assert desk.hand_in(STAGE).returncode == 0
    (attempt,) = inbound.iterdir()
    assert (attempt / "timestamp.txt").read_text() in attempt.name
    assert attempt.stat().st_mode & 0o777 == 0o777
    assert (attempt / f"{STAGE}.ipynb").stat().st_mode & 0o777 == 0o644
    # nbgrader's own collecting finds it there
    config = configuration(desk.course)
    config.Exchange.root, config.CourseDirectory.assignment_id = str(exchange), STAGE
    directory = CourseDirectory(config=config)
    nbgrader = ExchangeCollect(coursedir=directory, authenticator=Authenticator(config=config), config=config)
    nbgrader.init_src()
    (record,) = nbgrader.src_records
    assert (record["username"], record["filename"]) == (ME, attempt.name)
    write_settings(desk.course)
    with (course.root / "nbgrader_config.py").open("a") as settings:
        settings.write(f"\nc.Exchange.root = {str(exchange)!r}\n")
    done = attempts.collect(desk.course, STAGE)
    assert (done.refused, [one.student for one in done.new]) == ([], [ME])


def test_an_archive_is_uploaded_and_collected(course: Course, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk", 'url = "https://moodle.example.org/assign/7"')
    desk.solve()
    answer = desk.hand_in("04_baselines.ipynb")
    archive = desk.root / f"{STAGE}.zip"
    assert answer.stdout.endswith(f"wrote {archive}; upload it at https://moodle.example.org/assign/7\n")
    assert "mind: there is no prediction.h5ad, for which the question prediction has 5 points" in answer.stderr
    assert zipfile.ZipFile(archive).namelist() == [f"{STAGE}.ipynb"]
    (tmp_path / "download" / "ada").mkdir(parents=True)
    shutil.copyfile(archive, tmp_path / "download" / "ada" / archive.name)
    done = attempts.collect(desk.course, STAGE, tmp_path / "download")
    assert (done.refused, [one.student for one in done.new]) == ([], ["ada"])


def test_without_a_place_the_instructor_says_it(course: Course, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk", 'leaderboard = "https://board.example.org"')
    answer = desk.hand_in("04")
    assert f"wrote {desk.root / STAGE}.zip; hand it in as your instructor says" in answer.stdout
    assert "the class's leaderboard of predictions: https://board.example.org" in answer.stdout


def test_another_login_is_refused_when_collected(course: Course, inbox: Path, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")
    assert desk.hand_in("04", "--student", "ada").returncode == 0
    (reason,) = attempts.collect(desk.course, STAGE, inbox).refused
    assert f"it belongs to {ME}, who may have handed in for somebody else" in reason
    assert "error: 'a+b' can be nobody's id" in desk.hand_in("04", "--student", "a+b").stderr


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda desk: desk.notebook.unlink(), f"there is no {STAGE}.ipynb in"),
        (lambda desk: desk.notebook.write_text('{"cells": ['), f"{STAGE}.ipynb is damaged and cannot be opened"),
        (lambda desk: desk.notebook.write_text('{"nbformat": 3, "worksheets": []}'), "is saved in format 3"),
        (lambda desk: desk.notebook.write_text(json.dumps({"cells": [{}] * 2001})), "has 2,001 cells"),
        (lambda desk: os.truncate(desk.notebook, 257 << 20), "is damaged"),
    ],
)
def test_what_cannot_be_graded_is_one_sentence_and_leaves_nothing(course, inbox, tmp_path, damage, said: str):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")
    damage(desk)
    answer = desk.hand_in("04")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert said in answer.stderr
    assert list(inbox.iterdir()) == []


def test_the_grader_says_the_same_of_a_damaged_notebook(course: Course, tmp_path: Path):
    path = tmp_path / "x.ipynb"
    released = json.loads((course.root / "assignments" / STAGE / f"{STAGE}.ipynb").read_text())
    for text in ("{", "[]", '{"cells": [1]}', '{"nbformat": 3}', '{"cells": 5}'):
        path.write_text(text)
        with pytest.raises(InputError) as refused:
            read_cells(path)
        assert rebuild_notebook(path, released, []) == (released, str(refused.value))


def test_too_large_files_are_refused_before_anything_is_copied(course: Course, inbox: Path, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")
    large = desk.stage / "large.bin"
    large.touch()
    os.truncate(large, 65 << 20)  # sparse
    answer = desk.hand_in("04", large)
    assert "the further files have 65 MiB, and at most 64 may be handed in" in answer.stderr
    prediction = desk.stage / "prediction.h5ad"
    prediction.touch()
    with pytest.raises(InputError, match=r"prediction.h5ad has 2 MiB, and at most 1 may be handed in; pack it"):
        os.truncate(prediction, 2 << 20)
        bundle_of(desk.stage, Sizes(1 << 20, 1 << 20))
    assert list(inbox.iterdir()) == []


def test_a_file_from_elsewhere_a_lost_mark_and_a_faulty_prediction_are_said(
    course: Course, tmp_path: Path, monkeypatch
):
    desk = Desk(course, tmp_path / "desk")
    monkeypatch.chdir(desk.root)
    with pytest.raises(InputError, match="what the notebook reads is handed in from beside it"):
        bundle_of(desk.stage, WHOLE, [desk.root / "course.toml"])
    notebook = nbformat.read(desk.notebook, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean":
            del cell.metadata["nbgrader"]
    nbformat.write(notebook, desk.notebook)
    (desk.stage / "prediction.vcc").write_bytes(b"nothing")
    lost, faulty = bundle_of(desk.stage, WHOLE).notes
    assert lost == "no cell is marked as train_mean any more; the grader looks for them by text and place"
    assert faulty.startswith("prediction.vcc would earn nothing: ")


def test_a_stage_that_is_not_there_is_said(course: Course, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk")
    answer = desk.hand_in("07")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert f"there is no stage '07' in {desk.root}; there are: {STAGE}" in answer.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(course: Course, inbox: Path, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")
    inbox.chmod(0o555)
    assert "cannot write" in desk.hand_in("04").stderr


def test_an_attempt_is_whole_or_not_there(course: Course, inbox: Path, tmp_path: Path, monkeypatch):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    answer = desk.hand_in("04")
    assert "No space left on device" in answer.stderr
    assert list(inbox.iterdir()) == []


def test_one_that_is_being_written_is_not_collected(course: Course, inbox: Path, tmp_path: Path):
    desk = Desk(course, tmp_path / "desk", f"folder = {json.dumps(str(inbox))}")
    desk.hand_in("04")
    (there,) = inbox.iterdir()
    shutil.copytree(there, inbox / f".{there.name}.x.part")
    done = attempts.collect(desk.course, STAGE, inbox)
    assert (len(done.new), done.refused) == (1, [])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('folder = "a"\nurl = "https://b"', "folder and url are there"),
        ('url = "moodle"', "hand_in.url"),
        ('folders = "a"', "there is no such key"),
    ],
)
def test_a_wrong_table_is_refused(course: Course, table: str, said: str):
    path = course.root / "course.toml"
    path.write_text(f"{path.read_text()}\n[hand_in]\n{table}\n")
    with pytest.raises(InputError, match=said):
        read_course(path)


def test_students_learn_where_when_and_how_much_and_nothing_else(course: Course, tmp_path: Path):
    path = course.root / "course.toml"
    deadline = 'title = "Baselines"\ndeadline = 2027-01-15T23:59:00+01:00'
    text = path.read_text().replace('title = "Baselines"', deadline)
    path.write_text(f'{text}\n[hand_in]\nfolder = "inbox"\n[roster]\nstudents = [{{id = "ada"}}]\n')
    (tmp_path / "course.toml").write_text(students_settings(read_course(path)))
    given = read_course_file(tmp_path)
    assert (given.name, given.hand_in.folder, given.sizes) == ("test-course", "inbox", WHOLE)
    assert given.deadlines[STAGE].isoformat() == "2027-01-15T23:59:00+01:00"
    said = (tmp_path / "course.toml").read_text()
    assert not [word for word in ("ada", "seed", "rubric", "hidden", "roster") if word in said]


@pytest.mark.parametrize("text", ["[course", "[course]\nname = 1\n[hand_in]\nplace = 'x'", "[limits]"])
def test_a_damaged_course_file_is_said(tmp_path: Path, text: str):
    (tmp_path / "course.toml").write_text(text)
    with pytest.raises(InputError, match=r"course.toml cannot be read"):
        read_course_file(tmp_path)
