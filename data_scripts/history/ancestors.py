"""The files that a file was made of, back to the downloads, and which of them are still as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from data_scripts.content import describe
from data_scripts.lineage import SUFFIX, find_place, lineage_path, read_lineage
from starter.errors import InputError


class State(StrEnum):
    """What a file is beside what was recorded of it."""

    same = "as recorded"
    changed = "changed since"
    missing = "missing"


@dataclass(frozen=True)
class Made:
    """A file, and what it was made of."""

    name: str
    bytes: int
    sha256: str
    state: State
    urls: tuple[str, ...] = ()
    """Where it can be downloaded."""
    lineage: Mapping | None = None
    """What was recorded when it was made; None for a download, or where nothing was recorded."""
    parents: tuple[Made, ...] = ()

    def all(self) -> Iterator[Made]:
        """Give this file and all that it was made of; one that was used twice comes twice."""
        yield self
        for parent in self.parents:
            yield from parent.all()


def read_ancestors(path: str | Path) -> list[Made]:
    """Read the lineage of a file, or of each file in a folder that no other file there was made of.

    Each file is compared with what was recorded: by size and date of change, and where these differ by its content.

    Parameters
    ----------
    path
        A file, its lineage, or a folder.

    Raises
    ------
    InputError
        If there is no lineage.
    """
    path = Path(path)
    if lineage_path(path).is_file() or not path.is_dir():
        return [read_output(path)]
    found = [read_output(output_of(each)) for each in sorted(path.rglob(f"*{SUFFIX}"))]
    if not found:
        msg = f"{path} holds no file with a lineage (NAME{SUFFIX}); name a folder that a builder wrote"
        raise InputError(msg)
    used = {parent.sha256 for made in found for child in made.parents for parent in child.all()}
    return [made for made in found if made.sha256 not in used]


def read_output(path: str | Path) -> Made:
    """Read the lineage of one file; that of a folder, such as a Zarr store, stands beside it too.

    Raises
    ------
    InputError
        If it has none, or a damaged one.
    """
    path = output_of(Path(path))
    record = lineage_path(path)
    if not record.is_file():
        state = "has no lineage" if path.exists() else "is not there, nor its lineage"
        msg = f"{path} {state}; builders write it as {record.name} beside the file, so copy it along"
        raise InputError(msg)
    lineage = read_lineage(record)
    try:
        return _made(path, {**lineage["output"], "name": path.name}, lineage)
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{record} is no lineage ({type(error).__name__}: {error}); build its file again"
        raise InputError(msg) from error


def output_of(path: Path) -> Path:
    """Give the file that a lineage file describes; any other path stays."""
    return path.with_name(path.name.removesuffix(SUFFIX)) if path.name.endswith(SUFFIX) else path


def _made(path: Path, described: Mapping, lineage: Mapping | None) -> Made:
    inputs = lineage["inputs"] if lineage else ()
    return Made(
        described["name"],
        described["bytes"],
        described["sha256"],
        compare(path, described),
        tuple(described.get("urls", ())),
        lineage,
        tuple(
            _made(find_place(each.get("path", each["name"]), path.parent), each, each.get("lineage")) for each in inputs
        ),
    )


def compare(path: Path, described: Mapping) -> State:
    """Tell whether a file is still what was recorded of it; it is read only if its date differs and its size does not.

    Parameters
    ----------
    path
        The file.
    described
        As `data_scripts.content.describe` gives it.
    """
    if not path.exists():
        return State.missing
    if path.is_file() and path.stat().st_size != described["bytes"]:
        return State.changed
    same = describe(path, [described])["sha256"] == described["sha256"]
    return State.same if same else State.changed
