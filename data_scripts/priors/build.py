"""What is known of a screen's genes beforehand: annotations, pathways, regulons and a gene graph, a table each."""

from collections.abc import Collection
from pathlib import Path

import anndata
import pandas as pd

from data_scripts.priors import go, reactome, regulons, string_db
from starter.data.h5ad import open_h5ad
from starter.errors import InputError, counted, listed
from starter.schema import CONTROL, TARGET_GENE

SOURCES = {"go": go, "reactome": reactome, "regulons": regulons, "string_db": string_db}
"""Each with `build`, and the name of its table."""
GENE_COLUMNS = {"gene", "gene_a", "gene_b", "regulator", "target"}


def build(genes: Collection[str], folder: str | Path, downloads: str | Path) -> dict[str, int]:
    """Write what every source knows of some genes.

    Parameters
    ----------
    genes
        Gene symbols: a screen's targets and measured genes.
    folder
        Receives `go_annotations.tsv`, `reactome_pathways.tsv`, `dorothea_regulons.tsv` and `string_graph.tsv`, each
        with its lineage. It is what students get, so downloads do not belong into it.
    downloads
        Where downloads go.

    Returns
    -------
    How many of the genes each source's table names.

    Raises
    ------
    InputError
        If the folder cannot be written, no source knows a gene, or a source's file cannot be had or read; then the
        other sources' tables are complete.
    """
    genes, folder = set(genes), Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}; choose another folder"
        raise InputError(msg) from error
    faults = {}
    for name, source in SOURCES.items():
        try:
            source.build(genes, folder, downloads)
        except InputError as error:
            faults[name] = error
    if faults:
        done = ", ".join(source.TABLE for name, source in SOURCES.items() if name not in faults)
        missing = [f"  - {SOURCES[name].TABLE}: {error}" for name, error in faults.items()]
        msg = "\n".join([f"not everything could be had; complete in {folder}: {done or 'nothing'}; missing:", *missing])
        raise InputError(msg)
    known = coverage(genes, folder)
    if not any(known.values()):
        msg = f"no source knows any of {counted(len(genes), 'gene')} ({listed(sorted(genes))}); give human gene symbols"
        raise InputError(msg)
    return known


def coverage(genes: Collection[str], folder: str | Path) -> dict[str, int]:
    """Count the genes that each source's table names.

    Parameters
    ----------
    genes
        Gene symbols.
    folder
        What `build` wrote.

    Returns
    -------
    Source to number of genes.
    """
    named = {}
    for name, source in SOURCES.items():
        table = pd.read_csv(Path(folder) / source.TABLE, sep="\t", dtype=str, na_filter=False)
        columns = [column for column in table.columns if column in GENE_COLUMNS]
        named[name] = len(set(genes).intersection(*[table[columns].to_numpy().ravel()]))
    return named


def read_genes(path: str | Path) -> set[str]:
    """Read which genes a screen is about.

    Parameters
    ----------
    path
        A text file with one gene symbol a line; or a course data set (`.h5ad`), of which targets and genes are read,
        not the cells.

    Returns
    -------
    Gene symbols, without the control.

    Raises
    ------
    InputError
        If it cannot be read, or has another layout.
    """
    path = Path(path)
    genes = _of_screen(path) if path.suffix == ".h5ad" else _of_list(path)
    genes -= {"", CONTROL}
    if not genes:
        msg = f"{path} names no gene"
        raise InputError(msg)
    return genes


def _of_screen(path: Path) -> set[str]:
    try:
        with open_h5ad(path) as file:
            obs, var = (anndata.io.read_elem(file[part]) for part in ("obs", "var"))
        targets = obs[TARGET_GENE].astype(str).unique()
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is not a course data set with obs[{TARGET_GENE!r}] ({error})"
        raise InputError(msg) from error
    return {gene for target in targets for gene in target.split("+")} | set(var.index.astype(str))


def _of_list(path: Path) -> set[str]:
    try:
        symbols = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise InputError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not a text file; write one gene symbol a line"
        raise InputError(msg) from error
    for number, symbol in enumerate(symbols, 1):
        if len(symbol.split()) > 1 or set(symbol) & set(",;\t"):
            msg = f"{path}, line {number:,}: {symbol[:60]!r} is not one gene symbol; write one a line"
            raise InputError(msg)
    return set(symbols)
