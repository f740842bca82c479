"""Figures of graphs show the numbers that they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter import plots


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_pairs_of_like_similarity_are_averaged():
    similarity = np.r_[np.full(20, 0.02), np.full(12, 0.31), np.full(3, 0.9)]
    correlation = np.r_[np.tile([0.1, -0.1], 10), np.full(12, 0.4), np.full(3, 1.0)]
    ax = plots.similarity_curve(similarity, correlation, "Simulated")
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(
        np.array([x, y], dtype=float), [[0.02, 0.31], [0, 0.4]], atol=1e-12
    )  # three pairs are too few
    assert [text.get_text() for text in ax.texts] == ["20", "12"]


def test_a_message_is_drawn_on_rings_by_distance():
    path = scipy.sparse.csr_matrix(np.diag([1.0, 1.0, 0.0, 0.0], 1) + np.diag([1.0, 1.0, 0.0, 0.0], -1))
    amounts = {"0 steps": np.array([1.0, 0, 0, 0, 0]), "2 steps": np.array([0.5, 0.3, 0.2, 0, 0])}
    figure = plots.message_figure(path, amounts, 0, "Simulated")
    titles = [ax.get_title() for ax in figure.axes[:2]]
    assert titles == ["0 steps: 1 gene", "2 steps: 3 genes"]
    places = figure.axes[1].collections[-1].get_offsets()
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), [0, 1, 2])
    alone = plots.message_figure(path, {"0 steps": np.eye(5)[4]}, 4, "Simulated")  # without neighbours
    assert alone.axes[0].get_xlabel() == "rings: steps from the gene\n(1 gene)"


def test_bars_and_curves_hold_their_values():
    ax = plots.cell_bars({"one": np.array([0.5, 0.0]), "every": np.array([0.5, 0.5])}, "Simulated")
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.0, 0.5, 0.5]
    rows = [{"term": term, "weight": w, "loss": 2 * w, "gradient": 3.0} for term in ("a", "b") for w in (0.1, 1.0)]
    figure = plots.gradient_figure(pd.DataFrame(rows), "Simulated")
    assert figure.axes[1].lines[0].get_ydata().tolist() == [3.0, 3.0]
    table = pd.DataFrame({"mean": [0.2], "low": [np.nan], "high": [np.nan], "shuffled": [0.0]}, index=["GO (4)"])
    assert plots.likeness_figure(table, "Simulated").collections[1].get_offsets().tolist() == [[0.2, 0.0]]
    ax = plots.loudness_figure(np.array([1, 3]), np.array([0.5, 0.25]), 2, "Simulated")
    assert ax.collections[0].get_offsets().tolist() == [[1.0, 0.5], [3.0, 0.25]]
