"""Every formula by hand, or against the source's tool or another library."""

import itertools
from dataclasses import replace

import anndata
import numpy as np
import pytest
import scanpy
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics

from starter.scoring.metrics import correlation, discrimination, energy, error, overlap
from starter.scoring.screens.summary import Reference, Summary
from starter.statistics.de import DETable
from starter.statistics.t_test import change_weights, welch_t

TRAIN_MEAN = np.array([1.0, 1.0, 1.2, 1.4])
WEIGHTS = np.array([[0.1, 0.2, 0.3, 0.4], [0.25] * 4, [0, 0, 0, 1]])


def de(significant: np.ndarray, log2_fold_change: np.ndarray | None = None, p: np.ndarray | None = None) -> DETable:
    fdr = np.where(np.array(significant), 0.01, 0.5)
    return DETable(fdr if p is None else p, fdr, fdr if log2_fold_change is None else np.array(log2_fold_change))


def summary(profiles: object, kind: type = Summary, control: object = 1.0, names: object = "ABC", **more: object):
    profiles = np.array(profiles, dtype=np.float32)
    genes = np.array([*"ABXYZUVW", *(f"G{i}" for i in range(100))])[: profiles.shape[1]]
    control = np.broadcast_to(np.float32(control), profiles.shape[1:])
    names = np.array(list(names)[: len(profiles)])
    return kind(**{
        "perturbations": names, "genes": genes, "n_cells": np.full(len(names), 10), "profiles": profiles,
        "control": control, "de": de(np.zeros(profiles.shape))} | more)  # fmt: skip


def reference(profiles: object, **more: object) -> Reference:
    return summary(profiles, kind=Reference, **more)


TRUTH = reference(
    [[0.1, 1.5, 2.0, 1.0], [1.2, 0.2, 1.0, 3.0], [1.0, 1.4, 0.5, 1.1]], train_mean=TRAIN_MEAN, weights=WEIGHTS
)
PREDICTION = summary([[0.3, 1.5, 1.0, 1.2], [1.0, 0.4, 1.9, 1.0], [1.0, 1.2, 0.6, 1.1]])


# ---- error


def test_rmse_is_the_root_of_the_mean_of_squares():
    # differences .2 0 -1 .2;  -.2 .2 .9 -2;  0 -.2 .1 0
    expected = np.sqrt([(0.04 + 0 + 1 + 0.04) / 4, (0.04 + 0.04 + 0.81 + 4) / 4, (0 + 0.04 + 0.01 + 0) / 4])
    np.testing.assert_allclose(error.rmse(TRUTH, PREDICTION), expected, rtol=1e-6)


def test_weighted_mse_weighs_squares():
    # .1 x .04 + .3 x 1 + .4 x .04;  (.04 + .04 + .81 + 4) / 4;  only the gene that is right has weight
    expected = [0.004 + 0.3 + 0.016, 4.89 / 4, 0]
    np.testing.assert_allclose(error.weighted_mse(TRUTH, PREDICTION), expected, rtol=1e-6)


# ---- correlation with the train mean


def test_pearson_delta_train_mean_correlates_what_differs_from_the_train_mean():
    # A: measured -.9 .5 .8 -.4 has mean 0; predicted -.7 .5 -.2 -.2 has mean -.15, centred -.55 .65 -.05 -.05
    dot = 0.9 * 0.55 + 0.5 * 0.65 - 0.8 * 0.05 + 0.4 * 0.05
    expected = dot / np.sqrt((0.81 + 0.25 + 0.64 + 0.16) * (0.3025 + 0.4225 + 0.0025 + 0.0025))
    assert correlation.pearson_delta_train_mean(TRUTH, PREDICTION)[0] == pytest.approx(expected, abs=1e-6)


def test_the_controls_play_no_part_in_pearson_delta_train_mean():
    other = summary(PREDICTION.profiles, control=[5, 0, 1, 2])
    np.testing.assert_array_equal(
        correlation.pearson_delta_train_mean(TRUTH, other), correlation.pearson_delta_train_mean(TRUTH, PREDICTION)
    )


