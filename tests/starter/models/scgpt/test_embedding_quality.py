"""Measures of an embedding, against scikit-learn, SciPy and calculations by hand."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, silhouette_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from starter.errors import InputError
from starter.models.scgpt import embedding_quality


def groups(apart: float, sizes: tuple[int, ...] = (40, 30, 25), width: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = apart * rng.normal(size=(len(sizes), width))
    return rng.normal(size=(len(labels), width)) + centres[labels], np.array([f"group {label}" for label in labels])


def test_clusters_of_groups_far_apart_are_the_groups_and_of_noise_are_not():
    far = embedding_quality.cluster_agreement(*groups(30.0))
    assert far["NMI"] > 0.7
    embedding, labels = groups(0.0)
    near = embedding_quality.cluster_agreement(embedding, labels)
    assert abs(near["ARI"]) < 0.1
    assert embedding_quality.cluster_agreement(embedding, labels) == near


def test_silhouette_is_that_of_sklearn_from_0_to_1():
    embedding, labels = groups(2.0)
    due = (silhouette_score(embedding, labels) + 1) / 2
    assert embedding_quality.silhouette(embedding, labels) == pytest.approx(due)
    line = np.array([[0.0], [1.0], [10.0], [12.0]])
    # to the other group less to the own, over the larger
    widths = [(11 - 1) / 11, (10 - 1) / 10, (9.5 - 2) / 9.5, (11.5 - 2) / 11.5]
    assert embedding_quality.silhouette(line, np.array(["a", "a", "b", "b"])) == pytest.approx(
        (np.mean(widths) + 1) / 2
    )


def test_labels_are_predicted_out_of_fold():
    embedding, labels = groups(1.5)
    table = embedding_quality.predict_labels(embedding, labels)
    assert list(table.index) == ["logistic regression", "nearest neighbours", "random forest", "most frequent"]
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    scaled = embedding / embedding.std(axis=0)
    knn = accuracy_score(labels, cross_val_predict(KNeighborsClassifier(), scaled, labels, cv=folds))
    assert table.loc["nearest neighbours", "accuracy"] == pytest.approx(knn, abs=0.04)  # scaled within each fold there
    chance = accuracy_score(labels, DummyClassifier().fit(embedding, labels).predict(embedding))
    assert table.loc["most frequent", "accuracy"] == pytest.approx(chance)
    assert (table.drop(index="most frequent")["accuracy"] > chance + 0.1).all()


def test_rare_labels_are_left_out():
    embedding, labels = groups(1.0, sizes=(20, 20, 3))
    table = embedding_quality.predict_labels(embedding, labels)
    assert table.loc["most frequent", "accuracy"] == pytest.approx(0.5)
    with pytest.raises(InputError, match="only one label has 10 cells or more"):
        embedding_quality.predict_labels(*groups(1.0, sizes=(20, 9)))


def test_batch_entropy_by_hand_and_by_scipy():
    line = np.array([[0.0], [1.0], [2.1], [3.3], [4.6]])
    batch = np.array(["x", "y", "x", "x", "y"])
    # the two nearest of each: yx, xx, yx, xy, xx
    due = np.mean([entropy([1, 1], base=2), 0, entropy([1, 1], base=2), entropy([1, 1], base=2), 0])
    assert embedding_quality.batch_entropy(line, batch, k=2) == pytest.approx(due)
    embedding, labels = groups(0.0)
    mixed = embedding_quality.batch_entropy(embedding, labels)
    shares = np.unique(labels, return_counts=True)[1]
    assert mixed == pytest.approx(entropy(shares, base=3), abs=0.02)
    assert embedding_quality.batch_entropy(*groups(40.0), k=10) == pytest.approx(0)


def test_what_cannot_be_measured_is_refused():
    embedding, labels = groups(1.0)
    with pytest.raises(InputError, match=r"shape \(95, 4\) and 94 labels"):
        embedding_quality.silhouette(embedding, labels[1:])
    with pytest.raises(InputError, match="all cells have one label"):
        embedding_quality.batch_entropy(embedding, np.repeat("x", len(labels)))
    embedding[3, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinite values: 1"):
        embedding_quality.cluster_agreement(embedding, labels)
