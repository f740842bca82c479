import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from starter.plots import attention


@pytest.fixture(autouse=True)
def _close():
    mpl.use("Agg")
    yield
    plt.close("all")


def test_hidden_tokens_are_white_and_rows_tell_their_sum():
    weights = np.array([[0.7, 0.3, 0.0], [0.2, 0.7, 0.0], [0.5, 0.5, 0.0]])
    ax = attention.attention_map(weights, ["A", "B", "C"], 1, "three genes")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A  sum 1.00", "B  sum 0.90", "C  sum 1.00"]
    assert ax.images[0].get_array().mask[:, 2].all()
    (frame,) = ax.patches
    assert (frame.get_x(), frame.get_width()) == (1.5, 1)


def test_a_curve_of_likeness_is_the_mean_of_groups_of_pairs():
    likeness = np.linspace(-1, 1, 120)
    ax = attention.likeness_curves({"tokens": likeness}, likeness**2, "pairs")
    x, y = ax.lines[0].get_data()
    assert len(x) == attention.BINS
    np.testing.assert_allclose(x[0], likeness[:10].mean())
    np.testing.assert_allclose(y[0], (likeness[:10] ** 2).mean())


def test_a_line_of_slope_two_goes_through_the_longest():
    seconds = pd.Series([4.0, 8.0, 64.0], index=[8, 16, 32])
    guide, measured = attention.cost_curve(seconds, "attention").lines
    np.testing.assert_allclose(guide.get_ydata(), [4, 16, 64])
    assert guide.get_label() == "slope 2"
    assert list(measured.get_ydata()) == [4, 8, 64]
