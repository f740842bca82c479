"""The catalogue of public data sets, as `catalogue.toml` lists them."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

from starter.errors import InputError

Kind = Literal["screen", "list", "prior", "embedding", "weights"]


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded."""

    name: str
    """Its name on this disk; one with `*` stands for all files of a folder in a bucket."""
    urls: tuple[str, ...]
    """The source first, then mirrors: https://, gs:// or s3://."""
    local: str | None = None
    """Its place below the folder that `VCC_DATA` names."""
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    crc32c: str | None = None
    """In base64, as Google's buckets state it."""
    third_party: bool = False
    """Whether its hash is not the publisher's own statement, but what somebody else has measured or quoted."""
    magic: str | None = None
    """How its content begins, in hexadecimal, where no hash is published."""

    @property
    def hashes(self) -> dict[str, str]:
        """The hashes that are known, by algorithm."""
        known = {"sha256": self.sha256, "md5": self.md5, "crc32c": self.crc32c}
        return {algorithm: due for algorithm, due in known.items() if due}


@dataclass(frozen=True)
class DataSet:
    """A public data set."""

    name: str
    title: str
    organism: str
    licence: str
    source: str
    citation: str
    files: tuple[RemoteFile, ...]
    stand_in: str | None = None
    """The data set that is taken instead where `VCC_DATA` has it and not this one."""
    kind: Kind = "screen"
    cells: int | None = None
    genes: int | None = None
    """Cells and genes of the screen, where they are known."""
    note: str = ""
    """What one must know before downloading it."""
    layout: Mapping[str, object] = field(default_factory=dict)
    """Where its first file keeps what a course data set needs: fields of `data_scripts.adoption.layout.Layout`."""

    @property
    def bytes(self) -> int | None:
        """Size of all its files together, where every one is known."""
        sizes = [file.bytes for file in self.files]
        return sum(size for size in sizes if size) if all(sizes) else None


def data_set(name: str) -> DataSet:
    """Look up a data set.

    Raises
    ------
    InputError
        If the catalogue has none of this name.
    """
    entries = catalogue()
    if name not in entries:
        msg = f"the catalogue has no data set {name!r}; it has {', '.join(entries)}"
        raise InputError(msg)
    return entries[name]


def entries_of(files: Iterable[Path]) -> list[DataSet]:
    """Find the data sets that have files of these names."""
    names = {path.name for path in files}
    return [entry for entry in catalogue().values() if names & {file.name for file in entry.files}]


def catalogue() -> dict[str, DataSet]:
    """Read the whole catalogue."""
    content = tomllib.loads(resources.files("data_scripts").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    return {
        name: DataSet(
            name=name,
            files=tuple(RemoteFile(**{**file, "urls": tuple(file["urls"])}) for file in entry["files"]),
            **{key: value for key, value in entry.items() if key != "files"},
        )
        for name, entry in content.items()
    }
