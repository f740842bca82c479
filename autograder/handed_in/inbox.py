"""What lies in nbgrader's exchange, or in a download from a learning platform, student by student; nothing is trusted.

Only regular files with plain names are taken, no link is followed, and nothing is written here. What the platforms call
files follows their own code: `get_filename` in Canvas's lib/content_zipper.rb, and Moodle's
mod/assign/classes/downloader.php.
"""

import os
import pwd
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from jupyter_core.application import JupyterApp
from nbgrader.exchange.default import ExchangeCollect
from traitlets.config import Application, Config

from autograder.course import Course
from autograder.handed_in.files import File, regular_files, utc_time, with_safe_names
from autograder.handed_in.found import Inbox, take_or_refuse, why_not_a_student
from autograder.handed_in.platforms import read_download
from autograder.handed_in.recognised import member_name
from starter.errors import InputError
from starter.files import check_file

ANY_STAGE = r"\d\d_[a-z0-9_]+"


@contextmanager
def open_inbox(course: Course, stage: str, source: Path | None, received: datetime | None) -> Iterator[Inbox]:
    """Look for a stage's attempts, whose files can be read while the block runs.

    Parameters
    ----------
    source
        A folder or .zip: a download from Moodle or Canvas, or `<student>/<stage>.ipynb`, or `<student>/<stage>/` with
        files. Default: nbgrader's exchange.
    received
        When all files of the source were there already. Default: for a .zip its own time, for files since when this
        machine has them.

    Yields
    ------
    What was found.

    Raises
    ------
    InputError
        If the source cannot be read, or holds nothing for this stage.
    """
    if source is None:
        yield _read_exchange(course, stage)
    elif source.is_dir() and any(map(_attempt_name(ANY_STAGE).fullmatch, os.listdir(source))):
        yield _read_inbound(course, stage, source.resolve(), received)
    elif source.is_dir():
        inbox = Inbox()
        files = regular_files(source.resolve(), inbox.left_out)
        yield read_download(course, stage, source, files, inbox, received)
    else:
        check_file(source)
        try:
            archive = zipfile.ZipFile(source)
        except Exception as error:  # whatever is in the file
            msg = f"{source} is no .zip archive that can be read ({error}); download it again"
            raise InputError(msg) from error
        with archive:
            inbox = Inbox()
            files = _members(archive, utc_time(source.stat().st_mtime), inbox)
            yield read_download(course, stage, source, files, inbox, received)


def _read_exchange(course: Course, stage: str) -> Inbox:
    """List all attempts in nbgrader's exchange.

    An attempt was received when the kernel last saw one of its files change (`st_ctime`). The folder's name and its
    timestamp.txt are written by the student's own process, and modification times can be set at will.
    """
    folder = Path(ExchangeCollect(config=_nbgrader_settings(course)).root, course.name, "inbound")
    return _read_inbound(course, stage, folder)


def _read_inbound(course: Course, stage: str, folder: Path, received: datetime | None = None) -> Inbox:
    """List all attempts in a folder in which each has its own, as nbgrader's exchange and `starter hand-in` name it."""
    settings = ExchangeCollect(config=_nbgrader_settings(course))
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        msg = (
            f"cannot read nbgrader's exchange {folder}: {error.strerror}; set c.Exchange.root in "
            f"{course.root / 'nbgrader_config.py'}, or name a folder or .zip to collect from"
        )
        raise InputError(msg) from error
    inbox = Inbox()
    for name in names:
        parts = _attempt_name(stage).fullmatch(name)
        if parts is None:
            continue
        student, attempt = parts[1], folder / name
        owner = _owner(attempt)
        if reason := why_not_a_student(course, student):
            inbox.refused.append(f"{name}: not collected: {reason}")
        elif settings.check_owner and owner != student:
            inbox.refused.append(
                f"{name}: not collected: it belongs to {owner}, who may have handed in for somebody else; where all "
                "students share one login, set c.ExchangeCollect.check_owner = False in nbgrader_config.py"
            )
        else:
            odd: list[str] = []
            files = with_safe_names(regular_files(attempt, odd), odd)
            inbox.left_out += [f"{name}/{file}" for file in odd]
            take_or_refuse(course, stage, inbox, student, files, received, name)
    return inbox


def _attempt_name(stage: str) -> re.Pattern[str]:
    """Match a student's login + stage + timestamp + random text; what begins with a dot is still being written."""
    return re.compile(rf"([^.].*?)\+{stage}\+.+")


def _members(archive: zipfile.ZipFile, changed: datetime, inbox: Inbox) -> dict[str, File]:
    files = {}
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        name = member_name(info.filename)
        if kind not in (0, stat.S_IFREG) or name in files:
            inbox.left_out.append(info.filename)
        elif not name.endswith("/"):
            # the times within an archive come from the student's machine
            files[name] = File(info.file_size, changed, partial(archive.open, info))
    return files


def _nbgrader_settings(course: Course) -> Config:
    """Read nbgrader's settings, those of this machine and those of the course."""
    app = JupyterApp(config_file_name="nbgrader_config")
    app.load_config_file()
    Application.load_config_file(app, "nbgrader_config", path=str(course.root))
    return app.config


def _owner(path: Path) -> str:
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