def test_the_train_mean_itself_scores_0_also_when_it_is_rounded():
    rng = np.random.default_rng(0)
    training = (rng.random((2_000, 500)) * 9).astype(np.float32)  # as high as log1p at 1e4 goes
    exact, sloppy = training.mean(axis=0, dtype=float), training.mean(axis=0)
    assert np.abs(exact - sloppy).max() > 1e-6
    truth = reference(rng.random((1, 500)) * 9, train_mean=exact, weights=np.full((1, 500), 1 / 500), names="P")
    for same in (exact, exact.astype(np.float32), sloppy, sloppy + np.float32(0.25)):
        assert correlation.pearson_delta_train_mean(truth, summary([same])).tolist() == [0]
    little = exact + 1e-3 * (truth.profiles[0] - exact)  # a small step in the right direction is not rounding
    assert correlation.pearson_delta_train_mean(truth, summary([little]))[0] == pytest.approx(1, abs=1e-3)


def test_a_perturbation_that_is_the_train_mean_scores_0():
    truth = reference([TRAIN_MEAN, TRAIN_MEAN + 0.5], train_mean=TRAIN_MEAN)
    assert correlation.pearson_delta_train_mean(truth, summary([[1, 2, 3, 4], [4, 1, 3, 2]])).tolist() == [0, 0]


def test_weighted_r2_by_hand():
    # A: D -.9 .5 .8 -.4, weighted mean -.09 + .1 + .24 - .16 = .09, deviations -.99 .41 .71 -.49
    spread = 0.1 * 0.9801 + 0.2 * 0.1681 + 0.3 * 0.5041 + 0.4 * 0.2401
    assert correlation.weighted_r2(TRUTH, PREDICTION)[0] == pytest.approx(1 - 0.32 / spread, abs=1e-6)


def test_weighted_r2_is_sklearns():
    rng = np.random.default_rng(1)
    weights = rng.random((3, 40)) ** 4
    weights /= weights.sum(axis=1, keepdims=True)
    profiles, predicted, train_mean = rng.random((3, 40)), rng.random((3, 40)), rng.random(40)
    truth = reference(profiles, train_mean=train_mean, weights=weights)
    expected = [
        sklearn.metrics.r2_score(profiles[p] - train_mean, predicted[p] - train_mean, sample_weight=weights[p])
        for p in range(3)
    ]
    np.testing.assert_allclose(correlation.weighted_r2(truth, summary(predicted)), expected, rtol=1e-5)
    # the train mean: minus the squared weighted mean of D over its weighted variance
    delta = profiles - train_mean
    centre = (weights * delta).sum(axis=1)
    expected = -(centre**2) / (weights * (delta - centre[:, None]) ** 2).sum(axis=1)
    np.testing.assert_allclose(correlation.weighted_r2(truth, summary([train_mean] * 3)), expected, rtol=1e-4)


def test_weighted_r2_of_a_constant_difference_is_1_for_the_right_prediction_and_else_0():
    # C has all weight on gene Y, where -.3 is measured, and the prediction is right there
    assert correlation.weighted_r2(TRUTH, PREDICTION)[2] == 1
    assert correlation.weighted_r2(TRUTH, summary(PREDICTION.profiles + 0.5))[2] == 0
    for predicted, value in (([3, 1], 1), ([2, 1], 0)):
        assert sklearn.metrics.r2_score([3, 1], predicted, sample_weight=[1, 0]) == value


# ---- the correlations of Csendes et al.

RNG = np.random.default_rng(2)
MANY = 30
T = RNG.permutation(np.arange(1, MANY + 1)) * RNG.choice([-1.0, 1.0], MANY)
P = RNG.permutation(np.linspace(1e-9, 0.9, MANY))
T[1], P[1] = -99, 0  # the target is among the top 20 of both
CSENDES = reference(
    RNG.random((1, MANY)) * 3, control=RNG.random(MANY) * 3, names="B", t_score=T[None], de=de([[0] * MANY], p=P[None])
)
GUESS = summary(RNG.random((1, MANY)) * 3, control=9.0, names="B")
GENES = {"": list(range(MANY)), "_top20_t_test": list(np.argsort(-np.abs(T))), "_top20_wilcoxon": list(np.argsort(P))}
"""What is taken from the front: all genes, or 20."""
NAMES = list(itertools.product(["pearson", "pearson_delta"], GENES, ["", "_without_target"]))
NAMES.remove(("pearson_delta", "", ""))  # the challenge's, each side against its own control


