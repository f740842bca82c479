"""What a metric is: one function with its name, direction, range and source."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from starter.scoring.screens.summary import Summary


@dataclass(frozen=True)
class Metric:
    """A number per perturbation that compares a prediction with the truth."""

    name: str
    """As the reference tool names it."""
    title: str
    """For tables and figures."""
    compute: Callable[[Any, Summary], np.ndarray] = field(repr=False)
    """(truth, prediction) -> one value a perturbation; NaN where undefined. A `ratio` gives two: its parts. The truth
    is a `Summary`, or a `Reference` where the metric needs what only that has."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    best: float
    """The value of a perfect prediction."""
    range: tuple[float, float]
    source: str
    on_cells: bool = False
    """Depends on single cells (through the DE table), not on profiles alone."""
    skip_undefined: bool = False
    """Leave undefined perturbations out of the mean and count them, or let the mean be undefined."""
    ratio: bool = False
    """One value for the panel: the sum of the first parts over that of the second."""

    def mean(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """Mean over perturbations (for a ratio: over the panel).

        Parameters
        ----------
        values
            What `compute` gave, or draws of it: perturbations along `axis`.
        axis
            The axis of the perturbations; for a ratio the last axis holds the two parts.

        Returns
        -------
        NaN if any value is undefined, unless the metric skips those; NaN if none is left.
        """
        if self.ratio:
            parts = values.sum(axis=axis)
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(parts[..., 1] > 0, parts[..., 0] / parts[..., 1], np.nan)
        if not self.skip_undefined:
            return values.mean(axis=axis) if values.shape[axis] else np.full(np.delete(values.shape, axis), np.nan)
        defined = ~np.isnan(values)
        n = defined.sum(axis=axis)
        total = np.where(defined, values, 0).sum(axis=axis)
        return np.divide(total, n, out=np.full(np.shape(n), np.nan), where=n > 0)

    def per_perturbation(self, values: np.ndarray) -> np.ndarray:
        """Give one value a perturbation whose mean is the metric's, for a table."""
        return values[:, 0] / values[:, 1].mean() if self.ratio else values
