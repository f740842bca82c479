"""Bootstrap intervals, by Efron's formula and by brute force."""

import numpy as np
import pytest
import scipy.special

from starter.scoring.metrics.base import Metric
from starter.statistics.intervals import FEWEST, interval


@pytest.mark.parametrize("n", [10, 60])
def test_intervals_are_bias_corrected_and_accelerated(n: int):
    """Efron's formula by hand on a skewed sample, with its own draws."""
    values = np.random.default_rng(n).exponential(0.3, n) ** 1.5
    draws = np.random.default_rng(99).choice(values, (200_000, n)).mean(axis=1)
    bias = scipy.special.ndtri((draws < values.mean()).mean())
    jackknife = (values.sum() - values) / (n - 1)
    pull = jackknife.mean() - jackknife
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    z = scipy.special.ndtri([0.025, 0.975])
    levels = scipy.special.ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    expected = np.quantile(draws, levels)
    width = expected[1] - expected[0]
    low, high = interval([values], np.mean, seed=0)
    assert abs(low - expected[0]) < 0.06 * width
    assert abs(high - expected[1]) < 0.08 * width
    # which a plain percentile interval would not be
    assert abs(np.quantile(draws, 0.975) - expected[1]) > (0.08 if n == 10 else 0.03) * width
    assert interval([values], np.mean, seed=0) == (low, high)


def test_values_without_spread_have_an_interval_without_width():
    assert interval([np.full(12, 0.25)], np.mean, seed=0) == (0.25, 0.25)
    nearly = np.array([0.5] * 9 + [0.5 + 1e-16, 0.5 + 2.5e-16])
    low, high = interval([nearly], np.mean, seed=0)
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)


def test_too_few_perturbations_have_no_interval():
    values = np.random.default_rng(0).random(FEWEST)
    assert interval([values], np.mean, seed=0) != (None, None)
    assert interval([values[1:]], np.mean, seed=0) == (None, None)
    assert interval([values, values[1:]], np.mean, seed=0) == (None, None)


def test_intervals_of_a_ratio_draw_both_parts_together():
    rng = np.random.default_rng(0)
    below = rng.uniform(1, 9, 40)
    parts = np.stack([0.5 * below, below], axis=1)
    ratio = Metric("r", "r", lambda truth, prediction: parts, "lower", 0.0, (0, 1), "here", ratio=True)
    assert ratio.mean(parts) == 0.5
    assert interval([parts], ratio.mean, seed=0) == (0.5, 0.5)
    parts[:, 0] *= rng.uniform(0.5, 1.5, 40)
    low, high = interval([parts], ratio.mean, seed=0)
    draws = rng.integers(0, 40, (20_000, 40))
    expected = np.quantile(parts[draws, 0].sum(axis=1) / parts[draws, 1].sum(axis=1), [0.025, 0.975])
    np.testing.assert_allclose([low, high], expected, atol=0.01)
    np.testing.assert_allclose(ratio.per_perturbation(parts).mean(), ratio.mean(parts))