@pytest.mark.parametrize(("kind", "genes", "target"), NAMES)
def test_the_correlations_are_over_the_genes_that_they_name(kind: str, genes: str, target: str):
    # Csendes et al. drop the target before they take 20
    chosen = [g for g in GENES[genes] if not (target and g == 1)][: 20 if genes else None]
    zero = CSENDES.control if kind == "pearson_delta" else 0
    expected = np.corrcoef((CSENDES.profiles - zero)[0, chosen], (GUESS.profiles - zero)[0, chosen])[0, 1]
    assert getattr(correlation, kind + genes + target)(CSENDES, GUESS)[0] == pytest.approx(expected, abs=1e-6)


def test_pearson_of_three_genes_by_hand():
    # measured 1 2 6 centred -2 -1 3, predicted 0 4 5 centred -3 1 2: (6 - 1 + 6) / sqrt(14 x 14)
    assert correlation.pearson(reference([[1, 2, 6]]), summary([[0, 4, 5]])).tolist() == pytest.approx([11 / 14])
    # minus the control 1 1 2: 0 1 4 centred -5/3 -2/3 7/3 and -1 3 3 centred -8/3 4/3 4/3, A left out: up and flat
    truth, predicted = reference([[1, 2, 6]], control=[1, 1, 2]), summary([[0, 4, 6]])
    assert correlation.pearson_delta_without_target(truth, predicted)[0] == pytest.approx(1)
    # both change by 3
    assert correlation.pearson_delta_without_target(truth, summary([[0, 4, 5]])).tolist() == [0]


def test_both_targets_of_a_double_are_left_out_and_one_that_is_not_measured_is_not_missed():
    profiles, predicted = RNG.random((3, 8)), summary(RNG.random((3, 8)), names=["A+X", "X+nowhere", "nowhere"])
    truth = reference(profiles, names=["A+X", "X+nowhere", "nowhere"])
    kept = [[1, 3, 4, 5, 6, 7], [0, 1, 3, 4, 5, 6, 7], list(range(8))]
    expected = [np.corrcoef(profiles[p, kept[p]], predicted.profiles[p, kept[p]])[0, 1] for p in range(3)]
    np.testing.assert_allclose(correlation.pearson_without_target(truth, predicted), expected, atol=1e-6)


def test_correlations_of_a_constant_are_0():
    truth = reference([[1, 2, 3, 4]] * 2)
    assert correlation.pearson(truth, summary([[2] * 4, [3, 3, 3, 3 + 1e-5]])).tolist() == [0, 0]
    assert correlation.pearson(reference([[2] * 4]), summary([[1, 2, 3, 4]])).tolist() == [0]
    control_mean = summary([[1.0] * 4, [1, 1, 1, 1 + 1e-5]])
    assert correlation.pearson_delta_without_target(truth, control_mean).tolist() == [0, 0]
    for genes_left in (1, 0):
        few = [[1.0, 2.0][: genes_left + 1]]
        assert correlation.pearson_without_target(reference(few), summary(few)).tolist() == [0]


def test_equal_p_are_ordered_by_effect():
    effect = np.arange(1.0, 26.0)
    measured = reference([1 + effect], de=de([[0] * 25], p=np.zeros((1, 25))), names=["nowhere"])
    predicted = summary([RNG.random(25)])
    expected = np.corrcoef(effect[5:], predicted.profiles[0, 5:])[0, 1]  # the smallest five are not in
    assert correlation.pearson_top20_wilcoxon(measured, predicted)[0] == pytest.approx(expected, abs=1e-6)


# ---- PerturBench's cosine


def test_cosine_logfc_by_hand():
    # + .1: control 1, measured 2 .5 4 1, predicted 4 1 2 .5; log2: 1 -1 2 0 and 2 0 1 -1; (2 + 2) / (6 ^ .5 x 6 ^ .5)
    truth = reference([[1.9, 0.4, 3.9, 0.9]] * 3, control=0.9)
    prediction = summary([[3.9, 0.9, 1.9, 0.4], [1.9] * 4, [0.9] * 4], control=0.0)
    # a shift of all genes is seen: (1 - 1 + 2 + 0) / (6 ^ .5 x 4 ^ .5); no change is 0
    assert correlation.cosine_logfc(truth, prediction).tolist() == pytest.approx([4 / 6, 2 / np.sqrt(24), 0], abs=1e-6)


def test_cosine_logfc_is_sklearns():
    rng = np.random.default_rng(3)
    profiles, predicted, control = (rng.random(shape) * 3 for shape in ((3, 50), (3, 50), 50))
    logfc = [np.log2(side + 0.1) - np.log2(control + 0.1) for side in (profiles, predicted)]
    expected = np.diag(sklearn.metrics.pairwise.cosine_similarity(*logfc))
    truth = reference(profiles, control=control)
    np.testing.assert_allclose(correlation.cosine_logfc(truth, summary(predicted)), expected, atol=1e-6)


