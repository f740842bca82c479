"""Every metric by hand, on data without symmetry."""

import numpy as np
import pytest

from starter.errors import InputError
from starter.scoring.metrics.correlation import pearson_delta, pearson_delta_or_zero
from starter.scoring.metrics.discrimination import discrimination_score_l1, discrimination_score_l1_midrank, rank_matrix
from starter.scoring.metrics.error import mae
from starter.scoring.metrics.overlap import overlap_at_n, overlap_where_de
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.screens.summary import Summary
from starter.statistics.de import DETable

GENES = np.array(["A", "B", "X", "Y"])
CONTROL = np.array([1.0, 1.0, 1.0, 1.0])


def summary(profiles: list, control: np.ndarray = CONTROL, names: tuple = ("A", "B", "C"), de: DETable | None = None):
    profiles = np.array(profiles, dtype=np.float32)
    nothing = np.ones((len(profiles), 4))
    de = de or DETable(nothing, nothing, nothing)
    n_cells = np.full(len(profiles), 10)
    return Summary(np.array(names), GENES, n_cells, profiles, control.astype(np.float32), de)


TRUTH = summary([[0.1, 1.5, 2.0, 1.0], [1.2, 0.2, 1.0, 3.0], [1.0, 1.4, 0.5, 1.1]])
PREDICTION = summary([[0.3, 1.5, 1.0, 1.2], [1.0, 0.4, 1.9, 1.0], [1.0, 1.2, 0.6, 1.1]])


def test_mae_is_over_all_genes_target_included():
    expected = [(0.2 + 0 + 1.0 + 0.2) / 4, (0.2 + 0.2 + 0.9 + 2.0) / 4, (0 + 0.2 + 0.1 + 0) / 4]
    np.testing.assert_allclose(mae(TRUTH, PREDICTION), expected, rtol=1e-6)


def test_mae_does_not_see_the_predictions_controls():
    other = summary(PREDICTION.profiles.tolist(), control=np.zeros(4))
    np.testing.assert_array_equal(mae(TRUTH, other), mae(TRUTH, PREDICTION))


def test_pearson_delta_is_the_correlation_of_effects():
    measured, predicted = [-0.9, 0.5, 1.0, 0.0], [-0.7, 0.5, 0.0, 0.2]
    expected = np.corrcoef(measured, predicted)[0, 1]
    assert pearson_delta(TRUTH, PREDICTION)[0] == pytest.approx(expected, abs=1e-6)


def test_each_side_has_its_own_control():
    control = np.array([0.5, 2.0, 1.0, 0.0])
    other = summary(PREDICTION.profiles.tolist(), control=control)
    expected = np.corrcoef([-0.9, 0.5, 1.0, 0.0], PREDICTION.profiles[0] - control)[0, 1]
    assert pearson_delta(TRUTH, other)[0] == pytest.approx(expected, abs=1e-6)


def test_a_constant_effect_is_undefined_in_the_challenge_and_0_in_the_course():
    constant = summary([[1.5] * 4, [1.0] * 4, PREDICTION.profiles[2].tolist()])
    assert np.isnan(pearson_delta(TRUTH, constant)[:2]).all()
    assert pearson_delta_or_zero(TRUTH, constant)[:2].tolist() == [0, 0]
    assert pearson_delta_or_zero(TRUTH, constant)[2] == pearson_delta(TRUTH, constant)[2] != 0


def test_pds_ranks_by_l1_without_the_own_target():
    # distances of A's prediction [-.7 .5 0 .2] from the effects, gene A left out:
    #   to A [.5 1 0]: 0 + 1 + .2 = 1.2;  to B [-.8 0 2]: 1.3 + 0 + 1.8 = 3.1;  to C [.4 -.5 .1]: .1 + .5 + .1 = .7
    # of B's [0 -.6 .9 0], gene B left out: to A [-.9 1 0]: .9 + .1 = 1.0;  to B [.2 0 2]: 3.1;  to C [0 -.5 .1]: 1.5
    # of C's [0 .2 -.4 .1], nothing left out (C is not measured): to A 2.7, to B 3.5, to C .3
    assert discrimination_score_l1(TRUTH, PREDICTION).tolist() == pytest.approx([1 - 1 / 3, 1 - 2 / 3, 1])
    assert discrimination_score_l1_midrank(TRUTH, PREDICTION).tolist() == pytest.approx([0.5, 0, 1])
    assert rank_matrix(TRUTH, PREDICTION).tolist() == [[1, 2, 0], [0, 2, 1], [1, 2, 0]]


