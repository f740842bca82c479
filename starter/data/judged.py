"""Whether control cells and perturbed cells hold log1p expression, in words that say what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from starter.data.scale import FRACTION, LOG_LIMIT
from starter.data.transforms import COUNTS, LOG1P, LOG2, LOG_TWICE, NO_MULTIPLES, SCALED, TRANSFORMS
from starter.errors import Finding, counted, listed

if TYPE_CHECKING:
    from starter.data.scan import Scan

FEWEST_CELLS = 5
"""Cells of a kind from which on a group is judged by them."""
FEWEST_GENES = 50
"""Among fewer genes, cells may add up to anything."""
SPREAD = 1.0
"""ln of the 95 % over the 5 % quantile of cells' natural totals. Where many genes make up a
cell, imputed expression stays below; corrected counts that are taken for logs lie above."""
MUCH, FEW_GENES, HIGH = 2.5, 0.2, 12.0
"""Where few genes make up a cell (the largest at least this share), totals vary by chance: up to this spread, where no
value is as high."""
CLIPPED, SAME = 0.05, 1e-3
"""Share of the cells whose largest value is the largest of all, up to this relative difference."""
ALIKE = 0.1
"""Cells whose totals spread less are alike, as cells that all equal one profile."""
ONE_TOTAL = 0.01
"""The same of cells that were scaled to one total."""
APART = (0.1, 10.0)
"""Median natural total of perturbed cells over that of the controls; no model of expression lies outside."""
NEAR = (0.2, 5.0)
"""Where honest ones lie; in a small panel a gene switched on can make up most of a cell."""
WIDER = 0.5
"""How much larger the spread of perturbed cells may be than that of the controls."""
NEGATIVE, FEWEST_NEGATIVE = 0.01, 50
"""Share and number of the values that are negative, from which on they are scaled to zero mean, not a model's slips."""


PERTURBED = "perturbed cells"


class Group(NamedTuple):
    """Cells that are judged together."""

    name: str
    cells: np.ndarray
    """Which cells of the scan, boolean."""


def judge_logs(scan: Scan, control: np.ndarray, labels: np.ndarray, *, measured: bool) -> list[Finding]:
    """Judge whether fractional values are log1p expression, in control cells and perturbed cells.

    Parameters
    ----------
    scan
        What was seen of the values; the cells that it weighed are judged, some of each perturbation.
    control
        Which cells are controls, boolean; none may be.
    labels
        Perturbation of each cell.
    measured
        Whether all cells were measured. A model's cells may vary as they like, and be alike.

    Returns
    -------
    Errors where the values are something else; warnings where that is likely.
    """
    looked = scan.kinds > 0
    findings = _mixed(scan, labels)
    if findings:
        return findings
    perturbed = looked & ~control
    groups = [Group("control cells", looked & control), Group(PERTURBED, perturbed)]
    for group in groups:
        findings += _other_transform(scan, group, labels, measured=measured)
    if findings:
        return findings
    for group in groups if measured else groups[:1]:
        findings += _implausible(scan, group)
    return findings or _apart(scan, Group("", control), Group("", ~control), labels)


def seen(scan: Scan) -> str:
    """Say what was seen of log1p expression: totals on the natural scale, largest value, share of zeros."""
    totals = scan.natural_totals[scan.weighed]
    n_cells = int(scan.looked.sum())
    zeros = 1 - scan.n_values.sum() / max(n_cells * len(scan.n_values), 1)
    said = f"largest value {scan.largest:.3g}, {zeros:.0%} zeros"
    if not len(totals):
        return said
    low, high = np.quantile(totals, [0.05, 0.95])
    between = f"{low:,.0f}" if f"{low:,.0f}" == f"{high:,.0f}" else f"{low:,.0f} to {high:,.0f}"
    return f"{counted(len(totals), 'cell')} looked at add up to {between} on the natural scale, {said}"


def _mixed(scan: Scan, labels: np.ndarray) -> list[Finding]:
    """Find cells of whole numbers among cells of fractions."""
    whole = (scan.fractions >= 0) & (scan.fractions <= FRACTION)
    fractional = scan.fractions > FRACTION
    n_whole, n_fractional = int(whole.sum()), int(fractional.sum())
    if not n_whole or not n_fractional:
        return []
    fewer = whole if n_whole <= n_fractional else fractional
    what = (
        f"{counted(n_whole, 'cell')} hold whole numbers and {counted(n_fractional, 'cell')} fractions, so counts and "
        f"logs are mixed; the {'whole' if n_whole <= n_fractional else 'fractional'} ones are of "
        f"{listed(sorted(set(labels[fewer])))}"
    )
    return [Finding("error", what, "bring every cell to log1p(target_sum x count / n_umis)")]


def _other_transform(scan: Scan, group: Group, labels: np.ndarray, *, measured: bool) -> list[Finding]:
    """Find a transform that the values themselves show, among all cells looked at or in single perturbations."""
    kinds = scan.kinds[group.cells]
    decided = kinds[(kinds >= COUNTS) & (kinds <= LOG_TWICE)]
    findings = []
    for code, transform in TRANSFORMS.items():
        n = int((decided == code).sum())
        if n < FEWEST_CELLS:
            continue
        where = ""
        # in single cells of few values a transform may fit by chance
        if n <= len(kinds) / 2:
            at = np.flatnonzero(group.cells)
            odd = [
                label
                for label in np.unique(labels[at[kinds == code]])
                if (kinds[labels[at] == label] == code).mean() > 0.5
                and (kinds[labels[at] == label] == code).sum() >= FEWEST_CELLS
            ]
            if not odd:
                continue
            where = f" ({listed(odd)})"
        what = f"{n:,} of {len(kinds):,} {group.name} looked at hold {transform.what}{where}"
        # of a prediction, a second log is raised as a flag, which holds its points for a person
        level = "warning" if code == LOG_TWICE and not measured and group.name == PERTURBED else "error"
        findings.append(Finding(level, what, transform.way_out))
    return findings


