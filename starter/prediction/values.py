"""What is wrong with a prediction's values in any season."""

from typing import Literal

import pandas as pd

from starter.data.judged import like_z_scores
from starter.data.scan import Scan
from starter.errors import Finding, listed
from starter.schema import CONTEXT, TARGET_GENE


def check_numbers(scan: Scan) -> list[Finding]:
    """Report values that neither expression nor counts can have."""
    findings = []
    if scan.n_nan or scan.n_infinite:
        what = f"NaN in X: {scan.n_nan:,}; infinite values: {scan.n_infinite:,}"
        findings.append(Finding("error", what, "write finite numbers; a model that gives NaN has diverged"))
    if scan.n_negative:
        what = f"negative values in X: {scan.n_negative:,} (lowest {scan.lowest:.3g})"
        scaled = f"{scan.n_negative / scan.n_stored:.0%} of the values are, so they look scaled to zero mean (z-scores)"
        way_out = "write log1p expression as it was before" if like_z_scores(scan) else "clip there"
        way_out = f"{scaled}; {way_out}" if like_z_scores(scan) else f"expression is never below 0; {way_out}"
        findings.append(Finding("error", what, way_out))
    if not scan.canonical:
        what = "X stores entries of one cell and gene more than once"
        findings.append(Finding("error", what, "call X.sum_duplicates(), and see why it was so"))
    if scan.n_zeros:
        findings.append(Finding("note", f"zeros stored in X: {scan.n_zeros:,}", "starter pack leaves them out"))
    return findings


def check_empty(scan: Scan, cells: pd.DataFrame, level: Literal["error", "warning"]) -> list[Finding]:
    """Report perturbations none of whose cells holds a value, in all contexts or in one.

    Parameters
    ----------
    scan
        What the matrix holds.
    cells
        `target_gene` of every cell and, where the season has contexts, `context`.
    level
        How grave it is where a perturbation is empty altogether: the challenge's tool refuses it in 2026 alone.
    """
    if not scan.totals.any():
        return [Finding("error", "X holds no value other than 0", "write the predicted expression")]
    findings = []
    filled = pd.Series(scan.totals != 0)
    by_label = filled.groupby(cells[TARGET_GENE]).any()
    if len(empty := by_label.index[~by_label]):
        what = f"labels with empty cells only: {len(empty):,} ({listed(empty)})"
        findings.append(Finding(level, what, "write the predicted expression of each"))
    if CONTEXT in cells:
        by_pair = filled[~cells[TARGET_GENE].isin(empty)].groupby([cells[TARGET_GENE], cells[CONTEXT]]).any()
        if named := [f"{label} in {context}" for label, context in by_pair.index[~by_pair]]:
            what = f"perturbations with empty cells only in one context: {len(named):,} ({listed(named)})"
            findings.append(Finding("warning", what, "see whether the model ran for them"))
    return findings
