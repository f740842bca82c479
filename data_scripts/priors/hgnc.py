"""Approved gene symbols with their former symbols and aliases, as HGNC lists them."""

from pathlib import Path

import pandas as pd

from starter.errors import InputError

NAME = "hgnc"
COLUMNS = ["symbol", "status", "alias_symbol", "prev_symbol", "ensembl_gene_id"]


def read_names(path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Read every name of every gene that has an Ensembl id.

    An approved symbol is the name of its own gene alone; a former one comes before an alias, where both are of several
    genes.

    Parameters
    ----------
    path
        `hgnc_complete_set.txt`, tab-separated.

    Returns
    -------
    Columns gene_name and ensembl_id, each pair once; and the approved symbols, sorted.

    Raises
    ------
    InputError
        If it has another layout.
    """
    try:
        table = pd.read_csv(path, sep="\t", usecols=COLUMNS, dtype=str, na_filter=False)
    except (ValueError, OSError) as error:
        msg = f"{path} is not HGNC's complete set ({str(error)[:200]}); download it again"
        raise InputError(msg) from error
    table = table[(table["status"] == "Approved") & (table["ensembl_gene_id"] != "")]
    if table.empty:
        msg = f"{path} has no approved symbol with an Ensembl id; download it again"
        raise InputError(msg)
    taken = set(table["symbol"])
    names = [table[["symbol", "ensembl_gene_id"]].rename(columns={"symbol": "gene_name"})]
    for column in ("prev_symbol", "alias_symbol"):
        other = table.assign(gene_name=table[column].str.split("|")).explode("gene_name")
        other = other[(other["gene_name"] != "") & ~other["gene_name"].isin(taken)]
        taken |= set(other["gene_name"])
        names.append(other[["gene_name", "ensembl_gene_id"]])
    all_names = pd.concat(names, ignore_index=True).rename(columns={"ensembl_gene_id": "ensembl_id"})
    return all_names.drop_duplicates(ignore_index=True), sorted(table["symbol"])
