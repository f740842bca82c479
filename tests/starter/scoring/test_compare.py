"""Predictions compared with each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from typer.testing import CliRunner

from starter.cli import app
from starter.errors import InputError
from starter.scoring.compare import OVERALL, Comparison, compare, wins_and_losses
from starter.scoring.overall import overall_interval
from starter.scoring.scorecard import Scorecard
from starter.scoring.truth.opened import Truth


@pytest.fixture(scope="module")
def comparison(cards: dict[str, Scorecard]) -> Comparison:
    return compare([cards["oracle"], cards["mean"], cards["half"]])


def line(comparison: Comparison, first: str, second: str, metric: str) -> pd.Series:
    table = comparison.differences.set_index(["first", "second", "metric"])
    return table.loc[(first, second, metric)]


def test_differences_are_those_of_the_scorecards(comparison: Comparison, cards: dict[str, Scorecard]):
    for first, second in (("oracle", "mean"), ("oracle", "half"), ("mean", "half")):
        one, two = cards[first], cards[second]
        assert line(comparison, first, second, OVERALL).difference == pytest.approx(one.overall - two.overall)
        graded = [name for name in one.rules.scored if one.metrics[name]["gradable"]]
        assert len(graded) > 3
        for name in graded:
            due = one.metrics[name]["scaled"] - two.metrics[name]["scaled"]
            assert line(comparison, first, second, name).difference == pytest.approx(due), name
    assert set(comparison.differences["metric"]) == {*graded, OVERALL}


def test_an_interval_is_that_of_the_paired_differences(comparison: Comparison, cards: dict[str, Scorecard]):
    """MAE is a plain mean, so that SciPy's bootstrap of the paired differences is the same calculation."""
    values = [next(iter(card.scores.values()))["mae"] for card in (cards["oracle"], cards["half"])]
    row = cards["oracle"].metrics["mae"]
    gains = (values[0] - values[1]) / (row["replicate"] - row["baseline"])
    found = line(comparison, "oracle", "half", "mae")
    rng = np.random.default_rng(0)
    due = scipy.stats.bootstrap((gains,), np.mean, n_resamples=2_000, method="BCa", rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx((due.low, due.high), rel=0.05)
    assert found.low < gains.mean() < found.high


def test_what_is_hard_for_both_cancels(cards: dict[str, Scorecard]):
    """A prediction that is worse by the same in every perturbation is worse without doubt, however these differ."""
    card = cards["half"]
    (context, values), row = next(iter(card.scores.items())), card.metrics["mae"]
    other = replace(card, name="other", scores={context: {**values, "mae": values["mae"] + 0.01}})
    found = line(compare([card, other]), "half", "other", "mae")
    due = -0.01 / (row["replicate"] - row["baseline"])
    assert (found.difference, found.low, found.high) == pytest.approx((due, due, due))
    assert due > 0 and row["high"] - row["low"] > 0.002


def test_the_overall_score_has_an_interval(cards: dict[str, Scorecard]):
    """Where one metric is all that is gradable, it is that metric's interval, scaled."""
    for name in ("oracle", "half", "mean"):
        low, high = cards[name].overall_interval
        assert low < cards[name].overall < high
    card = cards["half"]
    row = card.metrics["mae"]
    rows = {name: {**of_metric, "gradable": name == "mae"} for name, of_metric in card.metrics.items()}
    low, high = overall_interval(card.rules, [(rows, next(iter(card.scores.values())))], seed=0)
    scale = [(end - row["baseline"]) / (row["replicate"] - row["baseline"]) for end in (row["high"], row["low"])]
    assert (low, high) == pytest.approx(tuple(scale))


def test_ranks_are_equal_within_noise(cards: dict[str, Scorecard], comparison: Comparison):
    assert comparison.ranks.to_dict() == {"oracle": 1, "half": 2, "mean": 3}
    rng = np.random.default_rng(1)
    twin = replace(
        cards["half"],
        name="twin",
        scores={
            context: {name: values * rng.normal(1, 1e-3, values.shape) for name, values in of_context.items()}
            for context, of_context in cards["half"].scores.items()
        },
    )
    ranks = compare([cards["mean"], twin, cards["half"], cards["oracle"]]).ranks
    assert ranks.to_dict() == {"oracle": 1, "half": 2, "twin": 2, "mean": 4}


def test_wins_and_losses_by_hand(cards: dict[str, Scorecard]):
    """One perturbation is made worse in all metrics, and one better: they stand at the ends."""
    card = cards["half"]
    (context, values), labels = next(iter(card.scores.items())), card.truth.perturbations
    changed = {}
    for name, of_metric in values.items():
        direction = 1 if card.metrics[name]["direction"] == "higher" else -1
        changed[name] = of_metric.copy()
        changed[name][3] += direction
        changed[name][7] -= direction
    other = replace(card, name="other", scores={context: changed})
    comparison = compare([other, card])
    assert wins_and_losses(comparison, "other", "half") == ([labels[3]], [labels[7]])
    gains = comparison.perturbations.set_index("perturbation")["difference"]
    rows = [card.metrics[name] for name in card.rules.scored if card.metrics[name]["gradable"]]
    due = np.mean([1 / abs(row["replicate"] - row["baseline"]) for row in rows])
    assert gains[labels[3]] == pytest.approx(due)
    assert gains.drop([labels[3], labels[7]]).abs().max() == pytest.approx(0)


def test_what_cannot_be_compared_is_refused(cards: dict[str, Scorecard]):
    with pytest.raises(InputError, match="two predictions or more, each with a name of its own"):
        compare([cards["half"]])
    with pytest.raises(InputError, match="each with a name of its own, and not half, half"):
        compare([cards["half"], cards["half"]])
    about = {**cards["mean"].about, "truth": {"title": "x", "sha256": "another"}}
    with pytest.raises(InputError, match="not scored by one rule set against one truth"):
        compare([cards["half"], replace(cards["mean"], about=about)])


def test_the_command_prints_narrow_tables_and_writes_a_figure(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path
):
    arguments = [str(predictions[name]) for name in ("half", "mean")]
    arguments += ["--truth", str(small_truth.folder), "--profile", "vcc2025", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["compare", *arguments], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.replace(str(tmp_path), "").splitlines())) <= 80
    assert "half less mean" in done.stdout
    assert "half gains most in" in done.stdout
    names = ("differences.csv", "perturbations.csv", "ranks.csv", "differences.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    table = pd.read_csv(tmp_path / "out" / "differences.csv")
    assert table["metric"].tolist() == ["overlap_at_N", "discrimination_score_l1", "mae", OVERALL]
    assert (tmp_path / "out" / "differences.png").read_bytes().startswith(b"\x89PNG")
