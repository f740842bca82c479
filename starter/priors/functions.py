"""What genes do, in the words of Gene Ontology or Reactome."""

from pathlib import Path

import numpy as np
import pandas as pd

from starter.errors import listed
from starter.priors.tables import read_pathways

PROCESSES, NAMES, PATHWAYS = "go_processes.tsv", "term_names.tsv", "*pathways.tsv"
"""Gene and term, term and name; pathway and gene."""
INVENTED = "simulated"
"""How the name of a file begins whose pathways are drawn, not known."""
TELLING = 10
"""Genes of the tables in a process that says most of a gene: larger ones say little, smaller ones are odd."""


def functions(folder: str | Path, genes: list[str], most: int = 2) -> dict[str, list[str]]:
    """Look up what genes do.

    Parameters
    ----------
    folder
        A course's `priors`: `go_processes.tsv` with `term_names.tsv`, or else `*pathways.tsv`. Pathways of a
        simulator tell of no gene, and are passed over.
    genes
        Gene symbols; of `A+B` both are looked up.
    most
        How many processes of a gene are named at most.

    Returns
    -------
    Gene to the names of its processes, those near `TELLING` genes first; nothing for a gene of which nothing is
    known here.
    """
    members = _members(Path(folder))
    size = members.groupby("name")["gene"].transform("size")
    told = members.assign(far=np.abs(np.log(size / TELLING))).sort_values(["far", "name"], kind="stable")
    alone = dict.fromkeys(gene for label in genes for gene in label.split("+"))
    return {gene: list(told.loc[told["gene"] == gene, "name"].unique()[:most]) for gene in alone}


def told(folder: str | Path, genes: list[str]) -> str:
    """Write what genes do, a line for each of which something is known, or that nothing is known of any."""
    known = functions(folder, genes)
    lines = [f"{gene} is known for: {'; '.join(names)}" for gene, names in known.items() if names]
    what = "what it does" if len(known) == 1 else "what they do"
    return "\n".join(lines) or f"{listed(list(known))}: {what} is not told by this screen's tables"


def _members(folder: Path) -> pd.DataFrame:
    """Read the columns name and gene of the table that names real processes."""
    processes, names = folder / PROCESSES, folder / NAMES
    if processes.is_file() and names.is_file():
        of_term = pd.read_csv(names, sep="\t", dtype=str, na_filter=False).set_index("term")["name"]
        table = pd.read_csv(processes, sep="\t", dtype=str, na_filter=False)
        return table.assign(name=table["term"].map(of_term)).dropna(subset="name")[["name", "gene"]]
    for path in sorted(folder.glob(PATHWAYS)):
        if not path.name.startswith(INVENTED):
            return read_pathways(path).rename(columns={"pathway": "name"})
    return pd.DataFrame({"name": [], "gene": []}, dtype=str)
