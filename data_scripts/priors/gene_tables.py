"""Further tables of genes: CollecTRI's regulons, KEGG's pathways, transcription factors, essential genes.

Unlike those of `data_scripts.priors.build` they are not built for every screen: KEGG's may not be given on to students.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from data_scripts.catalogue import data_set
from data_scripts.download import obtain
from data_scripts.lineage import write_table
from starter.errors import InputError, counted, listed


class GeneTable(NamedTuple):
    """A table, and how it is read."""

    file: str
    """The name that `starter.priors.tables` finds it by."""
    read: Callable[[list[Path]], pd.DataFrame]
    of_genes: tuple[str, ...]
    """Columns with gene symbols; rows stay where all of them are genes of the screen."""


def build(name: str, genes: Collection[str], folder: str | Path, downloads: str | Path) -> tuple[Path, pd.DataFrame]:
    """Write what one of these sources knows of some genes.

    Parameters
    ----------
    name
        Of `TABLES`.
    genes
        Gene symbols: a screen's targets and measured genes.
    folder
        Receives the table and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path and the table.

    Raises
    ------
    InputError
        If it cannot be had, has another layout, or knows none of the genes.
    """
    if name not in TABLES:
        known = ", ".join(TABLES)
        msg = f"no table is made of {data_set(name).name} alone; of {known} one is, and priors makes the others"
        raise InputError(msg)
    entry, paths = obtain(name, downloads)
    kind = TABLES[name]
    try:
        table = kind.read(paths)
    except (KeyError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{paths[0]} has another layout than {name} should ({type(error).__name__}: {str(error)[:200]})"
        raise InputError(msg) from error
    wanted = set(genes)
    for column in kind.of_genes:
        table = table[table[column].isin(wanted)]
    if table.empty:
        msg = f"{name} knows none of {counted(len(wanted), 'gene')} ({listed(sorted(wanted))}); give human gene symbols"
        raise InputError(msg)
    table = table.drop_duplicates(ignore_index=True)
    return write_table(Path(folder) / kind.file, table, paths, entry, {"genes": len(wanted)}, __file__), table


def read_collectri(paths: list[Path]) -> pd.DataFrame:
    """Read which regulator drives which gene; a weight is 1 where it activates, else -1."""
    edges = pd.read_csv(paths[0])
    sign = pd.to_numeric(edges["weight"], errors="coerce")
    if not sign.isin([-1, 1]).all():
        msg = f"{paths[0]} has weights beside -1 and 1; download it again"
        raise InputError(msg)
    table = pd.DataFrame({"regulator": edges["source"], "target": edges["target"], "sign": sign.astype(int)})
    # an edge that sources sign both ways has no sign
    return table[
        ~table.duplicated(["regulator", "target"], keep=False) | table.duplicated(keep=False)
    ].drop_duplicates()


def read_kegg(paths: list[Path]) -> pd.DataFrame:
    """Read which gene is in which pathway, by way of KEGG's own numbers of genes."""
    links = pd.read_csv(paths[0], sep="\t", header=None, names=["entry", "pathway"], dtype=str)
    genes = pd.read_csv(paths[1], sep="\t", header=None, dtype=str, na_filter=False)
    # hsa:7124 <tab> CDS <tab> 6p21.33 <tab> TNF, DIF, TNFA; tumor necrosis factor
    symbols = genes[genes.columns[-1]].str.partition(";")[0].str.partition(",")[0].str.strip()
    symbol_of = dict(zip(genes[0], symbols, strict=True))
    table = pd.DataFrame(
        {"pathway": links["pathway"].str.removeprefix("path:"), "gene": links["entry"].map(symbol_of)}
    ).dropna()
    return table.sort_values(["pathway", "gene"], ignore_index=True)


def read_human_tfs(paths: list[Path]) -> pd.DataFrame:
    """Read the genes that are transcription factors by the authors' judgement."""
    table = pd.read_csv(paths[0], na_filter=False)
    return pd.DataFrame({"gene": sorted(table.loc[table["Is TF?"] == "Yes", "HGNC symbol"])})


def read_symbols(paths: list[Path]) -> pd.DataFrame:
    """Read a list of genes whose first column is the symbol."""
    table = pd.read_csv(paths[0], sep="\t", dtype=str, na_filter=False)
    return pd.DataFrame({"gene": sorted(table.iloc[:, 0])})


TABLES = {
    "collectri": GeneTable("collectri_regulons.tsv", read_collectri, ("regulator", "target")),
    "kegg": GeneTable("kegg_pathways.tsv", read_kegg, ("gene",)),
    "human_tfs": GeneTable("transcription_factors.tsv", read_human_tfs, ("gene",)),
    "core_essential": GeneTable("core_essential.tsv", read_symbols, ("gene",)),
    "non_essential": GeneTable("non_essential.tsv", read_symbols, ("gene",)),
}
