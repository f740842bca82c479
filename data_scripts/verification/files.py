"""A file, or each in a folder, against its lineage, the catalogue, and the rules of a course data set."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_scripts.catalogue import DataSet, RemoteFile, catalogue
from data_scripts.content import describe, read_hash
from data_scripts.lineage import SUFFIX, lineage_path, read_lineage
from data_scripts.pieces.folder import COMPLETE
from data_scripts.transfer.hashes import NAMES, RECEIPT, fault_of, hashes_of
from starter.data.dataset import read_screen
from starter.data.h5ad import open_h5ad
from starter.data.zarr_store import is_store
from starter.errors import FindingsError, InputError
from starter.files import reason_of
from starter.schema import COURSE, TARGET_GENE

UNFINISHED = ".part"
"""How the name of a file ends that is being written, or was when the work was killed."""
RECEIVED = "what was received"


@dataclass(frozen=True)
class Verified:
    """What a file was held against, and what is wrong."""

    path: Path
    held_against: tuple[str, ...]
    """Such as "its lineage"."""
    faults: tuple[str, ...]
    """A sentence each; none if all is as it should be."""


def verify(path: str | Path) -> list[Verified]:
    """Verify a file; or all in a folder that have a lineage, stand in the catalogue, or are screens.

    Files are read to their ends, whatever their dates say.

    Raises
    ------
    InputError
        If nothing says what the file should be, or the folder has no file of which something does.
    """
    path = Path(path)
    if path.name.endswith(SUFFIX):
        path = path.with_name(path.name.removesuffix(SUFFIX))
    one = not path.is_dir() or is_store(path) or lineage_path(path).is_file()
    if one and not path.exists() and not lineage_path(path).is_file():
        msg = f"there is no {path}; name a file or a folder that is there"
        raise InputError(msg)
    found = [_verify_one(path)] if one else [_verify_one(each) for each in _files(path)]
    found = [each for each in found if each.held_against or each.faults]
    if not found:
        whose = "it" if one else "a file in it"
        msg = (
            f"nothing says what {path} should be: no lineage stands beside {whose}, the catalogue has none of that "
            f"name, and it is no course data set; build or adopt it with python -m data_scripts"
        )
        raise InputError(msg)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Give the files and Zarr stores in a folder, and those of which only the lineage is there."""
    entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.is_dir() and not is_store(entry) and not lineage_path(entry).is_file():
            yield from _files(entry)
        elif not entry.name.endswith(SUFFIX):
            yield entry
        elif not (output := entry.with_name(entry.name.removesuffix(SUFFIX))).exists():
            yield output


def _verify_one(path: Path) -> Verified:
    held, faults = [], []
    record = lineage_path(path)
    if record.is_file():
        held.append("its lineage")
        faults += _faults_by_lineage(path, record)
    if not path.exists():
        return Verified(path, tuple(held), tuple(faults))
    if path.name.endswith(UNFINISHED):
        return Verified(path, (), (f"{path} is unfinished; run again what was writing it, or delete it",))
    if path.name == COMPLETE:
        lacking = [piece["name"] for piece in _pieces(path) if not (path.parent / piece["name"]).exists()]
        faults += [f"{path.parent} lacks {name}; copy it, or write the pieces again" for name in lacking]
    if (due := _in_pieces(path)) is not None:
        held.append(f"the list of pieces in {COMPLETE}")
        faults += _difference(path, due["bytes"], due["sha256"], f"{COMPLETE} says", "copy or write the pieces again")
    elif path.is_file() and path.with_name(path.name + RECEIPT).is_file():
        held.append(RECEIVED)
        faults += _faults_by_receipt(path)
    # what has a lineage was made here, though a download may have the same name
    if not faults and path.is_file() and not record.is_file() and (entries := _in_catalogue(path)):
        held.append(f"the catalogue ({', '.join(entry.name for entry, _ in entries)})")
        faults += _faults_by_catalogue(path, entries, afresh=RECEIVED not in held)  # it was just read
    if not faults and due is None and (path.suffix == ".h5ad" or is_store(path)):
        is_screen, faults = _faults_by_rules(path)
        held += ["the rules of a course data set"] if is_screen else []
    return Verified(path, tuple(held), tuple(faults))


