"""Whether predicted cells are distributed as the measured ones."""

import numpy as np
import scipy.spatial.distance

from starter.scoring.screens.summary import Reference, Summary

MAX_CELLS = 2_000
"""Cells of a perturbation that are compared, evenly spaced; the number of distances grows with its square."""
ROWS = 1_000
"""Cells whose distances to all others are in memory at once."""


def e_distance(truth: Reference, prediction: Summary) -> np.ndarray:
    """Energy distance of predicted and measured cells, 2 E|X - Y| - E|X - X'| - E|Y - Y'|.

    |.| is the Euclidean distance in the principal components of the measured cells. Székely & Rizzo (2013), J. Stat.
    Plan. Inference 143:1249, as V-statistic (a cell is also compared with itself), which is never negative; on
    perturbed cells by scPerturb, Peidli et al. (2024), Nature Methods 21:531, whose tool takes squared distances, by
    which only the means would count. Two samples of n cells of one distribution are about E|X - X'| 2 / n apart, not 0.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations, with points in the same components.

    Returns
    -------
    One value a perturbation, 0 (the same cells) or more; NaN where either side has no cells.
    """
    values = np.full(len(truth.perturbations), np.nan)
    for row, sides in enumerate(zip(prediction.points_of_each(), truth.points_of_each(), strict=True)):
        x, y = (points[:: -(-len(points) // MAX_CELLS) or 1] for points in sides)
        if len(x) and len(y):
            distance = 2 * _mean_distance(x, y) - _mean_distance(x, x) - _mean_distance(y, y)
            values[row] = max(distance, 0.0)  # rounding can fall below
    return values


def _mean_distance(x: np.ndarray, y: np.ndarray) -> float:
    starts = range(0, len(x), ROWS)
    total = sum(scipy.spatial.distance.cdist(x[start : start + ROWS], y).sum() for start in starts)
    return total / (len(x) * len(y))
