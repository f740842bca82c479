"""How good is an embedding of cells? Measures of cz-benchmarks, by scikit-learn and scanpy.

An embedding is a table cells x dimensions. Does it show what it should (a perturbation, a cell line), and hide what it
should (a batch)? The tasks are those of the Chan Zuckerberg Initiative's cz-benchmarks 0.15 (clustering, embedding,
label prediction, batch and cross-species integration, cross-species label prediction, sequential organisation), without
its dependencies.
"""

import itertools

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    adjusted_rand_score,
    f1_score,
    get_scorer,
    make_scorer,
    normalized_mutual_info_score,
    precision_score,
    recall_score,
    silhouette_samples,
    silhouette_score,
)
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors, kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from starter.errors import InputError

NEIGHBOURS = 15
"""Of the graph that is clustered."""
FOLDS, FEWEST_CELLS, SEED = 5, 10, 42
"""Of `predict_labels`; as in cz-benchmarks. A label with fewer cells is left out."""
SEQUENCE_NEIGHBOURS = 15
"""Of `sequential_alignment`; as in cz-benchmarks."""
SCORERS = {
    "accuracy": get_scorer("accuracy"),
    "macro F1": make_scorer(f1_score, average="macro", zero_division=0),
    "macro precision": make_scorer(precision_score, average="macro", zero_division=0),
    "macro recall": make_scorer(recall_score, average="macro", zero_division=0),
    "AUROC": get_scorer("roc_auc_ovr"),
}
"""Each label weighs the same; AUROC is of one label against the rest."""


def cluster_agreement(embedding: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Cluster cells by the embedding, and compare the clusters with labels.

    Parameters
    ----------
    embedding
        Cells x dimensions.
    labels
        One a cell.
    seed
        Of Leiden's algorithm (resolution 1, two rounds).

    Returns
    -------
    ARI (adjusted Rand index: 1 for the same groups, about 0 by chance) and NMI (normalised mutual information, 0 to 1;
    above 0 by chance where there are many groups). Neighbours count alike here; scanpy weighs them by distance.
    """
    embedding, labels = checked(embedding, labels)
    cells = anndata.AnnData(np.zeros((len(labels), 1), np.float32))
    graph = kneighbors_graph(embedding, min(NEIGHBOURS, len(labels) - 1))
    graph = graph.maximum(graph.T)
    sc.tl.leiden(cells, adjacency=graph, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    clusters = cells.obs["leiden"].to_numpy()
    return {
        "ARI": float(adjusted_rand_score(labels, clusters)),
        "NMI": float(normalized_mutual_info_score(labels, clusters)),
    }


def silhouette(embedding: np.ndarray, labels: np.ndarray) -> float:
    """Tell how far labels stand apart, from 0 (mixed up) over .5 (no structure) to 1 (far apart).

    The mean silhouette width (Euclidean), plus 1, over 2: the scale of cz-benchmarks.
    """
    embedding, labels = checked(embedding, labels)
    return float((silhouette_score(embedding, labels) + 1) / 2)


def predict_labels(embedding: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Predict labels from the embedding, each cell by a classifier that has not seen it.

    Parameters
    ----------
    embedding
        Cells x dimensions.
    labels
        One a cell; those with fewer than `FEWEST_CELLS` cells are left out.

    Returns
    -------
    Index classifier (logistic regression, nearest neighbours, random forest, and `most frequent`, which looks at
    nothing); columns accuracy, macro F1, macro precision, macro recall and AUROC, the mean over the folds. (Of two
    labels cz-benchmarks takes F1, precision and recall of the second alone; here they are of both.)

    Raises
    ------
    InputError
        If fewer than two labels are left.
    """
    embedding, labels = _frequent(*checked(embedding, labels))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    rows = {}
    for name, classifier in _classifiers().items():
        found = cross_validate(classifier, embedding, _numbers(labels), cv=folds, scoring=SCORERS)
        rows[name] = [found[f"test_{score}"].mean() for score in SCORERS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(SCORERS))


def predict_across(embedding: np.ndarray, labels: np.ndarray, species: np.ndarray) -> pd.DataFrame:
    """Predict the labels of one species by classifiers that learned those of another.

    Parameters
    ----------
    embedding
        Cells x dimensions, of all species.
    labels
        One a cell. Those that both species have are predicted, if they have `FEWEST_CELLS` cells in either.
    species
        One a cell; two or more.

    Returns
    -------
    Index species learned from, species predicted, and classifier; columns as of `predict_labels`.

    Raises
    ------
    InputError
        If two species have fewer than two labels in common.
    """
    embedding, labels = checked(embedding, labels)
    _, species = checked(embedding, species)
    rows = {}
    for learned, predicted in itertools.permutations(np.unique(species), 2):
        sides = [species == learned, species == predicted]
        common = set.intersection(*(set(_frequent(embedding[side], labels[side])[1]) for side in sides))
        if len(common) < 2:
            msg = (
                f"{learned} and {predicted} have fewer than two labels of {FEWEST_CELLS} cells in common; rename labels"
            )
            raise InputError(msg)
        train, test = (side & np.isin(labels, list(common)) for side in sides)
        for name, classifier in _classifiers().items():
            classifier.fit(embedding[train], _numbers(labels[train]))
            scores = [score(classifier, embedding[test], _numbers(labels[test])) for score in SCORERS.values()]
            rows[learned, predicted, name] = scores
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(SCORERS))
    table.index = pd.MultiIndex.from_tuples(table.index, names=["learned", "predicted", "classifier"])
    return table


