"""The negative binomial, against SciPy and sums over all counts."""

import numpy as np
import pytest
import scipy.stats

torch = pytest.importorskip("torch")

from starter.models import negative_binomial as nb  # noqa: E402

MEAN = torch.tensor([[0.02, 0.7, 3.0], [1.4, 55.0, 900.0]], dtype=torch.double)
THETA = torch.tensor([0.3, 2.5, 40.0], dtype=torch.double)


def test_the_mean_of_log1p_is_the_sum_over_all_counts():
    own = nb.mean_log1p(MEAN.log(), THETA.log())
    mean, theta = np.broadcast_arrays(MEAN.numpy(), THETA.numpy())
    k = np.arange(20_000)[:, None, None]
    due = (np.log1p(k) * scipy.stats.nbinom.pmf(k, theta, theta / (theta + mean))).sum(axis=0)
    np.testing.assert_allclose(own, due, rtol=1e-6)
    np.testing.assert_allclose(nb.mean_log1p(MEAN.log().float(), THETA.log().float()), due, rtol=1e-4)


def test_rate_and_theta_come_back_from_cells_of_any_depth():
    rng = np.random.default_rng(5)
    depth = rng.lognormal(0, 0.4, (20_000, 1))
    rate, theta = np.array([0.6, 5.0, 2.0, 4.0]), np.array([0.5, 3.0, 1e9, 0.001])
    counts = rng.poisson(depth * rate * np.where(theta > 1e6, 1, rng.gamma(theta, 1 / theta, (20_000, 4))))
    found_rate, found_theta = nb.moments(counts, depth)
    np.testing.assert_allclose(found_rate[:3], rate[:3], rtol=0.05)
    np.testing.assert_allclose(found_theta[:2], theta[:2], rtol=0.15)
    assert (found_theta[2] > 30, found_theta[3]) == (True, pytest.approx(nb.THETA[0]))


def test_a_gene_without_counts_has_a_rate_above_0():
    rate, theta = nb.moments(np.zeros((10, 2)), np.ones((10, 1)))
    assert (rate > 0).all()
    assert np.isfinite(theta).all()
