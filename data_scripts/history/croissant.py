"""A lineage as Croissant, the description of data sets that search engines and model hubs read.

https://docs.mlcommons.org/croissant, version 1.1. An `.h5ad` has no records in its terms, so none are announced for it.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from data_scripts.content import describe
from data_scripts.history.ancestors import State, read_output
from data_scripts.history.tree import code
from starter.errors import InputError
from starter.files import whole

VERSION = "http://mlcommons.org/croissant/1.1"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""What the words mean, as the standard has it."""
KINDS = {
    ".h5ad": "application/x-hdf5",
    ".json": "application/json",
    ".parquet": "application/x-parquet",
    ".tsv": "text/tab-separated-values",
}
OTHER = "application/octet-stream"
FIELDS = {"b": "sc:Boolean", "i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float"}
"""Kind of a column's values -> its type; anything else is text."""
ROWS = 10_000
"""Rows of a table that are looked at for the types of its columns."""


def write_croissant(output: str | Path, path: str | Path) -> None:
    """Describe a file that was made here, with its licences, citations, hashes and origins.

    Parameters
    ----------
    output
        The file, with its lineage beside it.
    path
        The JSON-LD file to write; addresses in it are as seen from the file's folder.

    Raises
    ------
    InputError
        If the file is not there as its lineage says, or the description cannot be written.
    """
    output = Path(output)
    made = read_output(output)
    lineage = made.lineage or {}
    if made.state is not State.same:
        msg = f"{output} is not as its lineage says ({made.state}); build it again"
        raise InputError(msg)
    sources = {
        entry["name"]: entry for one in made.all() if one.lineage for entry in one.lineage.get("data_sets", ())
    }.values()
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": made.name,
        "description": f"{made.name}, made by {code(lineage)}"
        + (f", from: {'; '.join(entry['source'] for entry in sources)}" if sources else ""),
        "license": _unique(entry["licence"] for entry in sources),
        "citeAs": "; ".join(_unique(entry["citation"] for entry in sources)),
        "datePublished": lineage["made"],
        "version": str(lineage["code"].get("version", "")).rpartition(" ")[2],
        "distribution": [_file(file, output) for file in _files(output)],
        "prov:wasDerivedFrom": [
            {"@id": one.urls[0], "name": one.name, "sha256": one.sha256}
            for one in {one.sha256: one for one in made.all() if one.urls}.values()
        ],
        "prov:wasGeneratedBy": {"@type": "prov:Activity", "name": code(lineage)},
    }
    if output.suffix == ".tsv":
        content["recordSet"] = [_records(output)]
    with whole(path) as part:
        part.write_text(json.dumps({key: value for key, value in content.items() if value}, indent=1) + "\n", "utf-8")


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _files(output: Path) -> list[Path]:
    return sorted(file for file in output.rglob("*") if file.is_file()) if output.is_dir() else [output]


def _file(file: Path, output: Path) -> dict:
    name = file.relative_to(output.parent).as_posix()
    found = describe(file)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{found['bytes']} B",
        "encodingFormat": KINDS.get(file.suffix, OTHER),
        "sha256": found["sha256"],
    }


def _records(table: Path) -> dict:
    columns = pd.read_csv(table, sep="\t", nrows=ROWS).dtypes
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"rows/{name}",
                "name": name,
                "dataType": FIELDS.get(dtype.kind, "sc:Text"),
                "source": {"fileObject": {"@id": table.name}, "extract": {"column": name}},
            }
            for name, dtype in columns.items()
        ],
    }
