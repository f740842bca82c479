"""Question `nb_log_likelihood`: the log-likelihood of counts under negative binomials."""

import numpy as np
import scipy.special
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _counts(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw few to many counts, zeros among them, each gene with its own theta, below and above 1."""
    cases = []
    for n_cells, n_genes in ((4, 7), (6, 3), (3, 11)):
        theta = rng.uniform(0.2, 0.8, n_genes) * np.where(rng.permutation(n_genes) % 2, 1.0, 6.0)
        mean = rng.gamma(1.0, 4.0, (n_cells, n_genes)) + 0.1
        counts = rng.negative_binomial(theta, theta / (theta + mean)).astype(float)
        counts[0, 0], counts[-1, -1] = 0.0, 23.0
        cases.append({"counts": counts, "mean": mean, "theta": theta})
    return cases


def _nb(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return scipy.stats.nbinom.logpmf(counts, theta, theta / (theta + mean))


def _shares_exchanged(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return scipy.stats.nbinom.logpmf(counts, theta, mean / (theta + mean))


def _without_factorial(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return _nb(counts, mean, theta) + scipy.special.gammaln(counts + 1)


def _inverse_theta(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return _nb(counts, mean, 1 / theta)


def _poisson(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    del theta
    return scipy.stats.poisson.logpmf(counts, mean)


def _probability(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return np.exp(_nb(counts, mean, theta))


def _as_loss(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return -_nb(counts, mean, theta)


def _shares_alone(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return theta * np.log(theta / (theta + mean)) + counts * np.log(mean / (theta + mean))


QUESTION = Question(
    name="nb_log_likelihood",
    asks=Function("nb_log_likelihood", tensors=True),
    inputs=_counts,
    due=_nb,
    hints=(
        "How likely is a count, if the mean is m and counts vary more than Poisson's? Work in logarithms.",
        "lgamma(k + theta) - lgamma(theta) - lgamma(k + 1) + theta log(theta / (theta + m)) + k log(m / (theta + m))",
        (
            "counts and mean: cells x genes; theta: one per gene, which every cell shares; the result: cells x "
            "genes, no sum"
        ),
    ),
    mistakes=(
        Mistake("log Gamma(k + 1) is missing; subtract it", _without_factorial),
        Mistake(
            "the shares are exchanged: theta goes with log(theta / (theta + m)), k with log(m / (theta + m))",
            _shares_exchanged,
        ),
        Mistake("this takes 1 / theta for theta; the larger theta, the less the counts vary", _inverse_theta),
        Mistake("this is Poisson's, which knows no theta", _poisson),
        Mistake("this is the probability itself; give its logarithm", _probability),
        Mistake("this is the loss; give the log-likelihood, without the minus", _as_loss),
        Mistake("in how many ways a count comes about is missing: add the three log Gammas", _shares_alone),
    ),
    without=WITHOUT,
    held_back=("starter.models.cvae",),
)
