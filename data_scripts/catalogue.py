"""The catalogue of public data sets, as `catalogue.toml` lists them."""

import tomllib
from dataclasses import dataclass
from importlib import resources

from starter.errors import InputError


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded."""

    name: str
    urls: tuple[str, ...]
    """The source first, then mirrors."""
    local: str | None = None
    """Its place below the folder that `VCC_DATA` names."""
    bytes: int | None = None
    sha256: str | None = None
    magic: str | None = None
    """How its content begins, in hexadecimal, where no hash is published."""


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
