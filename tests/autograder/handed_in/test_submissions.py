import json
import os
import time
from pathlib import Path

import nbformat
import pytest
from handing_in import RIGHT, STAGE, hand_in, submit

from autograder.course import Course, read_course
from autograder.grading.notebooks import drop_output
from autograder.handed_in.submissions import Submission, hash_submission, normalise, students_of
from starter.errors import InputError


def test_only_regular_files_within_the_limit_are_taken(course: Course, tmp_path: Path):
    file = course.root / "course.toml"
    file.write_text(file.read_text().replace("[limits]", "[limits]\nsubmission_mib = 1"))
    small = read_course(course.root)
    folder = submit(small, "ada")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("b")
    (folder / "zz_big").write_bytes(bytes(2 << 20))
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to("/etc")
    os.mkfifo(folder / "fifo")
    target = tmp_path / "files"
    fault, notes = normalise(Submission(small, STAGE, "ada"), target, drop_output)
    assert fault is None
    kept = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert kept == ["04_baselines.ipynb", "sub/b.txt"]
    assert sorted(note.split(" ")[0] for note in notes) == ["fifo", "folder", "link", "zz_big"]


def test_folders_and_names_without_end_are_left_out(course: Course, tmp_path: Path):
    folder = submit(course, "ada", RIGHT)
    deep = folder
    for _ in range(20):
        deep /= "x"
        deep.mkdir()
    (folder / "d" / "e" / "f").mkdir(parents=True)
    (folder / "d" / "e" / "f" / ("n" * 250)).write_text("taken")
    (folder / ("o" * 200) / ("o" * 200) / ("o" * 200)).mkdir(parents=True)
    (folder / ("o" * 200) / ("o" * 200) / ("o" * 200) / "p").write_text("too long")
    target = tmp_path / "files"
    fault, notes = normalise(Submission(course, STAGE, "ada"), target, drop_output)
    assert fault is None
    assert (target / "d" / "e" / "f" / ("n" * 250)).read_text() == "taken"
    assert len(notes) == 2
    assert "holds folders more than 10 deep" in notes[1]
    assert "has too long a name" in notes[0]


def test_a_folder_in_the_notebooks_place_is_no_notebook(course: Course, tmp_path: Path):
    folder = course.grading / "submitted" / "ada" / STAGE / f"{STAGE}.ipynb"
    folder.mkdir(parents=True)
    (folder / "x").touch()
    target = tmp_path / "files"
    fault, _ = normalise(Submission(course, STAGE, "ada"), target, drop_output)
    assert fault.startswith("there is no notebook")
    assert (target / f"{STAGE}.ipynb").is_file()


def test_a_notebook_that_is_a_link_is_not_followed(course: Course, tmp_path: Path):
    secret = tmp_path / "secret.ipynb"
    secret.write_text('{"cells": []}')
    folder = course.grading / "submitted" / "ada" / STAGE
    folder.mkdir(parents=True)
    (folder / f"{STAGE}.ipynb").symlink_to(secret)
    fault, notes = normalise(Submission(course, STAGE, "ada"), tmp_path / "files", drop_output)
    assert fault.startswith("there is no notebook")
    assert notes == ["04_baselines.ipynb is not a regular file and was left out"]


def test_a_submissions_hash_is_of_names_and_contents(course: Course):
    folder = submit(course, "ada")
    (folder / "x").write_text("1")
    hashes = {hash_submission(Submission(course, STAGE, "ada"))}
    (folder / "x").rename(folder / "y")
    hashes.add(hash_submission(Submission(course, STAGE, "ada")))
    (folder / "y").write_text("2")
    hashes.add(hash_submission(Submission(course, STAGE, "ada")))
    assert len(hashes) == 3


def test_grading_again_normalises_to_the_same(course: Course, tmp_path: Path):
    submit(course, "ada")
    shown = course.grading / "normalised" / "ada" / STAGE / f"{STAGE}.ipynb"
    made = []
    for number in "12":
        normalise(Submission(course, STAGE, "ada"), tmp_path / number, drop_output)
        made += [shown.read_text(), (tmp_path / number / shown.name).read_text()]
    assert len(set(made)) == 1


