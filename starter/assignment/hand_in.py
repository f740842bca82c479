"""Handing in: a bundle goes to a folder, to nbgrader's exchange, or into an archive to be uploaded.

An attempt's folder is named as `nbgrader submit` names it, STUDENT+STAGE+TIME+RANDOM, in the exchange and elsewhere, so
that `autograder collect` reads both alike, and no attempt takes the place of an earlier one.
"""

import base64
import getpass
import os
import re
import secrets
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from starter.assignment.bundle import Bundle, copy_bundle
from starter.assignment.course_file import CourseFile
from starter.errors import InputError
from starter.files import whole

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""A student's id."""
NBGRADER_TIME = "%Y-%m-%d %H:%M:%S.%f UTC"
"""As the exchange has it."""
FOLDER_TIME = "%Y-%m-%dT%H%M%S.%fZ"
"""Elsewhere, where a colon may not stand in a name."""
SHARED = "jovyan"
"""The login of all students in JupyterHub's containers, where nbgrader takes the hub's name of them."""


def login() -> str:
    """Name the student as nbgrader does: by the login, in JupyterHub's containers by the hub's name."""
    name = getpass.getuser()
    return os.environ.get("JUPYTERHUB_USER", name) if name == SHARED else name


def hand_in(bundle: Bundle, course: CourseFile, student: str) -> str:
    """Put a bundle where the course takes it, whole or not at all.

    Parameters
    ----------
    bundle
        What is handed in.
    course
        Says where.
    student
        The id under which it is handed in, where it goes to a folder or the exchange.

    Returns
    -------
    What was done, and what is left to do, in a sentence.

    Raises
    ------
    InputError
        If that place is not there or cannot be written, or the id can be nobody's.
    """
    where = course.hand_in
    if where.folder or where.exchange:
        if not STUDENT.fullmatch(student):
            msg = f"{student!r} can be nobody's id (letters, digits and . _ @ -); give yours with --student"
            raise InputError(msg)
        inbox, time = _inbox(course)
        now = datetime.now(UTC).strftime(time)
        random = base64.urlsafe_b64encode(secrets.token_bytes(9)).decode()
        place = inbox / f"{student}+{bundle.stage.name}+{now}+{random}"
        with whole(place) as part:
            copy_bundle(bundle, part, course.sizes)
            if where.exchange:
                (part / "timestamp.txt").write_text(now, encoding="utf-8")
            _open_to_read(part)
        return f"handed in as {student}: {place}"
    archive = course.root / f"{bundle.stage.name}.zip"
    with tempfile.TemporaryDirectory() as folder, whole(archive) as part:
        copied = Path(folder) / bundle.stage.name
        copy_bundle(bundle, copied, course.sizes)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in bundle.files:
                packed.write(copied / name, name)
    return f"wrote {archive}; " + (f"upload it at {where.url}" if where.url else "hand it in as your instructor says")


def _inbox(course: CourseFile) -> tuple[Path, str]:
    """Find the folder of all attempts, and how times are written there."""
    if course.hand_in.exchange:
        inbox, time = Path(course.hand_in.exchange, course.name, "inbound"), NBGRADER_TIME
    else:
        inbox, time = course.root / Path(course.hand_in.folder).expanduser(), FOLDER_TIME
    if not inbox.is_dir():
        msg = f"the folder {inbox} of [hand_in] in {course.root / 'course.toml'} is not there; ask your instructor"
        raise InputError(msg)
    return inbox, time


def _open_to_read(folder: Path) -> None:
    """Let the instructor read an attempt and take it away, as `nbgrader submit` does."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o777)
