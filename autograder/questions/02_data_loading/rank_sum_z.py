"""Question `rank_sum_z`: the z of a rank-sum test, corrected for ties."""

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _rank_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Expression with a large tie at zero and small ones above."""
    cases = []
    for n_perturbed, n_control, shift in ((9, 14, 1.6), (23, 17, 0.6), (12, 31, 2.2)):
        perturbed, control = rng.poisson(1.1 * shift, n_perturbed), rng.poisson(1.1, n_control)
        perturbed[:2], control[:3] = (0, 3), 0
        cases.append({"perturbed": np.log1p(perturbed), "control": np.log1p(control)})
    return cases


def _rank_sum_z(perturbed: np.ndarray, control: np.ndarray) -> float:
    half = len(perturbed) * len(control) / 2
    result = scipy.stats.mannwhitneyu(perturbed, control, method="asymptotic", use_continuity=False)
    return float(np.sign(result.statistic - half) * scipy.stats.norm.isf(result.pvalue / 2))


def _u(perturbed: np.ndarray, control: np.ndarray) -> float:
    higher = np.asarray(perturbed)[:, None] - np.asarray(control)
    return float((higher > 0).sum() + (higher == 0).sum() / 2)


def _centred(u: float, perturbed: np.ndarray, control: np.ndarray) -> float:
    """Give z without the correction for ties."""
    n1, n2 = len(perturbed), len(control)
    return (u - n1 * n2 / 2) / float(np.sqrt(n1 * n2 * (n1 + n2 + 1) / 12))


def _z_without_ties(perturbed: np.ndarray, control: np.ndarray) -> float:
    return _centred(_u(perturbed, control), perturbed, control)


def _z_of_rank_sum(perturbed: np.ndarray, control: np.ndarray) -> float:
    n1 = len(perturbed)
    shift = _centred(_u(perturbed, control) + n1 * (n1 + 1) / 2, perturbed, control)
    return shift * _rank_sum_z(perturbed, control) / _z_without_ties(perturbed, control)


def _z_of_control(perturbed: np.ndarray, control: np.ndarray) -> float:
    return -_rank_sum_z(perturbed, control)


def _squared_z(perturbed: np.ndarray, control: np.ndarray) -> float:
    z, without = _rank_sum_z(perturbed, control), _z_without_ties(perturbed, control)
    n1, n2 = len(perturbed), len(control)
    sigma = np.sqrt(n1 * n2 * (n1 + n2 + 1) / 12) * without / z
    return float(z / sigma)


QUESTION = Question(
    name="rank_sum_z",
    asks=Function("rank_sum_z"),
    inputs=_rank_cases,
    due=_rank_sum_z,
    mistakes=(
        Mistake("the ties are not corrected for; subtract the sum over groups of tied cells", _z_without_ties),
        Mistake("this is the z of the control cells; count pairs in which the perturbed cell is higher", _z_of_control),
        Mistake("the sum of ranks is not yet U; subtract n1 (n1 + 1) / 2 from it", _z_of_rank_sum),
        Mistake("this is divided by the variance; take its square root", _squared_z),
        Mistake("this is U; subtract what chance gives, and divide by sigma", _u),
    ),
    without=WITHOUT,
)
