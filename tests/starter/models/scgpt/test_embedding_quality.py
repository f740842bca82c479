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
from starter.models.scgpt.batch_mixing import batch_entropy


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
    assert table.loc["most frequent", "macro recall"] == pytest.approx(0.5)
    assert table.notna().all(axis=None)
    with pytest.raises(InputError, match="only one label has 10 cells or more"):
        embedding_quality.predict_labels(*groups(1.0, sizes=(20, 9)))


def test_batch_entropy_by_hand_and_by_scipy():
    line = np.array([[0.0], [1.0], [2.1], [3.3], [4.6]])
    batch = np.array(["x", "y", "x", "x", "y"])
    # the two nearest of each: yx, xx, yx, xy, xx
    due = np.mean([entropy([1, 1], base=2), 0, entropy([1, 1], base=2), entropy([1, 1], base=2), 0])
    assert batch_entropy(line, batch, k=2) == pytest.approx(due)
    embedding, labels = groups(0.0)
    mixed = batch_entropy(embedding, labels)
    shares = np.unique(labels, return_counts=True)[1]
    assert mixed == pytest.approx(entropy(shares, base=3), abs=0.02)
    assert batch_entropy(*groups(40.0), k=10) == pytest.approx(0)


COLUMNS = ["accuracy", "macro F1", "macro precision", "macro recall", "AUROC"]
# cz-benchmarks 0.15.1 (PyPI) with scib-metrics, run on 2026-11-29 on the data of these tests
CZ_LABELS = {
    "logistic regression": (0.6631578947, 0.6396869470, 0.6652645503, 0.6377777778, 0.7934393384),
    "nearest neighbours": (0.5578947368, 0.5018762283, 0.5357936508, 0.5133333333, 0.6679220779),
    "random forest": (0.6, 0.5598866819, 0.5931481481, 0.5644444444, 0.7470600621),
}
CZ_ACROSS = {
    ("human", "mouse", "nearest neighbours"): (0.5777777778, 0.4884313725, 0.5317460317, 0.5188145188, 0.6948371617),
    ("human", "mouse", "random forest"): (0.6, 0.5788224122, 0.5869107744, 0.5881895882, 0.7469002607),
    ("mouse", "human", "logistic regression"): (0.64, 0.5791791792, 0.6068376068, 0.5921052632, 0.8182418412),
    ("mouse", "human", "nearest neighbours"): (0.56, 0.4864705883, 0.5494623656, 0.5116959064, 0.7070010375),
    ("mouse", "human", "random forest"): (0.6, 0.5390156062, 0.6, 0.5570175439, 0.7678975665),
}
CZ_SILHOUETTE_OF_DAYS, CZ_BATCH_SILHOUETTE = 0.5054592490, 0.9036107659


