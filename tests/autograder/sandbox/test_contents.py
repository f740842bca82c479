import errno
import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.folders import CACHE
from autograder.sandbox import bubblewrap, contents, run
from autograder.sandbox.ready import NoSandboxError
from starter.errors import InputError


def test_a_kit_lacks_what_is_left_out_and_is_compiled(course: Course):
    folder = contents.kit(course, ("starter.scoring.truth.baseline", "starter.scoring.metrics"))
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    assert {"starter/check.py", "starter/answers/values.py"} <= names
    assert not [path for path in folder.rglob("*") if "baseline." in path.name or "metrics" in path.name]
    compiled = {path.name.split(".")[0] for path in folder.rglob("*.pyc")}
    assert compiled == {Path(name).stem for name in names}


def test_a_kit_that_is_there_never_changes_whoever_else_makes_it(course: Course, monkeypatch: pytest.MonkeyPatch):
    shutil.rmtree(course.grading / CACHE, ignore_errors=True)  # other tests' kits
    monkeypatch.setattr(contents.filelock, "FileLock", lambda path: nullcontext())  # as on a disk without locks
    with ThreadPoolExecutor(4) as pool:
        folders = {future.result() for future in [pool.submit(contents.kit, course, ()) for _ in range(4)]}
    (folder,) = folders
    made = folder.stat().st_ino
    assert contents.kit(course, ()).stat().st_ino == made
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_another_version_of_starter_has_its_own_kit(course: Course, monkeypatch: pytest.MonkeyPatch):
    before = contents.kit(course, ())
    monkeypatch.setattr(contents.sys, "version", "another")
    assert contents.kit(course, ()) != before


@pytest.mark.slow
def test_caches_hold_fonts_and_kernels_and_nothing_of_what_is_installed_below_tmp(
    sandbox_here: None, course: Course, monkeypatch: pytest.MonkeyPatch
):
    with tempfile.TemporaryDirectory(dir="/tmp") as installed:
        Path(installed, "library.py").write_text("x = 1")
        shared = bubblewrap.shared_folders()
        monkeypatch.setattr(bubblewrap, "shared_folders", lambda: [*shared, Path(installed)])
        made = contents.fill_caches(course)
    assert sorted(path.name for path in made.iterdir()) == ["matplotlib", "numba"]
    assert list(made.rglob("fontlist*.json"))
    assert {path.name.split("-")[0] for path in made.rglob("*.nbi")} >= {"ranksum._rank", "columns._scatter"}


@pytest.mark.parametrize(
    ("status", "said"),
    [("output", "wrote too much"), ("time", "took too long"), ("memory", "took too much memory"), ("ended", "no room")],
)
def test_caches_that_cannot_be_made_are_nobodys_fault_and_say_why(
    course: Course, monkeypatch: pytest.MonkeyPatch, status: run.Status, said: str
):
    outcome = run.Outcome(status, 1, b"", "Fontconfig error\nno room", 1.0)
    monkeypatch.setattr(run, "run", lambda *arguments, **named: outcome)
    with pytest.raises(NoSandboxError, match=rf"made beforehand in the sandbox \({said}\); nothing was graded"):
        contents.fill_caches(course)


def test_a_disk_that_is_full_while_the_kit_is_copied_is_one_sentence(course: Course, monkeypatch: pytest.MonkeyPatch):
    def refuse(source: str, target: str, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    cache = course.grading / "cache"
    before = sorted(cache.iterdir())
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(InputError) as said:
        contents.kit(course, ("starter.models",))
    due = rf"cannot write {cache}/kit-\w+: No space left on device; make room there, or see who may write"
    assert re.fullmatch(due, str(said.value))
    assert [path for path in sorted(cache.iterdir()) if path.suffix != ".lock"] == [
        path for path in before if path.suffix != ".lock"
    ]
