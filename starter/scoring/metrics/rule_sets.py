"""The rule sets: which metrics count, how DE is called, how a value becomes a score."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from starter.errors import InputError
from starter.scoring.metrics import vcc2026
from starter.scoring.metrics.base import Metric
from starter.scoring.metrics.correlation import pearson_delta
from starter.scoring.metrics.course import CELL_EVAL, course_metrics
from starter.scoring.metrics.course import SCORED as SCORED_COURSE
from starter.scoring.metrics.discrimination import discrimination_score_l1
from starter.scoring.metrics.error import mae
from starter.scoring.metrics.overlap import overlap_at_n
from starter.scoring.screens.summary import Summary
from starter.statistics.de import CELL_EVAL_066, CELL_EVAL_082, DERule

CELL_EVAL_2 = "cell-eval2 0.20.0, Arc Institute"
"""Where the 2026 rules come from."""


@dataclass(frozen=True)
class RuleSet:
    """A rule set: which metrics, how DE is called, how values become a score."""

    name: str
    title: str
    de: DERule | None = field(repr=False)
    """How DE is called on log1p expression; None for the rules of 2026, which start from counts."""
    metrics: tuple[Metric, ...]
    scored: tuple[str, ...]
    """Names of the metrics whose mean scaled value is the overall score."""
    counts: Literal["scaled to their median", "refused", "needed"]
    """What happens to a prediction of counts."""
    baseline: Literal["constant", "thinned", "resampled"]
    """Cells of the baseline: all equal to cell-eval's mean (control label included), control cells thinned to the train
    mean, or control cells drawn and scaled to the mean response (cell-eval2)."""
    replicate: Literal["plain", "interpolated", "own controls"]
    """Split halves as they are, or interpolated for metrics on profiles and compared by their gain, or with the
    controls split too."""
    full_score: Literal["perfection", "replicate"]
    """What a scaled score of 1 means; 0 is the baseline."""

    def de_of_logs(self) -> DERule:
        """Give how DE is called on log1p expression.

        Raises
        ------
        ValueError
            By the rules of 2026.
        """
        if self.de is None:
            msg = f"{self.title} starts from counts"
            raise ValueError(msg)
        return self.de

    @property
    def anchors(self) -> tuple[str, ...]:
        """What a prediction is seen beside, and, of rules that start from logs, the same against half the cells.

        By the course's rules the plain half is seen beside the interpolated one.
        """
        of_logs = ("half_baseline", "half_replicate") if self.de else ()
        return ("baseline", "replicate", *(("plain_half",) if self.gains else ()), *of_logs)

    @property
    def gains(self) -> bool:
        """Whether the replicate's gain over the baseline is what counts, so that it must be clearly above 0."""
        return self.replicate == "interpolated"

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
        Towards perfection (VCC 2025): the share of the way, at least 0, and 0 if undefined. Towards the replicate:
        the share of the way; not clipped (course), or within the limits of the metric (VCC 2026).

        Raises
        ------
        InputError
            By the rules of 2026, if baseline or replicate cannot carry a scale.
        """
        if self.replicate == "own controls":
            return vcc2026.score(metric.name, value, baseline, replicate)
        share = self.unclipped(metric, value, baseline, replicate)
        if self.full_score == "perfection":
            return 0.0 if np.isnan(share) else max(share, 0.0)
        return share

    def unclipped(self, metric: Metric, value: float, baseline: float, replicate: float) -> float:
        """Give the share of the way from the baseline that `scale` keeps within limits, without them.

        What is worse than the baseline is below 0 here, so that a loss in one metric is seen beside a gain in another.
        Parameters are those of `scale`; NaN where there is no way to go.
        """
        full = metric.best if self.full_score == "perfection" else replicate
        return (value - baseline) / (full - baseline) if full != baseline else float("nan")


_MAE = Metric("mae", "MAE", mae, "lower", 0.0, (0.0, np.inf), CELL_EVAL)
_DES = Metric("overlap_at_N", "DES", overlap_at_n, "higher", 1.0, (0.0, 1.0), CELL_EVAL, on_cells=True)
_PDS = Metric("discrimination_score_l1", "PDS", discrimination_score_l1, "higher", 1.0, (0.0, 1.0), CELL_EVAL)
_PEARSON = Metric("pearson_delta", "Pearson delta", pearson_delta, "higher", 1.0, (-1.0, 1.0), CELL_EVAL)

_METRICS_2026 = (
    Metric(
        "de_wilcoxon_lfc_nmae", "fold change error", vcc2026.lfc_nmae, "lower", 0.0, (0.0, np.inf), CELL_EVAL_2,
        on_cells=True, skip_undefined=True,
    ),
    Metric(
        "expr_mse_unbiased_capped_norm", "profile error", vcc2026.mse_terms, "lower", 0.0, (-np.inf, np.inf),
        CELL_EVAL_2, ratio=True,
    ),
    Metric(
        "de_wilcoxon_direction_fidelity_yield_raw", "direction fidelity", vcc2026.direction_fidelity, "higher", 1.0,
        (0.0, 1.0), CELL_EVAL_2, on_cells=True, skip_undefined=True,
    ),
    Metric(
        "de_wilcoxon_direction_reach_raw", "direction reach", vcc2026.direction_reach, "higher", 1.0, (0.0, 1.0),
        CELL_EVAL_2, on_cells=True, skip_undefined=True,
    ),
    Metric(
        "de_wilcoxon_sig_jaccard", "DE Jaccard", vcc2026.significant_jaccard, "higher", 1.0, (0.0, 1.0), CELL_EVAL_2,
        on_cells=True, skip_undefined=True,
    ),
    Metric(
        "pds_cosine", "PDS cosine", vcc2026.pds_cosine, "higher", 1.0, (0.0, 1.0), CELL_EVAL_2, skip_undefined=True
    ),
)  # fmt: skip
_COURSE = RuleSet(
    name="course",
    title="the course's rules",
    de=CELL_EVAL_082,
    metrics=course_metrics(),
    scored=SCORED_COURSE,
    counts="refused",
    baseline="thinned",
    replicate="interpolated",
    full_score="replicate",
)
_VCC_2025 = RuleSet(
    name="vcc2025",
    title="VCC 2025, cell-eval 0.8.2",
    de=CELL_EVAL_082,
    metrics=(_DES, _PDS, _MAE, _PEARSON),
    scored=("overlap_at_N", "discrimination_score_l1", "mae"),
    counts="scaled to their median",
    baseline="constant",
    replicate="plain",
    full_score="perfection",
)
_VCC_2025_FINAL = replace(
    _VCC_2025, name="vcc2025-final", title="VCC 2025 final leaderboard, cell-eval 0.6.6", de=CELL_EVAL_066
)
_VCC_2026 = RuleSet(
    name="vcc2026",
    title="VCC 2026, cell-eval2 0.20.0",
    de=None,
    metrics=_METRICS_2026,
    scored=tuple(metric.name for metric in _METRICS_2026),
    counts="needed",
    baseline="resampled",
    replicate="own controls",
    full_score="replicate",
)
RULE_SETS = {rules.name: rules for rules in (_COURSE, _VCC_2025, _VCC_2025_FINAL, _VCC_2026)}
"""All rule sets by name."""


def get_rule_set(name: str) -> RuleSet:
    """Look up a rule set.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in RULE_SETS:
        msg = f"there is no profile {name!r}; the profiles are {', '.join(RULE_SETS)}"
        raise InputError(msg)
    return RULE_SETS[name]


def score_perturbations(rules: RuleSet, truth: Summary, prediction: Summary) -> dict[str, np.ndarray]:
    """Compute every metric of a rule set.

    Parameters
    ----------
    rules
        The rule set.

    Returns
    -------
    Metric name to one value a perturbation, in the truth's order (numerator and denominator for a ratio).
    """
    return {metric.name: metric.compute(truth, prediction) for metric in rules.metrics}
