"""What every run in the sandbox finds there: `starter` without some rooms, compiled, and what libraries cache.

Made once and given read-only, so that no submission pays for compiling, and none can change it for another.
"""

import compileall
import hashlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from py_compile import PycInvalidationMode

import filelock

import starter
from autograder.course import Course
from autograder.folders import CACHE
from autograder.sandbox import run
from autograder.sandbox.bubblewrap import KIT
from autograder.sandbox.inside.frames import read_frames
from autograder.sandbox.ready import NoSandboxError, last_line
from starter.errors import InputError
from starter.files import reason_of

DECIDING = ("numpy", "scipy", "numba", "matplotlib")
"""Packages on whose versions compiled and cached files depend."""
WARM_SECONDS = 300
WARM_GIB = 4


def kit(course: Course, without: Sequence[str]) -> Path:
    """Give a folder with `starter` less some rooms, compiled.

    Parameters
    ----------
    course
        The course in whose `grading/` it is kept.
    without
        Packages and modules that are left out, such as `starter.scoring`.

    Raises
    ------
    InputError
        If the kit has no such package or module.
    """
    if unknown := [name for name in without if not name.startswith("starter.") or not _source(name).exists()]:
        msg = f"the kit has no {', '.join(unknown)} to leave out; mend the questions' `without`"
        raise InputError(msg)
    left_out = {_source(module) for module in without}

    def skip(parent: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or Path(parent, name) in left_out]

    def fill(new: Path) -> None:
        # with the files' times, by which compiled kernels know their source
        shutil.copytree(Path(starter.__file__).parent, new / "starter", ignore=skip)
        unchecked = PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(new, quiet=2, stripdir=new, prependdir=KIT, invalidation_mode=unchecked)

    return _made_once(course.grading / CACHE / f"kit-{_key(*without)}", fill)


def fill_caches(course: Course) -> Path:
    """Give a folder with what matplotlib and numba keep for the next time: fonts found, kernels compiled."""
    complete = kit(course, ())

    def fill(new: Path) -> None:
        outcome = run.run(
            [f"{run.INSIDE}/warm.py"],
            read_only={KIT: complete},
            seconds=WARM_SECONDS,
            memory_gib=WARM_GIB,
            processes=100,
            workdir="/home/student/warm",
        )
        files, _ = read_frames(outcome.output)
        if files.pop("end", None) is None:
            how = {"time": "took too long", "output": "wrote too much", "memory": "took too much memory"}
            why = how.get(outcome.status) or last_line(outcome.errors)
            msg = f"what libraries compile could not be made beforehand in the sandbox ({why}); nothing was graded"
            raise NoSandboxError(msg)
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)

    return _made_once(_caches_folder(course), fill)


def _made_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder if it is not there. One that is there never changes, since sandboxes may be using it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):  # who else wants it waits
            if not folder.is_dir():
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as aside:
                    new = Path(aside, folder.name)
                    new.mkdir()
                    fill(new)
                    run.open_to_all(new)
                    with suppress(OSError):  # not all shared disks know locks, and another machine may have been first
                        new.rename(folder)
    except OSError as error:
        msg = f"cannot write {folder}: {reason_of(error)}; make room there, or see who may write"
        raise InputError(msg) from error
    if not folder.is_dir():
        msg = f"cannot write {folder}; make room there, or see who may write"
        raise InputError(msg)
    return folder


def filled_caches(course: Course) -> Path | None:
    """Give the folder that `fill_caches` made, if it did."""
    folder = _caches_folder(course)
    return folder if folder.is_dir() else None


def _caches_folder(course: Course) -> Path:
    return course.grading / CACHE / f"caches-{_key()}"


def _source(module: str) -> Path:
    path = Path(starter.__file__).parents[1].joinpath(*module.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


def _key(*without: str) -> str:
    package = Path(starter.__file__).parent
    files = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    about = [(str(path.relative_to(package)), path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    versions = [importlib.metadata.version(name) for name in DECIDING]
    content = json.dumps([sys.version, sys.prefix, versions, about, sorted(without)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
