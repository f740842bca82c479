"""The metrics, and the profiles (rule sets) that choose among them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    counts: Literal["scaled to their median", "refused"]
    """What happens to a prediction of counts."""
    baseline: Literal["constant", "thinned"]
    """Cells of the baseline: all equal to cell-eval's mean (control label included), or control cells thinned to the
    train mean."""
    replicate: Literal["plain", "interpolated"]
    """Split halves as they are, or interpolated for metrics on profiles and compared by their gain."""
    full_score: Literal["perfection", "replicate"]
    """What a scaled score of 1 means; 0 is the baseline."""

    def scale(self, metric: Metric, value: float, baseline: float, replicate: float) -> float:
        """Put a metric's mean on the scale on which the baseline is 0.

        Parameters
        ----------
        metric
            The metric.
        value, baseline, replicate
            Means over perturbations.

        Returns
        -------
        Towards perfection (VCC 2025): the share of the way, at least 0, and 0 if undefined. Towards the replicate
        (course): the share of the way, not clipped; NaN where the replicate is not better than the baseline, so that
        the metric cannot be graded on this screen.
        """
        if self.full_score == "perfection":
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

_SCORED_2025 = ("overlap_at_N", "discrimination_score_l1", "mae")

_COURSE = Profile(
    name="course",
    title="the course's rules",
    de=de_cell_eval_082,
    metrics=(_COURSE_DES, _COURSE_PDS, _MAE, _COURSE_PEARSON),
    scored=(*_SCORED_2025, "pearson_delta"),
    counts="refused",
    baseline="thinned",
    replicate="interpolated",
    full_score="replicate",
)
_VCC_2025 = Profile(
    name="vcc2025",
    title="VCC 2025, cell-eval 0.8.2",
    de=de_cell_eval_082,
    metrics=(_DES, _PDS, _MAE, _PEARSON),
    scored=_SCORED_2025,
    counts="scaled to their median",
    baseline="constant",
    replicate="plain",
    full_score="perfection",
)
_VCC_2025_FINAL = replace(
    _VCC_2025, name="vcc2025-final", title="VCC 2025 final leaderboard, cell-eval 0.6.6", de=de_cell_eval_066
)
PROFILES = {profile.name: profile for profile in (_COURSE, _VCC_2025, _VCC_2025_FINAL)}
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

    Parameters
    ----------
    profile
        The rule set.
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    Metric name to one value a perturbation, in the truth's order.
    """
    return {metric.name: metric.compute(truth, prediction) for metric in profile.metrics}