def _implausible(scan: Scan, group: Group) -> list[Finding]:
    """Judge measured cells that are no multiples of a count in any way by what they add up to."""
    kinds = scan.kinds[group.cells]
    if (kinds == NO_MULTIPLES).sum() <= max((kinds == LOG1P).sum(), FEWEST_CELLS) or len(scan.n_values) < FEWEST_GENES:
        return []
    looked = group.cells & scan.weighed & (scan.totals > 0)
    totals, n = scan.natural_totals[looked], f"the {counted(int(looked.sum()), group.name[:-1])} looked at"
    if (spread := _spread(totals)) > ONE_TOTAL:
        for code, other, how in ((SCALED, scan.totals, "as they stand"), (LOG2, scan.binary_totals, "after 2^x - 1")):
            if _spread(other[looked]) < ONE_TOTAL:
                what = f"{n} add up to {np.median(other[looked]):,.4g} each {how}, so they hold {TRANSFORMS[code].what}"
                return [Finding("error", what, TRANSFORMS[code].way_out)]
    if len(totals) < FEWEST_CELLS:
        return []
    clipped = int((scan.highest[looked] >= scan.largest * (1 - SAME)).sum())
    if spread > ALIKE and clipped >= max(FEWEST_CELLS, CLIPPED * len(totals)):
        what = (
            f"{n} are no log1p expression: {clipped:,} of them have the same largest value, {scan.largest:.4g}, and no "
            "cell's values are multiples of a count; such are clipped z-scores or clipped counts"
        )
        return [Finding("error", what, "write log1p of counts scaled to one total, not clipped")]
    top = float(np.median(np.expm1(scan.highest[looked]) / totals))
    if spread <= SPREAD or (spread <= MUCH and top >= FEW_GENES and scan.largest < HIGH):
        return []
    low, high = np.quantile(totals, [0.05, 0.95])
    what = (
        f"{n} are no log1p expression: they add up to anything from {_figure(low)} to {_figure(high)} on the natural "
        f"scale, the largest value is {scan.largest:.3g}, and no cell's values are multiples of a count; such are "
        "corrected counts that were not logged"
    )
    return [Finding("error", what, "write log1p of counts scaled to one total")]


def _apart(scan: Scan, control: Group, perturbed: Group, labels: np.ndarray) -> list[Finding]:
    """Compare the natural totals of perturbed cells with those of the controls."""
    ours, theirs = (group.cells & scan.weighed & (scan.totals > 0) for group in (perturbed, control))
    if min(ours.sum(), theirs.sum()) < FEWEST_CELLS:
        return []
    due = float(np.median(scan.natural_totals[theirs]))
    medians = pd.Series(scan.natural_totals[ours]).groupby(labels[ours]).median()
    names, ratios = medians.index.to_numpy(str), medians.to_numpy() / due
    for limits, so in ((APART, "they are not on one scale"), (NEAR, "they may not be on one scale")):
        odd = (ratios < limits[0]) | (ratios > limits[1])
        if odd.any():
            worst = names[odd][np.argsort(-np.abs(np.log(ratios[odd])), kind="stable")]
            times = " to ".join(dict.fromkeys(_figure(ratio) for ratio in (ratios[odd].min(), ratios[odd].max())))
            what = (
                f"cells of {counted(int(odd.sum()), 'perturbation')} ({listed(worst)}) add up to {times} times as much "
                f"as control cells ({_figure(due)}) on the natural scale, by medians: {so}"
            )
            level = "error" if limits == APART else "warning"
            return [Finding(level, what, "bring controls and perturbed cells alike to log1p of one target_sum")]
    ours_spread, theirs_spread = _spread(scan.natural_totals[ours]), _spread(scan.natural_totals[theirs])
    if theirs_spread + WIDER < ours_spread < float("inf"):
        low, high = np.quantile(scan.natural_totals[ours], [0.05, 0.95])
        least, most = np.quantile(scan.natural_totals[theirs], [0.05, 0.95])
        what = (
            f"the perturbed cells looked at add up to {_figure(low)} to {_figure(high)} on the natural scale, the "
            f"controls to {_figure(least)} to {_figure(most)}; the perturbed ones may not be scaled to one total, or "
            "not logged"
        )
        return [Finding("warning", what, "bring controls and perturbed cells alike to log1p of one target_sum")]
    return []


def _figure(number: float) -> str:
    """Write a number with about three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _spread(totals: np.ndarray) -> float:
    """Give ln of the 95 % over the 5 % quantile; infinite for no cells."""
    totals = totals[totals > 0]
    if len(totals) < FEWEST_CELLS:
        return float("inf")
    low, high = np.quantile(totals, [0.05, 0.95])
    with np.errstate(over="ignore"):
        return float(np.log(high / low))


def like_z_scores(scan: Scan) -> bool:
    """Tell values that were scaled to zero mean from a model's slips below 0."""
    return scan.n_negative > max(NEGATIVE * scan.n_stored, FEWEST_NEGATIVE)


def beyond_logs(scan: Scan) -> str:
    """Say what values of 15 and more that are no counts look like; nothing if that is not known."""
    kinds = scan.kinds[scan.kinds > 0]
    for code, transform in TRANSFORMS.items():
        n = int((kinds == code).sum())
        if scan.largest >= LOG_LIMIT and n >= FEWEST_CELLS and n > len(kinds) / 2:
            return f"{n:,} of {len(kinds):,} cells looked at hold {transform.what}; {transform.way_out}"
    return ""
