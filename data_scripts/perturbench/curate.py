"""Curate one of PerturBench's screens: source files in, its processed `.h5ad` and its split out."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import anndata
import pandas as pd

from data_scripts.catalogue import entries_of
from data_scripts.lineage import write_lineage
from data_scripts.perturbench.preprocess import preprocess
from data_scripts.perturbench.sources import CURATIONS, Curation
from data_scripts.perturbench.splits import Labels, course_split, split_combinations, split_inverse, split_transfer
from starter.data.h5ad import open_h5ad, unreadable
from starter.errors import InputError, listed
from starter.files import check_file, whole
from starter.progress import spinner

SPLITS: Mapping[str, Callable[[Labels], pd.Series]] = {
    "transfer": split_transfer,
    "combine": split_combinations,
    "inverse": split_inverse,
}
PUBLISHED = "published"
ID_COLUMNS, SYMBOL_COLUMNS = ("Gene stable ID", "ensembl_id"), ("HGNC symbol", "gene_name", "symbol")
"""Of a table of symbols; the first names are those of Ensembl's BioMart."""


class Curated(NamedTuple):
    """What was made."""

    shape: tuple[int, int]
    """Cells and genes."""
    split: Path | None
    """The split, a table of cell and part as PerturBench reads it, beside which is the course's `.split.json`; None if
    the published split is a table of theirs."""


def curate(
    name: str, sources: Sequence[str | Path], out: str | Path, symbols: str | Path | None = None, split: str = PUBLISHED
) -> Curated:
    """Curate a screen, and split it.

    All cells are in memory, several times over, as in the original.

    Parameters
    ----------
    name
        One of `CURATIONS`.
    sources
        The files of the source, `.h5ad`.
    out
        The `.h5ad` to write; what it was made of is written beside it.
    symbols
        Table of Ensembl IDs and symbols, where genes are renamed.
    split
        `published`, `transfer`, `combine` or `inverse`.

    Raises
    ------
    InputError
        If the name is unknown, a file is not of the source's layout, or no raw counts are in it.
    """
    if name not in CURATIONS:
        msg = f"PerturBench has no screen {name!r}; it has {', '.join(CURATIONS)}"
        raise InputError(msg)
    if split not in (PUBLISHED, *SPLITS):
        msg = f"there is no split {split!r}; the splits are {', '.join((PUBLISHED, *SPLITS))}"
        raise InputError(msg)
    curation, out = CURATIONS[name], Path(out)
    if curation.needs_symbols and symbols is None:
        msg = (
            f"{name} names its genes by symbol: give --symbols, a table of Gene stable ID and HGNC symbol, as "
            "www.ensembl.org/biomart exports it"
        )
        raise InputError(msg)
    with spinner(f"curating {name}"):
        cells = _prepared(curation, [Path(path) for path in sources], read_symbols(symbols) if symbols else {})
        with whole(out) as part:
            cells.write_h5ad(part, compression="gzip")
    inputs = [Path(path) for path in (*sources, *([symbols] if symbols else []))]
    write_lineage(out, inputs, entries_of(inputs), {"name": name, "split": split}, __file__)
    how = curation.split if split == PUBLISHED else SPLITS[split]
    if how is None:
        return Curated(cells.shape, None)
    labels = curation.labels(cells.obs)
    parts = how(labels)
    table = out.with_name(f"{out.stem}.split.csv")
    with whole(table) as part:
        parts.to_csv(part, header=False)
    course_split(labels, parts).write(out.with_name(f"{out.stem}.split.json"))
    return Curated(cells.shape, table)


def read_symbols(path: str | Path) -> dict[str, str]:
    """Read a table of Ensembl IDs and symbols, separated by commas or tabs.

    Returns
    -------
    ID to symbol, of the genes that have one.

    Raises
    ------
    InputError
        If it has no such columns.
    """
    check_file(path)
    try:
        table = pd.read_csv(path, sep=None, engine="python", dtype=str, keep_default_na=False)
    except Exception as error:  # whatever is in somebody's file
        what = str(path)
        raise unreadable(what, error) from error
    columns = [next((name for name in names if name in table), None) for names in (ID_COLUMNS, SYMBOL_COLUMNS)]
    if None in columns:
        msg = f"{path} has the columns {listed(list(table))}; it needs {ID_COLUMNS[0]} and {SYMBOL_COLUMNS[0]}"
        raise InputError(msg)
    named = table[table[columns[1]] != ""]
    return dict(zip(named[columns[0]], named[columns[1]], strict=True))


def _prepared(curation: Curation, sources: Sequence[Path], symbols: Mapping[str, str]) -> anndata.AnnData:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not unique")  # they are made so
        files = [_read(path, curation) for path in sources]
        cells = curation.prepare(files, [path.name for path in sources], symbols)
        if not curation.selects_genes:
            return cells
        return preprocess(cells, curation.perturbation, curation.covariates, curation.control)


def _read(path: Path, curation: Curation) -> anndata.AnnData:
    if path.name.removesuffix(".gz").lower().endswith(".rds"):
        msg = f"{path} is R's, which is not read here; the sources are {curation.sources}"
        raise InputError(msg)
    with open_h5ad(path):  # of what is no AnnData file this says in one sentence what it is
        pass
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # whatever is in somebody's file
        raise unreadable(str(path), error) from error
