"""A gene graph from STRING v12 without its text-mining channel, which would know the answers from papers."""

import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from data_scripts.download import obtain
from data_scripts.lineage import write_table
from starter.errors import InputError

NAME = "string_v12"
TABLE = "string_graph.tsv"
PRIOR = 0.041
"""STRING's probability that two proteins interact by chance, taken out of each channel before they are combined."""
CHANNELS = ("neighborhood", "fusion", "cooccurence", "coexpression", "experimental", "database")
"""Columns of the detailed links file, text mining left out; `cooccurence` is STRING's spelling."""
STRONG, WEAK, BEST = 700, 400, 3
"""Edges from score 700 are kept, and each gene's best 3 from 400."""
EDGE = ["gene_a", "gene_b"]


def build(genes: Collection[str], folder: str | Path, downloads: str | Path) -> Path:
    """Write the part of the network that connects some genes.

    Parameters
    ----------
    genes
        Gene symbols; edges between two of them are kept.
    folder
        Receives `string_graph.tsv` (columns gene_a, gene_b and score, 400 to 1000) and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path of the graph.
    """
    entry, sources = obtain(NAME, downloads)
    edges = strong_edges(read_links(*sources)) if entry.name == NAME else read_edges(*sources)
    genes = set(genes)
    kept = edges[edges["gene_a"].isin(genes) & edges["gene_b"].isin(genes)]
    parameters = {"channels": CHANNELS, "strong": STRONG, "weak": WEAK, "best": BEST, "genes": len(genes)}
    return write_table(Path(folder) / TABLE, kept, sources, entry, parameters, __file__)


def read_edges(path: Path) -> pd.DataFrame:
    """Read the file that stands in for the publisher's: strong edges by gene symbol.

    Parameters
    ----------
    path
        `string_v12_human_ntm_symbols.tsv.gz`: columns gene_a, gene_b, combined_score (400 to 999), and others.

    Returns
    -------
    Columns gene_a, gene_b and score; each edge once, its genes and the edges sorted.

    Raises
    ------
    InputError
        If it has another layout.
    """
    columns = dict.fromkeys(EDGE, str) | {"combined_score": np.int64}
    try:
        # symbols stay as they are: one that reads NA is no missing value
        edges = pd.read_csv(path, sep="\t", usecols=list(columns), dtype=columns, na_filter=False)
    except (ValueError, OSError, EOFError) as error:
        msg = f"{path} has not the layout of a gene graph ({error}); get it again"
        raise InputError(msg) from error
    return _once(edges.rename(columns={"combined_score": "score"}))


def read_links(links: Path, info: Path) -> pd.DataFrame:
    """Read the publisher's files and combine the channels anew without text mining.

    Parameters
    ----------
    links
        `9606.protein.links.detailed.v12.0.txt.gz`: protein1, protein2 and a score of 0 to 999 a channel.
    info
        `9606.protein.info.v12.0.txt.gz`: protein and its preferred name, tab-separated.

    Returns
    -------
    Columns gene_a, gene_b (symbols, each edge once) and score (0 to 1000).

    References
    ----------
    von Mering et al. (2005), Nucleic Acids Research 33:D433, for the combination of channels.
    """
    try:
        names = pd.read_csv(
            info, sep="\t", usecols=["#string_protein_id", "preferred_name"], dtype=str, na_filter=False
        )
        columns = {"protein1": str, "protein2": str} | dict.fromkeys(CHANNELS, np.int16)
        with Console(stderr=True).status("reading STRING's 14 million links, about a minute"):
            table = pd.read_csv(links, sep=" ", usecols=list(columns), dtype=columns)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        msg = f"{links} or {info} has not STRING's layout ({error}); download it again"
        raise InputError(msg) from error
    table = table[table["protein1"] < table["protein2"]]
    channels = table[list(CHANNELS)].to_numpy() / 1000
    single = np.clip((channels - PRIOR) / (1 - PRIOR), 0, None)
    combined = 1 - np.prod(1 - single, axis=1)
    symbol = names.set_index("#string_protein_id")["preferred_name"]
    edges = pd.DataFrame(
        {
            "gene_a": table["protein1"].map(symbol).to_numpy(),
            "gene_b": table["protein2"].map(symbol).to_numpy(),
            "score": 1000 * (combined + PRIOR * (1 - combined)) * (single > 0).any(axis=1),
        }
    )
    return edges.dropna().reset_index(drop=True)


def strong_edges(edges: pd.DataFrame) -> pd.DataFrame:
    """Keep strong edges, and each gene's best ones among the weaker.

    Parameters
    ----------
    edges
        Columns gene_a, gene_b and score (0 to 1000).

    Returns
    -------
    The same columns, score as a whole number; each edge once, its genes and the edges sorted.
    """
    weak = edges[(edges["score"] >= WEAK) & (edges["score"] < STRONG)]
    both = pd.concat([weak, weak.rename(columns={"gene_a": "gene_b", "gene_b": "gene_a"})])
    best = both.sort_values("score", ascending=False, kind="stable").groupby("gene_a").head(BEST)
    return _once(pd.concat([edges[edges["score"] >= STRONG], best]))


def _once(edges: pd.DataFrame) -> pd.DataFrame:
    """Sort an edge's genes and the edges; of several edges between two genes keep the best."""
    ordered = pd.DataFrame(np.sort(edges[EDGE].to_numpy(dtype=str), axis=1), columns=EDGE)
    ordered["score"] = np.rint(edges["score"].to_numpy()).astype(np.int64)
    return ordered.sort_values([*EDGE, "score"]).drop_duplicates(EDGE, keep="last", ignore_index=True)
