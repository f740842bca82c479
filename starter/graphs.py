"""Gene graphs: who is connected to whom, and what the neighbours' measured effects say of a gene."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter.schema import CONTROL, PERTURBATION, InputError

EDGE = ["gene_a", "gene_b"]
"""Columns of a graph file (tab-separated, one undirected edge a row; other columns, such as a score, are not read)."""


def read_graph(path: str | Path) -> pd.DataFrame:
    """Read the edges of a gene graph.

    Returns
    -------
    Columns gene_a and gene_b; each edge once, none from a gene to itself.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column.
    """
    try:
        edges = pd.read_csv(path, sep="\t", usecols=EDGE, dtype=str, na_filter=False)
    except (OSError, ValueError) as error:
        msg = f"{path} is not a gene graph with the columns {' and '.join(EDGE)} ({error})"
        raise InputError(msg) from error
    ordered = pd.DataFrame(np.sort(edges[EDGE].to_numpy(dtype=str), axis=1), columns=EDGE)
    return ordered[ordered["gene_a"] != ordered["gene_b"]].drop_duplicates(ignore_index=True)


def neighbours(edges: pd.DataFrame) -> dict[str, set[str]]:
    """Give every gene's neighbours."""
    both = pd.concat([edges, edges.set_axis(["gene_b", "gene_a"], axis=1)])
    return both.groupby("gene_a")["gene_b"].agg(set).to_dict()


def adjacency(edges: pd.DataFrame) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Write a graph as a matrix.

    Parameters
    ----------
    edges
        What `read_graph` gave.

    Returns
    -------
    Genes x genes, symmetric, 1 where there is an edge, and the sorted genes.
    """
    genes, place = np.unique(edges[EDGE].to_numpy(dtype=str), return_inverse=True)
    a, b = place.reshape(-1, 2).T
    ones = np.ones(2 * len(edges))
    return scipy.sparse.csr_matrix((ones, (np.append(a, b), np.append(b, a))), shape=(len(genes),) * 2), genes


def without_neighbour(profiles: pd.DataFrame, edges: pd.DataFrame, targets: Sequence[str]) -> list[str]:
    """List the targets that have no measured neighbour; `neighbour_mean` gives them the train mean.

    Parameters
    ----------
    profiles, edges, targets
        Those of `neighbour_mean`.
    """
    measured, known = set(profiles.index) - {CONTROL}, neighbours(edges)
    return [target for target in targets if not measured & known.get(target, set())]


def neighbour_mean(profiles: pd.DataFrame, edges: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Predict a perturbation's profile by the mean profile of its target's measured neighbours.

    Parameters
    ----------
    profiles
        Training profiles of one context: index perturbation, columns genes.
    edges
        A gene graph.
    targets
        Perturbations to predict. One without a measured neighbour gets the train mean.

    Returns
    -------
    One row a target, same columns as `profiles`.
    """
    training = profiles.drop(index=CONTROL, errors="ignore")
    known = neighbours(edges)
    rows = {}
    for target in targets:
        near = [gene for gene in training.index if gene in known.get(target, ())]
        rows[target] = (training.loc[near] if near else training).mean()
    return pd.DataFrame.from_dict(rows, orient="index", columns=profiles.columns).rename_axis(PERTURBATION)


def shuffle_graph(edges: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give every gene another gene's place in the graph: the control experiment for a graph's worth."""
    genes = np.unique(edges[EDGE].to_numpy())
    other = dict(zip(genes, rng.permutation(genes), strict=True))
    return edges.apply(lambda column: column.map(other))
