"""Reactome pathways: genes that act together, by curators' reading."""

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from data_scripts.download import obtain
from data_scripts.formats.packed import lines
from data_scripts.lineage import write_table
from starter.errors import InputError

NAME = "reactome"
TABLE = "reactome_pathways.tsv"
COLUMNS = ["pathway", "gene"]
LIMIT = 1 << 26
"""Bytes of the unpacked file, which has 1 MB."""


def build(genes: Collection[str], folder: str | Path, downloads: str | Path) -> Path:
    """Write the pathways of some genes.

    Parameters
    ----------
    genes
        Gene symbols; a pathway keeps those of its genes that are among them.
    folder
        Receives `reactome_pathways.tsv` (columns pathway, gene) and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path of the table.
    """
    entry, sources = obtain(NAME, downloads)
    (source,) = sources
    table = read_gmt(source, set(genes))
    return write_table(Path(folder) / TABLE, table, sources, entry, {"genes": len(set(genes))}, __file__)


def read_gmt(path: str | Path, genes: Collection[str]) -> pd.DataFrame:
    """Read the publisher's file, zipped as it comes or unpacked.

    Parameters
    ----------
    path
        `ReactomePathways.gmt.zip` or `ReactomePathways.gmt`: a pathway a line, tab-separated: its name, its id, the
        symbols of its genes.
    genes
        Gene symbols to keep.

    Returns
    -------
    Columns pathway (its name; with the id behind it where several pathways have one name) and gene; each pair once,
    sorted.

    Raises
    ------
    InputError
        If it has another layout.
    """
    pathways = []
    for number, line in enumerate(lines(path, LIMIT), 1):
        if not line:
            continue
        name, identifier, *symbols = [*line.split("\t"), ""]
        if not name.strip() or not re.fullmatch(r"R-[A-Z]{3}-\d+", identifier):
            msg = f"{path}, line {number:,}: {line[:60]!r} is not a pathway with its Reactome id; download it again"
            raise InputError(msg)
        pathways.append((" ".join(name.split()), identifier, symbols))
    known = Counter(name for name, _, _ in pathways)
    pairs = {
        (f"{name} ({identifier})" if known[name] > 1 else name, gene)
        for name, identifier, symbols in pathways
        for gene in symbols
        if gene in genes
    }
    return pd.DataFrame(sorted(pairs), columns=COLUMNS)