def test_the_control_mean_itself_has_no_direction_also_when_it_is_rounded():
    control = np.linspace(0, 9, 50)
    truth = reference([control + np.sin(np.arange(50)) ** 2], control=control)
    rounded = summary([control + RNG.choice([-1e-5, 1e-5], 50)])
    assert correlation.cosine_logfc(truth, rounded).tolist() == [0]
    assert correlation.cosine_logfc(reference([control], control=control), summary([control + 1])).tolist() == [0]


# ---- cz-benchmarks' Spearman


def screen_of_de_genes(n_pass: int) -> tuple[Reference, np.ndarray]:
    """n_pass genes of 14 pass the filter; their expression ascends, the others' would spoil any correlation."""
    fdr, change = np.full((1, 14), 1e-5), np.full((1, 14), -1.0)
    fdr[0, n_pass:], change[0, 13] = 1e-4, 3.0  # not below
    change[0, n_pass - 1] = 1.0
    fdr[0, 12], change[0, 12] = 1e-9, 0.99
    profile = np.linspace(1.5, 3, 14)
    profile[12:] = [9, 0]
    table = DETable(fdr, fdr, change)
    return reference([profile], control=1.0, names="B", de=table), profile


def test_masked_spearman_is_over_the_clear_de_genes():
    truth, predicted = screen_of_de_genes(10)
    predicted[12:] = [0, 9]
    predicted[[0, 1, 4, 5]] = predicted[[1, 0, 5, 4]]  # two pairs of neighbours swapped: 1 - 6 x 4 / (10 x 99)
    assert correlation.masked_spearman(truth, summary([predicted])).tolist() == pytest.approx([1 - 24 / 990])


def test_masked_spearman_is_undefined_below_10_genes():
    truth, predicted = screen_of_de_genes(9)
    assert np.isnan(correlation.masked_spearman(truth, summary([predicted]))).all()


def test_masked_spearman_ranks_fold_changes_not_differences():
    rng = np.random.default_rng(4)
    control, profiles, predicted = rng.random(40) * 4, rng.random((2, 40)) * 4, rng.random((2, 40)) * 4
    everything = DETable(*np.zeros((2, 2, 40)), np.full((2, 40), 2.0))
    truth = reference(profiles, control=control, de=everything)
    fold = [np.log(np.expm1(side) / np.expm1(control)) for side in (profiles, predicted)]
    expected = [scipy.stats.spearmanr(fold[0][p], fold[1][p]).statistic for p in range(2)]
    np.testing.assert_allclose(correlation.masked_spearman(truth, summary(predicted)), expected, atol=1e-9)
    difference = scipy.stats.spearmanr(fold[0][0], predicted[0] - control).statistic
    assert abs(expected[0] - difference) > 0.01


def test_masked_spearman_of_a_prediction_without_order_is_0():
    truth, _ = screen_of_de_genes(12)
    control_mean, rounded = np.ones(14), np.ones(14) + RNG.choice([-1e-5, 1e-5], 14)
    for same in (control_mean, rounded, control_mean + 0.5):
        assert correlation.masked_spearman(truth, summary([same])).tolist() == [0]
    silent = reference(truth.profiles, control=[0.0, *[1.0] * 13], de=truth.de, names="B")  # an infinite fold change
    assert correlation.masked_spearman(silent, summary(truth.profiles))[0] == pytest.approx(1)


# ---- discrimination

PLACES = reference([[0, 0], [3, 4], [6, 8]], names="PQR")
GUESSES = summary([[3, 4], [3.1, 4], [4, 5]], names="PQR")


def test_centroid_accuracy_counts_the_measured_profiles_that_are_farther():
    # from 3,4: P 5, Q 0, R 5 (no farther than P);  from 3.1,4: Q .1, the others farther;  from 4,5: R 3.6, Q 1.4, P 6.4
    assert discrimination.centroid_accuracy(PLACES, GUESSES).tolist() == [0, 1, 0.5]


