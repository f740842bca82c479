import numpy as np
import pandas as pd
import pytest

from starter.data.dataset import PAIR
from starter.errors import InputError
from starter.prediction.shrinkage import shrink
from starter.schema import CONTROL

GENES = ["G", "H", "I", "J"]
PAIRS = pd.MultiIndex.from_tuples([("x", "P"), ("y", "P")], names=PAIR)
CONTROLS = {"x": np.array([1.0, 1.0, 1.0, 0.2]), "y": np.array([0.0, 2.0, 2.0, 2.0])}


def table(rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, PAIRS, GENES)


def test_an_effect_is_kept_as_far_as_it_is_sure_by_hand():
    predicted = table([[1.6, 0.4, 1.0, 0.2], [0.3, 2.0, 1.0, 5.0]])
    spread = table([[0.3, 0.6, 0.5, 0.0], [0.4, 0.9, 0.0, 3.0]])
    # kept: .36/.45, .36/.72, no effect, no effect; .09/.25, no effect, 1 (sure), 9/18
    expected = table([[1.48, 0.7, 1.0, 0.2], [0.108, 2.0, 1.0, 3.5]])
    shrunk, done = shrink(predicted, spread, CONTROLS)
    pd.testing.assert_frame_equal(shrunk, expected)
    assert [finding.what[:44] for finding in done] == ["uncertain effects were drawn towards none: t"]


def test_a_control_row_is_left_out_and_need_not_be_in_the_spread():
    predicted = table([[1.6, 0.4, 1.0, 0.2], [0.3, 2.0, 1.0, 5.0]])
    control = pd.DataFrame([CONTROLS["x"]], pd.MultiIndex.from_tuples([("x", CONTROL)], names=PAIR), GENES)
    none = table([[0.0] * 4] * 2)
    pd.testing.assert_frame_equal(shrink(pd.concat([control, predicted]), none, CONTROLS)[0], predicted)


def test_means_of_what_may_be_are_left_as_they_are():
    """An effect with independent noise is larger than the noise on average; one that is smaller was averaged."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["x"], [f"P{i}" for i in range(200)]], names=PAIR)
    effects = rng.normal(0, 0.3, (200, 4))
    noise = rng.normal(0, 0.6, (200, 4))
    control = np.full(4, 5.0)
    deviation = pd.DataFrame(0.6, index, GENES)
    noisy = pd.DataFrame(control + effects + noise, index, GENES)
    shrunk, _ = shrink(noisy, deviation, {"x": control})
    assert np.abs(shrunk - control - effects).to_numpy().mean() < 0.8 * np.abs(noise).mean()
    # the best guess of the same: the mean of what the effect may be, given what was seen
    mean = pd.DataFrame(control + (effects + noise) * 0.09 / (0.09 + 0.36), index, GENES)
    left, done = shrink(mean, deviation, {"x": control})
    pd.testing.assert_frame_equal(left, mean)
    assert done[0].what.startswith("effects were left as predicted: their root mean square is 0.13")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda spread: spread.iloc[:1], "lacks 1 row of the profile table"),
        (lambda spread: spread.iloc[:, 1:], "the profile table's columns are not the course's genes: missing 1 .G."),
        (lambda spread: -spread, "negative values"),
        (lambda spread: spread * np.nan, "NaN or infinite values"),
    ],
)
def test_deviations_that_do_not_fit_are_refused(change, said: str):
    rows = table([[1.6, 0.4, 1.0, 0.2]] * 2)
    with pytest.raises(InputError, match=rf"the table of standard deviations \(--spread\).*{said}"):
        shrink(rows, change(rows), CONTROLS)
