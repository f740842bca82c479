"""What every run in the sandbox finds there: `starter` without some modules, compiled, and what libraries cache.

Made once and given read-only, so that no submission pays for compiling, and none can change it for another.
"""

import compileall
import hashlib
import importlib.metadata
import json
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

import starter
from autograder import sandbox
from autograder.course import Course
from autograder.frames import read_frames
from starter.files import whole

CACHE = "cache"
"""Folder below grading/."""
DECIDING = ("numpy", "scipy", "numba", "matplotlib")
"""Packages on whose versions compiled and cached files depend."""
MAKING = threading.Lock()
"""One thread makes them; another that wants the same waits."""
WARM_SECONDS = 300
WARM_GIB = 4


def kit(course: Course, without: Sequence[str]) -> Path:
    """Give a folder with `starter` less some modules, compiled.

    Parameters
    ----------
    course
        The course in whose `grading/` it is kept.
    without
        Modules that are left out, such as `starter.metrics`.
    """
    unknown = [module for module in without if not _source(module).exists()]
    if unknown:
        msg = f"there is no module {', '.join(unknown)} to leave out"
        raise AssertionError(msg)
    folder = course.grading / CACHE / f"kit-{_key(*without)}"
    with MAKING:
        if not folder.is_dir():
            with whole(folder) as part:
                left_out = {_source(module) for module in without}

                def skip(parent: str, names: list[str]) -> list[str]:
                    return [name for name in names if name == "__pycache__" or Path(parent, name) in left_out]

                # with the files' times, by which compiled kernels know their source
                shutil.copytree(Path(starter.__file__).parent, part / "starter", ignore=skip)
                compileall.compile_dir(
                    part,
                    quiet=2,
                    stripdir=part,
                    prependdir=sandbox.KIT,
                    invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
                )
                sandbox.open_to_all(part)
    return folder


def caches(course: Course) -> Path:
    """Give a folder with what matplotlib and numba keep for the next time: fonts found, kernels compiled."""
    folder = _caches_folder(course)
    complete = kit(course, ())
    with MAKING:
        if not folder.is_dir():
            script = Path(__file__).with_name("warm.py")
            outcome = sandbox.run(
                ["/job/warm.py"],
                read_only={sandbox.KIT: complete, "/job/warm.py": script},
                seconds=WARM_SECONDS,
                memory_gib=WARM_GIB,
                processes=100,
                workdir="/home/student/warm",
            )
            files, _ = read_frames(outcome.output)
            if files.pop("end", None) is None:
                msg = f"the sandbox did not start ({last_line(outcome.errors)}); nothing was graded"
                raise sandbox.NoSandboxError(msg)
            with whole(folder) as part:
                for name, content in files.items():
                    path = part / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                sandbox.open_to_all(part)
    return folder


def filled_caches(course: Course) -> Path | None:
    """Give the folder that `caches` made, if it did."""
    folder = _caches_folder(course)
    return folder if folder.is_dir() else None


def last_line(errors: str) -> str:
    """Give the line in which a failed program usually says why."""
    return (errors.strip().splitlines() or ["no message"])[-1]


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