def test_centroid_accuracy_ranks_among_all_that_were_measured():
    others = np.array([[3, 4.5], [30, 40]])
    # from 3,4: one of Q, R (R as far) and the distant other of 4;  from 3.1,4: all;  from 4,5: P, and the distant other
    truth = replace(PLACES, others=others)
    assert discrimination.centroid_accuracy(truth, GUESSES).tolist() == [0.25, 1, 0.5]
    alone = replace(PLACES.select(np.array([1])), others=others)
    assert discrimination.centroid_accuracy(alone, GUESSES.select(np.array([1]))).tolist() == [1]


def test_the_courses_pds_leaves_out_both_targets_of_a_double():
    # gene A differs hugely in the prediction of A+B, where it is one of its own
    truth = reference([[0, 5, 1, 0], [0, 1, 0, 3]], control=0.0, names=["A+B", "C"])
    guess = summary([[9, 0, 1, 0], [0, 1, 0, 3]], control=0.0, names=["A+B", "C"])
    assert discrimination.discrimination_score_l1_midrank(truth, guess).tolist() == [1, 1]
    # the challenge's tool looks for a gene named A+B: 9 + 5 to its own, 9 + 1 + 1 + 3 to the other, a tie
    assert np.abs(guess.profiles[0] - truth.profiles).sum(axis=1).tolist() == [14, 14]


def test_rank_counts_the_predictions_that_are_nearer():
    # to P: 5, 5.06, 6.4: own first;  to Q: 0, .1, 1.4: own second;  to R: 5, 4.9, 3.6: own first
    assert discrimination.rank(PLACES, GUESSES).tolist() == [0, 0.5, 0]


@pytest.mark.parametrize("n", [2, 3, 24])
def test_a_constant_prediction_scores_one_half_on_average(n: int):
    rng = np.random.default_rng(n)
    names = [f"P{i}" for i in range(n)]
    truth, same = reference(rng.random((n, 5)), names=names), summary([[0.4, 0.5, 0.7, 0.2, 0.1]] * n, names=names)
    assert discrimination.centroid_accuracy(truth, same).mean() == pytest.approx(0.5)
    assert discrimination.rank(truth, same).tolist() == [0.5] * n


def test_ties_do_not_count_in_centroid_accuracy_and_half_in_rank():
    truth = reference([[0, 0], [0, 0], [9, 9]], names="PQR")
    assert discrimination.centroid_accuracy(truth, truth).tolist() == [0.5, 0.5, 1]
    assert discrimination.rank(truth, truth).tolist() == [0.25, 0.25, 0]


def test_one_perturbation_cannot_be_confused():
    one = reference([[1, 2]])
    assert np.isnan([discrimination.centroid_accuracy(one, one), discrimination.rank(one, one)]).all()


# ---- overlap


def test_top_k_recall_is_the_share_of_50_genes():
    measured = (60.0 - np.arange(60)) * np.resize([1, -1], 60)  # the first 50
    predicted = (1.0 + np.arange(60)) * np.resize([1, 1, -1], 60)  # the last 50
    truth, guess = (summary(np.ones((1, 60)), t_score=t[None]) for t in (measured, predicted))
    assert overlap.top_k_recall(truth, guess).tolist() == [40 / 50]


def test_top_k_recall_of_few_genes():
    # A B Y differ; predicted: X Y B.  Nothing is predicted.  Nothing is measured.  Ties in the order of genes: A B X
    nothing = [0, np.nan, 1e-9, 0]
    measured = [[5, -4, 0, 3], [5, -4, 0, 3], nothing, [5, -4, 0, 3]]
    predicted = [[0, 1, -9, 2], nothing, [5, -4, 0, 3], [2, 2, -2, 2]]
    truth, guess = (summary(np.ones((4, 4)), names="ABCD", t_score=np.array(t)) for t in (measured, predicted))
    np.testing.assert_allclose(overlap.top_k_recall(truth, guess), [2 / 3, 0, np.nan, 2 / 3])


def test_de_count_error_counts_doublings():
    truth = summary(np.ones((4, 4)), names="ABCD", de=de([[1, 1, 1, 0], [0] * 4, [0] * 4, [1] * 4]))
    guess = summary(np.ones((4, 4)), names="ABCD", de=de([[0, 0, 0, 1], [0] * 4, [1, 0, 1, 1], [0] * 4]))
    # log2(2 / 4), log2(1 / 1), log2(4 / 1), log2(1 / 5)
    assert overlap.de_count_error(truth, guess).tolist() == pytest.approx([1, 0, 2, np.log2(5)])


# ---- energy


