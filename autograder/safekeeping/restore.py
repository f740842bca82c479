"""A course out of its backup, in a folder of its own."""

import hashlib
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from autograder.course import FILE
from autograder.folders import GRADING
from autograder.safekeeping.archive import FORMAT, MANIFEST, Kept, Manifest, is_plain
from starter import progress
from starter.errors import InputError, difference, listed
from starter.files import check_file, check_room, workspace

BLOCK = 1 << 20
LONGEST_LIST = 256 << 20
"""Bytes of the list of files, at most."""
ENCRYPTED = 0x1
"""Of a member's flags."""


def restore_backup(path: Path, folder: Path) -> Manifest:
    """Unpack a backup into a new folder, whole or not at all.

    Every file is compared with its hash. Hashes tell that a file is damaged; they do not tell who made the archive, so
    restore your own.

    Parameters
    ----------
    path
        What `write_backup` wrote.
    folder
        A folder that is not there yet, or is empty.

    Returns
    -------
    What it holds.

    Raises
    ------
    InputError
        If something is in that folder, or there is no room; if the file is no backup, is damaged, or holds what no
        backup does: a link, a name that leads elsewhere, a file that its list does not name.
    """
    check_file(path)
    folder = folder.absolute()
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        msg = f"{folder} is there and is no folder; name a new one"
        raise InputError(msg)
    if folder.is_dir() and (there := sorted(entry.name for entry in folder.iterdir())):
        what = "a course" if FILE in there or GRADING in there else "something"
        msg = f"{folder} holds {what} ({listed(there)}), which is not overwritten; name a new folder"
        raise InputError(msg)
    with _opened(path) as archive:
        manifest = _read_manifest(path, archive)
        check_room(folder, sum(kept.size for kept in manifest.files.values()))
        with workspace(folder) as work, progress.bar("restore", len(manifest.files)) as advance:
            course = work / "course"
            course.mkdir()
            for name, kept in manifest.files.items():
                _unpack(path, archive, name, kept, course / name)
                advance()
            course.rename(folder)
    return manifest


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        msg = f"{path} is no backup, or is damaged ({error}); take another one"
        raise InputError(msg) from error


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    """Read the list of files, and refuse an archive that holds anything else."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    try:
        about = archive.getinfo(MANIFEST)
        if about.file_size > LONGEST_LIST:
            msg = f"{path} is no backup: its {MANIFEST} is longer than any"
            raise InputError(msg)
        manifest = TypeAdapter(Manifest).validate_json(archive.read(about))
    except (KeyError, ValidationError, RuntimeError) as error:
        msg = f"{path} is no backup of a course, or is damaged: it has no {MANIFEST} that can be read"
        raise InputError(msg) from error
    if manifest.format != FORMAT:
        msg = f"{path} was made by another version of the kit ({manifest.kit}); restore it with that one"
        raise InputError(msg)
    faults = {name for name, times in Counter(names).items() if times > 1}
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not is_plain(info.filename) or info.flag_bits & ENCRYPTED or kind not in (0, stat.S_IFREG):
            faults.add(info.filename)
    if faults:
        msg = f"{path} holds what no backup does ({listed(sorted(map(repr, faults)))}), so nothing was restored"
        raise InputError(msg)
    if set(names) != {*manifest.files, MANIFEST}:
        found = difference(manifest.files, set(names) - {MANIFEST})
        msg = f"{path} does not hold the files that its list names: {found}; take another one"
        raise InputError(msg)
    return manifest


def _unpack(path: Path, archive: zipfile.ZipFile, name: str, kept: Kept, target: Path) -> None:
    """Write one file, and refuse one that is not what the list says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with (
        archive.open(name) as file,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy,
    ):
        while size <= kept.size and (block := file.read(BLOCK)):
            size += len(block)
            digest.update(block)
            copy.write(block)
    if (size, digest.hexdigest()) != (kept.size, kept.sha256):
        msg = f"{path} is damaged: {name} is not what was backed up, so nothing was restored; take another backup"
        raise InputError(msg)
    target.chmod(kept.mode & 0o777)
    os.utime(target, ns=(kept.changed, kept.changed))