def _in_pieces(path: Path) -> Mapping | None:
    """Give what the list of pieces in its folder says of a file; it holds some of a screen, maybe without controls."""
    return next((piece for piece in _pieces(path.parent / COMPLETE) if piece["name"] == path.name), None)


def _pieces(path: Path) -> list[Mapping]:
    """Read a list of pieces; of one that is damaged nothing, which its own lineage tells."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["pieces"]
        return [piece for piece in listed if {"name", "bytes", "sha256"} <= set(piece)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _faults_by_lineage(path: Path, record: Path) -> list[str]:
    try:
        due = read_lineage(record)["output"]
        if not path.exists():
            return [f"{path} is not there, and its lineage is; build it again, or delete {record.name}"]
        return _difference(path, due["bytes"], due["sha256"], "its lineage says", "build or copy it again")
    except InputError as error:
        return [str(error)]


def _in_catalogue(path: Path) -> list[tuple[DataSet, RemoteFile]]:
    return [
        (entry, file)
        for entry in catalogue().values()
        for file in entry.files
        if path.name in (file.name, Path(file.local or file.name).name)
    ]


def _faults_by_catalogue(path: Path, entries: list[tuple[DataSet, RemoteFile]], *, afresh: bool) -> list[str]:
    """Compare with each entry of the name; one that it equals suffices."""
    faults = []
    for entry, file in entries:
        if not (fault := fault_of(path, file, afresh=afresh)):
            return []
        faults.append(f"{path} is not as the catalogue has it ({entry.name}): {fault}; delete it and fetch it again")
    return faults


def _faults_by_receipt(path: Path) -> list[str]:
    """Compare with what was recorded when the file was received: its only hash where none is published."""
    try:
        receipt = json.loads(path.with_name(path.name + RECEIPT).read_text(encoding="utf-8"))
        due = {algorithm: receipt[algorithm] for algorithm in NAMES if algorithm in receipt}
        n_bytes = receipt["bytes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{path.name}{RECEIPT} is damaged ({type(error).__name__}); fetch {path} again"]
    if (size := path.stat().st_size) != n_bytes:
        return [f"{path} has {size:,} bytes, and had {n_bytes:,} when it was received; delete it and fetch it again"]
    found = hashes_of(path, tuple(due), afresh=True)
    return [
        f"{path} has changed since it was received: its {NAMES[algorithm]} was {due[algorithm]} and is "
        f"{found[algorithm]}; delete it and fetch it again"
        for algorithm in due
        if found[algorithm] != due[algorithm]
    ]


def _difference(path: Path, n_bytes: int, sha256: str, said: str, way_out: str) -> list[str]:
    try:
        size = path.stat().st_size if path.is_file() else describe(path)["bytes"]
        if size != n_bytes:
            return [f"{path} has {size:,} bytes, and not {n_bytes:,} as {said}; {way_out}"]
        found = read_hash(path) if path.is_file() else str(describe(path)["sha256"])
    except OSError as error:
        return [f"cannot read {path}: {reason_of(error)}"]
    if found != sha256:
        return [f"{path} has the SHA-256 {found[:12]}..., and not {sha256[:12]}... as {said}; {way_out}"]
    return []


def _faults_by_rules(path: Path) -> tuple[bool, list[str]]:
    """Tell whether a file is meant to be a course data set, and what breaks the rules."""
    try:
        with open_h5ad(path) as file:
            obs = getattr(file["obs"].dtype, "names", None) if hasattr(file["obs"], "dtype") else list(file["obs"])
            if TARGET_GENE not in (obs or ()) and COURSE not in file.get("uns", ()):
                return False, []
        read_screen(path)
    except FindingsError as error:
        return True, [f"{path}: {each}" for each in error.findings if each.level == "error"]
    except InputError as error:
        return False, [str(error)]
    return True, []
