"""When an entry is better by more than noise, and which teams share a rank.

An entry has one value a perturbation: what it adds to the overall score.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats

LEVEL = 0.95
ROUNDING = 1e-9


def is_better(new: np.ndarray, best: np.ndarray | None) -> bool:
    """Tell whether an entry moves its team's standing, by the Ladder without parameters.

    The mean must rise by more than s / sqrt(n), s being the standard deviation of the paired differences. The score
    itself is not rounded to multiples of 1 / n, as the paper does for losses of 0 and 1, which are such multiples.

    Parameters
    ----------
    new, best
        Values of the entry and of the one by which the team stands, perturbation by perturbation; None if there is
        none, so that the first entry stands.

    References
    ----------
    Blum & Hardt (2015), The Ladder: A Reliable Leaderboard for Machine Learning Competitions, algorithm 2.
    """
    if not np.isfinite(new).all():
        return False
    if best is None:
        return True
    gain = new - best
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    # where one perturbation alone differs both are equal, and rounding must not decide
    return bool(gain.mean() > error * (1 + ROUNDING))


def standing_of(entries: Sequence[np.ndarray]) -> tuple[int | None, list[bool]]:
    """Go through a team's entries in their order.

    Returns
    -------
    The place of the entry by which it stands, None if no entry has a score; and which entries moved it.
    """
    place, moved = None, []
    for row, values in enumerate(entries):
        moved.append(is_better(values, None if place is None else entries[place]))
        place = row if moved[-1] else place
    return place, moved


def ranks(values: np.ndarray, *, intervals: bool = True) -> np.ndarray:
    """Rank teams by their mean; going down, a team shares the rank of the group's first unless it is surely worse.

    Parameters
    ----------
    values
        Teams x perturbations.
    intervals
        Whether noise is looked at: a team opens a new group if the 95 % interval of the paired difference from the
        group's first, by Student's t, is above 0. Without, only equal means share a rank.

    Returns
    -------
    Ranks from 1, in the order given. Who misses a value is last, and shares no rank.
    """
    means, t = values.mean(axis=1), scipy.stats.t.ppf((1 + LEVEL) / 2, values.shape[1] - 1)
    order = np.argsort(-means, kind="stable")
    result, first = np.zeros(len(values), int), None
    for place, row in enumerate(order, start=1):
        if first is None or _is_worse(values[row], values[first], t if intervals else None):
            first, rank = row, place
        result[row] = rank
    return result


def _is_worse(values: np.ndarray, first: np.ndarray, t: float | None) -> bool:
    noise = 0.0 if t is None else t * (first - values).std(ddof=1) / np.sqrt(len(values))
    return not first.mean() - values.mean() <= noise  # also where a value is missing, of which nobody knows the noise
