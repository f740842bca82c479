"""Gene graphs: who is connected to whom, and what the neighbours' measured effects say of a gene."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter.errors import InputError
from starter.schema import CONTROL, PERTURBATION

EDGE = ["gene_a", "gene_b"]
"""Columns of a graph file (tab-separated, one undirected edge a row; other columns, such as a score, are not read)."""
ANNOTATION_THRESHOLD, COEXPRESSION_THRESHOLD, MOST = 0.1, 0.4, 20
"""Least similarity of two linked genes, and links that a gene chooses at most; as in GEARS (Roohani et al. 2024)."""
BLOCK = 512
"""Genes whose similarity to all others is held at once."""
ROUNDING = 1e-7
"""Spread of a gene's expression, as a share of its mean, that is rounding."""


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
    return _once(edges[EDGE].to_numpy(dtype=str))


def strongest(
    similarity: np.ndarray, genes: Sequence[str], threshold: float = ANNOTATION_THRESHOLD, most: int = MOST
) -> pd.DataFrame:
    """Link every gene with those that are most similar to it.

    Parameters
    ----------
    similarity
        Genes x genes.
    genes
        Their names.
    threshold
        Only more similar genes are linked.
    most
        Links that a gene chooses at most; others may choose it too.

    Returns
    -------
    Edges: columns gene_a and gene_b, each edge once.

    Raises
    ------
    InputError
        If there are not as many names as rows and columns.
    """
    if similarity.shape != (len(genes), len(genes)):
        msg = f"the similarity of {len(genes)} genes is a square of that size, not {similarity.shape}"
        raise InputError(msg)
    return _named([_choose(similarity, 0, threshold, most)], genes)


def annotation_graph(
    annotations: pd.DataFrame, threshold: float = ANNOTATION_THRESHOLD, most: int = MOST
) -> pd.DataFrame:
    """Link genes that share annotation terms: Jaccard similarity, shared terms by terms that either has.

    Parameters
    ----------
    annotations
        Columns gene and term, each pair once (`starter.priors.tables.read_annotations`).
    threshold, most
        Of `strongest`. Defaults as in GEARS for Gene Ontology terms.

    Returns
    -------
    Edges.
    """
    gene, genes = pd.factorize(annotations["gene"], sort=True)
    term, terms = pd.factorize(annotations["term"], sort=True)
    has = scipy.sparse.csr_matrix((np.ones(len(gene)), (gene, term)), shape=(len(genes), len(terms)))
    n_terms = np.asarray(has.sum(axis=1)).ravel()
    chosen = []
    for first in range(0, len(genes), BLOCK):
        rows = slice(first, first + BLOCK)
        shared = (has[rows] @ has.T).toarray()
        chosen.append(_choose(shared / (n_terms[rows, None] + n_terms - shared), first, threshold, most))
    return _named(chosen, genes)


def coexpression_graph(
    expression: scipy.sparse.spmatrix | np.ndarray,
    genes: Sequence[str],
    threshold: float = COEXPRESSION_THRESHOLD,
    most: int = MOST,
) -> pd.DataFrame:
    """Link genes that vary together among cells: absolute Pearson correlation.

    Parameters
    ----------
    expression
        Cells x genes, log1p expression; control cells, so that no perturbation tells.
    genes
        The genes. One that does not vary is linked with none.
    threshold, most
        Of `strongest`. Defaults as in GEARS; by chance a correlation is about 1 / sqrt(cells).

    Returns
    -------
    Edges.

    Raises
    ------
    InputError
        If there are fewer than two cells, or not as many names as genes.
    """
    values = scipy.sparse.csc_matrix(expression, dtype=np.float64)
    n_cells, n_genes = values.shape
    if n_cells < 2 or n_genes != len(genes):
        msg = f"co-expression of {len(genes)} genes needs two or more cells of each, not a table of {values.shape}"
        raise InputError(msg)
    mean = np.asarray(values.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(values.power(2).mean(axis=0)).ravel() - mean**2, 0))
    varies = spread > ROUNDING * np.maximum(mean, 1)
    scale = np.divide(1, spread, out=np.zeros(n_genes), where=varies)
    chosen = []
    for first in range(0, n_genes, BLOCK):
        rows = slice(first, first + BLOCK)
        covariance = (values[:, rows].T @ values).toarray() / n_cells - np.outer(mean[rows], mean)
        chosen.append(_choose(np.abs(scale[rows, None] * covariance * scale), first, threshold, most))
    return _named(chosen, genes)


