"""Question `reparameterise`: a draw from a normal that gradients pass through."""

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT, detached, normals


def _with_noise(rng: np.random.Generator) -> list[dict[str, object]]:
    return normals(rng, noise=True)


def _draw(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    """Draw by the quantiles of the distribution itself, with the derivatives by hand."""
    spread = np.sqrt(np.exp(log_variance))
    z = scipy.stats.norm.ppf(scipy.stats.norm.cdf(noise), mean, spread)
    return [z, np.ones_like(mean), 0.5 * spread * noise]


def _variance_as_spread(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    variance = np.exp(log_variance)
    return [mean + variance * noise, np.ones_like(mean), variance * noise]


def _log_as_spread(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    return [mean + log_variance * noise, np.ones_like(mean), noise]


def _no_spread(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    return [mean + noise, np.ones_like(mean), np.zeros_like(log_variance)]


def _mean_only(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    del noise
    return [mean, np.ones_like(mean), np.zeros_like(log_variance)]


def _taken_off(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    return _draw(mean, log_variance, -noise)


QUESTION = Question(
    name="reparameterise",
    asks=Function("draw_with_gradients", tensors=True),
    inputs=_with_noise,
    due=_draw,
    hints=(
        "Draw standard noise outside, then stretch and move it: so gradients reach mean and spread.",
        "z = mean + standard deviation x noise; the standard deviation is exp(log-variance / 2)",
        "all of one shape, cells x latent numbers; keep every step a tensor with its gradient",
    ),
    mistakes=(
        Mistake("exp(log-variance) is the variance; the standard deviation is its root", _variance_as_spread),
        Mistake("the log-variance itself scales the noise; take exp of its half", _log_as_spread),
        Mistake("the noise is not scaled; multiply it by the standard deviation", _no_spread),
        Mistake("the noise is missing, so every draw is the mean", _mean_only),
        Mistake("the value is right, but no gradient reaches the mean: it was detached", detached(_draw, 1)),
        Mistake("the value is right, but no gradient reaches the log-variance: it was detached", detached(_draw, 2)),
        Mistake(
            "the value is right, but it is cut off from mean and log-variance: no detach, .item() or no_grad here",
            detached(_draw, 1, 2),
        ),
        Mistake("the noise was taken off; add it", _taken_off),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.cvae",),
)
