"""Human genes and what is known of them, as they are shipped with the kit; a simulated screen can be built on them.

The tables lie beside this module, in `human/`; `human/SOURCES.md` says of what they were made, by whose licence, and
what in them is measured and what is filled in. `python -m data_scripts human-genes` makes them anew.
"""

import lzma
from dataclasses import dataclass
from importlib import resources

import numpy as np

FOLDER = "human"
"""Beside this module."""
FILES = GENES, LINKS, GO, REACTOME, REGULONS = (
    "genes.tsv",
    "links.tsv.xz",
    "go_processes.gmt.xz",
    "reactome.gmt.xz",
    "regulons.tsv",
)

FILLED = "filled"
"""Where a gene was measured, if it was not."""


@dataclass(frozen=True)
class HumanGenes:
    """Expressed protein-coding human genes; every index counts them in the order of `symbols`."""

    symbols: np.ndarray
    """Gene symbols, G, sorted; where the Virtual Cell Challenge 2025 measures a gene, its symbol there."""
    ln_expression: np.ndarray
    """Natural logarithm of the mean count per 10,000 of a cell, G."""
    is_measured: np.ndarray
    """Whether that comes from a real screen, G; that of the others is filled in (`human/SOURCES.md`)."""
    is_tf: np.ndarray
    """Whether it is a transcription factor that binds DNA, by GO, G."""
    is_essential: np.ndarray
    """Whether cells of nearly every line die without it (core-essential genes, CEG2), G."""
    links: np.ndarray
    """Pairs of genes that STRING links without text mining, L x 2; the first index is the smaller one."""
    link_scores: np.ndarray
    """STRING's combined score of each pair, L: 0.4 to 1."""
    go_terms: dict[str, np.ndarray]
    """GO biological processes (id) to their genes, ascending; direct annotations, 5 to 300 genes."""
    pathways: dict[str, np.ndarray]
    """Reactome pathways (id) to their genes, ascending; 5 to 300 genes."""
    names: dict[str, str]
    """Names of processes and pathways, by id."""
    regulons: np.ndarray
    """Transcription factor, target and sign (1 activates, -1 represses), R x 3."""


def read_human_genes() -> HumanGenes:
    """Read the human genes that are shipped with the kit.

    Returns
    -------
    1,600 genes with their expression, links, processes, pathways and regulons; the same ones every time.
    """
    symbols, ln_expression, measured, tf, essential = _columns(GENES, 5)
    index = {symbol: number for number, symbol in enumerate(symbols)}
    first, second, scores = _columns(LINKS, 3)
    regulators, targets, signs = _columns(REGULONS, 3)
    names, processes = _read_sets(GO, index)
    more_names, pathways = _read_sets(REACTOME, index)
    return HumanGenes(
        symbols=np.array(symbols),
        ln_expression=np.array(ln_expression, dtype=float),
        is_measured=np.array(measured) != FILLED,
        is_tf=np.array(tf) == "1",
        is_essential=np.array(essential) == "1",
        links=np.array([[index[gene] for gene in first], [index[gene] for gene in second]]).T,
        link_scores=np.array(scores, dtype=float) / 1000,
        go_terms=processes,
        pathways=pathways,
        names=names | more_names,
        regulons=np.array([(index[a], index[b], int(c)) for a, b, c in zip(regulators, targets, signs, strict=True)]),
    )


def _columns(name: str, n_columns: int) -> list[list[str]]:
    """Read a table with a header, without spaces in its fields; one list a column."""
    fields = _text(name).split()[n_columns:]
    return [fields[column::n_columns] for column in range(n_columns)]


def _read_sets(name: str, index: dict[str, int]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read gene sets, a line each: its name, its id, its genes. Give names and genes by id."""
    rows = [line.split("\t") for line in _text(name).splitlines()]
    members = np.array([index[gene] for row in rows for gene in row[2:]])
    ends = np.cumsum([len(row) - 2 for row in rows])
    return {row[1]: row[0] for row in rows}, dict(
        zip((row[1] for row in rows), np.split(members, ends[:-1]), strict=True)
    )


def _text(name: str) -> str:
    content = resources.files("starter.simulation").joinpath(FOLDER, name).read_bytes()
    return (lzma.decompress(content) if name.endswith(".xz") else content).decode("utf-8")
