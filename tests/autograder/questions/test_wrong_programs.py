"""Programs with a mistake that a text warns of, or of another kind than it asks for, as students may write them."""

import importlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

from autograder.grading.judge import Verdict, judge
from autograder.questions.question import Question
from starter.answers import values
from starter.schema import CONTROL

pytest.importorskip("torch")
every = importlib.import_module("every_question")
SEEDS = range(1000, 1004)


def verdicts(name: str, program: object) -> list[Verdict]:
    """Ask a program as the sandbox does, and judge it."""
    question: Question = every.QUESTIONS[name]
    found = []
    for cases in (every.cases(name, seed) for seed in SEEDS):
        answers = [{"value": question.asks.answer(program, case.inputs)} for case in cases]
        found.append(judge(question, cases, values.encode(answers)))
    return found


def qc_mask(centre: Callable, mito_centre: Callable, spread: Callable, mito_spread: Callable) -> Callable:
    def mask(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
        depth = np.log(n_umis)
        low, high = (centre(depth) + side * spread(depth) for side in (-3, 3))
        return (
            (depth >= low)
            & (depth <= high)
            & (percent_mito <= mito_centre(percent_mito) + 5 * mito_spread(percent_mito))
        )

    return mask


def mad(x: np.ndarray) -> float:
    return scipy.stats.median_abs_deviation(x, scale="normal")


def mad_of_mean(x: np.ndarray) -> float:
    return scipy.stats.median_abs_deviation(x, center=np.mean, scale="normal")


def mean_deviation(x: np.ndarray) -> float:
    return np.mean(np.abs(x - np.median(x))) * 1.4826


def deep_cells_only(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    depth = np.log(n_umis)
    return (depth <= np.median(depth) + 3 * mad(depth)) & (
        percent_mito <= np.median(percent_mito) + 5 * mad(percent_mito)
    )


def guides_as_they_come(
    umis: np.ndarray, n_umis: np.ndarray, guide: np.ndarray, target_gene: np.ndarray
) -> pd.DataFrame:
    cells = pd.DataFrame({"umis": umis, "n_umis": n_umis, "guide": guide})
    sums = cells[target_gene == CONTROL][["umis", "n_umis"]].sum()
    by_guide = cells[target_gene != CONTROL].groupby("guide", sort=False)
    rate = by_guide["umis"].sum() / by_guide["n_umis"].sum()
    return pd.DataFrame({"n_cells": by_guide.size(), "residual": rate / (sums["umis"] / sums["n_umis"])})


def deviation_of_a_sample(score: np.ndarray, control_score: np.ndarray) -> np.ndarray:
    escaped = scipy.stats.norm.pdf(score, control_score.mean(), control_score.std(ddof=1))
    share, mean, deviation = 0.5, score.mean(), score.std(ddof=1)
    for _ in range(100):
        perturbed = share * scipy.stats.norm.pdf(score, mean, deviation)
        probability = perturbed / (perturbed + (1 - share) * escaped)
        share, mean = probability.mean(), np.average(score, weights=probability)
        deviation = np.sqrt(np.average((score - mean) ** 2, weights=probability))
    return probability


def correlation_guarded(side: int) -> Callable:
    """Give 0 where one side is constant, and NaN where the other is."""

    def correlate(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
        effects = [x - reference - (x - reference).mean(axis=1, keepdims=True) for x in (measured, predicted)]
        with np.errstate(invalid="ignore"):
            found = (effects[0] * effects[1]).sum(axis=1) / np.sqrt(
                (effects[0] ** 2).sum(axis=1) * (effects[1] ** 2).sum(axis=1)
            )
        return np.where(effects[side].any(axis=1), found, 0)

    return correlate


def ties_count_whole(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    scores = []
    for target in measured.index:
        genes = measured.columns != target
        distance = np.abs(measured.loc[:, genes] - predicted.loc[target, genes]).sum(axis=1)
        scores.append(1 - ((distance <= distance[target]).sum() - 1) / (len(measured) - 1))
    return np.array(scores)


def smallest_first(
    measured_fdr: np.ndarray, measured_fold: np.ndarray, predicted_fdr: np.ndarray, predicted_fold: np.ndarray
) -> np.ndarray:
    scores = []
    for due, fdr, fold in zip(measured_fdr < 0.05, predicted_fdr, predicted_fold, strict=True):
        order = np.argsort(np.abs(fold))
        called = order[fdr[order] < 0.05][: due.sum()]
        scores.append(due[called].sum() / due.sum() if due.any() else np.nan)
    return np.array(scores)


def without_the_millionth(baseline: np.ndarray, replicate: np.ndarray, best: float, higher_is_better: bool) -> float:
    with np.errstate(invalid="ignore"):
        return np.median(np.clip((replicate - baseline) / (best - baseline), -1, 1))


WRONG = {
    "the mean of depth": ("01_biology_primer-qc_mask", qc_mask(np.mean, np.median, mad, mad)),
    "the mean of mitochondrial shares": ("01_biology_primer-qc_mask", qc_mask(np.median, np.mean, mad, mad)),
    "deviations from the mean of depth": ("01_biology_primer-qc_mask", qc_mask(np.median, np.median, mad_of_mean, mad)),
    "deviations from the mean share": ("01_biology_primer-qc_mask", qc_mask(np.median, np.median, mad, mad_of_mean)),
    "the mean deviation of depth": ("01_biology_primer-qc_mask", qc_mask(np.median, np.median, mean_deviation, mad)),
    "the mean deviation of shares": ("01_biology_primer-qc_mask", qc_mask(np.median, np.median, mad, mean_deviation)),
    "means everywhere": ("01_biology_primer-qc_mask", qc_mask(np.mean, np.mean, mad_of_mean, mad_of_mean)),
    "shallow cells pass": ("01_biology_primer-qc_mask", deep_cells_only),
    "guides that are not sorted": ("01_biology_primer-residual_expression", guides_as_they_come),
    "n - 1 where np.std is due": ("01_biology_primer-perturbed_probability", deviation_of_a_sample),
    "NaN where the prediction is constant": ("03_metrics-pearson_delta", correlation_guarded(0)),
    "NaN where the measured side is constant": ("03_metrics-pearson_delta", correlation_guarded(1)),
    "ties that count whole": ("03_metrics-pds", ties_count_whole),
    "the smallest change first": ("03_metrics-des", smallest_first),
    "a room of 0": ("03_metrics-dynamic_range", without_the_millionth),
}


@pytest.mark.parametrize(("name", "program"), WRONG.values(), ids=WRONG)
def test_what_a_text_warns_of_earns_nothing(name: str, program: Callable):
    assert {verdict.share for verdict in verdicts(name, program)} == {0.0}


class SparseSets:
    def __init__(self, expression, control, perturbation, perturbed):
        self.expression, self.control, self.perturbation, self.perturbed = expression, control, perturbation, perturbed

    def __len__(self):
        return len(self.perturbation)

    def __getitem__(self, index):
        cells = [self.expression[rows[index]] for rows in (self.control, self.perturbed)]
        return cells[0], self.perturbation[index], cells[1]


def normalised(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target_sum: float) -> np.ndarray:
    return np.log1p(counts.toarray() * (target_sum / n_umis)[:, None])


def graph(adjacency: scipy.sparse.csr_matrix) -> np.ndarray:
    with_self = adjacency.toarray() + np.eye(adjacency.shape[0])
    scale = 1 / np.sqrt(with_self.sum(axis=1))
    return scale[:, None] * with_self * scale


def alike(annotated: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    shared = (annotated @ annotated.T).toarray()
    n_terms = shared.diagonal()
    return scipy.sparse.csr_matrix(shared / (n_terms[:, None] + n_terms - shared))


def numbers(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return 1 * qc_mask(np.median, np.median, mad, mad)(n_umis, percent_mito)


def known_as_numbers(genes: list[str], vocabulary: dict[str, int]) -> list:
    known = np.array([gene in vocabulary for gene in genes])
    return [np.array([vocabulary.get(gene, vocabulary["<pad>"]) for gene in genes]), 1 * known]


OF_ANOTHER_KIND = {
    "sparse sets": ("02_data_loading-CellSets", SparseSets, 0.0, "expected a dense array, got "),
    "dense expression": ("01_biology_primer-normalise", normalised, 0.5, "expected a sparse matrix, got "),
    "a dense graph": ("06_gnn-normalise", graph, 0.5, "expected a sparse matrix, got "),
    "a sparse similarity": ("06_gnn-jaccard", alike, 0.5, "expected a dense array, got "),
    "a mask of numbers": ("01_biology_primer-qc_mask", numbers, 0.0, "expected True or False for each, got "),
    "numbers for known": ("08_scgpt-tokenise", known_as_numbers, 0.0, "expected True or False for each, got "),
}


@pytest.mark.parametrize(("name", "program", "share", "said"), OF_ANOTHER_KIND.values(), ids=OF_ANOTHER_KIND)
def test_right_numbers_of_another_kind_are_named(name: str, program: object, share: float, said: str):
    for verdict in verdicts(name, program):
        assert verdict.share == pytest.approx(share)
        assert said in verdict.reason


def test_a_mistake_that_some_case_cannot_tell_earns_nothing_there():
    def too_far(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
        return np.concatenate([np.arange(block * block_size, (block + 1) * block_size) for block in order])

    for verdict in verdicts("02_data_loading-block_order", too_far):
        assert verdict.share == 0
        assert verdict.reason.startswith(
            "right in 1 of 3 cases, where this mistake is right too, so they earn no more; case 1 of 3: expected shape"
        )
        assert verdict.reason.endswith(
            "likely cause: rows come that the file does not have; end the last block at n_cells"
        )


def test_a_mistake_that_some_case_cannot_tell_keeps_its_declared_credit():
    question = every.QUESTIONS["02_data_loading-block_order"]
    cases = question.cases(1000, data=None)
    meaning = next(iter(cases[0].mistakes))
    told = [replace(case, credit={meaning: 0.5}) for case in cases]
    told[1] = replace(told[1], due=told[1].mistakes[meaning])
    answers = [{"value": case.mistakes[meaning]} for case in told]
    assert judge(question, told, values.encode(answers)).share == pytest.approx(0.5)
