"""Figures of transfer, doubles and retrieval show the numbers that they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from starter import plots


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_histograms_tell_the_same_from_different_perturbations():
    shared = np.full((4, 4), 10) + 20 * np.eye(4, dtype=int)
    figure = plots.shared_gene_histograms({"A and B": shared, "C and D": shared // 2}, "Simulated")
    labels = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in figure.axes]
    assert labels[0] == ["different perturbation, mean 10.0", "same perturbation, mean 30.0"]
    assert labels[1] == ["different perturbation, mean 5.0", "same perturbation, mean 15.0"]
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == pytest.approx(2)  # each kind sums to 1


def test_the_own_factor_is_marked():
    ax = plots.factor_curve([0, 0.5, 1], [1, 0.7, 0.9], 0.45, "Simulated")
    assert ax.lines[0].get_ydata().tolist() == [1, 0.7, 0.9]
    assert ax.lines[2].get_xdata() == [0.45, 0.45]


def test_steps_of_measured_targets_are_equally_far():
    rows = [{"n": n, "model": "few-shot", "metric": "Pearson delta", "value": n / 100} for n in (0, 5, 80)]
    table = pd.DataFrame(rows).assign(low=[-0.1, np.nan, 0.7], high=[0.1, np.nan, 0.9])
    ax = plots.few_shot_curves(table, "Simulated").axes[0]
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [1, 0.05], [2, 0.8]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "5", "80"]


def test_doubles_stand_at_their_weights_and_what_is_left():
    table = pd.DataFrame(
        {
            "weight_a": [0.9, 0.2],
            "weight_b": [1.1, 0.8],
            "drawn_a": [1.0, 0.3],
            "drawn_b": [1.0, 0.7],
            "length_a": [3.0, 1.0],
            "length_b": [2.0, 4.0],
            "length": [5.0, 2.0],
            "unexplained": [0.1, 0.7],
            "kind": ["additive", "neomorphic"],
        }
    )
    left, right = plots.interaction_figure(table, "Simulated").axes
    assert left.collections[0].get_offsets().tolist() == [[1.0, 0.9]]
    assert left.collections[3].get_offsets().tolist() == [[0.7, 0.8]]
    assert left.collections[3].get_sizes().tolist() == [16]
    assert right.collections[1].get_offsets().tolist() == [[2.0, 0.7]]


def test_groups_of_doubles_follow_chance():
    ax = plots.seen_curves([0.5], np.array([[25, 50, 25]]), "Simulated")
    np.testing.assert_allclose([line.get_ydata()[50] for line in ax.lines[:3]], [25, 50, 25])
    rows = [{"seen": n, "model": "mean", "metric": "r", "value": n / 2, "low": n / 2, "high": None} for n in range(3)]
    figure = plots.seen_figure(pd.DataFrame(rows), {"r": "Pearson delta"}, "Simulated")
    assert figure.axes[0].collections[1].get_offsets().tolist() == [[0, 0], [1, 0.5], [2, 1]]


def test_places_become_shares_found():
    ax = plots.rank_curves({"model": np.array([1, 2.5, 4, 4])}, 4, "Simulated")
    assert ax.lines[0].get_ydata().tolist() == [0.25, 0.25, 0.5, 1.0]
    assert ax.lines[1].get_ydata().tolist() == [0.25, 0.5, 0.75, 1.0]
    index = pd.MultiIndex.from_product([["again", "predicted"], ["mrr"]])
    table = pd.DataFrame({"value": [0.5, 0.2], "low": 0.1, "high": 0.6, "chance": 0.05}, index)
    [panel] = plots.retrieval_figure(table, {"mrr": "mean reciprocal rank"}, "Simulated").axes
    assert panel.collections[1].get_offsets().tolist() == [[0.5, 0], [0.2, 1]]
    assert panel.collections[2].get_offsets()[:, 0].tolist() == [0.05, 0.05]
