"""Baseline and replicate by hand."""

import numpy as np
import pytest
import scipy.sparse

from starter import anchors, metrics
from starter.de import DETable
from starter.summary import Summary, summarise

COURSE = metrics.get_profile("course")
CHALLENGE = metrics.get_profile("vcc2025")


def screen() -> anchors.Measured:
    """12 control cells and 8, 6, 7 of three perturbations with strong effects, 5 genes."""
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2, 3], [12, 8, 6, 7])
    level = np.array([[1, 1, 1, 1, 1], [3, 1, 1, 2, 1], [1, 3, 1, 1, 2], [1, 1, 3, 1, 3]])
    x = np.log1p(rng.poisson(4 * level[groups])).astype(np.float32)
    return anchors.Measured(
        scipy.sparse.csr_matrix(x), groups, np.array(["P", "Q", "R"]), np.array(list("ABCDE")), controls=None
    )


def test_the_train_mean_weighs_perturbations_the_same():
    assert anchors.train_mean(np.array([[1.0, 2], [3, 10]])).tolist() == [2, 6]


def test_the_interpolated_duplicate_trusts_what_its_own_test_finds():
    fdr = np.array([[0.0, 1.0, 0.25]])
    half = Summary(
        np.array(["P"]),
        np.array(list("ABC")),
        np.array([4]),
        np.array([[1.0, 2, 3]]),
        np.zeros(3),
        DETable(fdr, fdr, fdr),
    )
    blended = anchors.interpolate(half, np.array([5.0, 5, 5]))
    assert blended.profiles.tolist() == [[1.0, 5.0, 0.75 * 3 + 0.25 * 5]]
    assert half.profiles.tolist() == [[1, 2, 3]]


def test_halves_share_the_controls_and_no_other_cell():
    groups = screen().groups
    first, second = anchors._halves(groups, np.random.default_rng(1))
    assert ((first == 0) == (second == 0)).all()
    perturbed = groups > 0
    assert ((first[perturbed] > 0) ^ (second[perturbed] > 0)).all()
    assert np.bincount(first[first > 0])[1:].tolist() == [4, 3, 3]
    assert np.bincount(second[second > 0])[1:].tolist() == [4, 3, 4]


def fixed_halves(monkeypatch: pytest.MonkeyPatch, measured: anchors.Measured) -> tuple[Summary, Summary]:
    halves = anchors._halves(measured.groups, np.random.default_rng(5))
    monkeypatch.setattr(anchors, "_halves", lambda groups, rng: halves)
    return tuple(summarise(measured.x, half, measured.perturbations, measured.genes, COURSE.de) for half in halves)


def test_the_challenges_replicate_is_one_half_against_the_other(monkeypatch: pytest.MonkeyPatch):
    measured = screen()
    truth = summarise(measured.x, measured.groups, measured.perturbations, measured.genes, COURSE.de)
    first, second = fixed_halves(monkeypatch, measured)
    scores = anchors.replicate(CHALLENGE, measured, np.ones(5), truth, truth, seed=0)
    np.testing.assert_allclose(scores["mae"], np.abs(second.profiles - first.profiles).mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(scores["pearson_delta"], metrics.pearson_delta(first, second), rtol=1e-12)


def test_the_courses_replicate_is_the_baseline_plus_its_gain(monkeypatch: pytest.MonkeyPatch):
    measured = screen()
    truth = summarise(measured.x, measured.groups, measured.perturbations, measured.genes, COURSE.de)
    mean = anchors.train_mean(truth.profiles)
    baseline, _ = anchors.baseline(COURSE, measured, mean, seed=0)
    first, second = fixed_halves(monkeypatch, measured)
    scores = anchors.replicate(COURSE, measured, mean, truth, baseline, seed=0)

    sure = 1 - second.de.fdr
    duplicate = sure * second.profiles + (1 - sure) * mean
    against_half = np.abs(duplicate - first.profiles).mean(axis=1)
    baseline_against_half = np.abs(baseline.profiles - first.profiles).mean(axis=1)
    baseline_against_all = np.abs(baseline.profiles - truth.profiles).mean(axis=1)
    expected = baseline_against_all + against_half - baseline_against_half
    np.testing.assert_allclose(scores["mae"], expected, rtol=1e-5)
    # DES is of cells: the second half itself, not blended
    gain = metrics.overlap_where_de(first, second) - metrics.overlap_where_de(first, baseline)
    filled = np.where(np.isnan(gain), np.nanmean(gain), gain)
    np.testing.assert_allclose(scores["overlap_at_N"], metrics.overlap_where_de(truth, baseline) + filled)


def test_baseline_and_replicate_are_means_over_the_same_perturbations():
    measured = screen()
    truth = summarise(measured.x, measured.groups, measured.perturbations, measured.genes, COURSE.de)
    baseline, how = anchors.baseline(COURSE, measured, anchors.train_mean(truth.profiles), seed=0)
    scores = anchors.replicate(COURSE, measured, np.ones(5), truth, baseline, seed=0)
    of_baseline = metrics.score_perturbations(COURSE, truth, baseline)
    for name, values in scores.items():
        assert (np.isnan(values) == np.isnan(of_baseline[name])).all(), name
    assert how == "control cells plus the effect, since raw counts could not be recovered"


def test_the_challenges_baseline_is_the_mean_in_every_cell():
    measured = screen()
    mean = np.array([0.5, 1, 1.5, 2, 2.5])
    baseline, how = anchors.baseline(CHALLENGE, measured, mean, seed=0)
    np.testing.assert_allclose(baseline.profiles, np.tile(mean, (3, 1)))
    assert baseline.n_cells.tolist() == [8, 6, 7]
    assert how == "every cell is the mean"
    # a rank test of equal cells: every gene that differs is called, here all five
    assert baseline.de.p_value.max() < 0.2
