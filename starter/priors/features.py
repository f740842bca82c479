"""Gene features: what is known of a gene before anybody perturbs it, as a row of numbers.

A feature table has genes as its index and numbers as its columns. Models learn from the rows of the measured targets
and look up the row of a target that nobody has perturbed. A gene that is not in the table is unknown: it is listed, and
never stands as a row of zeros.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import StandardScaler

from starter.errors import InputError
from starter.priors.graphs import adjacency
from starter.priors.tables import GENE
from starter.schema import CONTROL, PERTURBATION

ANNOTATION_FEATURES, GRAPH_FEATURES, COEXPRESSION_FEATURES, EFFECT_FEATURES = 256, 32, 32, 20
"""Columns to which each kind of knowledge is reduced, where it has as many; 256 as in Csendes et al. (2025)."""
ROUNDING = 1e-8
"""Length of a gene's row, as a share of the longest, that is rounding."""
ENOUGH = 1 / 3
"""Share of the genes of pathways that features must know to be judged by them."""


def annotation_features(annotations: pd.DataFrame, n: int = ANNOTATION_FEATURES) -> pd.DataFrame:
    """Reduce the gene x term matrix of zeros and ones to its principal components (Csendes et al. 2025).

    Parameters
    ----------
    annotations
        Columns gene and term, each pair once.
    n
        Components, or as many as genes and terms allow.

    Returns
    -------
    A feature table of the annotated genes.
    """
    gene, genes = pd.factorize(annotations["gene"], sort=True)
    term, terms = pd.factorize(annotations["term"], sort=True)
    matrix = scipy.sparse.csr_matrix((np.ones(len(gene)), (gene, term)), shape=(len(genes), len(terms)))
    n = _possible(n, matrix.shape, "annotations")
    components = PCA(n, svd_solver="arpack", random_state=0).fit_transform(matrix)
    return _table(components, genes, "annotation")


def graph_features(edges: pd.DataFrame, n: int = GRAPH_FEATURES) -> pd.DataFrame:
    """Reduce a graph's adjacency matrix to its singular vectors: genes with the same neighbours get like rows.

    Parameters
    ----------
    edges
        A gene graph (`starter.priors.graphs.read_graph`).
    n
        Singular vectors, or as many as the genes allow.

    Returns
    -------
    A feature table of the graph's genes.
    """
    matrix, genes = adjacency(edges)
    n = _possible(n, matrix.shape, "graph")
    return _table(TruncatedSVD(n, algorithm="arpack", random_state=0).fit_transform(matrix), genes, "graph")


def coexpression_features(
    controls: scipy.sparse.spmatrix | np.ndarray, genes: Sequence[str], n: int = COEXPRESSION_FEATURES
) -> pd.DataFrame:
    """Describe genes by how they vary together among control cells.

    The dot product of two genes' rows is about their correlation over the cells: rows are the loadings of the
    principal components of standardised expression, times the components' standard deviations.

    Parameters
    ----------
    controls
        Control cells x genes, log1p expression.
    genes
        The genes.
    n
        Components, or as many as cells and genes allow.

    Returns
    -------
    A feature table of the genes that vary at all.
    """
    dense = controls if isinstance(controls, np.ndarray) else controls.toarray()
    varies = np.ptp(dense, axis=0) > 0
    dense = StandardScaler().fit_transform(dense[:, varies].astype(float))
    found = PCA(_possible(n, dense.shape, "control cells"), svd_solver="arpack", random_state=0).fit(dense)
    loadings = found.components_.T * np.sqrt(found.explained_variance_)
    return _table(loadings, np.asarray(genes)[varies], "coexpression")


def effect_features(profiles: pd.DataFrame, n: int = EFFECT_FEATURES) -> pd.DataFrame:
    """Describe targets by the effects that they had in another context.

    Parameters
    ----------
    profiles
        Profiles of the other context: index perturbation with the control, columns genes.
    n
        Principal components, or as many as perturbations and genes allow.

    Returns
    -------
    A feature table of the targets that were measured there.
    """
    effects = profiles.drop(index=CONTROL) - profiles.loc[CONTROL]
    n = _possible(n, effects.shape, "other context")
    components = PCA(n, svd_solver="arpack", random_state=0).fit_transform(effects.to_numpy(float))
    return _table(components, effects.index, "effect")


def unknown(features: pd.DataFrame, targets: Sequence[str]) -> list[str]:
    """List the targets of which the features do not know every gene."""
    known = set(features.index)
    return [target for target in targets if not set(target.split("+")) <= known]


def of_targets(features: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Look up the features of perturbations; a double A+B has the sum of both rows.

    Parameters
    ----------
    features
        A feature table.
    targets
        Perturbations.

    Returns
    -------
    One row a target that is known, in their order. `unknown` lists the others.
    """
    missing = set(unknown(features, targets))
    known = [target for target in targets if target not in missing]
    place, numbers = {gene: row for row, gene in enumerate(features.index)}, features.to_numpy(float)
    rows = [numbers[[place[gene] for gene in target.split("+")]].sum(axis=0) for target in known]
    values = np.array(rows).reshape(len(known), features.shape[1])
    return pd.DataFrame(values, index=pd.Index(known, name=PERTURBATION), columns=features.columns)


def gene_sets(table: pd.DataFrame) -> dict[str, list[str]]:
    """Group genes that belong together.

    Parameters
    ----------
    table
        Pathways (columns pathway and gene), or regulons (columns regulator and target).

    Returns
    -------
    Name to genes; a regulon holds its regulator too.
    """
    if "pathway" in table:
        return table.groupby("pathway")["gene"].agg(list).to_dict()
    regulons = table.groupby("regulator")["target"].agg(list)
    return {
        regulator: [regulator, *(gene for gene in regulon if gene != regulator)]
        for regulator, regulon in regulons.items()
    }


def in_common(tables: Mapping[str, pd.DataFrame], sets: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Choose the features that can be compared by how they know some gene sets.

    Parameters
    ----------
    tables
        Feature tables by name.
    sets
        Name to genes, as `gene_sets` gives them.

    Returns
    -------
    Names of the tables that know at least `ENOUGH` of the sets' genes, and the genes, sorted, that all of these know:
    only on the same genes is a comparison fair.
    """
    genes = {gene for members in sets.values() for gene in members}
    able = [name for name, table in tables.items() if len(genes & set(table.index)) >= ENOUGH * len(genes)]
    return able, sorted(set.intersection(*(set(tables[name].index) for name in able))) if able else []


def _possible(n: int, shape: tuple[int, int], what: str) -> int:
    if min(shape) < 2:
        msg = f"{what}: a matrix of {shape[0]} x {shape[1]} has nothing to reduce; give more"
        raise InputError(msg)
    return min(n, *(size - 1 for size in shape))


def _table(values: np.ndarray, genes: Sequence[str] | np.ndarray, name: str) -> pd.DataFrame:
    """Name rows and columns. A gene of which the reduction left nothing is unknown, and not a row of zeros."""
    length = np.linalg.norm(values, axis=1)
    left = length > ROUNDING * length.max()
    values, kept = values[left], np.asarray(genes, dtype=object)[left]
    columns = [f"{name}_{number + 1}" for number in range(values.shape[1])]
    return pd.DataFrame(values, index=pd.Index(kept, name=GENE), columns=columns)
