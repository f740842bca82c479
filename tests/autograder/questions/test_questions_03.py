"""The values due in notebook 03 are those of cell-eval 0.8.2, of SciPy, or of a calculation by hand."""

import importlib

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats
from cell_eval._types import PerturbationAnndataPair, initialize_de_comparison
from cell_eval.metrics._anndata import discrimination_score, mae, pearson_delta
from cell_eval.metrics._de import de_overlap_metric

from autograder.questions.question import Case, Question
from starter.schema import CONTROL, TARGET_GENE

QUESTIONS = {
    question.name: question for question in importlib.import_module("autograder.questions.03_metrics").QUESTIONS
}
SEEDS = (0, 7, 2026)


def question(name: str) -> Question:
    return QUESTIONS[name]


def cases(name: str) -> list[Case]:
    return [case for seed in SEEDS for case in question(name).cases(seed, data=None)]


def pair(
    measured: np.ndarray, predicted: np.ndarray, control: np.ndarray, targets: list[str], genes: list[str]
) -> PerturbationAnndataPair:
    """What cell-eval compares, with one cell a perturbation and one control cell."""
    obs = pd.DataFrame({TARGET_GENE: [CONTROL, *targets]}, index=[CONTROL, *targets])
    sides = [anndata.AnnData(np.vstack([control, x]), obs, pd.DataFrame(index=genes)) for x in (measured, predicted)]
    return PerturbationAnndataPair(*sides, pert_col=TARGET_GENE, control_pert=CONTROL)


def names(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{number:03d}" for number in range(n)]


def test_mae_is_that_of_cell_eval():
    for case in cases("mae"):
        n_perturbations, n_genes = case.inputs["measured"].shape
        targets = names("P", n_perturbations)
        theirs = mae(pair(**case.inputs, control=np.zeros(n_genes), targets=targets, genes=names("G", n_genes)))
        np.testing.assert_allclose(case.due, [theirs[target] for target in targets], rtol=1e-9)


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_pearson_delta_is_that_of_cell_eval():
    n_constant = 0
    for case in cases("pearson_delta"):
        measured, predicted, reference = (case.inputs[name] for name in ("measured", "predicted", "reference"))
        genes = names("G", measured.shape[1])
        for row, due in enumerate(case.due):
            control = reference if reference.ndim == 1 else reference[row]
            theirs = pearson_delta(pair(measured[[row]], predicted[[row]], control, ["P"], genes))["P"]
            if np.isnan(theirs):  # the course gives 0
                assert due == 0
                n_constant += 1
            else:
                assert due == pytest.approx(float(theirs), abs=1e-9)
    assert n_constant == 2 * len(cases("pearson_delta"))  # a measured and a predicted one


def test_pds_is_that_of_cell_eval_but_for_ties_and_the_denominator():
    n_tied = 0
    for case in cases("pds"):
        measured, predicted = case.inputs["measured"], case.inputs["predicted"]
        targets, n = list(measured.index), len(measured)
        theirs = discrimination_score(
            pair(
                measured.to_numpy(), predicted.to_numpy(), np.zeros(measured.shape[1]), targets, list(measured.columns)
            )
        )
        for target, due in zip(targets, case.due, strict=True):
            same = 1 - (1 - theirs[target]) * n / (n - 1)
            if due == pytest.approx(same, abs=1e-9):
                continue
            distance = (measured - predicted.loc[target]).drop(columns=target, errors="ignore").abs().sum(axis=1)
            assert (distance == distance[target]).sum() == 2
            assert abs(due - same) == pytest.approx(0.5 / (n - 1))
            n_tied += 1
    assert n_tied > 0


@pytest.mark.filterwarnings("ignore:the string cache has been replaced")
def test_des_is_that_of_cell_eval():
    for case in cases("des"):
        n_perturbations, n_genes = case.inputs["measured_fdr"].shape
        targets, genes = names("P", n_perturbations), names("G", n_genes)
        sides = [
            pl.DataFrame(
                {
                    "target": np.repeat(targets, n_genes),
                    "feature": np.tile(genes, n_perturbations),
                    "log2_fold_change": case.inputs[f"{side}_fold"].ravel(),
                    "p_value": case.inputs[f"{side}_fdr"].ravel(),
                    "fdr": case.inputs[f"{side}_fdr"].ravel(),
                }
            )
            for side in ("measured", "predicted")
        ]
        theirs = de_overlap_metric(initialize_de_comparison(*sides), k=None)
        # without a measured gene, 2025 gives 0 and the course nothing
        np.testing.assert_allclose(np.nan_to_num(case.due), [theirs[target] for target in targets], atol=1e-6)
        n_measured = (case.inputs["measured_fdr"] < 0.05).sum(axis=1)
        np.testing.assert_array_equal(np.isnan(case.due), n_measured == 0)


def test_who_sorts_by_sign_is_told_from_who_sorts_from_the_smallest():
    by_sign, smallest_first = (
        next(mistake.meaning for mistake in question("des").mistakes if mistake.meaning.startswith(start))
        for start in ("genes are ordered by signed", "the smallest change comes first")
    )
    for seed in range(100):
        told = question("des").cases(seed, data=None)
        assert any(
            not np.allclose(case.mistakes[by_sign], case.mistakes[smallest_first], equal_nan=True) for case in told
        )


def test_the_interval_is_that_of_scipy_for_the_same_draws():
    for case in cases("bootstrap_interval"):
        values, n_draws = case.inputs["values"], len(case.inputs["draws"])
        draws = np.random.default_rng(11).integers(0, len(values), (n_draws, len(values)))
        theirs = scipy.stats.bootstrap(
            (values,), np.mean, n_resamples=n_draws, method="percentile", rng=np.random.default_rng(11)
        ).confidence_interval
        np.testing.assert_allclose(question("bootstrap_interval").due(values=values, draws=draws), theirs, rtol=1e-12)


def test_the_other_values_due_are_those_calculated_by_hand():
    shifted = question("shifted_cells").due(
        profile=np.array([1.0, 0.0, 2.0]), control_cells=np.array([[0.0, 1.0, 3.0], [1.0, 0.5, 0.0]])
    )
    # means of the controls .5, .75, 1.5; effects .5, -.75, .5
    np.testing.assert_allclose(shifted, [[0.5, 0.25, 3.5], [1.5, 0.0, 0.5]])

    shares = question("dynamic_range").due
    baseline, replicate = np.array([0.5, 0.6, 0.2]), np.array([0.75, 0.7, 0.9])  # ways of .5, .25 and .875
    assert shares(baseline=baseline, replicate=replicate, best=1.0, higher_is_better=True) == pytest.approx(
        0.5, rel=1e-4
    )
    errors, smaller = np.array([0.4, 0.2, 0.5, 0.1]), np.array([0.1, 0.15, 0.6, 0.9])  # .75, .25, -.2, and -8 as -1
    assert shares(baseline=errors, replicate=smaller, best=0.0, higher_is_better=False) == pytest.approx(
        0.025, rel=1e-3
    )

    measured = [np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[0.0], [1.0], [2.0]])]  # variances 2 and 0; 1
    predicted = [np.array([[1.0, 0.0], [1.0, 3.0]]), np.array([[1.0], [1.0]])]  # 0 and 4.5; 0
    assert question("spread_ratio").due(measured=measured, predicted=predicted) == pytest.approx(np.median([2.25, 0]))
