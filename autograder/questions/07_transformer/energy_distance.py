"""Question `energy_distance`: the distance of two sets of cells, and in which direction it grows."""

import numpy as np
import scipy.spatial.distance

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _two_sets(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make sets of unequal numbers of cells, one pair, then several."""
    cases = []
    for lead, n, m, k in (((), 4, 7, 3), ((2,), 6, 5, 4), ((3,), 3, 8, 5)):
        x, y = rng.normal(size=(*lead, n, k)), rng.normal(0.4, 1.5, (*lead, m, k))
        cases.append({"x": x, "y": y})
    return cases


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum over y of the unit vectors from y to each x: the slope of the sum of distances."""
    apart = x[:, None] - y[None]
    length = np.linalg.norm(apart, axis=-1, keepdims=True)
    return np.divide(apart, length, out=np.zeros_like(apart), where=length > 0).sum(axis=1)


def _energy(
    x: np.ndarray,
    y: np.ndarray,
    power: int = 1,
    weights: tuple[float, float, float] = (2.0, 1.0, 1.0),
    pulls: tuple[float, float] = (1.0, 1.0),
    *,
    total: bool = False,
) -> list[np.ndarray]:
    """Give the distance, and its gradient with respect to x in closed form."""
    if x.ndim > 2:
        each = [_energy(a, b, power, weights, pulls, total=total) for a, b in zip(x, y, strict=True)]
        return [np.array(part) for part in zip(*each, strict=True)]
    n, m = len(x), len(y)
    pairs = ((x, y), (x, x), (y, y))
    sums = [(scipy.spatial.distance.cdist(a, b) ** power).sum() for a, b in pairs]
    counts = (1, 1, 1) if total else (n * m, n * n, m * m)
    distance = sum(
        sign * w * value / count for sign, w, value, count in zip((1, -1, -1), weights, sums, counts, strict=True)
    )
    if power == 2:
        across, within = (2 * (len(other) * x - other.sum(axis=0)) for other in (y, x))
    else:
        across, within = _slopes(x, y), _slopes(x, x)
    gradient = pulls[0] * weights[0] * across / counts[0] - pulls[1] * 2 * weights[1] * within / counts[1]
    return [np.array(distance), gradient]


def _no_slope(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    distance, gradient = _energy(x, y)
    return [distance, np.full_like(gradient, np.nan)]


def _without_oneself(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Give the U-statistic: a cell is not compared with itself."""
    n, m = x.shape[-2], y.shape[-2]
    return _energy(x, y, weights=(2.0, n / (n - 1), m / (m - 1)))


QUESTION = Question(
    name="energy_distance",
    asks=Function("energy_and_slope", tensors=True),
    inputs=_two_sets,
    due=_energy,
    hints=(
        "Two sets are alike if a cell is as far from the other set as from its own.",
        "2 E|x - y| - E|x - x'| - E|y - y'|, means over all pairs",
        "distances of every two rows: ... x cells x cells; the mean over both last dimensions; three of them",
    ),
    mistakes=(
        Mistake("distances were squared, by which only means count; do not square them", lambda x, y: _energy(x, y, 2)),
        Mistake("the distance across counts twice: 2 E|X - Y|", lambda x, y: _energy(x, y, weights=(1.0, 1.0, 1.0))),
        Mistake("the distances within x are missing", lambda x, y: _energy(x, y, weights=(2.0, 0.0, 1.0))),
        Mistake("the distances within y are missing", lambda x, y: _energy(x, y, weights=(2.0, 1.0, 0.0))),
        Mistake("distances were summed; take their means", lambda x, y: _energy(x, y, total=True)),
        Mistake(
            "a part was detached, and x feels only the other set; no detach, no numpy",
            lambda x, y: _energy(x, y, pulls=(1.0, 0.0)),
        ),
        Mistake("a cell is 0 from itself, and the square root has no slope there; use torch.cdist", _no_slope),
        Mistake("a cell is compared with itself too; take plain means", _without_oneself, credit=0.5),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.set_transformer",),
)
