"""The metrics of VCC 2026 by hand, and against the reference tool's stored answers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

from starter.errors import InputError
from starter.schema import CONTROL
from starter.scoring.metrics import vcc2026
from starter.scoring.screens.summary import Summary
from starter.statistics.de import DETable

NAN = np.nan


def screen(
    names: object = "A", genes: object = "AXYZ", profiles: object = None, control: object = None, fdr: object = None,
    lfc: object = None, p: object = None, noise: object = 0.0, control_noise: float = 0.0,
) -> Summary:  # fmt: skip
    """A summary; what is not given is 1 (adjusted p) or 0."""
    shape = len(names), len(genes)
    profiles, lfc = (np.zeros(shape) if array is None else np.array(array, dtype=float) for array in (profiles, lfc))
    fdr = np.ones(shape) if fdr is None else np.array(fdr, dtype=float)
    assert profiles.shape == lfc.shape == fdr.shape == shape
    return Summary(
        perturbations=np.array(list(names)),
        genes=np.array(list(genes)),
        n_cells=np.full(shape[0], 10),
        profiles=profiles,
        control=np.zeros(shape[1]) if control is None else np.array(control, dtype=float),
        de=DETable(fdr if p is None else np.array(p, dtype=float), fdr, lfc),
        noise=np.broadcast_to(np.array(noise, dtype=float), shape[:1]),
        control_noise=control_noise,
    )


# ---- PDS


def test_pds_ranks_by_cosine():
    # effects in X, Y; gene A, the only target that is measured, is out. Predicted A (1, 0): cosines with A (2, 0),
    # P (0, 3), Q (1, 1) are 1, 0, .71. Predicted P (4, 1): .97, .24, .86. Predicted Q (0, 1): 0, 1, .71
    truth = screen("APQ", "AXY", [[0, 2, 0], [0, 0, 3], [0, 1, 1]])
    prediction = screen("APQ", "AXY", [[0, 1, 0], [0, 4, 1], [0, 0, 1]])
    assert vcc2026.pds_cosine(truth, prediction).tolist() == [1, 0, 0.5]


def test_pds_leaves_every_target_out_of_every_row():
    # the second prediction knows the two targets' knock-downs too, which changes nothing
    truth = screen("ABP", "ABXY", [[-9, 0, 1, 0], [0, -9, 0, 1], [0, 0, 1, 2]])
    prediction = screen("ABP", "ABXY", [[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 3, 4]])
    assert vcc2026.pds_cosine(truth, prediction).tolist() == [0, 0, 1]
    knock_down = screen("ABP", "ABXY", [[-9, 0, 0, 1], [0, -9, 1, 0], [-9, -9, 3, 4]])
    assert vcc2026.pds_cosine(truth, knock_down).tolist() == [0, 0, 1]


def test_pds_counts_ties_half():
    truth = screen("APQ", "AXY", [[0, 2, 0], [0, 2, 0], [0, 0, 1]])
    prediction = screen("APQ", "AXY", [[0, 1, 0], [0, 0, 1], [0, 5, 0]])
    # the right one of two that are equally near; both behind Q; behind two that are tied with each other only
    assert vcc2026.pds_cosine(truth, prediction).tolist() == [0.75, 0.25, 0]


def test_an_effect_of_zero_is_at_distance_1():
    truth = screen("APQ", "AXY", [[0, 0, 0], [0, 1, 0], [0, -1, 0]])
    prediction = screen("APQ", "AXY", [[0, 1, 0], [0, 0, 0], [0, 1, 0]])
    # A (distances 1, 0, 2); a predicted effect of zero is as far from all; Q (1, 0, 2)
    assert vcc2026.pds_cosine(truth, prediction).tolist() == [0.5, 0.5, 0]


def test_pds_takes_each_sides_own_control():
    profiles = [[0, 3, 1], [0, 1, 3]]
    truth = screen("AP", "AXY", profiles, control=[0, 1, 1])
    assert vcc2026.pds_cosine(truth, truth).tolist() == [1, 1]
    # measured effects (2, 0) and (0, 2); predicted, against their own control, (0, 1) and (-2, 3)
    assert vcc2026.pds_cosine(truth, screen("AP", "AXY", profiles, control=[0, 3, 0])).tolist() == [0, 1]


def test_pds_of_one_perturbation_is_1():
    one = screen("A", "AXY", [[0, 1, 2]])
    assert vcc2026.pds_cosine(one, screen("A", "AXY", [[0, -1, -2]])).tolist() == [1]


def test_pds_of_nothing_but_targets_is_refused():
    with pytest.raises(InputError, match="every gene is a target gene.*score on more genes"):
        vcc2026.pds_cosine(screen("AB", "AB"), screen("AB", "AB"))


# ---- mean squared error

TRUTH = screen("AP", "AXY", [[9, 1, 2], [1, 2, 3]], control=[1, 1, 1], noise=[0.5, 0.6], control_noise=0.1)


def test_mse_subtracts_the_noise_of_both_sides():
    # A without its own gene: squares 0 1 4, less min(.2, .5) and .5, over 2 genes; P: 0 0 16, less .6 and .6, over 3
    # effect of A: 0 1, less .5 and .1, over 2; of P: 0 1 4, less .6 and .1, over 3
    prediction = screen("AP", "AXY", [[5, 2, 4], [1, 2, 7]], noise=[0.2, 0.9])
    expected = [[(1 + 4 - 0.2 - 0.5) / 2, (1 - 0.5 - 0.1) / 2], [(16 - 0.6 - 0.6) / 3, (1 + 4 - 0.6 - 0.1) / 3]]
    # the profiles differ by more than the noise: .5 x 1.2^2 + .333 x 1.8^2 = 1.8 in Y, .3 claimed
    np.testing.assert_allclose(vcc2026.mse_terms(TRUTH, prediction), expected, rtol=1e-14)


def test_mse_subtracts_no_more_noise_than_the_predictions_differ():
    # claimed: .2 / 2 + .6 / 3 = .3. Spread: A is kept by P alone and does not count, X is 2 and 2, Y is 4 and 5 with
    # weights 1/2 and 1/3, mean 4.4: .5 x .16 + .333 x .36 = .2. rho = 2/3
    prediction = screen("AP", "AXY", [[5, 2, 4], [1, 2, 5]], noise=[0.2, 0.9])
    expected = [(1 + 4 - 0.2 * 2 / 3 - 0.5) / 2, (4 - 0.6 * 2 / 3 - 0.6) / 3]
    np.testing.assert_allclose(vcc2026.mse_terms(TRUTH, prediction)[:, 0], expected, rtol=1e-14)


def test_the_same_profile_for_all_subtracts_no_noise():
    prediction = screen("AP", "AXY", [[5, 2, 4], [9, 2, 4]], noise=[0.2, 0.9])
    np.testing.assert_allclose(vcc2026.mse_terms(TRUTH, prediction)[:, 0], [(5 - 0.5) / 2, (64 + 1 - 0.6) / 3])


def test_mse_of_a_prediction_without_noise():
    prediction = screen("AP", "AXY", [[5, 2, 4], [1, 2, 5]], noise=0)
    with np.errstate(all="raise"):
        terms = vcc2026.mse_terms(TRUTH, prediction)
    np.testing.assert_allclose(terms[:, 0], [(5 - 0.5) / 2, (4 - 0.6) / 3])


def test_mse_of_one_perturbation_subtracts_only_the_truths_noise():
    with np.errstate(all="raise"):  # A is kept by no perturbation
        terms = vcc2026.mse_terms(TRUTH.select([0]), screen("A", "AXY", [[5, 2, 4]], noise=0.2))
    np.testing.assert_allclose(terms, [[(5 - 0.5) / 2, (1 - 0.5 - 0.1) / 2]])


def test_mse_terms_may_be_negative():
    truth = screen("AP", "AXY", [[9, 1, 2], [1, 1, 1]], control=[1, 1, 1], noise=[0.5, 0.6], control_noise=0.1)
    spread = 0.5 * 0.4**2 + 0.6**2 / 3
    rho = spread / (0.5 / 2 + 0.6 / 3)
    assert rho < 1
    expected = [[(-0.5 * rho - 0.5) / 2, (1 - 0.6) / 2], [(-0.6 * rho - 0.6) / 3, -0.7 / 3]]
    np.testing.assert_allclose(vcc2026.mse_terms(truth, truth), expected)


def test_mse_does_not_see_the_predictions_control():
    prediction = screen("AP", "AXY", [[5, 2, 4], [1, 2, 5]], noise=[0.2, 0.9])
    other = screen("AP", "AXY", prediction.profiles, control=[7, 8, 9], noise=[0.2, 0.9], control_noise=5)
    np.testing.assert_array_equal(vcc2026.mse_terms(TRUTH, other), vcc2026.mse_terms(TRUTH, prediction))


def test_mse_of_no_other_gene_is_undefined():
    truth = screen("AP", "A", [[1], [2]], noise=0.5)
    np.testing.assert_array_equal(vcc2026.mse_terms(truth, screen("AP", "A", [[1], [4]])), [[NAN, NAN], [3.5, 3.5]])


# ---- direction fidelity


def fidelity(fdr: list, lfc: list, called: list, predicted: list, genes: str = "AUVWXYZ") -> float:
    truth, prediction = screen("A", genes, fdr=[fdr], lfc=[lfc]), screen("A", genes, fdr=[called], lfc=[predicted])
    return vcc2026.direction_fidelity(truth, prediction)[0]


YES, NO = 0.01, 0.5
TEN = "ABCDEFGHIJ"


def test_fidelity_is_the_share_of_called_genes_with_the_measured_sign():
    # called U V W Y (W has the wrong sign, U is not significant in the truth); measured V X
    fdr, called = [NO, NO, YES, NO, YES, NO, NO], [NO, YES, YES, YES, NO, YES, NO]
    assert fidelity(fdr, [0, 1, -1, 1, 2, 3, 4], called, [0, 2, -3, -1, 2, 1, 1]) == 3 / 4


def test_calling_too_few_lowers_fidelity():
    fdr = [YES] * 5 + [NO] * 2
    assert fidelity(fdr, [1] * 7, [NO, YES] + [NO] * 5, [1] * 7) == 1 / 4


def test_fidelity_leaves_the_own_gene_out_of_both_sides():
    fdr, lfc = [YES, YES, NO, NO, NO, NO, NO], [-5, 1, 0, 0, 0, 0, 0]
    assert fidelity(fdr, lfc, fdr, lfc) == 1
    assert fidelity(fdr, lfc, [YES] + [NO] * 6, lfc) == 0
    assert fidelity([YES] + [NO] * 6, lfc, fdr, [5, 1, 0, 0, 0, 0, 0]) == 1  # U is called and right, nothing measured


def test_a_fold_change_of_0_is_no_direction():
    # U: significant, measured 0: counts among the measured, not among the called. V: predicted 0: a miss. W is right
    fdr = [NO, YES, YES, YES, NO, NO, NO]
    assert fidelity(fdr, [1, 0, 1, 1, 1, 1, 1], fdr, [1, 0, 0, 1, 1, 1, 1]) == 1 / 3
    # called U V (U undecided), measured none
    assert fidelity([NO] * 7, [1, 0, 1, 1, 1, 1, 1], [NO, YES, YES] + [NO] * 4, [1] * 7) == 1


def test_fidelity_compares_genes_that_both_tables_hold():
    # U is outside of the truth's gate, V outside of the prediction's: V counts as measured, U not as called
    fdr, called = [NO, NAN, YES, YES, NO, NO, NO], [NO, YES, NAN, YES, NO, NO, NO]
    assert fidelity(fdr, [1, NAN, 1, 1, 1, 1, 1], called, [1, 1, NAN, 1, 1, 1, 1]) == 1 / 2


def test_fidelity_of_nothing_called_and_nothing_measured_is_undefined():
    assert np.isnan(fidelity([YES] + [NO] * 6, [1] * 7, [YES] + [NO] * 6, [1] * 7))


def test_significance_is_below_5_percent_in_double_precision():
    just_below = np.nextafter(0.05, 0)
    assert np.float32(just_below) == np.float32(0.05)
    assert fidelity([NO, just_below] + [NO] * 5, [1] * 7, [NO, just_below] + [NO] * 5, [1] * 7) == 1
    assert np.isnan(fidelity([NO, 0.05] + [NO] * 5, [1] * 7, [NO, 0.05] + [NO] * 5, [1] * 7))


# ---- direction reach


def reach(right: str, genes: str, p: list, fdr: list, size: list) -> float:
    """Reach where all genes but the own one are measured, and those named in `right` have the measured sign."""
    sign = np.array([1 if gene in right else -1 for gene in genes])
    shape = "Q", "Q" + genes
    truth = screen(*shape, fdr=[[NO] + [YES] * len(genes)], lfc=[[1.0] * (len(genes) + 1)])
    prediction = screen(*shape, fdr=[[0, *fdr]], p=[[0, *p]], lfc=[[-99, *sign * np.array(size)]])
    return vcc2026.direction_reach(truth, prediction)[0]


@pytest.mark.parametrize(
    ("first", "p", "fdr", "size"),
    [
        ("X", [0.9, 0.1], [0.04, 0.05], [1, 9]),  # by adjusted p, called ones first
        ("Y", [0.1, 0.2], [0.2, 0.1], [9, 1]),  # also where nothing is called
        ("Y", [0.2, 0.1], [0.3, 0.3], [9, 1]),  # then by p
        ("Y", [0.0, 0.0], [0.0, 0.0], [1, 2]),  # then by size: p too small for a number are 0
        ("X", [0.0, 0.0], [0.0, 0.0], [2, 1]),
        ("X", [1.0, 1.0], [1.0, 1.0], [3, 3]),  # then by name
    ],
)
def test_reach_follows_the_predictions_order(first: str, p: list, fdr: list, size: list):
    second = "XY".replace(first, "")
    assert reach(first, "XY", p, fdr, size) == 1 / 2
    assert reach(second, "XY", p, fdr, size) == 0
    assert reach(second, "YX", p[::-1], fdr[::-1], size[::-1]) == 0  # whatever the order of the genes
    assert reach(first, "YX", p[::-1], fdr[::-1], size[::-1]) == 1 / 2


def test_names_are_ordered_as_bytes():
    same = [1.0, 1.0], [1.0, 1.0], [3, 3]
    assert [reach("Z", "aZ", *same), reach("a", "aZ", *same)] == [1 / 2, 0]
    same = [1.0] * 3, [1.0] * 3, [3] * 3
    assert [reach(right, "YZX", *same) for right in ("X", "XY", "Y", "Z")] == [1 / 3, 2 / 3, 0, 0]


def test_reach_asks_for_nine_in_ten():
    # a wrong one at the end of ten is allowed, of nine not; the largest k counts, not the first that fails
    def of(wrong: str, genes: str) -> float:
        n = len(genes)
        return reach(genes.translate(str.maketrans("", "", wrong)), genes, np.arange(n) / 99, np.zeros(n), [1] * n)

    assert of("J", TEN) == 1
    assert of("I", "ABCDEFGHI") == 8 / 9
    assert of("A", TEN) == 1
    assert of("A", "ABCDEFGHI") == 0
    assert of("AB", "ABCDEFGHIJKLMNOPRST") == 0  # 17 of 19
    assert of("FG", TEN) == 5 / 10


def test_reach_counts_what_has_no_direction_or_is_not_predicted_only_below_the_line():
    # measured V W X Y; V has the fold change 0 and W is not in the prediction's table; Y is wrong and last
    truth = screen("A", "AUVWXY", fdr=[[YES, NO, YES, YES, YES, YES]], lfc=[[-5, 1, 0, 1, -1, 1]])
    fdr, change = [[0, 0.01, 0.01, NAN, 0.02, 0.2]], [[-5, 1, 1, NAN, -3, -1]]
    prediction = screen("A", "AUVWXY", fdr=fdr, p=[[0, 0, 0, NAN, 0.1, 0.2]], lfc=change)
    assert vcc2026.direction_reach(truth, prediction).tolist() == [1 / 4]


def test_reach_without_a_measured_gene_is_undefined_and_of_none_in_the_table_0():
    own = screen("A", "AX", fdr=[[YES, NO]], lfc=[[-5, 1]])
    assert np.isnan(vcc2026.direction_reach(own, own)).all()
    truth = screen("A", "AX", fdr=[[YES, YES]], lfc=[[-5, 1]])
    assert vcc2026.direction_reach(truth, screen("A", "AX", fdr=[[YES, NAN]], lfc=[[-5, NAN]])).tolist() == [0]


def test_what_the_prediction_does_not_hold_is_not_a_wrong_direction_in_reach():
    truth = screen("Q", "Q" + TEN, fdr=[[YES] * 11], lfc=[[1.0] * 11])
    nine = screen("Q", "Q" + TEN, fdr=[[YES] * 10 + [NAN]], lfc=[[1.0] * 10 + [NAN]])
    assert vcc2026.direction_reach(truth, nine).tolist() == [9 / 10]


# ---- Jaccard


def jaccard(measured: list, called: list, names: str = "A") -> list:
    truth, prediction = screen(names, "AXYZ", fdr=measured), screen(names, "AXYZ", fdr=called)
    return vcc2026.significant_jaccard(truth, prediction).tolist()


def test_jaccard_is_the_share_of_genes_that_both_call():
    assert jaccard([[NO, YES, YES, NO]], [[NO, YES, NO, YES]]) == [1 / 3]


def test_jaccard_of_nothing_is_1():
    # A has no significant gene but its own; P has one on one side
    assert jaccard([[YES, NO, NO, NO], [NO] * 4], [[YES, NO, NO, NO], [NO, YES, NO, NO]], "AP") == [1, 0]


def test_a_gene_in_one_table_only_counts_in_the_union():
    assert jaccard([[NO, YES, YES, NAN]], [[NO, YES, NAN, YES]]) == [1 / 3]


def test_an_own_gene_outside_of_the_truths_gate_stays_among_the_called():
    # X is P's own gene in the sense of the label "X"; the truth does not hold it, and it is looked up there
    assert jaccard([[NO, NAN, YES, NO], [YES] * 4], [[NO, YES, YES, NO], [YES] * 4], "XA") == [1 / 2, 1]
    assert jaccard([[NO, NO, YES, NO], [YES] * 4], [[NO, YES, YES, NO], [YES] * 4], "XA") == [1, 1]


# ---- error of fold changes


def nmae(fdr: list, lfc: list, predicted: list, genes: str = "Q" + TEN, name: str = "Q") -> float:
    truth = screen(name, genes, fdr=[fdr], lfc=[lfc])
    return vcc2026.lfc_nmae(truth, screen(name, genes, fdr=np.ones((1, len(genes))), lfc=[predicted]))[0]


def test_nmae_is_the_error_over_the_size():
    # ten genes of +-2; the own one, wrong by 90, is out; errors 1 x 4, 3 (wrong sign), 5 x 0
    measured = [-90] + [2, -2] * 5
    assert nmae([YES] * 11, measured, [0, 1, -1, 1, -1, -1, -2, 2, -2, 2, -2]) == (4 * 1 + 3) / 20
    assert nmae([YES] * 11, measured, measured) == 0
    assert nmae([YES] * 11, measured, [0] * 11) == 1


def test_a_gene_without_a_prediction_does_not_change():
    predicted = [0, NAN, np.inf, -np.inf, *([2, -2] * 4)[1:]]
    assert nmae([YES] * 11, [-90] + [2, -2] * 5, predicted) == 3 * 2 / 20


def test_nmae_needs_ten_genes_beside_the_own_one():
    measured = [-90] + [2, -2] * 5
    assert nmae([YES] * 11, measured, [0] * 11) == 1
    assert np.isnan(nmae([YES] * 10 + [NO], measured, [0] * 11))
    assert np.isnan(nmae([YES] * 10 + [NAN], [*measured[:-1], NAN], [0] * 11))
    assert np.isnan(nmae([YES] * 11, [*measured[:-1], np.inf], [0] * 11))
    assert np.isnan(nmae([YES] * 11, [-90] + [0] * 10, [1] * 11))


def test_nmae_of_halves_takes_genes_and_size_from_the_whole_screen():
    genes = "Q" + TEN + "Z"
    full = screen("Q", genes, fdr=[[YES] * 11 + [NO]], lfc=[[-90] + [4] * 11])
    # the halves call other genes: it is no matter. B is outside of the first one's gate, C of the second's, D of both
    first = screen("Q", genes, fdr=[[NO] * 12], lfc=[[-80, 5, NAN, 3, NAN, *[4] * 6, 9]])
    second = screen("Q", genes, fdr=[[YES] * 12], lfc=[[-70, 2, 1, NAN, NAN, *[4] * 6, 5]])
    assert vcc2026.lfc_nmae_of_halves(full, first, second).tolist() == [(3 + 1 + 3 + 0) / 40]
    assert vcc2026.lfc_nmae_of_halves(full, second, first).tolist() == [(3 + 1 + 3 + 0) / 40]
    few = screen("Q", genes, fdr=[[YES] * 10 + [NO] * 2], lfc=full.de.log2_fold_change)
    assert np.isnan(vcc2026.lfc_nmae_of_halves(few, first, second)).all()


# ---- own genes

OF_DE = (vcc2026.direction_fidelity, vcc2026.direction_reach, vcc2026.significant_jaccard, vcc2026.lfc_nmae)


@pytest.mark.parametrize("metric", [vcc2026.pds_cosine, vcc2026.mse_terms, *OF_DE])
def test_a_panel_without_a_measured_target_is_refused(metric: object):
    lost = screen(["P", "A+X"], "AXYZ", np.ones((2, 4)), fdr=np.full((2, 4), YES), lfc=np.ones((2, 4)))
    with pytest.raises(InputError, match=r"no target gene is measured|express no target gene \(P, A\+X\)"):
        metric(lost, lost)


@pytest.mark.parametrize("metric", OF_DE)
def test_de_metrics_need_a_target_in_the_truths_gate(metric: object):
    held = screen("A", "AXYZ", np.ones((1, 4)), fdr=[[YES] * 4], lfc=np.ones((1, 4)))
    gone = screen("A", "AXYZ", np.ones((1, 4)), fdr=[[NAN, YES, YES, YES]], lfc=[[NAN, 1, 1, 1]])
    with pytest.raises(InputError, match=r"control cells express no target gene \(A\) enough"):
        metric(gone, held)
    assert metric(held, gone).shape == (1,)
    assert np.isfinite(vcc2026.mse_terms(gone, held)).all()
    assert vcc2026.pds_cosine(gone, held).tolist() == [1]


def test_a_perturbation_without_a_measured_target_keeps_all_genes():
    names = ["A", "P"]
    truth = screen(names, "AXYZ", fdr=[[YES] * 4] * 2, lfc=[[1.0] * 4] * 2)
    prediction = screen(names, "AXYZ", fdr=[[YES, YES, NO, NO]] * 2, lfc=[[1.0] * 4] * 2)
    assert vcc2026.significant_jaccard(truth, prediction).tolist() == [1 / 3, 2 / 4]
    assert vcc2026.direction_fidelity(truth, prediction).tolist() == [1 / 3, 2 / 4]


# ---- score


def test_scores_have_the_reference_tools_form():
    b, r, u = 0.5, 0.93, 0.611
    assert vcc2026.score("pds_cosine", u, b, r) == (u - b) / (r - b)
    b, r = 1.01, 0.58
    values = [0.61, 0.7, 0.8, 0.9]
    assert [vcc2026.score("de_wilcoxon_lfc_nmae", u, b, r) for u in values] == [1 - (u - r) / (b - r) for u in values]
    assert any(1 - (u - r) / (b - r) != (u - b) / (r - b) for u in values)  # the forms differ in the last bit


@pytest.mark.parametrize(
    ("metric", "value", "baseline", "replicate", "expected"),
    [
        ("de_wilcoxon_sig_jaccard", 0.5, 0.25, 0.75, 0.5),
        ("de_wilcoxon_sig_jaccard", 0.0, 0.25, 0.75, -0.5),
        ("de_wilcoxon_sig_jaccard", 1.0, 0.25, 0.75, 1.5),
        ("expr_mse_unbiased_capped_norm", 0.5, 1, 0, 0.5),
        ("expr_mse_unbiased_capped_norm", 9, 1, 0, 0),
        ("expr_mse_unbiased_capped_norm", -0.5, 1, 0, 1),
        ("expr_mse_unbiased_capped_norm", 0, 1, -1, 0.5),
        ("de_wilcoxon_lfc_nmae", 6.5, 1, 0.5, -6),
        ("de_wilcoxon_lfc_nmae", 3.5, 1, 0.5, -5),
        ("de_wilcoxon_lfc_nmae", 0, 1, 0.5, 2),
    ],
)
def test_scores_are_clipped_where_the_rule_says(
    metric: str, value: float, baseline: float, replicate: float, expected: float
):
    assert vcc2026.score(metric, value, baseline, replicate) == expected


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf])
def test_an_unusable_value_scores_the_floor_or_as_0(value: float):
    scores = {
        name: vcc2026.score(name, value, *((0.5, 0.95) if scale.direction == "higher" else (0.95, 0.5)))
        for name, scale in vcc2026.SCALES.items()
    }
    floors = {"de_wilcoxon_lfc_nmae": -6, "expr_mse_unbiased_capped_norm": 0}
    assert scores == dict.fromkeys(vcc2026.SCALES, (0 - 0.5) / (0.95 - 0.5)) | floors


def test_a_score_beyond_all_numbers_is_unusable():
    assert vcc2026.score("pds_cosine", 1e308, 0.5, 0.6) == (0 - 0.5) / (0.6 - 0.5)
    assert vcc2026.score("de_wilcoxon_lfc_nmae", -1e308, 0.6, 0.5) == -6


@pytest.mark.parametrize(
    ("metric", "baseline", "replicate"),
    [
        ("pds_cosine", 0.5, 0.5),
        ("pds_cosine", 0.6, 0.5),
        ("expr_mse_unbiased_capped_norm", 0.5, 0.5),
        ("de_wilcoxon_lfc_nmae", 0.5, 0.6),
        ("de_wilcoxon_lfc_nmae", NAN, 0.6),
        ("pds_cosine", 0.5, NAN),
        ("pds_cosine", -np.inf, 0.5),
        ("de_wilcoxon_lfc_nmae", 1e308, -1e308),
        ("de_wilcoxon_sig_jaccard", -0.1, 0.0),
    ],
)
def test_no_scale_is_refused(metric: str, baseline: float, replicate: float):
    with pytest.raises(InputError, match=rf"{metric} has no scale: .*; score on a screen with more cells"):
        vcc2026.score(metric, 0.5, baseline, replicate)


# ---- the reference tool's answers

PDS, MSE, FIDELITY, REACH, JACCARD, NMAE = (
    "pds_cosine", "expr_mse_unbiased_capped_norm", "de_wilcoxon_direction_fidelity_yield_raw",
    "de_wilcoxon_direction_reach_raw", "de_wilcoxon_sig_jaccard", "de_wilcoxon_lfc_nmae",
)  # fmt: skip
EXACT = {PDS: vcc2026.pds_cosine, JACCARD: vcc2026.significant_jaccard, FIDELITY: vcc2026.direction_fidelity,
         REACH: vcc2026.direction_reach}  # fmt: skip
CASES = ["main", "all_equal", "control_exact", "ties_equal_totals"]


def answers(truth: Summary, prediction: Summary) -> dict[str, float]:
    values = {name: np.nanmean(metric(truth, prediction)) for name, metric in EXACT.items()}
    numerator, denominator = vcc2026.mse_terms(truth, prediction).sum(axis=0)
    return values | {NMAE: np.nanmean(vcc2026.lfc_nmae(truth, prediction)), MSE: numerator / denominator}


def stored_screen(folder: Path, side: str) -> Summary:
    """A stored side of a case; the truth's control on both."""
    arrays = np.load(folder / "inter.npz")
    genes = (folder / "genes.txt").read_text().split()
    labels = arrays[f"{side}_perts"]
    rows = labels != CONTROL
    table = pd.read_parquet(folder / f"de_{side}.parquet")
    columns = [
        table.pivot(index="target", columns="feature", values=column).reindex(labels[rows], columns=genes).to_numpy()
        for column in ("p_value", "p_adj", "log2_fold_change")
    ]
    at_control = np.flatnonzero(arrays["real_perts"] == CONTROL)[0]
    return Summary(
        labels[rows], np.array(genes), np.full(rows.sum(), 100), arrays[f"{side}_bulk"][rows],
        arrays["real_bulk"][at_control], DETable(*columns), noise=arrays[f"{side}_C"][rows],
        control_noise=float(arrays["real_C"][at_control]),
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_value_is_the_reference_tools(vcc_parity: Path, case: str):
    folder = vcc_parity / "cell_eval2" / case
    truth, prediction = stored_screen(folder, "real"), stored_screen(folder, "pred")
    stored = pd.read_parquet(folder / "results.parquet").pivot(index="perturbation", columns="metric", values="value")
    assert sorted(stored.index) == sorted(truth.perturbations)
    stored = stored.loc[truth.perturbations]
    for name, metric in EXACT.items():
        np.testing.assert_array_equal(metric(truth, prediction), stored[name], err_msg=name)
    np.testing.assert_allclose(vcc2026.lfc_nmae(truth, prediction), stored[NMAE], rtol=1e-12, atol=0)
    terms = vcc2026.mse_terms(truth, prediction)
    np.testing.assert_allclose(terms, stored[["expr_mse_unbiased_capped", "expr_distance_unbiased"]], rtol=1e-10)
    expected = json.loads((folder / "expected.json").read_text())
    values = answers(truth, prediction)
    assert values == pytest.approx({name: expected[name] for name in vcc2026.SCALES}, rel=1e-10)
    assert all(values[name] == pytest.approx(expected[name], rel=1e-14) for name in EXACT)


@pytest.mark.parametrize("case", ["main", "all_equal"])
def test_scores_are_the_reference_tools(vcc_parity: Path, case: str):
    folder = vcc_parity / "cell_eval2"
    bundle = folder / "main" / "bundle"
    baseline = pd.read_csv(bundle / "baseline_agg.csv", index_col="statistic").loc["mean"]
    replicate = pd.read_parquet(bundle / "anchor_agg.parquet").set_index("metric")["replicate"]
    expected = pd.read_csv(folder / "main" / f"score_{case}.csv", index_col="metric")["from_replicate"]
    values = answers(stored_screen(folder / case, "real"), stored_screen(folder / case, "pred"))
    scores = {name: vcc2026.score(name, values[name], baseline[name], replicate[name]) for name in vcc2026.SCALES}
    assert list(scores) == list(expected.index[:-1])
    assert scores == pytest.approx(expected[:-1].to_dict(), rel=1e-12, abs=1e-12)
    assert np.mean(list(scores.values())) == pytest.approx(expected["avg_score"], rel=1e-12)


def measured_screen(counts: scipy.sparse.csr_matrix, labels: np.ndarray, genes: np.ndarray) -> Summary:
    """A screen summarised step by step, with its own gate."""
    y = counts.toarray().astype(float)
    cpm = y / (y.sum(axis=1, keepdims=True) / 1e6)
    x, control = np.log1p(cpm), labels == CONTROL
    gate = cpm[control].mean(axis=0) > 5
    names = np.unique(labels[~control])
    columns = np.full((3, len(names), len(genes)), NAN)
    for row, name in enumerate(names):
        p = scipy.stats.mannwhitneyu(x[labels == name][:, gate], x[control][:, gate], method="asymptotic").pvalue
        p = np.nan_to_num(p, nan=1.0)
        change = np.log2((cpm[labels == name].mean(axis=0) + 1e-9) / (cpm[control].mean(axis=0) + 1e-9))
        columns[:, row, gate] = p, scipy.stats.false_discovery_control(p), change[gate]
    profiles, noise = {}, {}
    for name in [*names, CONTROL]:
        cells = y[labels == name]
        total, n = cells.sum(axis=0), len(cells)
        profiles[name] = np.log1p(5e4 * total / total.sum())
        rest = np.log1p(5e4 * (total - cells) / (total.sum() - cells.sum(axis=1))[:, None])
        noise[name] = (n - 1) * rest.var(axis=0).sum()
    return Summary(
        names, genes, np.zeros(len(names)), np.stack([profiles[name] for name in names]), profiles[CONTROL],
        DETable(*columns), noise=np.array([noise[name] for name in names]), control_noise=noise[CONTROL],
    )  # fmt: skip


@pytest.mark.parametrize("split", [0, 3])
def test_a_replicate_is_the_reference_tools(vcc_parity: Path, split: int):
    """Halves have their own controls and gates, and own genes come from the first one's."""
    folder = vcc_parity / "cell_eval2" / "main"
    counts = scipy.sparse.load_npz(folder / "real.npz").tocsr()
    labels = pd.read_csv(folder / "real_obs.csv", dtype=str)["target_gene"].to_numpy().astype(str)
    genes = np.array((folder / "genes.txt").read_text().split())
    stored = pd.read_parquet(folder / "bundle" / "anchor_splits.parquet")
    stored = stored[stored["split_index"] == split]
    rng = np.random.default_rng(int(stored["seed"].iloc[0]))
    drawn = [rng.permutation(np.flatnonzero(labels == name)) for name in np.unique(labels)]
    halves = [np.concatenate(rows) for rows in zip(*(np.split(rows, 2) for rows in drawn), strict=True)]
    first, second = (measured_screen(counts[rows], labels[rows], genes) for rows in halves)
    assert (np.isnan(first.de.fdr) != np.isnan(second.de.fdr)).any()
    values = answers(first, second)
    errors = vcc2026.lfc_nmae_of_halves(stored_screen(folder, "real"), first, second)
    assert np.nanmean(errors) != pytest.approx(values[NMAE], rel=0.1)
    values[NMAE] = np.nanmean(errors)
    expected = stored.set_index("metric")["value"]
    assert values == pytest.approx({name: expected[name] for name in vcc2026.SCALES}, rel=1e-10)
    assert (~np.isnan(errors)).sum() == stored.set_index("metric")["n_perturbations"][NMAE]