def of_two_species() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Embedding, labels, days and species; the embedding follows both."""
    embedding, labels = groups(1.0)
    rng = np.random.default_rng(8)
    days, species = rng.choice([0.0, 2.0, 3.0, 7.0], 95), rng.choice(["human", "mouse"], 95)
    return embedding, labels, days, species


def test_labels_are_predicted_as_cz_benchmarks_does():
    table = embedding_quality.predict_labels(*groups(1.0))
    assert list(table) == COLUMNS
    for name, due in CZ_LABELS.items():
        assert tuple(table.loc[name]) == pytest.approx(due, abs=1e-6), name
    assert table.loc["most frequent", "AUROC"] == 0.5
    assert table.loc["most frequent", "macro recall"] == pytest.approx(1 / 3)


def test_labels_of_a_species_are_predicted_from_another_as_cz_benchmarks_does():
    embedding, labels, _, species = of_two_species()
    embedding = embedding + np.outer(species == "mouse", [0, 0.7, 0, 0])
    table = embedding_quality.predict_across(embedding, labels, species)
    assert len(table) == 2 * 4
    for key, due in CZ_ACROSS.items():
        assert tuple(table.loc[key]) == pytest.approx(due, abs=1e-6), key
    only_human = np.where((species == "human") & (labels == "group 2"), "group 3", labels)
    rows = embedding_quality.predict_across(embedding, only_human, species)
    assert rows.loc[("human", "mouse", "most frequent"), "macro recall"] == 0.5  # of the two that both have
    apart = np.where(species == "human", "a", labels)
    with pytest.raises(InputError, match="only one label has 10 cells or more"):
        embedding_quality.predict_across(embedding, apart, species)
    apart = np.where(species == "human", np.char.add("of man, ", labels), labels)
    with pytest.raises(InputError, match="human and mouse have fewer than two labels of 10 cells in common"):
        embedding_quality.predict_across(embedding, apart, species)


def test_batches_mix_within_labels_by_hand_and_as_in_scib_metrics():
    line = np.array([[0.0], [1.0], [10.0], [12.0], [50.0], [51.0], [90.0]])
    labels = np.array(["a", "a", "a", "a", "b", "b", "c"])
    batch = np.array(["x", "x", "y", "y", "x", "x", "y"])
    # b is of one batch and c of one cell; widths of a as above
    widths = [(11 - 1) / 11, (10 - 1) / 10, (9.5 - 2) / 9.5, (11.5 - 2) / 11.5]
    assert embedding_quality.batch_silhouette(line, labels, batch) == pytest.approx(1 - np.mean(widths))
    embedding, labels, _, species = of_two_species()
    embedding = embedding + np.outer(species == "mouse", [0, 0.7, 0, 0])
    came = embedding_quality.batch_silhouette(embedding, labels, species)
    assert came == pytest.approx(CZ_BATCH_SILHOUETTE, abs=1e-6)
    with pytest.raises(InputError, match="no label has cells of two batches"):
        embedding_quality.batch_silhouette(line, batch, batch)


def test_neighbours_along_a_sequence_by_hand():
    line, days = np.array([[0.0], [1.0], [2.1], [9.0]]), np.array([1, 2, 4, 4])
    # nearest two: days (2, 4), (1, 4), (2, 1), (4, 2) from 1, 2, 4, 4
    near = np.mean([(1 + 3) / 2, (1 + 2) / 2, (2 + 3) / 2, (0 + 2) / 2])
    any_two = np.mean([1, 3, 3, 2, 2, 0])
    assert embedding_quality.sequential_alignment(line, days, k=2) == pytest.approx(1 - near / any_two)
    away = np.array([[0.0], [5.0], [0.1], [5.1]])
    assert embedding_quality.sequential_alignment(away, np.array([0, 0, 9, 9]), k=1) == 0  # below 0: not below chance
    assert embedding_quality.sequential_alignment(away, np.array([0, 9, 0, 9]), k=1) == 1


def test_a_sequence_scores_as_in_cz_benchmarks():
    embedding, _, days, _ = of_two_species()
    embedding = embedding + np.outer(days, [0.5, 0, 0, 0.2])
    assert embedding_quality.silhouette(embedding, days) == pytest.approx(CZ_SILHOUETTE_OF_DAYS, abs=1e-6)
    came = embedding_quality.sequential_alignment(embedding, days)
    drawn = np.random.default_rng(2).integers(0, 95, (2, 200_000))
    drawn = drawn[:, drawn[0] != drawn[1]]
    any_two = np.abs(days[drawn[0]] - days[drawn[1]]).mean()  # which cz-benchmarks draws too, 950 times: .386 for .392
    near = np.argsort(np.linalg.norm(embedding[:, None] - embedding[None], axis=2), axis=1)[:, 1:16]
    assert came == pytest.approx(1 - np.abs(days[near] - days[:, None]).mean() / any_two, abs=0.005)


def test_cz_benchmarks_measures_the_same_live():
    """Where it is installed (97 packages; it is no dependency)."""
    pytest.importorskip("czbenchmarks")
    from czbenchmarks.metrics.utils import sequential_alignment
    from scib_metrics import silhouette_batch, silhouette_label

    embedding, labels, days, species = of_two_species()
    mixed = embedding + np.outer(species == "mouse", [0, 0.7, 0, 0])
    assert silhouette_batch(mixed, labels, species) == pytest.approx(CZ_BATCH_SILHOUETTE, abs=1e-6)
    ordered = embedding + np.outer(days, [0.5, 0, 0, 0.2])
    assert silhouette_label(ordered, days) == pytest.approx(CZ_SILHOUETTE_OF_DAYS, abs=1e-6)
    came = embedding_quality.sequential_alignment(ordered, days)
    assert sequential_alignment(ordered, days, k=15) == pytest.approx(came, abs=0.03)


def test_what_cannot_be_measured_is_refused():
    embedding, labels = groups(1.0)
    with pytest.raises(InputError, match=r"shape \(95, 4\) and 94 labels"):
        embedding_quality.silhouette(embedding, labels[1:])
    with pytest.raises(InputError, match="all cells have one label"):
        batch_entropy(embedding, np.repeat("x", len(labels)))
    for places in (labels, np.append(np.arange(94.0), np.nan)):
        with pytest.raises(InputError, match="places in a sequence are numbers"):
            embedding_quality.sequential_alignment(embedding, places)
    embedding[3, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinite values: 1"):
        embedding_quality.cluster_agreement(embedding, labels)
