"""Question `kl`: the divergence of each cell's normal from a standard normal, with its gradients."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT, detached, normals


def _without_noise(rng: np.random.Generator) -> list[dict[str, object]]:
    return normals(rng, noise=False)


def _kl(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    """Take it, and its gradients, from torch's own distributions."""
    import torch  # takes seconds, and only this question needs it

    mu, log_var = (torch.tensor(values, requires_grad=True) for values in (mean, log_variance))
    own = torch.distributions.Normal(mu, log_var.exp().sqrt())
    divergence = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    gradients = torch.autograd.grad(divergence.sum(), (mu, log_var))
    return [values.detach().numpy() for values in (divergence, *gradients)]


def _parts(mean: np.ndarray, log_variance: np.ndarray, half: float = 0.5, sign: float = -1.0) -> list[np.ndarray]:
    variance = np.exp(log_variance)
    each = half * (mean**2 + variance - 1 + sign * log_variance)
    return [each.sum(axis=1), 2 * half * mean, half * (variance + sign)]


def _over_all_cells(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    value, *gradients = _kl(mean, log_variance)
    return [value.sum(), *gradients]


def _mean_over_numbers(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    return [values / mean.shape[1] for values in _kl(mean, log_variance)]


def _turned_round(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    """KL of N(0, 1) from the distribution."""
    precision = np.exp(-log_variance)
    each = 0.5 * ((1 + mean**2) * precision - 1 + log_variance)
    return [each.sum(axis=1), mean * precision, 0.5 * (1 - (1 + mean**2) * precision)]


def _without_one(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    value, *gradients = _kl(mean, log_variance)
    return [value + mean.shape[1] / 2, *gradients]


QUESTION = Question(
    name="kl",
    asks=Function("kl_with_gradients", tensors=True),
    inputs=_without_noise,
    due=_kl,
    hints=(
        "How far is a cell's normal distribution from N(0, 1)? It has a closed form for each latent number.",
        "1/2 sum(mean^2 + variance - 1 - log-variance), over the latent numbers",
        "one term per cell and latent number; the sum over dim 1: one per cell",
    ),
    mistakes=(
        Mistake("this is the sum over all cells; sum over the latent numbers of each cell", _over_all_cells),
        Mistake("this is the mean over the latent numbers; sum them", _mean_over_numbers),
        Mistake("the factor 1/2 is missing", lambda **case: _parts(**case, half=1.0)),
        Mistake("the log-variance has the wrong sign: subtract it", lambda **case: _parts(**case, sign=1.0)),
        Mistake("this is the divergence of N(0, 1) from the cell's distribution; turn it round", _turned_round),
        Mistake("the value is right, but no gradient reaches the mean: it was detached", detached(_kl, 1)),
        Mistake("the value is right, but no gradient reaches the log-variance: it was detached", detached(_kl, 2)),
        Mistake("the 1 is missing: mean ** 2 + variance - 1 - log-variance", _without_one),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.cvae",),
)
