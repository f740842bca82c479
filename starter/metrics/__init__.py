"""The metrics, and the profiles (rule sets) that choose among them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from starter.de import DERule, de_cell_eval_066, de_cell_eval_082
from starter.metrics.correlation import pearson_delta, pearson_delta_or_zero
from starter.metrics.discrimination import discrimination_score_l1, discrimination_score_l1_midrank
from starter.metrics.error import mae
from starter.metrics.overlap import overlap_at_n, overlap_where_de
from starter.schema import InputError
from starter.summary import Summary

CELL_EVAL = "cell-eval, Arc Institute; Roohani et al. (2025), Cell 188:3370"
"""Where the 2025 rules come from."""


@dataclass(frozen=True)
class Metric:
    """A number per perturbation that compares a prediction with the truth."""

    name: str
    """As the reference tool names it."""
    title: str
    """For tables and figures."""
    compute: Callable[[Summary, Summary], np.ndarray] = field(repr=False)
    """(truth, prediction) -> one value a perturbation; NaN where undefined."""
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

    def mean(self, values: np.ndarray) -> float:
        """Mean over perturbations.

        Returns
        -------
        NaN if any value is undefined, unless the metric skips those; NaN if none is left.
        """
        kept = values[~np.isnan(values)] if self.skip_undefined else values
        return float(kept.mean()) if len(kept) else float("nan")


@dataclass(frozen=True)
class Profile:
    """A rule set: which metrics, how DE is called, how values become a score."""

    name: str
    title: str
    de: DERule = field(repr=False)
    metrics: tuple[Metric, ...]
    scored: tuple[str, ...]
    """Names of the metrics whose mean scaled value is the overall score."""
    official: bool
    """Scaled by the challenge's own formula; otherwise between baseline (0) and replicate (1)."""

    def scale(self, metric: Metric, value: float, baseline: float, replicate: float) -> float:
        """Put a metric's mean on the scale on which the baseline is 0.

        Returns
        -------
        VCC 2025: the share of the way from the baseline to perfection, at least 0, and 0 if undefined.
        Course: the share of the way from the baseline to the replicate, not clipped; NaN where the replicate is
        not better than the baseline, so that the metric cannot be graded on this screen.
        """
        if self.official:
            share = (value - baseline) / (metric.best - baseline) if baseline != metric.best else float("nan")
            return 0.0 if np.isnan(share) else max(share, 0.0)
        gain = replicate - baseline if metric.direction == "higher" else baseline - replicate
        return (value - baseline) / (replicate - baseline) if gain > 0 else float("nan")


_MAE = Metric("mae", "MAE", mae, "lower", 0.0, (0.0, np.inf), CELL_EVAL)
_DES = Metric("overlap_at_N", "DES", overlap_at_n, "higher", 1.0, (0.0, 1.0), CELL_EVAL, on_cells=True)
_PDS = Metric("discrimination_score_l1", "PDS", discrimination_score_l1, "higher", 1.0, (0.0, 1.0), CELL_EVAL)
_PEARSON = Metric("pearson_delta", "Pearson delta", pearson_delta, "higher", 1.0, (-1.0, 1.0), CELL_EVAL)

_COURSE_DES = Metric(
    "overlap_at_N", "DES", overlap_where_de, "higher", 1.0, (0.0, 1.0),
    f"{CELL_EVAL}; perturbations without a DE gene are left out", on_cells=True, skip_undefined=True,
)  # fmt: skip
_COURSE_PDS = Metric(
    "discrimination_score_l1", "PDS", discrimination_score_l1_midrank, "higher", 1.0, (0.0, 1.0),
    f"{CELL_EVAL}; midranks and n - 1", skip_undefined=True,
)  # fmt: skip
_COURSE_PEARSON = Metric(
    "pearson_delta", "Pearson delta", pearson_delta_or_zero, "higher", 1.0, (-1.0, 1.0),
    f"{CELL_EVAL}; 0 for a constant effect",
)  # fmt: skip

_VCC_2025 = (_DES, _PDS, _MAE, _PEARSON)
_SCORED_2025 = ("overlap_at_N", "discrimination_score_l1", "mae")

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "course", "the course's rules", de_cell_eval_082, (_COURSE_DES, _COURSE_PDS, _MAE, _COURSE_PEARSON),
            (*_SCORED_2025, "pearson_delta"), official=False,
        ),
        Profile("vcc2025", "VCC 2025, cell-eval 0.8.2", de_cell_eval_082, _VCC_2025, _SCORED_2025, official=True),
        Profile(
            "vcc2025-final", "VCC 2025 final leaderboard, cell-eval 0.6.6", de_cell_eval_066, _VCC_2025, _SCORED_2025,
            official=True,
        ),
    )
}  # fmt: skip
"""All rule sets by name."""


def get_profile(name: str) -> Profile:
    """Look up a rule set.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in PROFILES:
        msg = f"there is no profile {name!r}; the profiles are {', '.join(PROFILES)}"
        raise InputError(msg)
    return PROFILES[name]


def score_perturbations(profile: Profile, truth: Summary, prediction: Summary) -> dict[str, np.ndarray]:
    """Compute every metric of a profile.

    Returns
    -------
    Metric name to one value a perturbation, in the truth's order.
    """
    return {metric.name: metric.compute(truth, prediction) for metric in profile.metrics}
