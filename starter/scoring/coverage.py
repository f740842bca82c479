"""How honest a model's predictive spread is: how often what was measured lies within its intervals.

Intervals of nominally 80 % should hold 80 % of the measured means. A measured mean has a sampling error of its own,
since it is the mean of some dozens of cells, which no model can know; it is added to the spread, variance to variance.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats

from starter.schema import PERTURBATION
from starter.statistics.intervals import interval

LEVELS = (0.5, 0.8, 0.95)
"""Nominal coverage of the intervals that are looked at."""


def sampling_errors(deviations: pd.DataFrame, n_cells: pd.Series) -> pd.DataFrame:
    """Give the standard errors of measured profiles: s / sqrt(n), with s^2 the unbiased variance among a pair's cells.

    Parameters
    ----------
    deviations
        Standard deviation among the cells of each pair (`starter.data.profiles.Profiles`, divided by n), pairs x genes.
    n_cells
        Cells of each pair, n.

    Returns
    -------
    Pairs x genes, in units of log1p expression. NaN of a pair of one cell.
    """
    free = (n_cells.loc[deviations.index] - 1).astype(float)
    return deviations.div(np.sqrt(free.where(free > 0)), axis=0)


def coverage(
    measured: pd.DataFrame,
    predicted: pd.DataFrame,
    spread: pd.DataFrame,
    errors: pd.DataFrame,
    levels: Sequence[float] = LEVELS,
) -> pd.DataFrame:
    """Count how many of a perturbation's genes lie within the predicted intervals.

    Inside is |measured - predicted| <= z sqrt(spread^2 + error^2), z the normal quantile of the level.

    Parameters
    ----------
    measured, predicted
        Profiles, pairs x genes, mean log1p expression.
    spread
        Predicted standard deviation of each mean.
    errors
        Standard error of each measured mean (`sampling_errors`). A gene that no cell of a pair shows has none and is
        left out there.
    levels
        Nominal coverage of the intervals.

    Returns
    -------
    Pairs x levels, shares of the genes. NaN where no gene is left.
    """
    index, genes = measured.index, measured.columns
    tables = [table.loc[index, genes].to_numpy(float) for table in (measured, predicted, spread, errors)]
    off, width = np.abs(tables[0] - tables[1]), np.sqrt(tables[2] ** 2 + tables[3] ** 2)
    counted = np.isfinite(tables[3]) & (tables[3] > 0)
    n = counted.sum(axis=1)
    shares = {
        level: np.divide(
            ((off <= scipy.stats.norm.ppf((1 + level) / 2) * width) & counted).sum(axis=1),
            n,
            out=np.full(len(n), np.nan),
            where=n > 0,
        )
        for level in levels
    }
    return pd.DataFrame(shares, index=index)


def coverage_table(shares: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Average coverage over perturbations.

    Parameters
    ----------
    shares
        What `coverage` gave, of one panel or several below each other.
    seed
        Fixes the bootstrap.

    Returns
    -------
    Index level (the nominal coverage); columns covered, low and high (95 % interval over perturbations, NaN where there
    are too few).
    """
    of_perturbations = shares.groupby(level=PERTURBATION).mean().dropna()
    rows = {}
    for level, values in of_perturbations.items():
        low, high = interval([values.to_numpy()], np.mean, seed)
        rows[level] = (values.mean(), low, high)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["covered", "low", "high"]).astype(float)
