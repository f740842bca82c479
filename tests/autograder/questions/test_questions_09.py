"""The values due in notebook 09 are those of the reference tool, of SciPy, or of the kit where it does the same."""

import importlib

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.sparse
from cell_eval import score_agg_metrics

from autograder.questions.question import Case
from starter.data.preprocess import log_expression
from starter.prediction.requirements import Requirements
from starter.prediction.season_2026 import check_labels
from starter.schema import CONTEXT, TARGET_GENE
from starter.scoring.metrics.rule_sets import get_rule_set

STAGE = importlib.import_module("autograder.questions.09_vcc_submission")
QUESTIONS = {question.name: question for question in STAGE.QUESTIONS}
SEEDS = (0, 7, 2026)


def cases(name: str) -> list[Case]:
    return [case for seed in SEEDS for case in QUESTIONS[name].cases(seed, data=None)]


@pytest.mark.parametrize("case", cases("challenge_score"))
def test_the_score_is_that_of_cell_eval(case: Case, tmp_path):
    names = ("overlap_at_N", "discrimination_score_l1", "mae")
    paths = []
    for side in ("values", "baseline"):
        numbers = {
            "statistic": ["mean"],
            **{name: [value] for name, value in zip(names, case.inputs[side], strict=True)},
        }
        paths.append(tmp_path / f"{side}.csv")
        pd.DataFrame(numbers).to_csv(paths[-1], index=False)
    score_agg_metrics(*map(str, paths), output=str(tmp_path / "score.csv"))
    theirs = pd.read_csv(tmp_path / "score.csv").set_index("metric")["from_baseline"]
    assert case.due[0] == pytest.approx(theirs["avg_score"], abs=1e-9)
    rules = get_rule_set("vcc2025")
    metrics = {metric.name: metric for metric in rules.metrics}
    pairs = zip(names, case.inputs["values"], case.inputs["baseline"], strict=True)
    unclipped = [rules.unclipped(metrics[name], value, baseline, np.nan) for name, value, baseline in pairs]
    assert case.due[1] == pytest.approx(np.mean(unclipped))
    assert case.due[1] < case.due[0]


@pytest.mark.parametrize("case", cases("shrinkage"))
def test_no_other_factor_has_a_smaller_error(case: Case):
    predicted, measured, mean = case.inputs.values()

    def error(factor: float) -> float:
        return float(((measured - mean - factor * (predicted - mean)) ** 2).sum())

    assert case.due == pytest.approx(scipy.optimize.minimize_scalar(error).x, abs=1e-6)
    assert 0 < case.due < 1


@pytest.mark.parametrize("case", cases("stack_weights"))
def test_the_weights_are_those_of_two_solvers(case: Case):
    predicted, measured = case.inputs.values()
    columns = predicted.reshape(len(predicted), -1).T
    np.testing.assert_allclose(case.due, scipy.optimize.nnls(columns, measured.ravel())[0], atol=1e-9)
    bounded = scipy.optimize.lsq_linear(columns, measured.ravel(), (0, np.inf), tol=1e-14)
    np.testing.assert_allclose(case.due, bounded.x, atol=1e-6)
    assert case.due.min() == 0  # least squares alone would give a weight below 0


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_come_back_from_the_kits_logs(seed: int):
    rng = np.random.default_rng(seed)
    counts = scipy.sparse.csr_matrix(rng.negative_binomial(0.4, 0.2, (20, 30)).astype(np.float32))
    n_umis = rng.uniform(200, 9_000, 20).round()
    logs = log_expression(counts, n_umis, 3_000)
    came = QUESTIONS["to_counts"].due(logs, n_umis, 3_000)
    np.testing.assert_array_equal(came.toarray(), counts.toarray())


@pytest.mark.parametrize("case", cases("cells_lacking"))
def test_what_lacks_is_what_the_check_of_an_upload_finds(case: Case):
    context, target_gene, contexts, perturbations, n_cells = case.inputs.values()
    labels = pd.DataFrame({TARGET_GENE: target_gene, CONTEXT: context})
    required = Requirements(("G",), dict.fromkeys(perturbations, n_cells), contexts=tuple(contexts))
    found = "; ".join(str(finding) for finding in check_labels(labels, required))
    table = case.due.to_numpy()
    assert f"perturbations missing: {int((table == n_cells).sum())} " in found
    wrong = int(((table != 0) & (table != n_cells)).sum())
    assert f"perturbations with another number of cells than due: {wrong} " in found
    assert (table < 0).any()


def test_a_gain_over_the_best_is_smaller_than_over_one_that_was_chosen_once():
    for case in cases("gain_over_best"):
        scores, draws = case.inputs.values()
        best = scores[1:].mean(axis=1).argmax() + 1
        once = (scores[0] - scores[best])[draws].mean(axis=1)
        assert case.due[0] == pytest.approx(scores[0].mean() - scores[best].mean())
        anew = [scores[0, draw].mean() - max(row[draw].mean() for row in scores[1:]) for draw in draws]
        np.testing.assert_allclose(case.due[1:], np.percentile(anew, [2.5, 97.5]))
        assert np.mean(anew) < once.mean()
