"""How good is an embedding of cells? Measures of cz-benchmarks, by scikit-learn and scanpy.

An embedding is a table cells x dimensions. Does it show what it should (a perturbation, a cell line), and hide what it
should (a batch)? The tasks are those of the Chan Zuckerberg Initiative's cz-benchmarks 0.15 (clustering, embedding,
label prediction, batch integration), without its dependencies.
"""

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    adjusted_rand_score,
    f1_score,
    normalized_mutual_info_score,
    silhouette_score,
)
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors, kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from starter.errors import InputError

NEIGHBOURS = 15
"""Of the graph that is clustered."""
ENTROPY_NEIGHBOURS = 200
"""Of `batch_entropy`; as in cz-benchmarks."""
FOLDS, FEWEST_CELLS, SEED = 5, 10, 42
"""Of `predict_labels`; as in cz-benchmarks. A label with fewer cells is left out."""


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
    embedding, labels = _checked(embedding, labels)
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
    embedding, labels = _checked(embedding, labels)
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
    nothing); columns accuracy and macro F1.

    Raises
    ------
    InputError
        If fewer than two labels are left.
    """
    embedding, labels = _checked(embedding, labels)
    names, counts = np.unique(labels, return_counts=True)
    kept = np.isin(labels, names[counts >= FEWEST_CELLS])
    if (counts >= FEWEST_CELLS).sum() < 2:
        msg = f"only one label has {FEWEST_CELLS} cells or more; to tell labels apart, give two"
        raise InputError(msg)
    embedding, labels = embedding[kept], labels[kept]
    # cz-benchmarks scales without centring; to centre changes no answer of these two, and the first is quick with it
    classifiers = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "nearest neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier()),
        "random forest": RandomForestClassifier(random_state=SEED),
    }
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    answers = {name: cross_val_predict(model, embedding, labels, cv=folds) for name, model in classifiers.items()}
    answers["most frequent"] = np.full(len(labels), names[np.argmax(counts)])
    rows = {
        name: (accuracy_score(labels, answer), f1_score(labels, answer, average="macro", zero_division=0))
        for name, answer in answers.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["accuracy", "macro F1"])


def batch_entropy(embedding: np.ndarray, batch: np.ndarray, k: int = ENTROPY_NEIGHBOURS) -> float:
    """Tell how well batches mix: the entropy of the batches among each cell's neighbours, over its largest value.

    Parameters
    ----------
    embedding
        Cells x dimensions.
    batch
        One a cell; two or more.
    k
        Neighbours of a cell (Euclidean), itself not among them; at most all others.

    Returns
    -------
    From 0 (a cell's neighbours are all of one batch) to 1 (all batches alike).
    """
    embedding, batch = _checked(embedding, batch)
    number = np.unique(batch, return_inverse=True)[1]
    near = NearestNeighbors(n_neighbors=min(k, len(batch) - 1)).fit(embedding).kneighbors(return_distance=False)
    shares = np.stack([(number[near] == n).mean(axis=1) for n in range(number.max() + 1)], axis=1)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return float(-(shares * logs).sum(axis=1).mean() / np.log(shares.shape[1]))


def _checked(embedding: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
