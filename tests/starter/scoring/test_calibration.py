"""Dynamic range fraction and bound discrimination score, by hand and as scPertEval has them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scperteval
from scperteval.api import Prepared

from starter.data.blocks import in_memory
from starter.scoring.calibration import bound_discrimination, calibrate, calibration_table, dynamic_range_fraction
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.screens.summary import Summary
from starter.scoring.truth.measured import reference_of
from starter.scoring.truth.opened import Truth
from starter.statistics.de import CELL_EVAL_082

COURSE = {metric.name: metric for metric in get_rule_set("course").metrics}


def test_by_hand():
    pds, mae = COURSE["discrimination_score_l1"], COURSE["mae"]
    replicate, baseline = np.array([0.9, 0.4, 0.5, np.nan]), np.array([0.5, 0.5, 0.5, 0.5])
    # the higher the better, 1 best: .4 / .5, -.1 / .5, 0
    np.testing.assert_allclose(dynamic_range_fraction(pds, replicate, baseline), [0.8, -0.2, 0, np.nan], atol=1e-5)
    assert bound_discrimination(pds, replicate, baseline).tolist()[:3] == [1, 0, 0]
    # the lower the better, 0 best: -.4 / .5, .1 / .5
    np.testing.assert_allclose(dynamic_range_fraction(mae, replicate, baseline), [-0.8, 0.2, 0, np.nan], atol=1e-5)
    assert bound_discrimination(mae, replicate, baseline).tolist()[:3] == [0, 1, 0]
    # cut at -1; a baseline that is better than perfect tells nothing
    assert dynamic_range_fraction(mae, np.array([9.0]), np.array([0.5])).tolist() == [-1]
    assert np.isnan(dynamic_range_fraction(pds, np.array([1.0]), np.array([1.1]))).all()


def test_a_perturbation_is_averaged_over_the_splits_in_which_it_is_defined():
    anchors = {
        "baseline": np.zeros((1, 2)),
        "replicate": np.ones((1, 2)),
        "half_baseline": np.array([[0.5, 0.0], [0.5, 0.5]]),
        "half_replicate": np.array([[1.0, np.nan], [0.75, 0.25]]),
    }
    # P: (1 + .5) / 2 = .75, wins twice; Q: the second split alone, -.5, and loses
    found = calibrate(COURSE["discrimination_score_l1"], anchors)
    assert found == pytest.approx(
        {"dynamic_range": 0.125, "dynamic_range_mean": 0.125, "bound_discrimination": 0.5}, abs=1e-5
    )


def screen(n: int = 12, n_genes: int = 60) -> anndata.AnnData:
    rng = np.random.default_rng(0)
    labels = np.repeat(["control", *(f"P{i:02}" for i in range(n))], 40)
    effects = np.vstack([np.zeros(n_genes), rng.normal(0, 0.4, (n, n_genes)) * (rng.random((n, 1)) + 0.1)])
    rate = np.exp(rng.normal(1, 0.7, n_genes) + np.repeat(effects, 40, axis=0))
    x = np.log1p(rng.poisson(rate)).astype(np.float32)
    return anndata.AnnData(
        x, pd.DataFrame({"perturbation": labels}), pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])
    )


@pytest.fixture(scope="module")
def sides() -> tuple[Prepared, dict[str, dict[str, np.ndarray]]]:
    """A screen as scPertEval prepares it, and our scores of its halves and of the train mean."""
    cells = screen()
    mean = np.random.default_rng(1).random(60) + 1
    prepared = scperteval.prepare(cells, [], sources={"train_mean": mean}, workers=1)
    dataset = prepared._ds
    names = np.array(dataset.perturbations)
    layer = np.full(len(cells), -1)
    layer[np.asarray(cells.obs["perturbation"] == "control")] = 0
    for row, name in enumerate(names):
        first, second = dataset.halves[name]
        layer[first], layer[second] = row + 1, row + 1 + len(names)
    first, second = summarise_logs(
        in_memory(scipy.sparse.csr_matrix(cells.X)), layer[None], names, np.array(cells.var_names), CELL_EVAL_082
    ).summaries
    truth = reference_of(first, mean)
    baseline = Summary(names, first.genes, first.n_cells, np.tile(mean, (12, 1)), first.control, first.de)
    scores = {
        name: {
            side: COURSE[name].compute(truth, prediction)[None]
            for side, prediction in (("half_replicate", second), ("half_baseline", baseline))
        }
        for name in ("pearson_delta", "centroid_accuracy", "rmse")
    }
    return prepared, {
        name: of | {"replicate": of["half_replicate"], "baseline": of["half_baseline"]} for name, of in scores.items()
    }


@pytest.mark.parametrize(("name", "protocol"), [("pearson_delta", "pearson_ctrl"), ("centroid_accuracy", "nir")])
def test_dynamic_range_is_scpertevals(sides: tuple, name: str, protocol: str):
    prepared, scores = sides
    expected = scperteval.calibrate(prepared, protocol, calibrator="drf", positive="tech_dup", negative="train_mean")
    ours = dynamic_range_fraction(COURSE[name], scores[name]["half_replicate"][0], scores[name]["half_baseline"][0])
    np.testing.assert_allclose(ours, expected.per_perturbation["drf"], atol=2e-5)
    found = calibrate(COURSE[name], scores[name])
    assert found["dynamic_range"] == pytest.approx(expected.aggregate["median"], abs=2e-5)
    assert found["dynamic_range_mean"] == pytest.approx(expected.aggregate["mean"], abs=2e-5)


@pytest.mark.parametrize(
    ("name", "protocol"), [("pearson_delta", "pearson_ctrl"), ("centroid_accuracy", "nir"), ("rmse", "mse")]
)
def test_bound_discrimination_is_scpertevals(sides: tuple, name: str, protocol: str):
    prepared, scores = sides
    expected = scperteval.calibrate(prepared, protocol, calibrator="bds", positive="tech_dup", negative="train_mean")
    assert 0 < expected.aggregate["bds"] <= 1
    assert calibrate(COURSE[name], scores[name])["bound_discrimination"] == pytest.approx(expected.aggregate["bds"])


def test_a_truth_says_how_good_its_metrics_are(small_truth: Truth):
    table = calibration_table(small_truth, get_rule_set("course"))
    assert list(table.index) == list(COURSE)
    for name in ("mae", "pearson_delta_train_mean", "centroid_accuracy"):
        replicate, baseline = (
            small_truth.anchor_scores(get_rule_set("course"), f"half_{side}")[name]
            for side in ("replicate", "baseline")
        )
        assert replicate.shape == (5, 24)
        sign, best = (1 if COURSE[name].direction == "higher" else -1), COURSE[name].best
        share = (sign * (replicate - baseline) / (sign * (best - baseline) + 1e-6)).clip(-1, 1).mean(axis=0)
        assert table.loc[name, "dynamic_range"] == pytest.approx(np.median(share), abs=1e-3)
        wins = np.abs(best - replicate) < np.abs(best - baseline)
        assert table.loc[name, "bound_discrimination"] == pytest.approx(wins.mean())
