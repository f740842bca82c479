"""Where a file came from: `<output>.lineage.json` beside it names inputs, parameters and code, with hashes."""

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from data_scripts.catalogue import DataSet
from data_scripts.content import Description, describe, outside
from data_scripts.download import LOCAL_VARIABLE
from data_scripts.transfer.hashes import read_receipt
from starter.errors import InputError
from starter.files import whole

SUFFIX = ".lineage.json"
PACKAGE = "virtual-cell-course"
LIBRARIES = ("anndata", "h5py", "numpy", "pandas", "pyarrow", "rdata", "scanpy", "scipy", "zarr")
"""Those whose version may change what is written."""
GIT_SECONDS = 10


def write_table(
    path: str | Path,
    table: pd.DataFrame,
    inputs: Iterable[Path],
    entry: DataSet,
    parameters: Mapping[str, object],
    code: str,
) -> Path:
    """Write a table, tab-separated, and its lineage; what stood there stays until the new one is complete.

    Parameters
    ----------
    path
        The file to write; its folder is made.
    table
        What to write, without the index.
    inputs
        Files it was made of.
    entry
        The catalogue's entry they belong to.
    parameters
        Every choice that changes the content.
    code
        The builder's Python file.

    Returns
    -------
    The path of the table.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(part, sep="\t", index=False, lineterminator="\n")
        part.replace(path)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}; choose another folder"
        raise InputError(msg) from error
    write_lineage(path, inputs, [entry], parameters, code)
    return path


def write_lineage(
    output: str | Path,
    inputs: Iterable[Path],
    data_sets: Iterable[DataSet],
    parameters: Mapping[str, object],
    code: str,
) -> Path:
    """Write the lineage of a file that was just made.

    Parameters
    ----------
    output
        The file, or the folder of a Zarr store.
    inputs
        Files it was made of. Those that have a lineage beside them are parents: theirs becomes part of this one.
    data_sets
        The catalogue's entries they belong to.
    parameters
        Every choice that changes the content.
    code
        The builder's Python file.

    Returns
    -------
    The path of the lineage file.

    Raises
    ------
    InputError
        If a file cannot be read, or the lineage not be written.
    """
    output, data_sets = Path(output), list(data_sets)
    path = lineage_path(output)
    earlier = read_lineage(path) if path.is_file() else {}
    content = {
        "output": describe(output),
        "inputs": [_input(Path(file), output.parent, data_sets, earlier.get("inputs", ())) for file in inputs],
        "data_sets": [
            {
                "name": entry.name,
                "licence": entry.licence,
                "source": entry.source,
                "citation": entry.citation,
                "urls": [url for file in entry.files for url in file.urls],
            }
            for entry in data_sets
        ],
        "parameters": dict(parameters),
        "code": _code(Path(code)),
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        },
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
    return path


def lineage_path(output: str | Path) -> Path:
    """Name the lineage file of an output."""
    output = Path(output)
    return output.parent / f"{output.name}{SUFFIX}"  # of "." too, which has no name


def read_lineage(path: str | Path) -> dict:
    """Read a lineage file.

    Raises
    ------
    InputError
        If it is not there, or none.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise InputError(msg) from error
    except ValueError as error:
        msg = f"{path} is no lineage ({error}); build its file again"
        raise InputError(msg) from error
    described = content.get("output") if isinstance(content, dict) else None
    if not isinstance(described, dict) or not {"name", "bytes", "sha256"} <= set(described):
        msg = f"{path} is no lineage: it does not say what it describes; build its file again"
        raise InputError(msg)
    return content


def _input(path: Path, folder: Path, data_sets: list[DataSet], earlier: Iterable[Mapping]) -> Description:
    """Describe an input: content, addresses, its place as seen from the output, and its own lineage if it has one."""
    own = lineage_path(path)
    parent = read_lineage(own) if own.is_file() else None
    receipt = read_receipt(path)
    known = [*earlier, *([parent["output"]] if parent else [])]
    if "sha256" in receipt:
        known.append({**outside(path), "sha256": receipt["sha256"], "hashed": receipt["date"]})
    found = describe(path, known)
    # a mirror's address is given too; one that is known to hold something else is not
    urls = [
        url
        for entry in data_sets
        for file in entry.files
        if path.name in (file.name, Path(file.local or "").name) and file.sha256 in (None, found["sha256"])
        for url in file.urls
    ]
    if receipt:
        urls = list(dict.fromkeys([receipt["url"], *urls]))
        found["received"] = receipt["date"]
    found |= {"path": _place(path, folder), "urls": urls}
    if parent and parent["output"]["sha256"] == found["sha256"]:
        found["lineage"] = parent
    return found


def _place(path: Path, folder: Path) -> str:
    """Say where a file is so that it is found again on another machine: below `VCC_DATA`, or as seen from a folder."""
    path, root = path.absolute(), os.environ.get(LOCAL_VARIABLE)
    if root and path.is_relative_to(Path(root).absolute()):
        return f"{LOCAL_VARIABLE}/{path.relative_to(Path(root).absolute()).as_posix()}"
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return path.as_posix()


def find_place(place: str, folder: Path) -> Path:
    """Give the path of what a lineage in a folder says of the place of an input."""
    root = os.environ.get(LOCAL_VARIABLE)
    if root and place.startswith(f"{LOCAL_VARIABLE}/"):
        return Path(root) / place.removeprefix(f"{LOCAL_VARIABLE}/")
    return folder / place


def _code(path: Path) -> Description:
    """Describe a builder: its file, the version of the kit, and the commit if the file is under version control."""
    described = {key: value for key, value in describe(path).items() if key in ("name", "bytes", "sha256")}
    return {**described, "version": f"{PACKAGE} {_version(PACKAGE)}", **_commit(path)}


@functools.cache
def _commit(path: Path) -> dict[str, object]:
    """Tell the git commit of a file's checkout, and whether something in it has changed since; nothing without git."""
    if not _git(path, "ls-files", "--error-unmatch", path.name):
        return {}  # a checkout around an installed package says nothing of it
    commit = _git(path, "rev-parse", "HEAD")
    changed = _git(path, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed_since": bool(changed)} if commit and changed is not None else {}


def _git(path: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(path.resolve().parent), *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return None if ended.returncode else ended.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _plain(value: object) -> object:
    """Give a NumPy number as Python's, and anything else as text: a lineage must not fail after hours of work."""
    item = getattr(value, "item", None)
    return item() if item else str(value)
