import itertools

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data.batches import UNMATCHED, comparable
from starter.data.matching import depth_features, match_controls, match_screen
from starter.errors import InputError
from starter.schema import CONTROL

# UMIs and genes of 16 cells
FEATURES = np.array(
    [
        (5480, 510),
        (7297, 1704),
        (21988, 961),
        (12034, 771),
        (3026, 843),
        (8078, 838),
        (5574, 1277),
        (8859, 1049),
        (3087, 1984),
        (9368, 528),
        (9332, 1095),
        (20856, 768),
        (9799, 1496),
        (11007, 470),
        (3308, 956),
        (31308, 1193),
    ]
)
BATCH = np.array(list("bbbbaabbaaabaaaa"))
PERTURBED = np.array(list("ccPcPPPccPcPcccP")) == "P"


def test_the_published_procedure_gives_these_pairs():
    """What `get_matched_controls` of cz-benchmarks (commit b292e63) gave for these cells, with scikit-learn 1.6."""
    due = {4: 14, 5: 10, 9: 13, 15: 12, 2: 7, 6: 1, 11: 3}
    found = match_controls(FEATURES, BATCH, PERTURBED)
    assert {cell: control for cell, control in enumerate(found) if control != UNMATCHED} == due


@pytest.mark.parametrize(("seed", "n_perturbed", "n_controls"), [(1, 3, 5), (2, 4, 4), (3, 5, 3)])
def test_no_other_assignment_is_nearer(seed: int, n_perturbed: int, n_controls: int):
    """All assignments tried one by one; where controls are fewer, perturbed cells stay without."""
    rng = np.random.default_rng(seed)
    features = rng.lognormal(8, 1, (n_perturbed + n_controls, 2))
    perturbed = rng.permutation(np.arange(len(features)) < n_perturbed)
    found = match_controls(features, np.zeros(len(features)), perturbed)
    scaled = np.log1p(features)
    scaled = (scaled - scaled.mean(axis=0)) / scaled.std(axis=0)

    def total(pairs: list[tuple[int, int]]) -> float:
        return sum(np.linalg.norm(scaled[cell] - scaled[control]) for cell, control in pairs)

    cells, controls = np.flatnonzero(perturbed), np.flatnonzero(~perturbed)
    n = min(n_perturbed, n_controls)
    least = min(
        total(list(zip(some, others, strict=True)))
        for some in itertools.combinations(cells, n)
        for others in itertools.permutations(controls, n)
    )
    pairs = [(cell, found[cell]) for cell in cells if found[cell] != UNMATCHED]
    assert len(pairs) == n == len({control for _, control in pairs})
    assert total(pairs) == pytest.approx(least)


def test_a_control_comes_from_the_cells_own_batch_or_not_at_all():
    features, batch = np.array([[900], [910], [5000], [905]]), np.array(["x", "y", "x", "z"])
    found = match_controls(features, batch, np.array([True, False, False, True]))
    assert found.tolist() == [2, UNMATCHED, UNMATCHED, UNMATCHED]


def test_a_feature_that_never_varies_does_not_count():
    features = np.array([[700, 50], [9000, 50], [8800, 50], [710, 50]])
    found = match_controls(features, np.array(["x"] * 4), np.array([True, True, False, False]))
    assert found.tolist() == [3, 2, UNMATCHED, UNMATCHED]


@pytest.mark.parametrize(
    ("features", "batch", "perturbed", "said"),
    [
        (FEATURES[:, 0], BATCH, PERTURBED, r"have the shapes \(16,\), \(16,\) and \(16,\)"),
        (FEATURES, BATCH[:5], PERTURBED, r"\(16, 2\), \(5,\) and \(16,\)"),
        (FEATURES, BATCH, np.flatnonzero(PERTURBED), r"and \(7,\) \(of int64\)"),
        (FEATURES, BATCH, PERTURBED.astype(int), r"\(of int64\)"),
        (-FEATURES, BATCH, PERTURBED, "a feature is a number from 0 on"),
        (np.where(FEATURES > 30_000, np.nan, FEATURES), BATCH, PERTURBED, "a feature is a number from 0 on"),
    ],
)
def test_what_does_not_fit_is_refused(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray, said: str):
    with pytest.raises(InputError, match=said):
        match_controls(features, batch, perturbed)


def screen(**columns: list) -> anndata.AnnData:
    """Six cells, whose counts follow their depth."""
    counts = np.array([[1, 0, 3], [2, 1, 3], [0, 9, 4], [0, 0, 5], [20, 0, 30], [9, 8, 7]], dtype=np.float32)
    labels = pd.Categorical(["A", CONTROL, "B", CONTROL, "A", CONTROL])
    obs = pd.DataFrame({"target_gene": labels, **columns}, index=list("abcdef"))
    return anndata.AnnData(scipy.sparse.csr_matrix(counts), obs, pd.DataFrame(index=["G", "H", "I"]))


def test_cells_are_matched_by_their_umis_and_genes():
    assert depth_features(screen()).tolist() == [[4, 2], [6, 3], [13, 2], [5, 1], [50, 2], [24, 3]]
    stated = screen(n_umis=[40, 60, 130, 50, 500, 240])
    assert depth_features(stated)[:, 0].tolist() == [40, 60, 130, 50, 500, 240]


def test_perturbations_may_share_a_control_and_cells_of_one_may_not():
    matched = match_screen(screen())
    assert matched[[1, 3, 5]].tolist() == [UNMATCHED] * 3
    assert matched[0] != matched[4]
    assert matched[2] in (1, 3, 5)
    alone = match_screen(screen()[[1, 2, 3, 5]])  # without A, B gets the same control
    assert [1, 2, 3, 5][alone[1]] == matched[2]


def test_a_control_of_another_context_or_batch_does_not_serve():
    contexts = match_screen(screen(context=["x", "x", "y", "y", "x", "y"]))
    assert contexts.tolist() in ([1, -1, 3, -1, -1, -1], [1, -1, 5, -1, -1, -1], [-1, -1, 3, -1, 1, -1])
    batches = match_screen(screen(batch=["x", "y", "y", "y", "x", "y"]))
    assert batches[[0, 4]].tolist() == [UNMATCHED] * 2
    assert batches[2] in (1, 3, 5)


def test_cells_that_are_comparable_share_context_and_batch():
    obs = pd.DataFrame({"context": list("xxyyx"), "batch": pd.Categorical(list("11122"))})
    assert comparable(obs).tolist() == [0, 0, 2, 3, 1]
    assert comparable(obs[["batch"]]).tolist() == [0, 0, 0, 1, 1]
    assert comparable(obs[[]]).tolist() == [0] * 5
    assert len(set(comparable(obs.assign(batch=[None, "1", None, "1", None]))[[0, 2]])) == 2
