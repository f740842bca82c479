"""However a right notebook is named, folded or packed, it is the one that is graded; what cannot be told is listed."""

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from handing_in import RIGHT, STAGE, released_notebook
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.grading.grade import grade_stage
from autograder.handed_in.attempts import collect
from autograder.handed_in.submissions import Submission

NOTEBOOK = f"{STAGE}.ipynb"
TIME = datetime(2026, 11, 1, 10, tzinfo=UTC)
STUDENTS = {"ada": "Ada Love", "bob": "Bob Stone", "cai": "Cai Lun", "dee": "Dee Ray", "eve": "Eve Moon"}
ROSTER = "".join(
    f'    {{id = "{student}", name = "{name}", canvas_id = "{100 + number}"}},\n'
    for number, (student, name) in enumerate(STUDENTS.items())
)


def right(course: Course, **more: object) -> bytes:
    """Write the solved notebook as a student saves it."""
    notebook = released_notebook(course)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code":
            cell.source = RIGHT
    return json.dumps({**notebook, **more}).encode()


def packed(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in files.items():
            archive.writestr(name, member)
    return content.getvalue()


def download(path: Path, files: Mapping[str, bytes]) -> Path:
    path.write_bytes(packed(files))
    return path


@pytest.fixture
def rostered(course: Course) -> Course:
    path = course.root / "course.toml"
    path.write_text(path.read_text() + f"\n[roster]\nstudents = [\n{ROSTER}]\n")
    return read_course(course.root)


def taken(course: Course, student: str) -> bytes:
    return (Submission(course, STAGE, student).submitted / NOTEBOOK).read_bytes()


RENAMED = [f"{STAGE} (1).ipynb", f"Copy of {STAGE}.ipynb", f"{STAGE}_final.ipynb", f"{NOTEBOOK}.txt", "Untitled.IPYNB"]


@pytest.mark.parametrize("name", RENAMED)
@pytest.mark.parametrize("platform", ["folders", "Moodle", "Canvas"])
def test_a_renamed_notebook_is_taken_and_said(rostered: Course, tmp_path: Path, name: str, platform: str):
    path = {
        "folders": f"bob/{name}",
        "Moodle": f"Bob Stone_9001_assignsubmission_file_/{name}",
        "Canvas": f"stonebob_101_77001_{name}",
    }[platform]
    content = right(rostered)
    done = collect(rostered, STAGE, download(tmp_path / "all.zip", {path: content}), TIME)
    assert done.refused == []
    assert done.notes == [f"bob: {name} was taken as {NOTEBOOK}, since it has the questions of this stage"]
    assert taken(rostered, "bob") == content


def test_folders_and_archives_within_the_download_are_opened(rostered: Course, tmp_path: Path):
    content = right(rostered)
    inner = packed({f"{STAGE}/{NOTEBOOK}": content, f"{STAGE}/data/x.csv": b"x", f"__MACOSX/{STAGE}/._x": b"\0"})
    files = {
        f"Ada Love_9000_assignsubmission_file_/{STAGE}.zip": inner,
        "Bob Stone_9001_assignsubmission_file_/all.zip": packed({"mine/my work.ZIP": inner}),
        f"Cai Lun_9002_assignsubmission_file_/{STAGE}/{NOTEBOOK}": content,
        f"Dee Ray_9003_assignsubmission_file_/homework/week 9/{NOTEBOOK}": content,
        "Dee Ray_9003_assignsubmission_file_/homework/week 9/data/x.csv": b"x",
        "Eve Moon_9004_assignsubmission_onlinetext_/onlinetext.html": b"<p>my link</p>",
    }
    done = collect(rostered, STAGE, download(tmp_path / "all.zip", files), TIME)
    assert {student: taken(rostered, student) for student in ("ada", "bob", "cai", "dee")} == dict.fromkeys(
        ("ada", "bob", "cai", "dee"), content
    )
    for student in ("ada", "bob", "dee"):
        assert (Submission(rostered, STAGE, student).submitted / "data" / "x.csv").read_bytes() == b"x"
    assert done.refused == [
        "Eve Moon (9004): not collected: no file was handed in, only text that was typed into Moodle"
    ]


def test_archives_beside_the_notebook_stay_and_hide_nothing(rostered: Course, tmp_path: Path):
    content, older = right(rostered), right(rostered) + b" "
    archive = packed({NOTEBOOK: older, "x.csv": b"x"})
    both = {
        f"ada/{NOTEBOOK}": content,
        "ada/old.zip": archive,
        "bob/a.zip": archive,
        "bob/b.zip": packed({NOTEBOOK: older}),
    }
    with_prediction = {f"cai/{NOTEBOOK}": content, "cai/p.zip": packed({"prediction.h5ad": b"p", NOTEBOOK: older})}
    beside_one = {"dee/prediction.h5ad": b"p", "dee/work.zip": packed({NOTEBOOK: content})}
    done = collect(rostered, STAGE, download(tmp_path / "all.zip", both | with_prediction | beside_one), TIME)
    assert taken(rostered, "dee") == content
    assert taken(rostered, "ada") == content
    ada, cai = (Submission(rostered, STAGE, student).submitted for student in ("ada", "cai"))
    assert (ada / "old.zip").read_bytes() == archive  # which the student's code may read
    assert (taken(rostered, "cai"), (cai / "prediction.h5ad").read_bytes()) == (content, b"p")
    said = f"bob: b/{NOTEBOOK} has the questions of this stage too; {NOTEBOOK} was taken"
    assert (done.notes, done.refused) == ([said], [])


@pytest.mark.parametrize("wrapped", ["all submissions/", "outer/CS 286/"])
def test_a_folder_of_the_archiver_around_all_is_nobodys(rostered: Course, tmp_path: Path, wrapped: str):
    content = right(rostered)
    files = {f"{wrapped}{student}/{NOTEBOOK}": content for student in ("ada", "bob")}
    litter = {
        f"__MACOSX/{wrapped}ada/._{NOTEBOOK}": b"\0\5",
        f"{wrapped}.DS_Store": b"x",
        f"{wrapped}ada/desktop.ini": b"x",
    }
    done = collect(rostered, STAGE, download(tmp_path / "finder.zip", files | litter), TIME)
    assert (sorted(attempt.student for attempt in done.new), done.refused, done.left_out) == (["ada", "bob"], [], [])
    assert sorted(path.name for path in Submission(rostered, STAGE, "ada").submitted.iterdir()) == [NOTEBOOK]


def test_an_archive_from_windows_has_folders_too(rostered: Course, tmp_path: Path):
    done = collect(rostered, STAGE, download(tmp_path / "all.zip", {f"ada\\{NOTEBOOK}": right(rostered)}), TIME)
    assert [attempt.student for attempt in done.new] == ["ada"]


NOTHING = {
    "text": ({"notes.txt": b"see my mail"}, "there is no notebook, only notes.txt"),
    "a PDF": ({"04.pdf": b"%PDF"}, "there is no notebook, only 04.pdf"),
    "another stage": (
        {"work.ipynb": b'{"cells": []}'},
        f"work.ipynb has none of the questions of this stage; name the notebook that counts {NOTEBOOK}",
    ),
    "no archive": ({"work.zip": b"PK"}, "there is no notebook, only work.zip; work.zip cannot be opened (File is not"),
    "a RAR": ({"work.rar": b"Rar!"}, "there is no notebook, only work.rar"),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_what_holds_no_notebook_is_listed_and_replaces_nothing(rostered: Course, tmp_path: Path, kind: str):
    files, said = NOTHING[kind]
    content = right(rostered)
    collect(rostered, STAGE, download(tmp_path / "first.zip", {f"bob/{NOTEBOOK}": content}), TIME)
    later = download(tmp_path / "later.zip", {f"bob/{name}": inside for name, inside in files.items()})
    called = ["collect", STAGE, str(later), "--received", "2026-11-02T10:00:00Z", "--course", str(rostered.root)]
    run = CliRunner().invoke(app, called)
    assert run.exit_code == 2
    assert run.stderr.startswith(f"bob: not collected: {said}")
    assert taken(rostered, "bob") == content


def test_two_that_might_count_are_asked_about_and_the_due_name_decides(rostered: Course, tmp_path: Path):
    content = right(rostered)
    two = {"bob/a.ipynb": content, "bob/b.ipynb": content}
    done = collect(rostered, STAGE, download(tmp_path / "two.zip", two), TIME)
    assert done.refused == [
        f"bob: not collected: a.ipynb, b.ipynb have the questions of this stage; name the one that counts {NOTEBOOK}"
    ]
    named = {f"bob/{NOTEBOOK}": content, f"bob/{STAGE} (1).ipynb": content + b" "}
    done = collect(rostered, STAGE, download(tmp_path / "named.zip", named), TIME)
    assert done.notes == [f"bob: {STAGE} (1).ipynb has the questions of this stage too; {NOTEBOOK} was taken"]
    assert taken(rostered, "bob") == content


def test_a_renamed_prediction_is_taken(rostered: Course, tmp_path: Path):
    files = {f"bob/{NOTEBOOK}": right(rostered), "bob/prediction (2).H5AD": b"p"}
    done = collect(rostered, STAGE, download(tmp_path / "all.zip", files), TIME)
    assert done.notes == ["bob: prediction (2).H5AD was taken as prediction.h5ad"]
    assert (Submission(rostered, STAGE, "bob").submitted / "prediction.h5ad").read_bytes() == b"p"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_that_says_what_it_is_earns_the_points(
    sandbox_here: None, rostered: Course, tmp_path: Path, encoding: str
):
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    content = (mark + right(rostered).decode()).encode(encoding)
    collect(rostered, STAGE, download(tmp_path / "all.zip", {f"ada/{STAGE} (1).ipynb": content}), TIME)
    results, failed = grade_stage(rostered, STAGE)
    assert failed == {}
    assert results[0].questions[0].points == 5


def test_outputs_cost_nothing_however_many_they_are(sandbox_here: None, rostered: Course, tmp_path: Path):
    cells = json.loads(right(rostered))["cells"]
    large = {"output_type": "stream", "name": "stdout", "text": "x" * (66 << 20)}
    cells[0 if cells[0]["cell_type"] == "code" else 1]["outputs"] = [large]
    heavy = {f"ada/{NOTEBOOK}": right(rostered, cells=cells)}
    nested = {f"bob/{NOTEBOOK}": b'{"cells": [' + b"[{}]," * (8 << 20) + b"1]}"}
    text = {f"cai/{NOTEBOOK}": right(rostered, cells=[*cells[2:], {**cells[-1], "source": "#" * (5 << 20)}])}
    collect(rostered, STAGE, download(tmp_path / "all.zip", heavy | nested | text), TIME)
    results, failed = grade_stage(rostered, STAGE)
    assert failed == {}
    assert [result.questions[0].points for result in results] == [5, 0, 0]
    assert (
        results[1].questions[0].reason
        == f"{NOTEBOOK} is damaged and cannot be opened; save it again and hand it in anew"
    )
    assert results[2].questions[0].reason.startswith(f"{NOTEBOOK} has more than 4 MiB besides its output; take")


def test_files_that_were_placed_by_hand_are_recognised_too(sandbox_here: None, rostered: Course):
    folder = Submission(rostered, STAGE, "ada").submitted
    (folder / "work").mkdir(parents=True)
    (folder / "work" / f"Copy of {NOTEBOOK}").write_bytes(right(rostered))
    results, _ = grade_stage(rostered, STAGE)
    assert results[0].questions[0].points == 5
    said = f"work/Copy of {NOTEBOOK} was taken as {NOTEBOOK}, since it has the questions of this stage"
    assert results[0].notes == [said]
