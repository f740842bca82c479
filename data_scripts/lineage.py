"""Where a file came from: `<output>.lineage.json` beside it names inputs, parameters and code, with hashes."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from data_scripts.catalogue import DataSet
from starter.errors import InputError


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
        The file.
    inputs
        Files it was made of.
    data_sets
        The catalogue's entries they belong to.
    parameters
        Every choice that changes the content.
    code
        The builder's Python file.

    Returns
    -------
    The path of the lineage file.
    """
    output = Path(output)
    content = {
        "output": _described(output),
        "inputs": [_described(Path(path)) for path in inputs],
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
        "code": _described(Path(code)),
        "versions": {name: importlib.metadata.version(name) for name in ("virtual-cell-course", "anndata", "numpy")},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = output.with_name(output.name + ".lineage.json")
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def _described(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
