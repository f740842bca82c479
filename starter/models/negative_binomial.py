"""The negative binomial distribution, gene by gene: mean of log1p, and its parameters from cells.

A count has mean m and variance m + m^2 / theta. This module needs torch (the extra `student`).
"""

import numpy as np
import torch
from torch import Tensor

FEWEST_COUNTS = 0.5
"""Added to a gene's counts, so that its rate is above 0."""
THETA = (0.05, 100.0)
"""Range of a gene's theta: below, few cells decide; above, counts are all but Poisson."""
STEP = 0.5
NODES = torch.arange(-20, 4 + STEP, STEP).exp()
"""Where `mean_log1p` takes its integrand; finer or wider changes nothing in float32."""


def mean_log1p(log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """Give the mean of log(1 + counts) of a negative binomial, without drawing any.

    From log(1 + k) = integral over t > 0 of (1 - exp(-tk)) exp(-t) / t, and the mean of exp(-tk), which is
    (1 + mean (1 - exp(-t)) / theta)^-theta; with t = exp(s) the trapezoid rule is exact to rounding.

    Parameters
    ----------
    log_mean, log_theta
        Natural logarithms of the mean and of theta.
    """
    theta, odds = log_theta.exp(), (log_mean - log_theta).exp()
    total = torch.zeros_like(odds)  # as log_mean and log_theta broadcast
    for t in NODES:
        total += -torch.expm1(-theta * torch.log1p(odds * -torch.expm1(-t))) * torch.exp(-t) * STEP
    return total


def moments(counts: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate each gene's rate and theta from alike cells, by the method of moments.

    Parameters
    ----------
    counts
        Cells x genes.
    depth
        Cells x 1; a gene's mean count in a cell is rate x depth.

    Returns
    -------
    Rate and theta, one a gene; theta within `THETA`.
    """
    rate = (counts.sum(axis=0) + FEWEST_COUNTS) / depth.sum()  # genes
    mean = depth * rate  # cells x genes
    excess = (np.square(counts - mean) - mean).sum(axis=0)  # genes
    return rate, 1 / np.clip(excess / np.square(mean).sum(axis=0), 1 / THETA[1], 1 / THETA[0])