def cells(*groups: object, kind: type = Summary) -> Summary:
    groups = [np.asarray(group, dtype=np.float32) for group in groups]
    n_cells, names = np.array([len(group) for group in groups]), [f"P{i}" for i in range(len(groups))]
    return summary(np.ones((len(groups), 4)), kind, names=names, n_cells=n_cells, points=np.concatenate(groups))


def test_e_distance_by_hand():
    # {0, 2} and {1, 5}: between 1, 5, 1, 3, so 2 x 2.5; within 2 and 4, no cell with itself
    assert energy.e_distance(cells([[1], [5]]), cells([[0], [2]])).tolist() == [5 - 2 - 4]
    # (0, 0), (0, 0) and (3, 4), (3, 4): 2 x 5, not 2 x 25
    assert energy.e_distance(cells([[0, 0]] * 2), cells([[3, 4]] * 2)).tolist() == [10]


def u_statistic(x: np.ndarray, y: np.ndarray) -> float:
    """Energy distance of Szekely and Rizzo (2013) with unbiased within-sample means, by SciPy's distances."""
    between = scipy.spatial.distance.cdist(x, y).mean()
    return 2 * between - sum(scipy.spatial.distance.pdist(side).mean() for side in (x, y))


def unlike_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    x, y = [rng.normal(size=(n, 3)) for n in (11, 40, 50)], [rng.normal(1, 2, size=(n, 3)) for n in (30, 40, 70)]
    return [(a.astype(np.float32).astype(float), b.astype(np.float32).astype(float)) for a, b in zip(x, y, strict=True)]


def test_e_distance_is_the_u_statistic():
    x, y = zip(*unlike_pairs(), strict=True)
    np.testing.assert_allclose(energy.e_distance(cells(*x), cells(*y)), list(map(u_statistic, x, y)), rtol=1e-6)


@pytest.mark.slow  # dcor compiles itself for most of a minute when it is imported
def test_e_distance_is_dcors():
    import dcor

    x, y = zip(*unlike_pairs(), strict=True)
    expected = [dcor.energy_distance(*pair, estimation_stat="u_statistic") for pair in zip(x, y, strict=True)]
    np.testing.assert_allclose(energy.e_distance(cells(*x), cells(*y)), expected, rtol=1e-6)


def test_cells_of_one_distribution_are_0_apart_on_average_however_many():
    rng = np.random.default_rng(9)
    for n_truth, n_prediction in ((20, 20), (20, 200), (100, 150)):
        draws = [[rng.normal(size=(n, 3)) for _ in range(200)] for n in (n_truth, n_prediction)]
        values = energy.e_distance(*(cells(*side) for side in draws))
        assert abs(values.mean()) < 3 * values.std() / np.sqrt(200)


def test_few_cells_buy_no_nearness():
    rng = np.random.default_rng(10)
    real = rng.normal(size=(60, 3))
    far = np.array([[50.0, 0, 0], [-50, 0, 0]])
    assert u_statistic(real, far) < -2  # nearer than any sample
    honest, opposite, one = energy.e_distance(cells(real, real, real), cells(rng.normal(size=(60, 3)), far, real[:1]))
    assert abs(honest) < 0.2
    assert opposite > 10
    assert one > 0.5


def test_e_distance_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(6)
    truth, prediction = cells(rng.normal(size=(23, 3))), cells(rng.normal(1, 1, size=(17, 3)))
    whole = energy.e_distance(truth, prediction)
    assert whole > 0
    monkeypatch.setattr(energy, "ROWS", 5)
    np.testing.assert_allclose(energy.e_distance(truth, prediction), whole, rtol=1e-12)


def test_e_distance_sees_the_spread_that_means_do_not():
    rng = np.random.default_rng(7)
    real = rng.normal(size=(200, 3))
    all_equal = np.repeat(real.mean(axis=0)[None], 200, axis=0)
    other_half = rng.normal(size=(200, 3))
    assert energy.e_distance(cells(real), cells(all_equal)) > 10 * energy.e_distance(cells(real), cells(other_half)) > 0


def test_no_cells_are_undefined():
    some, none = np.random.default_rng(8).normal(size=(40, 3)), np.empty((0, 3))
    values = energy.e_distance(cells(none, some, none, some[:1]), cells(some, none, none, some))
    assert np.isnan(values).all()


# ---- t scores and weights


