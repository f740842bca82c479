"""Baseline and replicate by hand."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from starter.data.blocks import gather, in_memory
from starter.prediction.controls import Controls
from starter.scoring.metrics.error import mae
from starter.scoring.metrics.overlap import overlap_where_de
from starter.scoring.metrics.rule_sets import get_rule_set, score_perturbations
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.screens.summary import Reference, Summary, needed
from starter.scoring.truth import replicate
from starter.scoring.truth.baseline import baseline_groups, constant_cells, resampled_cells, thinned_cells, train_mean
from starter.statistics.de import CELL_EVAL_082, DETable
from starter.statistics.t_test import Totals

NAMES, GENES = np.array(["P", "Q", "R"]), np.array(list("ABCDE"))
GROUPS = np.repeat([0, 1, 2, 3], [12, 8, 6, 7])
NONE = Totals(0, np.zeros(5), np.zeros(5))
"""No other perturbation."""


def cells() -> scipy.sparse.csr_matrix:
    """12 control cells and 8, 6, 7 of three perturbations with strong effects, 5 genes."""
    rng = np.random.default_rng(0)
    level = np.array([[1, 1, 1, 1, 1], [3, 1, 1, 2, 1], [1, 3, 1, 1, 2], [1, 1, 3, 1, 3]])
    return scipy.sparse.csr_matrix(np.log1p(rng.poisson(4 * level[GROUPS])).astype(np.float32))


def reduced(groups: np.ndarray, x: scipy.sparse.csr_matrix | None = None) -> Summary:
    x = in_memory(cells() if x is None else x)
    return summarise_logs(x, groups[None], NAMES, GENES, CELL_EVAL_082, t_scores=True, others=[NONE]).summaries[0]


def reference(summary: Summary, mean: np.ndarray) -> Reference:
    points = cells().toarray()[GROUPS > 0]
    return Reference(**{**vars(summary), "points": points}, train_mean=mean)


def test_the_train_mean_weighs_perturbations_the_same():
    assert train_mean(np.array([[1.0, 2], [3, 10]])).tolist() == [2, 6]


def test_the_interpolated_duplicate_trusts_what_its_own_test_finds():
    p, of_control = np.array([[0.0, 1.0, 0.25]]), np.full((1, 3), 0.5)
    profiles, genes = np.array([[1.0, 2, 3]]), np.array(list("ABC"))
    de = DETable(of_control, of_control, of_control)
    half = Summary(np.array(["P"]), genes, np.array([4]), profiles, np.zeros(3), de, change_fdr=p)
    blended = replicate.interpolate(half, np.array([5.0, 5, 5]))
    assert blended.profiles.tolist() == [[1.0, 5.0, 0.75 * 3 + 0.25 * 5]]
    assert half.profiles.tolist() == [[1, 2, 3]]


def test_halves_share_the_controls_and_no_other_cell():
    layers = replicate.split_layers(GROUPS, seed=1)
    assert layers.shape == (5, 33)
    for layer in layers:
        assert (layer[GROUPS == 0] == 0).all()
        perturbed = GROUPS > 0
        assert ((layer[perturbed] - 1) % 3 == GROUPS[perturbed] - 1).all()
        assert np.bincount(layer)[1:].tolist() == [4, 3, 3, 4, 3, 4]
    assert not (layers[0] == layers[1]).all()
    assert (replicate.split_layers(GROUPS, seed=1) == layers).all()


def test_halves_of_2026_split_the_controls_too_and_drop_the_odd_cell():
    first, second = replicate.split_with_controls(GROUPS, NAMES, seed=3)
    assert np.bincount(GROUPS[first]).tolist() == np.bincount(GROUPS[second]).tolist() == [6, 4, 3, 3]
    assert not set(first) & set(second)


def split() -> tuple[replicate.Halves, np.ndarray]:
    truth = reduced(GROUPS)
    mean = train_mean(truth.profiles)
    layer = replicate.split_layers(GROUPS, seed=0)[0]
    reduced_halves = summarise_logs(
        in_memory(cells()), layer[None], NAMES, GENES, CELL_EVAL_082, t_scores=True, others=[NONE, NONE]
    )
    points = cells().toarray()
    first, second = reduced_halves.summaries
    first = replace(first, points=points[(layer > 0) & (layer <= 3)])
    second = replace(second, points=points[layer > 3])
    return replicate.Halves(Reference(**vars(first), train_mean=mean), second), mean


def baseline_of(mean: np.ndarray) -> Summary:
    made = constant_cells(mean, cells()[:12], np.array([8, 6, 7]))
    groups = baseline_groups(12, np.array([8, 6, 7]))
    summary = summarise_logs(made, groups[None], NAMES, GENES, CELL_EVAL_082, t_scores=True).summaries[0]
    return replace(summary, points=gather(made, groups > 0).toarray())


def test_the_challenges_replicate_is_one_half_against_the_other():
    halves, mean = split()
    profile = get_rule_set("vcc2025")
    values = score_perturbations(profile, reference(reduced(GROUPS), mean), baseline_of(mean))
    anchors = replicate.anchor_scores(
        profile, [halves], reference(reduced(GROUPS), mean), baseline_of(mean), values, np.arange(3)
    )
    expected = np.abs(halves.second.profiles - halves.first.profiles).mean(axis=1)
    np.testing.assert_allclose(anchors["replicate"]["mae"][0], expected, rtol=1e-6)
    np.testing.assert_array_equal(anchors["baseline"]["mae"][0], values["mae"])
    assert "plain_half" not in anchors


def test_the_courses_replicate_is_the_baseline_plus_its_gain_and_cells_are_scored_against_the_half():
    halves, mean = split()
    truth, baseline = reference(reduced(GROUPS), mean), baseline_of(mean)
    profile = get_rule_set("course")
    values = score_perturbations(profile, truth, baseline)
    anchors = replicate.anchor_scores(profile, [halves], truth, baseline, values, np.arange(3))
    scores, of_baseline = anchors["replicate"], anchors["baseline"]

    p = needed(halves.second.change_fdr, "p")
    duplicate = (1 - p) * halves.second.profiles + p * mean
    baseline_against_half = np.abs(baseline.profiles - halves.first.profiles).mean(axis=1)
    for anchor, profiles in (("replicate", duplicate), ("plain_half", halves.second.profiles)):
        against_half = np.abs(profiles - halves.first.profiles).mean(axis=1)
        expected = mae(truth, baseline) + against_half - baseline_against_half
        np.testing.assert_allclose(anchors[anchor]["mae"][0], expected, rtol=1e-5)
    # DES is of cells: the second half itself, not blended, and the baseline against the same half
    np.testing.assert_array_equal(scores["overlap_at_N"][0], overlap_where_de(halves.first, halves.second))
    np.testing.assert_array_equal(of_baseline["overlap_at_N"][0], overlap_where_de(halves.first, baseline))
    np.testing.assert_array_equal(of_baseline["mae"][0], values["mae"])


def test_a_perturbation_that_cannot_be_split_has_no_replicate_on_cells_and_the_mean_gain_on_profiles():
    halves, mean = split()
    truth, baseline = reference(reduced(GROUPS), mean), baseline_of(mean)
    profile = get_rule_set("course")
    values = score_perturbations(profile, truth, baseline)
    scores = replicate.anchor_scores(profile, [halves], truth, baseline, values, np.array([0, 2]))["replicate"]
    assert np.isnan(scores["e_distance"][0]).tolist() == [False, True, False]
    gain = scores["mae"][0] - values["mae"]
    assert gain[1] == pytest.approx((gain[0] + gain[2]) / 2)


def test_the_challenges_baseline_is_the_mean_in_every_cell():
    mean = np.array([0.5, 1, 1.5, 2, 2.5])
    baseline = baseline_of(mean)
    np.testing.assert_allclose(baseline.profiles, np.tile(mean, (3, 1)))
    assert baseline.n_cells.tolist() == [8, 6, 7]
    # a rank test of equal cells: every gene that differs is called, here all five
    assert baseline.de.p_value.max() < 0.2


def test_the_courses_baseline_has_the_mean_and_the_spread_of_real_cells():
    counts = scipy.sparse.csr_matrix(np.random.default_rng(0).poisson(5, (40, 5)).astype(np.float32))
    controls = Controls(counts, np.ones(40))
    mean = np.array([0.5, 1, 1.5, 2, 2.5])
    made, how = thinned_cells(mean, controls.logs(), controls, np.array([60, 30]), seed=4)
    x = gather(made, np.ones(130, bool)).toarray()
    assert how == "cells by thinning control cells"
    np.testing.assert_array_equal(x[:40], controls.logs().toarray())
    np.testing.assert_allclose(x[40:100].mean(axis=0), mean, atol=0.02)
    assert x[40:100].std(axis=0).min() > 0.1
    np.testing.assert_array_equal(gather(made, np.ones(130, bool)).toarray(), x)
    _, how = thinned_cells(mean, controls.logs(), None, np.array([3]), seed=4)
    assert how == "control cells plus the effect, since raw counts could not be recovered"


def test_cells_of_logs_alone_are_control_cells_plus_the_effect():
    """By hand: where nothing is predicted to change, a made cell is a control cell, whose logs are not logged again."""
    logs = scipy.sparse.csr_matrix(np.random.default_rng(0).uniform(0.5, 3, (8, 5)).astype(np.float32))
    nothing = np.asarray(logs.mean(axis=0)).ravel()
    made, _ = thinned_cells(nothing, logs, None, np.array([8]), seed=1)
    cells = scipy.sparse.vstack(list(made.read(np.ones(16, bool)))).toarray()[8:]
    np.testing.assert_allclose(np.sort(cells, axis=0), np.sort(logs.toarray(), axis=0), atol=1e-5)
    made, _ = thinned_cells(nothing + 0.25, logs, None, np.array([8]), seed=1)
    cells = scipy.sparse.vstack(list(made.read(np.ones(16, bool)))).toarray()[8:]
    np.testing.assert_allclose(np.sort(cells, axis=0), np.sort(logs.toarray(), axis=0) + 0.25, atol=1e-5)


def test_the_baseline_of_2026_by_hand():
    """Two control cells, two perturbations; each leaves its own gene's mean to the other."""
    x = scipy.sparse.csr_matrix(np.array([[1, 2, 0], [3, 2, 0], [8, 6, 1], [4, 2, 5]], np.float32))
    means = np.array([[2, 2, 0], [8, 6, 1], [4, 2, 5]])
    fdr = np.ones((2, 3))
    truth = Summary(
        np.array(["A", "Q"]), np.array(["A", "B", "C"]), np.array([1, 1]), fdr, np.ones(3), DETable(fdr, fdr, fdr)
    )
    # mean response: A from Q alone 4, B (6 + 2) / 2 = 4, C 3; control means 2, 2, 0: scale 2, 2, and 0 for C
    made, totals = resampled_cells(x[:2], truth, means)
    drawn = np.random.default_rng(0)
    first, second = drawn.integers(0, 2, size=1)[0], drawn.integers(0, 2, size=1)[0]
    expected = [(x[row].toarray()[0] * [2, 2, 0]).tolist() for row in (first, second)]
    assert gather(made, np.ones(2, bool)).toarray().tolist() == expected
    assert totals.tolist() == [sum(row) for row in expected]