def test_nbgrader_gets_the_notebook_alone(course: Course, tmp_path: Path):
    folder = submit(course, "ada")
    for name, content in (("evil.html", "<script>alert(1)</script>"), ("timestamp.txt", "2001-01-01 00:00:00 UTC")):
        (folder / name).write_text(content)
    normalise(Submission(course, STAGE, "ada"), tmp_path / "files", drop_output)
    shown = course.grading / "normalised" / "ada" / STAGE
    assert [path.name for path in shown.iterdir()] == [f"{STAGE}.ipynb"]
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == [
        "04_baselines.ipynb",
        "evil.html",
        "timestamp.txt",
    ]


def test_text_tags_and_pictures_that_no_notebook_may_hold(course: Course, tmp_path: Path):
    path = submit(course, "ada") / f"{STAGE}.ipynb"
    notebook = json.loads(path.read_text())
    picture = {"image/png": "iVBORw0KGgo=\n"}
    notebook["cells"].append(
        {
            "cell_type": "markdown",
            "id": "x",
            "source": "half a pair \ud800",
            "metadata": {"tags": ["a", "a", "b,c", 3, "\ud800", "not-graded"]},
            "attachments": {
                "a.png": picture,
                "../b.png": picture,
                "c.html": {"text/html": "PHNjcmlwdD4="},
                "d.png": {"image/png": "<script>"},
                "e.png": {"image/svg+xml": "PHN2Zz4="},
                "f.png": 3,
            },
        }
    )
    path.write_text(json.dumps(notebook))
    normalise(Submission(course, STAGE, "ada"), tmp_path / "files", drop_output)
    made = nbformat.read(course.grading / "normalised" / "ada" / STAGE / f"{STAGE}.ipynb", as_version=4)
    nbformat.validate(made)
    cell = made.cells[-1]
    assert (cell.source, cell.metadata.tags) == ("half a pair ?", ["a", "not-graded"])
    assert cell.attachments == {"a.png": picture}


def test_no_submissions_says_where_they_go(course: Course):
    with pytest.raises(
        InputError, match=r"no submissions: put them at .*submitted/<student>/04_baselines/04_baselines.ipynb"
    ):
        students_of(course, STAGE)


def test_a_folder_that_cannot_be_a_students_is_told_apart(course: Course):
    hand_in(course, "a b;c", b"{}")
    hand_in(course, "ada", b"{}")
    assert students_of(course, STAGE) == (["ada"], ["a b;c"])


def test_a_picture_in_a_code_cell_is_dropped(course: Course, tmp_path: Path):
    path = submit(course, "ada") / f"{STAGE}.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "train_mean_code":
            cell |= {"cell_type": "markdown", "attachments": {"a.png": {"image/png": "iVBORw0KGgo="}}}
    path.write_text(json.dumps(notebook))
    normalise(Submission(course, STAGE, "ada"), tmp_path / "files", drop_output)
    made = json.loads((course.grading / "normalised" / "ada" / STAGE / f"{STAGE}.ipynb").read_text())
    nbformat.validate(made)
    assert not any("attachments" in cell for cell in made["cells"])


def test_a_picture_of_many_spaces_is_read_as_fast_as_another(course: Course, tmp_path: Path):
    """A pattern that steps back would take a quarter of an hour for these."""
    path = submit(course, "ada") / f"{STAGE}.ipynb"
    notebook = json.loads(path.read_text())
    picture = {"a.png": {"image/png": "A" + " " * 500_000 + "!"}}
    notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "", "attachments": picture})
    path.write_text(json.dumps(notebook))
    start = time.monotonic()
    normalise(Submission(course, STAGE, "ada"), tmp_path / "files", drop_output)
    assert time.monotonic() - start < 60
    made = json.loads((tmp_path / "files" / f"{STAGE}.ipynb").read_text())
    assert "attachments" not in made["cells"][-1]


def test_a_notebook_of_endless_cells_is_not_taken(course: Course, tmp_path: Path):
    path = submit(course, "ada") / f"{STAGE}.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"] += [{"cell_type": "raw", "metadata": {}, "source": ""}] * (2_001 - len(notebook["cells"]))
    path.write_text(json.dumps(notebook))
    fault, _ = normalise(Submission(course, STAGE, "ada"), tmp_path / "files", drop_output)
    assert fault == "04_baselines.ipynb has 2,001 cells; hand it in anew with at most 2,000"
    assert len(json.loads((tmp_path / "files" / f"{STAGE}.ipynb").read_text())["cells"]) < 100
