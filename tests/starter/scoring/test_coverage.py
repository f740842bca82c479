import numpy as np
import pandas as pd
import pytest
import scipy.stats

from starter.data.dataset import PAIR
from starter.data.profiles import read_profiles
from starter.data.pseudobulk import profiles
from starter.scoring.coverage import coverage, coverage_table, sampling_errors


def table(values: list[list[float]]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([("A", f"P{row}") for row in range(len(values))], names=PAIR)
    return pd.DataFrame(values, index, list("abcd"))


def test_what_lies_inside_is_counted_by_hand():
    """Half-widths are z x 0.5 (3-4-5): 0.337 for 50 %, 0.641 for 80 %, 0.980 for 95 %."""
    measured, predicted = table([[1.3, 1.5, 1.9, 2.0]]), table([[1.0, 1.0, 1.0, 1.0]])
    spread, errors = table([[0.3] * 4]), table([[0.4] * 4])
    assert coverage(measured, predicted, spread, errors).iloc[0].to_dict() == {0.5: 0.25, 0.8: 0.5, 0.95: 0.75}


def test_a_gene_that_no_cell_shows_is_left_out():
    measured, predicted = table([[1.3, 1.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]), table([[1.0] * 4] * 2)
    errors = table([[0.4, 0.4, 0.0, np.nan], [0.0] * 4])
    shares = coverage(measured, predicted, table([[0.3] * 4] * 2), errors)
    assert shares[0.5].tolist()[0] == 0.5
    assert np.isnan(shares[0.5].tolist()[1])


def test_without_a_spread_the_sampling_error_alone_is_the_interval():
    inside = coverage(table([[1.0, 1.2, 1.3, 9]]), table([[1.0] * 4]), table([[0.0] * 4]), table([[0.2] * 4]))
    assert inside.iloc[0].to_dict() == {0.5: 0.25, 0.8: 0.5, 0.95: 0.75}


def test_sampling_errors_are_scipys(small_path, small_screen):
    found = read_profiles(small_path)
    errors = sampling_errors(found.deviations, found.n_cells)
    label = errors.index[3][1]
    cells = small_screen[small_screen.obs["target_gene"] == label]
    logs = np.log1p(cells.X.toarray() * small_screen.uns["course"]["target_sum"] / cells.obs[["n_umis"]].to_numpy())
    np.testing.assert_allclose(errors.iloc[3], scipy.stats.sem(logs), rtol=1e-4, atol=1e-9)
    assert sampling_errors(found.deviations, found.n_cells * 0 + 1).isna().all(axis=None)


def test_honest_intervals_hold_what_they_promise(small_path, small_screen):
    """What is drawn with the stated deviations lies inside as often as it should; with half of them, less often."""
    rng = np.random.default_rng(0)
    predicted = profiles(small_screen)
    spread, errors = predicted * 0 + 0.1, predicted * 0 + 0.05
    drawn = predicted + rng.normal(size=predicted.shape) * np.hypot(0.1, 0.05)
    found = coverage_table(coverage(drawn, predicted, spread, errors))
    for level, line in found.iterrows():
        assert line["low"] <= level <= line["high"]
        assert line["covered"] == pytest.approx(level, abs=0.02)
    assert (coverage_table(coverage(drawn, predicted, spread / 2, errors))["high"] < [0.45, 0.75, 0.91]).all()


def test_few_perturbations_have_no_interval():
    one = pd.DataFrame({0.5: [0.4, 0.6]}, pd.MultiIndex.from_tuples([("A", "P"), ("B", "P")], names=PAIR))
    found = coverage_table(one)
    assert found.loc[0.5, "covered"] == 0.5
    assert found[["low", "high"]].isna().all(axis=None)
