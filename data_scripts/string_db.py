"""A gene graph from STRING v12 without its text-mining channel, which would know the answers from papers."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from data_scripts.catalogue import data_set
from data_scripts.download import DownloadError, fetch
from data_scripts.lineage import write_lineage
from starter.schema import InputError

PRIOR = 0.041
"""STRING's probability that two proteins interact by chance, taken out of each channel before they are combined."""
CHANNELS = ("neighborhood", "fusion", "cooccurence", "coexpression", "experimental", "database")
"""Columns of the detailed links file, text mining left out; `cooccurence` is STRING's spelling."""
STRONG, WEAK, BEST = 700, 400, 3
"""Edges from score 700 are kept, and each gene's best 3 from 400."""
EDGE = ["gene_a", "gene_b"]


def build(genes: Iterable[str], folder: str | Path, downloads: str | Path) -> Path:
    """Write the part of the network that connects some genes.

    Parameters
    ----------
    genes
        Gene symbols; edges between two of them are kept.
    folder
        Receives `string_graph.tsv` (columns gene_a, gene_b) and its lineage.
    downloads
        Where downloads go.

    Returns
    -------
    The path of the graph.
    """
    try:
        entry = data_set("string_v12_symbols")
        sources = [fetch(entry.files[0], downloads)]
        edges = pd.read_csv(sources[0], sep="\t", usecols=EDGE, dtype=str, na_filter=False)
    except DownloadError:
        entry = data_set("string_v12")
        sources = [fetch(file, downloads) for file in entry.files]
        edges = strong_edges(read_links(*sources))
    genes = set(genes)
    kept = edges[edges["gene_a"].isin(genes) & edges["gene_b"].isin(genes)]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "string_graph.tsv"
    kept[EDGE].to_csv(path, sep="\t", index=False)
    parameters = {"channels": CHANNELS, "strong": STRONG, "weak": WEAK, "best": BEST, "genes": len(genes)}
    write_lineage(path, sources, [entry], parameters, __file__)
    return path


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
        table = pd.read_csv(links, sep=" ", usecols=list(columns), dtype=columns)
    except (ValueError, OSError, EOFError) as error:
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
    """Keep strong edges, and each gene's best ones among the weaker."""
    weak = edges[(edges["score"] >= WEAK) & (edges["score"] < STRONG)]
    both = pd.concat([weak, weak.rename(columns={"gene_a": "gene_b", "gene_b": "gene_a"})])
    best = both.sort_values("score", ascending=False, kind="stable").groupby("gene_a").head(BEST)
    kept = pd.concat([edges[edges["score"] >= STRONG], best])[EDGE]
    ordered = pd.DataFrame(np.sort(kept.to_numpy(dtype=str), axis=1), columns=EDGE)
    return ordered.drop_duplicates(ignore_index=True)
