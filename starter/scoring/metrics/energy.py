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
    Plan. Inference 143:1249, as U-statistic: no cell is compared with itself, so that two samples of one distribution
    are 0 apart on average whatever their sizes, and may fall a little below. (As V-statistic they are 2 / n of a mean
    distance apart, which rewards many cells.) On perturbed cells by scPerturb, Peidli et al. (2024), Nature Methods
    21:531, whose tool takes squared distances, by which only the means would count.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations, with points in the same components.

    Returns
    -------
    One value a perturbation, 0 on average for cells of the measured distribution; NaN where fewer than two cells were
    measured, or none predicted. Fewer predicted cells than measured ones count as copies that make up their number:
    two cells placed far apart on either side would else be nearer than any sample.
    """
    values = np.full(len(truth.perturbations), np.nan)
    for row, sides in enumerate(zip(prediction.points_of_each(), truth.points_of_each(), strict=True)):
        x, y = (points[:: -(-len(points) // MAX_CELLS) or 1] for points in sides)
        if len(x) and len(y) > 1:
            # a V-statistic of n cells becomes a U-statistic by the factor n / (n - 1)
            within = [_mean_distance(side, side) * n / (n - 1) for side, n in ((x, max(len(x), len(y))), (y, len(y)))]
            values[row] = 2 * _mean_distance(x, y) - sum(within)
    return values


def _mean_distance(x: np.ndarray, y: np.ndarray) -> float:
    starts = range(0, len(x), ROWS)
    total = sum(scipy.spatial.distance.cdist(x[start : start + ROWS], y).sum() for start in starts)
    return total / (len(x) * len(y))
