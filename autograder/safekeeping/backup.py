"""A course in one file, from which it can be restored elsewhere."""

import hashlib
import importlib.metadata
import os
import stat
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from autograder.course import Course
from autograder.folders import ASSIGNMENTS
from autograder.grading.lock import hold
from autograder.safekeeping.archive import DATABASES, FORMAT, MANIFEST, Kept, Manifest, files_of
from autograder.safekeeping.book_copy import copy_gradebook
from starter import progress
from starter.errors import InputError
from starter.files import check_room, workspace

BLOCK = 1 << 20
OWNER_ALONE = 0o600
"""The archive holds the secret."""


def write_backup(course: Course, path: Path) -> tuple[Manifest, list[str]]:
    """Write a course into one .zip, whole or not at all, which its owner alone may read.

    No stage is graded meanwhile. nbgrader may have the gradebook open.

    Returns
    -------
    What it holds, and the names of what was left out: links, special files, odd names.

    Raises
    ------
    InputError
        If the file is there already, lies where students get it, or has no room; if a stage is being graded, the
        gradebook is damaged, or a file changes or cannot be read.
    """
    path = path.absolute()
    if path.exists() or path.is_symlink():
        msg = f"{path} is there already; give the backup another name, such as one with the date"
        raise InputError(msg)
    for folder in (course.root / ASSIGNMENTS, course.root / "data"):
        if path.resolve().is_relative_to(folder.resolve()):
            msg = f"{path} lies in {folder}, which students get, and a backup holds the secret; write it elsewhere"
            raise InputError(msg)
    with hold(course, *course.stages), workspace(path) as work:
        there = [name for name in DATABASES if (course.root / name).is_file()]
        copies = {name: work / f"{number}.db" for number, name in enumerate(there)}
        size = sum((course.root / name).stat().st_size for name in there)
        check_room(path.parent, 2 * size)
        for name, copy in copies.items():  # before files are listed: what a table names is there already
            copy_gradebook(course.root / name, copy)
        files, left_out = files_of(course)
        check_room(path.parent, sum(file.stat().st_size for file in files.values()) + size)
        files |= copies
        part = work / "part"
        with (
            os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ALONE), "w+b") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            progress.bar("back up", len(files)) as advance,
        ):
            kept = {}
            for name in sorted(files):
                kept[name] = _add(archive, name, files[name])
                advance()
            version = importlib.metadata.version("virtual-cell-course")
            manifest = Manifest(FORMAT, course.name, datetime.now(UTC), version, kept)
            archive.writestr(MANIFEST, TypeAdapter(Manifest).dump_json(manifest, indent=1))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(path)
    return manifest, left_out


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> Kept:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file, archive.open(name, "w", force_zip64=True) as copy:
            about = os.fstat(file.fileno())
            size = 0
            while block := file.read(BLOCK):
                size += len(block)
                digest.update(block)
                copy.write(block)
            now = os.fstat(file.fileno())
    except PermissionError as error:
        msg = f"{path} cannot be read ({error.strerror}); let yourself read it, and back up again"
        raise InputError(msg) from error
    if (size, now.st_mtime_ns) != (about.st_size, about.st_mtime_ns):
        msg = f"{path} changed while it was read; back up again when nothing writes there"
        raise InputError(msg)
    return Kept(digest.hexdigest(), size, stat.S_IMODE(about.st_mode) & 0o777, about.st_mtime_ns)
