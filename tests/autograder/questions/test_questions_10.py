"""The values due in notebook 10 are those of scikit-learn, SciPy and the kit's own splits, or found by hand."""

import importlib

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from scipy.spatial.distance import cosine
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from autograder.questions.question import Case, Question
from data_scripts.perturbench.seen import seen_group

QUESTIONS = {
    question.name: question for question in importlib.import_module("autograder.questions.10_beyond").QUESTIONS
}
SEEDS = (0, 7, 2026)


def question(name: str) -> Question:
    return QUESTIONS[name]


def cases(name: str) -> list[Case]:
    return [case for seed in SEEDS for case in question(name).cases(seed, data=None)]


def test_shared_genes_are_those_of_numpy():
    for case in cases("shared_genes"):
        lists = case.inputs["first"], case.inputs["second"]
        due = [[len(np.intersect1d(one, other)) for other in lists[1]] for one in lists[0]]
        np.testing.assert_array_equal(case.due, due)
        assert (np.diagonal(case.due) > np.delete(case.due, 0, axis=1).mean()).all()


def test_the_factor_is_that_of_a_regression_through_zero():
    for case in cases("shrink_factor"):
        old, new = case.inputs["old"], case.inputs["new"]
        regression = LinearRegression(fit_intercept=False).fit(old.reshape(-1, 1), new.ravel())
        assert case.due == pytest.approx(regression.coef_[0])


def test_few_shot_is_a_gaussian_process_on_what_the_factor_leaves():
    """Ridge is the mean of a Gaussian process with a linear kernel and the penalty as noise (Rasmussen & Williams)."""
    for case in cases("few_shot"):
        old, new, wanted, factor, penalty = (
            case.inputs[name] for name in ("old", "new", "wanted", "factor", "penalty")
        )
        rest = new - factor * old
        process = GaussianProcessRegressor(DotProduct(sigma_0=0, sigma_0_bounds="fixed"), alpha=penalty)
        process.fit(old - old.mean(axis=0), rest - rest.mean(axis=0))
        due = factor * wanted + rest.mean(axis=0) + process.predict(wanted - old.mean(axis=0))
        np.testing.assert_allclose(case.due, due, rtol=1e-6)


def test_weights_of_an_interaction_are_those_that_leave_least():
    for case in cases("interaction"):
        for first, second, double, due in zip(*case.inputs.values(), case.due, strict=True):

            def left(weights, first=first, second=second, double=double):
                return ((double - weights[0] * first - weights[1] * second) ** 2).sum() / (double**2).sum()

            found = scipy.optimize.minimize(left, [1.0, 1.0])
            np.testing.assert_allclose(due, [*found.x, found.fun], rtol=1e-4, atol=1e-4)


def test_genes_seen_are_those_by_which_the_kit_splits():
    for case in cases("count_seen"):
        genes = {gene for name in case.inputs["training"] for gene in name.split("+")}
        groups = [seen_group(double, genes) for double in case.inputs["doubles"]]
        assert [f"combo_seen{n}" for n in case.due] == groups
        assert set(case.due) == {0, 1, 2}


def test_parts_by_hand():
    effects = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    due = question("sum_of_parts").due(
        training=["A", "B", "A+C"], effects=effects, wanted=["A+B", "C+X", "B+C"], penalty=1e-12
    )
    # A (1, 0), B (0, 2), C (2, 1): on average (1, 1)
    np.testing.assert_allclose(due, [[1, 2], [3, 2], [2, 3]], atol=1e-9)


def test_a_penalty_pulls_a_part_to_nothing():
    due = question("sum_of_parts").due(training=["A"], effects=np.array([[6.0]]), wanted=["A+B"], penalty=2.0)
    assert due.item() == pytest.approx(4.0)  # a part of 6 / (1 + 2), twice


def test_places_by_hand():
    similarity = np.array([[0.3, 0.9, 0.3, 0.1], [0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.8, 0.0]])
    np.testing.assert_allclose(question("true_ranks").due(similarity=similarity), [2.5, 2.5, 1.0])


def test_retrieval_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    n, k = 17, 4
    likeness = rng.random((n, n)) + 0.3 * np.eye(n)
    ranks = question("true_ranks").due(similarity=likeness)
    due = question("retrieval").due(ranks=ranks, n_candidates=n, k=k, draws=np.arange(n)[None])
    # with one right answer each, average precision is the reciprocal rank
    assert due[0, 0] == pytest.approx(label_ranking_average_precision_score(np.eye(n), likeness))
    assert due[1, 0] == pytest.approx(top_k_accuracy_score(np.arange(n), likeness, k=k))
    np.testing.assert_allclose(due[:, 1:3], due[:, [0, 0]])  # the one draw is the sample itself


def test_chance_by_hand():
    given = {"ranks": np.array([2.0]), "draws": np.zeros((1, 1), int)}
    due = question("retrieval").due(n_candidates=4, k=3, **given)
    np.testing.assert_allclose(due[:, 3], [(1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, 3 / 4])
    due = question("retrieval").due(n_candidates=40, k=5, **given)
    harmonic = scipy.special.digamma(41) + np.euler_gamma  # 1 + 1/2 + ... + 1/40
    np.testing.assert_allclose(due[:, 3], [harmonic / 40, 5 / 40])


def test_evidence_by_hand():
    effects = np.array([[[1.0, 2.0], [9, 9]], [[3, 4], [5, 6]], [[7, 9], [9, 9]]])  # lines x targets x genes
    measured = np.array([[True, False], [True, True], [True, False]])
    due = question("evidence").due(effects=effects, measured=measured)
    np.testing.assert_allclose(due, [[[5, 6.5], [5, 6]], [[4, 5.5], [0, 0]], [[2, 3], [5, 6]]])


def test_the_small_pie_is_kernel_ridge_on_three_sources():
    def kernel(one: np.ndarray, other: np.ndarray) -> float:
        """Compare two pairs, each a row of control, knowledge and evidence side by side."""
        (line, other_line), (target, other_target), told = zip(
            *(np.split(pair, [n, n + m]) for pair in (one, other)), strict=True
        )
        lines, targets = 1 - cosine(line, other_line), 1 - cosine(target, other_target)
        return np.exp(10 * (lines - 1)) * (np.exp(4 * (targets - 1)) + told[0] @ told[1])

    for case in cases("small_pie"):
        rows = [np.hstack([*case.inputs[name].values()]) for name in ("known", "asked")]
        n, m = (case.inputs["known"][name].shape[1] for name in ("control", "knowledge"))
        model = KernelRidge(alpha=case.inputs["penalty"], kernel=kernel).fit(rows[0], case.inputs["effects"])
        np.testing.assert_allclose(case.due, model.predict(rows[1]), rtol=1e-8)


def test_every_question_knows_four_usual_mistakes():
    assert [name for name in QUESTIONS if len(QUESTIONS[name].mistakes) < 4] == []
