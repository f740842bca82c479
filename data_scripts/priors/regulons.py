"""DoRothEA regulons: which genes a transcription factor switches on (+1) or off (-1).

Confidence A (curated, or several kinds of evidence agree), B and C; D and E, which rest on one kind of evidence or on a
prediction alone, are left out.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from data_scripts.download import obtain
from data_scripts.formats.rda import read_rda
from data_scripts.lineage import write_table
from starter.errors import InputError

NAME = "dorothea"
TABLE = "dorothea_regulons.tsv"
COLUMNS = ["regulator", "target", "sign"]
CONFIDENCE = ("A", "B", "C")
THEIR_COLUMNS = ["tf", "confidence", "target", "mor"]
"""`mor`, mode of regulation, is the sign."""


def build(genes: Collection[str], folder: str | Path, downloads: str | Path) -> Path:
    """Write the regulatory edges between some genes.

    Parameters
    ----------
    genes
        Gene symbols; edges between two of them are kept.
    folder
        Receives `dorothea_regulons.tsv` (columns regulator, target and sign, -1 or +1) and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path of the table.
    """
    entry, (source,) = obtain(NAME, downloads)
    table = read_package(source) if entry.name == NAME else read_table(source)
    table = table[table["regulator"].isin(set(genes)) & table["target"].isin(set(genes))]
    parameters = {"confidence": CONFIDENCE, "genes": len(set(genes))}
    return write_table(Path(folder) / TABLE, table, [source], entry, parameters, __file__)


def read_package(path: str | Path) -> pd.DataFrame:
    """Read the data file of the R package.

    Parameters
    ----------
    path
        `dorothea_hs.rda`: the data frame `dorothea_hs` with columns tf, confidence (A to E), target and mor.

    Returns
    -------
    Columns regulator, target and sign of all edges of confidence A to C, sorted.

    Raises
    ------
    InputError
        If it has another layout.
    """
    with Console(stderr=True).status(f"reading {Path(path).name}, about a minute"):
        edges = read_rda(path, "dorothea_hs")
    return _signed(edges, path)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read the file that stands in for the package's: the same columns, tab-separated.

    Parameters
    ----------
    path
        `dorothea_hs_ABC.tsv`.

    Returns
    -------
    Columns regulator, target and sign of all edges of confidence A to C, sorted.

    Raises
    ------
    InputError
        If it has another layout.
    """
    try:
        edges = pd.read_csv(path, sep="\t", dtype=str, na_filter=False)
    except (ValueError, OSError) as error:
        msg = f"{path} is not a table ({error}); get it again"
        raise InputError(msg) from error
    return _signed(edges, path)


def _signed(edges: Any, path: str | Path) -> pd.DataFrame:
    if not isinstance(edges, pd.DataFrame) or not set(THEIR_COLUMNS) <= set(edges.columns):
        msg = f"{path} has not DoRothEA's columns {', '.join(THEIR_COLUMNS)}; download it again"
        raise InputError(msg)
    kept = edges[edges["confidence"].isin(CONFIDENCE)]
    sign = pd.to_numeric(kept["mor"], errors="coerce")
    if odd := kept["mor"][~sign.isin([-1, 1])].astype(str).unique().tolist():
        msg = f"{path} has the modes of regulation {', '.join(odd[:3])} beside -1 and 1; download it again"
        raise InputError(msg)
    table = pd.DataFrame(
        {"regulator": kept["tf"].astype(str), "target": kept["target"].astype(str), "sign": sign.astype(int)}
    )
    return table.drop_duplicates(["regulator", "target"]).sort_values(COLUMNS, ignore_index=True)