def counts() -> tuple[np.ndarray, np.ndarray]:
    """9 control cells and 12, 7, 15 of P, Q, R; 40 genes, one silent in all, one in the controls and P only."""
    rng = np.random.default_rng(9)
    groups = rng.permutation(np.repeat([0, 1, 2, 3], [9, 12, 7, 15]))
    level = rng.gamma(2, 1, size=(4, 40))
    x = np.log1p(rng.poisson(level[groups])).astype(np.float32)
    x[:, 39] = 0
    x[groups < 2, 38] = 0
    return x, groups


def moments(x: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = x.astype(float)
    group = [groups == g for g in range(groups.max() + 1)]
    return np.stack([x[g].sum(0) for g in group]), np.stack([(x[g] ** 2).sum(0) for g in group]), np.bincount(groups)


def ranked(x: np.ndarray, groups: np.ndarray, **options: object) -> list:
    """Scanpy's table of every perturbation, best first."""
    names = np.array(["control", "P", "Q", "R"])
    adata = anndata.AnnData(x, obs={"group": names[groups]}, var={"gene": np.arange(x.shape[1])})
    adata.obs["group"] = adata.obs["group"].astype("category")
    with np.errstate(invalid="ignore"):
        scanpy.tl.rank_genes_groups(adata, "group", **options)
    tables = [scanpy.get.rank_genes_groups_df(adata, name) for name in "PQR"]
    return [table.assign(gene=table["names"].astype(int)) for table in tables]


def test_welch_t_is_scanpys_t_test():
    x, groups = counts()
    t = welch_t(*moments(x, groups))
    assert t.dtype == np.float32
    assert t[:, 39].tolist() == [0, 0, 0]
    for row, table in enumerate(ranked(x, groups, reference="control", method="t-test")):
        np.testing.assert_allclose(t[row], table.set_index("gene")["scores"].sort_index(), rtol=1e-5, atol=1e-7)


def test_welch_t_by_hand():
    # control 0 2 (mean 1, variance 2), perturbation 3 4 8 (mean 5, variance 7): 4 / sqrt(7 / 3 + 2 / 2)
    t = welch_t(np.array([[2.0], [15.0]]), np.array([[4.0], [89.0]]), np.array([2, 3]))
    assert t[0, 0] == pytest.approx(4 / np.sqrt(7 / 3 + 1))


def test_welch_t_of_one_cell_or_none_is_0():
    with np.errstate(all="raise"):
        t = welch_t(np.array([[2.0], [5.0], [0.0]]), np.array([[4.0], [25.0], [0.0]]), np.array([2, 1, 0]))
    assert t.tolist() == [[0], [0]]


def test_weights_are_made_of_scanpys_t_against_the_other_perturbations():
    x, groups = counts()
    weights = change_weights(*moments(x, groups))
    perturbed = groups > 0
    for row, table in enumerate(ranked(x[perturbed], groups[perturbed], method="t-test_overestim_var")):
        t = np.abs(table.set_index("gene")["scores"].sort_index().to_numpy(dtype=float))
        share = (t - t.min()) / (t.max() - t.min())
        np.testing.assert_allclose(weights[row], share**2 / (share**2).sum(), rtol=1e-4, atol=1e-9)


def test_weights_by_hand():
    # P 0 2 (mean 1, variance 2), the others 3 4 8 (mean 5, variance 7): |t| 4 / sqrt(9 / 2); gene 2: 1 / sqrt(1 / 2);
    # gene 3: 0. Shares 1, .75, 0 of 1.886, squared 1, .5625, 0
    cells_of_p, others = np.array([[0, 1, 2], [2, 1, 2]]), np.array([[3, 1, 1], [4, 2, 2], [8, 3, 3]])
    groups = np.repeat([0, 1, 2], [4, 2, 3])
    weights = change_weights(*moments(np.concatenate([np.full((4, 3), 7), cells_of_p, others]), groups))
    share = np.sqrt(2) / (4 / np.sqrt(4.5))
    np.testing.assert_allclose(weights[0], np.array([1, share**2, 0]) / (1 + share**2), rtol=1e-9)
    assert share == pytest.approx(0.75)


def test_weights_are_equal_where_there_is_nothing_to_compare():
    x, groups = counts()
    sums, squares, n = moments(x, groups)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(change_weights(sums[:2], squares[:2], n[:2]), np.full((1, 40), 1 / 40))
        none = np.zeros((1, 40))
        extended = change_weights(np.r_[sums, none], np.r_[squares, none], np.r_[n, 0])
    np.testing.assert_array_equal(extended[3], np.full(40, 1 / 40))
    np.testing.assert_allclose(extended[:3], change_weights(sums, squares, n))


@pytest.mark.parametrize("test", ["t_test", "wilcoxon"])
def test_the_top_20_are_scanpys(test: str):
    x, groups = counts()
    profiles = np.stack([x[groups == g].mean(axis=0) for g in range(4)])
    with np.errstate(invalid="ignore"):
        p = [scipy.stats.mannwhitneyu(x[groups == g], x[groups == 0], method="asymptotic").pvalue for g in (1, 2, 3)]
    table = de(np.zeros((3, 40)), p=np.nan_to_num(p, nan=1.0))
    truth = reference(profiles[1:], control=profiles[0], names="PQR", t_score=welch_t(*moments(x, groups)), de=table)
    predicted = summary(RNG.random((3, 40)))
    options = {"method": "t-test"} if test == "t_test" else {"method": "wilcoxon", "tie_correct": True}
    tables = ranked(x, groups, reference="control", rankby_abs=True, **options)
    for row, table in enumerate(tables):
        genes = table["gene"].to_numpy()[:20]
        expected = np.corrcoef(truth.profiles[row, genes], predicted.profiles[row, genes])[0, 1]
        values = getattr(correlation, f"pearson_top20_{test}")(truth, predicted)
        assert values[row] == pytest.approx(expected, abs=1e-6)


# ---- all of them

BEST = {
    error.rmse: 0, error.weighted_mse: 0, correlation.pearson_delta_train_mean: 1, correlation.weighted_r2: 1,
    correlation.pearson: 1, correlation.pearson_delta_top20_t_test: 1,
    correlation.pearson_delta_top20_wilcoxon_without_target: 1, correlation.cosine_logfc: 1,
    correlation.masked_spearman: 1, discrimination.centroid_accuracy: 1, discrimination.rank: 0,
    overlap.top_k_recall: 1, overlap.de_count_error: 0,
}  # fmt: skip


def whole() -> Reference:
    rng = np.random.default_rng(10)
    weights = rng.random((3, 60))
    return reference(
        rng.random((3, 60)) * 4,
        control=rng.random(60) * 4,
        n_cells=np.array([2, 0, 3]),
        de=DETable(rng.random((3, 60)), rng.random((3, 60)) * 1e-4, np.full((3, 60), 2.0)),
        t_score=rng.normal(size=(3, 60)),
        points=rng.normal(size=(5, 2)),
        train_mean=rng.random(60),
        weights=weights / weights.sum(axis=1, keepdims=True),
    )


@pytest.mark.parametrize("metric", BEST)
def test_a_perfect_prediction_has_the_best_value(metric: object):
    truth = whole()
    values = metric(truth, truth)
    assert values.dtype == float
    assert values.shape == (3,)
    np.testing.assert_allclose(np.delete(values, 1), BEST[metric], atol=1e-9)
    assert values[1] == pytest.approx(BEST[metric], abs=1e-9)


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([True, False, True]), np.array([1]), slice(1, None)])
def test_select_keeps_the_rows_of_everything(rows: object):
    truth = whole()
    part = truth.select(rows)
    order = np.arange(3)[rows]
    assert type(part) is Reference
    assert part.perturbations.tolist() == truth.perturbations[order].tolist()
    for name in ("n_cells", "profiles", "t_score", "weights"):
        np.testing.assert_array_equal(getattr(part, name), getattr(truth, name)[order])
    for kept, column in zip(part.de, truth.de, strict=True):
        np.testing.assert_array_equal(kept, column[order])
    np.testing.assert_array_equal(part.train_mean, truth.train_mean)
    np.testing.assert_array_equal(part.control, truth.control)
    blocks = [truth.points[:2], truth.points[2:2], truth.points[2:]]
    np.testing.assert_array_equal(part.points, np.concatenate([blocks[row] for row in order]))


def test_select_keeps_absent_fields_absent():
    part = PREDICTION.select(np.array([2]))
    assert type(part) is Summary
    assert part.t_score is None
    assert part.points is None


def test_what_a_summary_was_made_without_is_named():
    bare = reference([[0.1, 1.5, 2.0, 1.0]])
    with pytest.raises(ValueError, match="needs the train mean, without which"):
        correlation.pearson_delta_train_mean(bare, bare)
    with pytest.raises(ValueError, match="needs t scores"):
        overlap.top_k_recall(bare, bare)
