import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from starter.bench.results import SCORES, Result
from starter.bench.standings import BASELINE, REPLICATE, is_ahead, mean_of_means, paired_difference, standings
from starter.errors import InputError
from starter.scoring.metrics.rule_sets import get_rule_set

RULES = get_rule_set("vcc2025")
SCORED = RULES.scored


def result(arm: str, values: np.ndarray, seed: int = 0, fold: int = 0, names: list[str] | None = None) -> Result:
    """Perturbations x the three scored metrics, whose baseline is 0.2 and whose full score is theirs."""
    lines, rows = [], {}
    names = names or [f"P{fold}_{row}" for row in range(len(values))]
    best = {metric.name: metric.best for metric in RULES.metrics}
    for column, name in enumerate(SCORED):
        scaled = (values[:, column] - 0.2) / (best[name] - 0.2)
        replicate = np.full(len(values), (0.6 - 0.2) / (best[name] - 0.2))
        lines += [
            dict(zip(SCORES, ("A", *line), strict=True))
            for line in zip(names, [name] * len(values), values[:, column], [0.2] * len(values),
                            [0.6] * len(values), scaled, replicate, strict=True)
        ]  # fmt: skip
        rows[name] = {"gradable": True, "scaled": max(0.0, float(scaled.mean()))}
    rows["pearson_delta"] = {"gradable": False, "scaled": None}
    overall = float(np.mean([rows[name]["scaled"] for name in SCORED]))
    return Result(arm, seed, fold, 1.0, overall, rows, [], pd.DataFrame(lines, columns=SCORES))


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.5, (40, 3))


def test_the_score_is_not_clipped_and_the_official_one_is(values: np.ndarray):
    bad = values.copy()
    bad[:, list(SCORED).index("mae")] = 0.5  # worse than the baseline's 0.2
    found = standings([result("train mean", values), result("bad", bad)], RULES, "train mean").metrics
    assert found.loc[("bad", "mae"), "official"] == 0
    assert found.loc[("bad", "mae"), "scaled"] == pytest.approx((0.5 - 0.2) / (0 - 0.2))
    others = [found.loc[("bad", name), "scaled"] for name in SCORED if name != "mae"]
    assert found.loc[("bad", "overall"), "scaled"] == pytest.approx((sum(others) - 1.5) / 3)
    assert found.loc[("bad", "overall"), "official"] == pytest.approx(sum(others) / 3)
    assert found.loc[(BASELINE, "overall"), "scaled"] == 0
    assert found.loc[(REPLICATE, "overlap_at_N"), "scaled"] == pytest.approx(0.5)


def test_a_perturbation_counts_once_however_often_it_was_hidden(values: np.ndarray):
    """Six seeds of the same values tell no more than one: the intervals are the same."""
    once = standings([result("train mean", values), result("a", values + 0.05)], RULES, "train mean")
    results = [result(arm, of, seed) for seed in range(6) for arm, of in (("train mean", values), ("a", values + 0.05))]
    often = standings(results, RULES, "train mean")
    columns = ["scaled", "low", "high"]
    pd.testing.assert_frame_equal(once.metrics[columns], often.metrics[columns])
    assert (once.n_perturbations, often.n_perturbations, often.n_panels) == (40, 40, 6)


def test_seeds_are_averaged_before_perturbations_are_drawn(values: np.ndarray):
    rng = np.random.default_rng(1)
    noise = [0.1 * rng.normal(size=values.shape) for _ in range(4)]
    results = [result("train mean", values, seed) for seed in range(4)]
    results += [result("a", values + of, seed) for seed, of in enumerate(noise)]
    found = standings(results, RULES, "train mean").metrics.loc[("a", "discrimination_score_l1")]
    column = list(SCORED).index("discrimination_score_l1")
    order = np.argsort([f"P0_{row}" for row in range(40)])  # perturbations are in the order of their names
    gain = np.mean(noise, axis=0)[order, column] / (1 - 0.2)
    due = scipy.stats.bootstrap((gain,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(0))
    assert found["difference"] == pytest.approx(gain.mean())
    assert found["difference_low"] == pytest.approx(due.confidence_interval.low)
    assert found["difference_high"] == pytest.approx(due.confidence_interval.high)


def test_intervals_of_a_difference_cover_the_truth(values: np.ndarray):
    """Of 100 made benches whose arms are equal, about 5 % call one ahead or behind."""
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(100):
        one, two = (pd.DataFrame(rng.normal(size=(50, 2)), columns=["m", "n"]) for _ in range(2))
        hard = rng.normal(0, 5, size=(50, 1))  # what is hard for both
        _, low, high = paired_difference(one + hard, two + hard, ["m", "n"])
        wrong += is_ahead(low, high) != "within noise"
    assert 1 <= wrong <= 13


def test_what_noise_explains_is_a_tie(values: np.ndarray):
    rng = np.random.default_rng(3)
    arms = {
        "train mean": values,
        "equal": values + 0.002 * rng.normal(size=values.shape),
        "better": values + np.array([0.1, 0.1, -0.1]),
    }
    found = standings([result(name, of) for name, of in arms.items()], RULES, "train mean")
    assert found.ranks.to_dict() == {"better": 1, "train mean": 2, "equal": 2}
    assert is_ahead(*found.metrics.loc[("better", "overall"), ["difference_low", "difference_high"]]) == "ahead"


def test_a_metric_that_a_panel_cannot_grade_is_left_out(values: np.ndarray):
    bad = result("train mean", values, fold=1)
    bad.metrics["mae"]["gradable"] = False
    scaled = bad.scores["scaled"].where(bad.scores["metric"] != "mae")
    bad = dataclasses.replace(bad, scores=bad.scores.assign(scaled=scaled))
    found = standings([result("train mean", values), bad], RULES, "train mean")
    assert found.not_graded == ["mae"]
    assert found.graded == [name for name in SCORED if name != "mae"]
    assert np.isnan(found.metrics.loc[("train mean", "mae"), "scaled"])
    due = np.mean([found.metrics.loc[("train mean", name), "scaled"] for name in found.graded])
    assert found.metrics.loc[("train mean", "overall"), "scaled"] == pytest.approx(due)


def test_undefined_values_are_left_out_metric_by_metric():
    values = np.array([[[1.0], [np.nan]], [[3.0], [4.0]]])
    assert mean_of_means(values, 0).tolist() == [3.0]
    assert np.isnan(mean_of_means(np.full((2, 2, 1), np.nan), 0)).all()


def test_few_perturbations_have_no_interval_and_all_tie(values: np.ndarray):
    found = standings([result("train mean", values[:6]), result("a", values[:6] + 0.2)], RULES, "train mean")
    assert found.metrics[["low", "difference_low"]].isna().all(axis=None)
    assert set(found.ranks) == {1}
    assert is_ahead(np.nan, np.nan) == "within noise"


def test_without_the_reference_there_is_nothing_to_compare(values: np.ndarray):
    with pytest.raises(InputError, match="no score of train mean"):
        standings([result("a", values)], RULES, "train mean")