def test_the_own_target_would_have_changed_the_rank():
    # a prediction that copies only the knock-down tells nothing of the other genes
    knock_down = summary([[0.1, 1.0, 1.0, 1.0], [1.0, 0.2, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    assert discrimination_score_l1_midrank(TRUTH, knock_down)[1] == 0


@pytest.mark.parametrize("n", [2, 3, 7, 24])
def test_a_constant_prediction_scores_one_half_in_the_course_whatever_n(n: int):
    rng = np.random.default_rng(n)
    names = tuple(f"P{i}" for i in range(n))
    truth = summary(rng.random((n, 4)).tolist(), names=names)
    same = summary([[0.4, 0.5, 0.7, 0.2]] * n, names=names)
    assert discrimination_score_l1_midrank(truth, same).mean() == pytest.approx(0.5)
    assert discrimination_score_l1(truth, same).mean() == pytest.approx((n + 1) / (2 * n))


def test_ties_count_half_in_the_course():
    truth = summary([[1, 2, 1, 1], [1, 2, 1, 1], [1, 5, 1, 9]], names=("P", "Q", "R"))
    prediction = summary([[1, 2, 1, 1]] * 3, names=("P", "Q", "R"))
    assert discrimination_score_l1_midrank(truth, prediction).tolist() == [0.75, 0.75, 0]


def test_one_perturbation_has_no_rank():
    one = summary([[1, 2, 3, 4]], names=("P",))
    assert np.isnan(discrimination_score_l1_midrank(one, one)).all()


def de(significant: list, log2_fold_change: list) -> DETable:
    fdr = np.where(np.array(significant), 0.01, 0.5)
    return DETable(fdr, fdr, np.array(log2_fold_change, dtype=float))


def test_des_is_the_share_of_de_genes_among_the_first_n_predicted():
    # measured: A B Y (largest B); predicted: X first, then Y, A, B; n = 3 leaves X Y A
    truth = summary([[1] * 4], names=("P",), de=de([[1, 1, 0, 1]], [[-1, 3, 9, 2]]))
    prediction = summary([[1] * 4], names=("P",), de=de([[1, 1, 1, 1]], [[2, 1, -8, 4]]))
    assert overlap_at_n(truth, prediction).tolist() == pytest.approx([2 / 3])
    assert overlap_at_n(prediction, truth).tolist() == pytest.approx([3 / 4])


def test_des_ignores_the_order_within_n_and_cuts_only_the_prediction():
    truth = summary([[1] * 4], names=("P",), de=de([[1, 1, 0, 0]], [[1, 2, 3, 4]]))
    prediction = summary([[1] * 4], names=("P",), de=de([[0, 1, 0, 0]], [[9, 1, 9, 9]]))
    assert overlap_at_n(truth, prediction).tolist() == [0.5]


def test_infinite_changes_come_first_and_ties_in_the_order_of_the_genes():
    truth = summary([[1] * 4], names=("P",), de=de([[0, 1, 0, 1]], [[1, 1, 1, 1]]))
    prediction = summary([[1] * 4], names=("P",), de=de([[1, 1, 1, 1]], [[5, 5, 5, -np.inf]]))
    assert overlap_at_n(truth, prediction).tolist() == [0.5]  # Y, then A


def test_no_de_gene_is_0_in_the_challenge_and_left_out_in_the_course():
    truth = summary([[1] * 4] * 2, names=("P", "Q"), de=de([[0] * 4, [1, 0, 0, 0]], [[1] * 4] * 2))
    prediction = summary([[1] * 4] * 2, names=("P", "Q"), de=de([[1] * 4, [1, 0, 0, 0]], [[1] * 4] * 2))
    assert overlap_at_n(truth, prediction).tolist() == [0, 1]
    course = overlap_where_de(truth, prediction)
    assert np.isnan(course[0])
    by_name = {metric.name: metric for metric in get_rule_set("course").metrics}
    assert by_name["overlap_at_N"].mean(course) == 1
    assert np.isnan(by_name["mae"].mean(np.array([np.nan, 1.0])))


def test_the_official_scale_is_the_share_of_the_way_to_perfection():
    profile = get_rule_set("vcc2025")
    by_name = {metric.name: metric for metric in profile.metrics}
    nothing = float("nan")
    assert profile.scale(by_name["mae"], 0.02, 0.027, nothing) == pytest.approx((0.027 - 0.02) / 0.027)
    assert profile.scale(by_name["overlap_at_N"], 0.2, 0.106, nothing) == pytest.approx((0.2 - 0.106) / (1 - 0.106))
    assert profile.scale(by_name["mae"], 0.05, 0.027, nothing) == 0
    assert profile.scale(by_name["discrimination_score_l1"], nothing, 0.5, nothing) == 0


def test_the_courses_scale_is_between_baseline_and_replicate_and_not_clipped():
    profile = get_rule_set("course")
    by_name = {metric.name: metric for metric in profile.metrics}
    assert profile.scale(by_name["mae"], 0.02, 0.024, 0.016) == pytest.approx(0.5)
    assert profile.scale(by_name["overlap_at_N"], 0.0, 0.1, 0.5) == pytest.approx(-0.25)


def test_an_unknown_profile_is_refused():
    with pytest.raises(InputError, match="no profile 'vcc'; the profiles are course, vcc2025, vcc2025-final"):
        get_rule_set("vcc")
