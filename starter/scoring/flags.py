"""What looks like gaming a score, each with the number that says so. A flag asks for a look; it deducts nothing.

The limits lie between what honest models and what tricks gave on a real screen (Papalexi et al. 2021) and a simulated
one; docs/metrics.md has the table.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.stats

from starter.scoring.screens.summary import Reference, Summary, needed

if TYPE_CHECKING:
    from starter.scoring.metrics.rule_sets import RuleSet

CONTROL_SHIFT = 0.01
"""Mean change of the control profile, as a share of the mean measured effect."""
SPREAD = (0.5, 2.0)
"""Variance among the cells of a perturbation, over that of the measured cells."""
DEPTH = (0.75, 4 / 3)
"""Median total of a perturbation's cells, over that of the measured cells."""
EFFECT_SIZE = 1.7
"""Length of the predicted effects, over that of the measured ones."""
FOLLOWS = 0.9
"""Rank correlation of the number of changed genes with cells x UMIs."""
CHANCE = 0.001
"""One-sided p of that correlation."""
SHARES = (0.0, 2.0)
"""Limits of one metric's share, so that a bad one cannot hide others that are too good."""
FEW = 0.1
"""Share of the perturbations that may be outside of a limit."""
SMALLEST = 1e-9
"""Stands for a mean effect where nothing has any."""
ABOVE_REPLICATE = 1.25
"""Mean share of the way from baseline to replicate."""
SAME_LIST = 0.95
"""Mean cosine of the absolute effects of two perturbations."""
CHANGED = 0.25
"""A gene is changed if its effect is above this share of the perturbation's largest."""


@dataclass(frozen=True)
class Flag:
    """One thing that a person should look at."""

    name: str
    level: Literal["flag", "information"]
    """A flag holds the prediction's points for a person; information does not."""
    number: float
    """What raised it."""
    limit: float
    """From where on it is raised."""
    text: str
    """What was found, and what it may mean."""
    context: str = ""
    """Where it was found."""

    def as_dict(self) -> dict:
        """Give the content for JSON."""
        return asdict(self)


def find_flags(
    rules: RuleSet, context: str, truth: Reference, prediction: Summary, rows: dict[str, dict]
) -> list[Flag]:
    """Look for signs of gaming.

    Parameters
    ----------
    rules
        The rule set.
    context
        The context scored.
    truth, prediction
        Its two sides.
    rows
        Its metrics, as `scorecard.json` has them.

    Returns
    -------
    Flags first, then information.
    """
    measured, predicted = (side.effects().astype(float) for side in (truth, prediction))
    found: list[Flag | None] = [
        _controls(truth, prediction, measured),
        _spread(truth, prediction),
        _depth(truth, prediction),
        _size(measured, predicted),
        _follows(truth, predicted),
        _above(rules, rows),
        _list(predicted),
    ]
    return [replace(flag, context=context) for flag in found if flag]


def _controls(truth: Reference, prediction: Summary, measured: np.ndarray) -> Flag | None:
    shift = np.abs(prediction.control.astype(float) - truth.control).mean() / max(np.abs(measured).mean(), SMALLEST)
    if not shift > CONTROL_SHIFT:
        return None
    text = (
        f"changed controls: the control profile differs from the course's by {shift:.2g} of a mean effect; DES and PDS "
        "are taken against a prediction's own controls, so editing them moves scores"
    )
    return Flag("changed_controls", "flag", float(shift), CONTROL_SHIFT, text)


def _spread(truth: Reference, prediction: Summary) -> Flag | None:
    measured = _variance(truth)
    # a perturbation of one cell has no variance, as if its cells were all equal
    ratios = np.nan_to_num(_variance(prediction)[measured > 0]) / measured[measured > 0]
    if not len(ratios):
        return None
    # a few perturbations are enough to move a mean
    ratio = float(np.median(ratios))
    for outside in (ratios < SPREAD[0], ratios > SPREAD[1]):
        if outside.mean() > FEW and SPREAD[0] <= ratio <= SPREAD[1]:
            ratio = float(np.median(ratios[outside]))
    if SPREAD[0] <= ratio <= SPREAD[1]:
        return None
    if ratio < SPREAD[0]:
        text = (
            f"cells (nearly) identical: within a perturbation they vary {ratio:.2g} times as much as measured cells; "
            "equal cells make hundreds of genes differentially expressed"
        )
        return Flag("identical_cells", "flag", ratio, SPREAD[0], text)
    text = (
        f"inflated variance: within a perturbation cells vary {ratio:.2g} times as much as measured cells, which hides "
        "effects from the rank test"
    )
    return Flag("inflated_variance", "flag", ratio, SPREAD[1], text)


