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
        perturbed = control = np.zeros(1)
        while _z_without_ties(perturbed, control) == 0:  # a z of 0 has no sign that could be wrong
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


def _sigma(perturbed: np.ndarray, control: np.ndarray, *, ties: bool = True) -> float:
    """Give the standard deviation of U by chance."""
    n1, n2 = len(perturbed), len(control)
    n = n1 + n2
    tied = np.unique(np.concatenate([perturbed, control]), return_counts=True)[1]
    lost = float((tied**3 - tied).sum()) / (n * (n - 1)) if ties else 0.0
    return float(np.sqrt(n1 * n2 / 12 * (n + 1 - lost)))


def _above_chance(perturbed: np.ndarray, control: np.ndarray) -> float:
    return _u(perturbed, control) - len(perturbed) * len(control) / 2


def _z_without_ties(perturbed: np.ndarray, control: np.ndarray) -> float:
    return _above_chance(perturbed, control) / _sigma(perturbed, control, ties=False)


def _z_of_wins(perturbed: np.ndarray, control: np.ndarray) -> float:
    """Count a tie as if the perturbed cell were not higher."""
    wins = int((np.asarray(perturbed)[:, None] > np.asarray(control)).sum())
    return (wins - len(perturbed) * len(control) / 2) / _sigma(perturbed, control)


def _z_of_rank_sum(perturbed: np.ndarray, control: np.ndarray) -> float:
    n1 = len(perturbed)
    return (_above_chance(perturbed, control) + n1 * (n1 + 1) / 2) / _sigma(perturbed, control)


def _z_of_control(perturbed: np.ndarray, control: np.ndarray) -> float:
    return -_rank_sum_z(perturbed, control)


def _squared_z(perturbed: np.ndarray, control: np.ndarray) -> float:
    return _above_chance(perturbed, control) / _sigma(perturbed, control) ** 2


def _p_value(perturbed: np.ndarray, control: np.ndarray) -> float:
    return float(scipy.stats.mannwhitneyu(perturbed, control).pvalue)


QUESTION = Question(
    name="rank_sum_z",
    asks=Function("rank_sum_z"),
    inputs=_rank_cases,
    due=_rank_sum_z,
    hints=(
        "Rank all cells together: if the perturbed ones have high ranks, they are higher. Ties share a rank.",
        (
            "U = rank sum - n1 (n1 + 1) / 2; sigma^2 = n1 n2 / 12 x (n + 1 - sum(t^3 - t) / (n (n - 1))); z = (U "
            "- n1 n2 / 2) / sigma"
        ),
        (
            "values of both groups: n1 + n2; their ranks likewise; t: how many share each value; U, sigma and z: "
            "one number each"
        ),
    ),
    mistakes=(
        Mistake("the ties are not corrected for; subtract the sum over groups of tied cells", _z_without_ties),
        Mistake("this is the z of the control cells; count pairs in which the perturbed cell is higher", _z_of_control),
        Mistake("the sum of ranks is not yet U; subtract n1 (n1 + 1) / 2 from it", _z_of_rank_sum),
        Mistake("a tie of a perturbed and a control cell counts nothing here; count it as one half", _z_of_wins),
        Mistake("this is divided by the variance; take its square root", _squared_z),
        Mistake("this is U; subtract what chance gives, and divide by sigma", _u),
        Mistake("this is how far U lies above chance; divide by sigma, its standard deviation", _above_chance),
        Mistake("this is the p-value; give z itself", _p_value),
    ),
    without=WITHOUT,
)