def regulon_graph(regulons: pd.DataFrame) -> pd.DataFrame:
    """Link regulators with the genes that they drive, up or down.

    Parameters
    ----------
    regulons
        Columns regulator and target (`starter.priors.tables.read_regulons`).

    Returns
    -------
    Edges.
    """
    return _once(regulons[["regulator", "target"]].to_numpy(dtype=str))


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
        Perturbations to predict. One without a measured neighbour gets the train mean; a double `A+B` hears A, B and
        the neighbours of both.

    Returns
    -------
    One row a target, same columns as `profiles`.
    """
    training = profiles.drop(index=CONTROL, errors="ignore")
    known = neighbours(edges)
    rows = {}
    for target in targets:
        parts = target.split("+")
        heard = set().union(*(known.get(gene, ()) for gene in parts), parts if len(parts) > 1 else ())
        near = [gene for gene in training.index if gene in heard]
        rows[target] = (training.loc[near] if near else training).mean()
    return pd.DataFrame.from_dict(rows, orient="index", columns=profiles.columns).rename_axis(PERTURBATION)


def neighbour_likeness(effects: pd.DataFrame, edges: pd.DataFrame) -> pd.Series:
    """Say how alike a perturbation's effect and its neighbours' are.

    Parameters
    ----------
    effects
        Perturbations x genes; the part that all have in common is taken off.
    edges
        A gene graph.

    Returns
    -------
    Mean Pearson correlation with the effects of measured neighbours, of each perturbation that has one.
    """
    alike = np.corrcoef(effects - effects.mean())
    place = {name: row for row, name in enumerate(effects.index)}
    near = {name: [place[gene] for gene in genes if gene in place] for name, genes in neighbours(edges).items()}
    values = {name: alike[place[name], near[name]].mean() for name in place if near.get(name)}
    return pd.Series(values, dtype=float)


def shuffle_graph(edges: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give every gene another gene's place in the graph: the control experiment for a graph's worth."""
    genes = np.unique(edges[EDGE].to_numpy())
    other = dict(zip(genes, rng.permutation(genes), strict=True))
    return edges.apply(lambda column: column.map(other))


def _choose(similarity: np.ndarray, first: int, threshold: float, most: int) -> np.ndarray:
    """Choose links for some genes: pairs of numbers, chooser and chosen.

    Parameters
    ----------
    similarity
        These genes x all genes.
    first
        Number of the first of these genes.
    threshold, most
        Of `strongest`.
    """
    rows = np.arange(len(similarity))
    similarity = similarity.astype(float)
    similarity[rows, first + rows] = -np.inf  # no gene is its own neighbour
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :most]
    row, place = np.nonzero(np.take_along_axis(similarity, order, axis=1) > threshold)
    return np.column_stack([first + row, order[row, place]])


def _named(chosen: list[np.ndarray], genes: Sequence[str]) -> pd.DataFrame:
    return _once(np.asarray(genes, dtype=str)[np.vstack(chosen)])


def _once(pairs: np.ndarray) -> pd.DataFrame:
    """Make edges of pairs of genes: each once, in whichever order it was given, none from a gene to itself."""
    ordered = pd.DataFrame(np.sort(pairs.reshape(-1, 2), axis=1), columns=EDGE)
    return ordered[ordered["gene_a"] != ordered["gene_b"]].drop_duplicates(ignore_index=True)