def _variance(side: Summary) -> np.ndarray:
    """Variance among cells: of log expression; by the rules of 2026 from the noise of the profile."""
    return needed(side.spread, "spread") if side.noise is None else side.noise * side.n_cells


def _depth(truth: Reference, prediction: Summary) -> Flag | None:
    ratio = _median(needed(prediction.depth, "depth") / needed(truth.depth, "depth"))
    if DEPTH[0] <= ratio <= DEPTH[1] or math.isnan(ratio):
        return None
    way = "small, as after a second log1p" if ratio < DEPTH[0] else "large"
    text = f"library size: the cells of a perturbation add up to {ratio:.2g} times those measured, which is too {way}"
    return Flag("library_size", "flag", ratio, DEPTH[ratio > DEPTH[1]], text)


def _size(measured: np.ndarray, predicted: np.ndarray) -> Flag | None:
    ratio = _median(np.linalg.norm(predicted, axis=1) / np.linalg.norm(measured, axis=1))
    if not ratio > EFFECT_SIZE:
        return None
    text = (
        f"scaled effects: predicted effects are {ratio:.2g} times as long as measured ones; models shrink effects, "
        "since overshooting costs error, and scaling them up buys discrimination"
    )
    return Flag("scaled_effects", "flag", ratio, EFFECT_SIZE, text)


def _follows(truth: Reference, predicted: np.ndarray) -> Flag | None:
    if truth.power is None:
        return None
    largest = np.abs(predicted).max(axis=1, keepdims=True)
    n_changed = (np.abs(predicted) > CHANGED * largest).sum(axis=1)
    if len(np.unique(n_changed)) < 2 or len(np.unique(truth.power)) < 2:
        return None
    answer = scipy.stats.spearmanr(n_changed, truth.power, alternative="greater")
    if not (answer.statistic >= FOLLOWS and answer.pvalue < CHANCE):
        return None
    text = (
        f"DE counts that follow the number of cells x UMIs (rank correlation {answer.statistic:.2f}): how many genes "
        "change seems to be taken from the published cell numbers and not from biology"
    )
    return Flag("counts_follow_power", "flag", float(answer.statistic), FOLLOWS, text)


def _above(rules: RuleSet, rows: dict[str, dict]) -> Flag | None:
    """Compare with the replicate, plain or interpolated, in the scored metrics in which it beats the baseline."""
    shares = []
    for name in rules.scored:
        row = rows[name]
        value, baseline = row["value"], row["baseline"]
        replicates = [row[key] for key in ("replicate", "plain_half") if row.get(key) is not None]
        if None in (value, baseline) or not replicates or (rules.gains and not row["gradable"]):
            continue
        # where few cells were measured, interpolating takes the replicate most of the way back to the baseline
        replicate = (max if row["direction"] == "higher" else min)(replicates)
        if (replicate > baseline) == (row["direction"] == "higher") and replicate != baseline:
            shares.append(np.clip((value - baseline) / (replicate - baseline), *SHARES))
    share = float(np.mean(shares)) if shares else math.nan
    if not share > ABOVE_REPLICATE:
        return None
    text = (
        f"above the replicate: on average {share:.2f} of the way from the baseline to the replicate; few models "
        "know more than a second experiment, so ask where the measured cells came from"
    )
    return Flag("above_replicate", "flag", share, ABOVE_REPLICATE, text)


def _list(predicted: np.ndarray) -> Flag | None:
    size = np.abs(predicted)
    size /= np.maximum(np.linalg.norm(size, axis=1, keepdims=True), np.finfo(float).tiny)
    alike = float(np.mean((size @ size.T)[np.triu_indices(len(size), 1)])) if len(size) > 1 else math.nan
    if not alike > SAME_LIST:
        return None
    text = (
        f"one gene list: the sizes of two perturbations' effects are alike by {alike:.2f} (cosine), so all share one "
        "list of genes; an honest train mean does that too"
    )
    return Flag("one_gene_list", "information", alike, SAME_LIST, text)


def _median(ratio: np.ndarray) -> float:
    finite = ratio[np.isfinite(ratio)]
    return float(np.median(finite)) if len(finite) else math.nan