def batch_silhouette(embedding: np.ndarray, labels: np.ndarray, batch: np.ndarray) -> float:
    """Tell how well batches, or species, mix among cells of one label.

    1 - |silhouette width of the batches| (Euclidean), the mean over a label's cells, then over labels. Luecken et al.
    (2022), Nature Methods 19:41; of scib-metrics.

    Parameters
    ----------
    embedding
        Cells x dimensions.
    labels
        One a cell. A label whose cells are of one batch, or of a batch each, is left out.
    batch
        One a cell; two or more.

    Returns
    -------
    From 0 (apart) to 1 (mixed).

    Raises
    ------
    InputError
        If no label is left.
    """
    _, labels = checked(embedding, labels)
    embedding, batch = checked(embedding, batch)
    widths = [
        (1 - np.abs(silhouette_samples(embedding[of], batch[of]))).mean()
        for of in (labels == label for label in np.unique(labels))
        if 1 < len(set(batch[of])) < of.sum()
    ]
    if not widths:
        msg = "no label has cells of two batches, so whether these mix cannot be told; give a label that both have"
        raise InputError(msg)
    return float(np.mean(widths))


def sequential_alignment(embedding: np.ndarray, places: np.ndarray, k: int = SEQUENCE_NEIGHBOURS) -> float:
    """Tell whether neighbours in the embedding are neighbours in a sequence, such as time points or ages.

    1 - the mean distance along the sequence between a cell and its k neighbours, over that between any two cells, and 0
    where that is below 0. (cz-benchmarks draws the pairs of any two cells at random; this is what they are on average.)
    `silhouette` of the places is the other measure of its sequential task.

    Parameters
    ----------
    embedding
        Cells x dimensions.
    places
        A number a cell, two different ones at least.
    k
        Neighbours of a cell (Euclidean), itself not among them; at most all others.

    Returns
    -------
    From 0 (as any two cells) to 1 (neighbours stand at the same place).

    Raises
    ------
    InputError
        If a place is no number.
    """
    embedding, _ = checked(embedding, places)
    try:
        along = np.asarray(places, dtype=float)
        along = along if np.isfinite(along).all() else None
    except (TypeError, ValueError):
        along = None
    if along is None:
        msg = "places in a sequence are numbers, such as days or years; give one a cell"
        raise InputError(msg)
    n = len(along)
    near = NearestNeighbors(n_neighbors=min(k, n - 1)).fit(embedding).kneighbors(return_distance=False)
    ranks = 2 * np.arange(1, n + 1) - n - 1
    of_any_two = 2 * (ranks * np.sort(along)).sum() / (n * (n - 1))
    return float(max(0.0, 1 - np.abs(along[near] - along[:, None]).mean() / of_any_two))


def checked(embedding: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Look whether an embedding (cells x dimensions) and labels fit, and give both as arrays, labels as text.

    Raises
    ------
    InputError
        If they do not fit each other, a value is NaN or infinite, or there is one label alone.
    """
    embedding, labels = np.asarray(embedding, float), np.asarray(labels).astype(str)
    if embedding.ndim != 2 or len(embedding) != len(labels):
        msg = f"an embedding of shape {embedding.shape} and {len(labels)} labels; give one row and one label a cell"
        raise InputError(msg)
    if odd := int((~np.isfinite(embedding)).sum()):
        msg = f"the embedding has NaN or infinite values: {odd:,}; look at the model that made it"
        raise InputError(msg)
    if len(set(labels)) < 2:
        msg = "all cells have one label, so there is nothing to tell apart; give cells of two labels or more"
        raise InputError(msg)
    return embedding, labels


def _classifiers() -> dict[str, ClassifierMixin]:
    # cz-benchmarks scales without centring; to centre changes no answer of these two, and the first is quick with it
    return {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "nearest neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier()),
        "random forest": RandomForestClassifier(random_state=SEED),
        "most frequent": DummyClassifier(),
    }


def _numbers(labels: np.ndarray) -> np.ndarray:
    """Give labels numbers in their order: of two, scikit-learn's scorers want one to be 1."""
    return np.unique(labels, return_inverse=True)[1]


def _frequent(embedding: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the labels with cells enough; two are needed."""
    names, counts = np.unique(labels, return_counts=True)
    kept = np.isin(labels, names[counts >= FEWEST_CELLS])
    if (counts >= FEWEST_CELLS).sum() < 2:
        msg = f"only one label has {FEWEST_CELLS} cells or more; to tell labels apart, give two"
        raise InputError(msg)
    return embedding[kept], labels[kept]
