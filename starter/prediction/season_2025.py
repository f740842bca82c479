"""What a prediction of season 2025, or of a course, must be: log1p expression, with the control cells in it."""

import numpy as np
import pandas as pd

from starter.data.judged import judge_logs
from starter.data.scale import LOG_LIMIT, SCALE_TOLERANCE, scale_ratio
from starter.data.scan import Scan
from starter.errors import Finding, counted, listed
from starter.prediction.requirements import Requirements
from starter.schema import CONTROL, TARGET_GENE

WHOLE_TRANSCRIPTOME = 10_000
"""With as many genes, a scaled cell's natural total is its target sum."""
FEW_CELLS = 10
"""Fewer cells of a perturbation leave the rank test without power."""
LOOKS_LIKE_COUNTS = "X looks like counts"
ADD_CONTROLS = (
    "add the control cells as they are (starter pack --controls FILE does), or give the name they have with --ntc-name"
)


def check_labels(labels: pd.DataFrame, required: Requirements | None) -> list[Finding]:
    """Compare the labels with those due.

    Parameters
    ----------
    labels
        `target_gene` of every labelled cell.
    required
        What the prediction must hold, if known.
    """
    findings = []
    counts = labels[TARGET_GENE].value_counts()
    if CONTROL not in counts:
        findings.append(Finding("error", f"no cell is labelled {CONTROL!r}", ADD_CONTROLS))
    predicted = counts.drop(CONTROL, errors="ignore").sort_index()
    if required is not None:
        expected = pd.Index(sorted(required.n_cells))
        if len(absent := expected.difference(predicted.index)):
            what = f"perturbations missing: {len(absent):,} ({listed(absent)})"
            findings.append(Finding("error", what, "predict all of them"))
        if len(extra := predicted.index.difference(expected)):
            what = f"perturbations that are not due: {len(extra):,} ({listed(extra)})"
            findings.append(Finding("error", what, "leave them out"))
        other = [
            f"{label} has {n:,}, measured {required.n_cells[label]:,}"
            for label, n in predicted.items()
            if required.n_cells.get(label) and n != required.n_cells[label]
        ]
        if other:
            what = f"perturbations with another number of cells than measured: {len(other):,} ({listed(other)})"
            findings.append(Finding("note", what, "the number of DE genes follows the number of cells"))
    few = predicted[predicted < FEW_CELLS]
    if len(few):
        named = [f"{label} has {n}" for label, n in few.items()]
        what = f"perturbations with fewer than {FEW_CELLS} cells: {len(few):,} ({listed(named)})"
        findings.append(
            Finding(
                "warning", what, "write more cells: in so few, hardly any gene can be called differentially expressed"
            )
        )
    return findings


def is_counts(scan: Scan) -> bool:
    """Tell counts from logs, as cell-eval does: no stored value has a fractional part."""
    return scan.n_stored > 0 and not scan.fractional


def check_values(scan: Scan, required: Requirements | None, labels: np.ndarray) -> list[Finding]:
    """Tell logs from counts and other transforms, in control cells and perturbed cells, and judge the target sum.

    Parameters
    ----------
    scan
        What was seen of the values.
    required
        What the prediction must hold, if known.
    labels
        Perturbation of each cell.
    """
    if is_counts(scan):
        what = (
            f"{LOOKS_LIKE_COUNTS}: all {scan.n_stored:,} stored values are whole numbers (largest {scan.largest:,.0f})"
        )
        if required is None or not required.of_course:
            what += "; the scorer scales them to the file's own median total, and takes log1p"
            return [Finding("warning", what, "starter pack --normalise does the same now, as cell-eval prep does")]
        what += (
            "; the scorer would scale them to the file's own median, which on a screen of few genes is another quantity"
        )
        target = (
            f"the course's target_sum, {required.target_sum:,.0f}"
            if required.target_sum
            else "one target_sum for all cells"
        )
        return [Finding("error", what, f"write log1p(target_sum x count / n_umis) with {target}")]
    findings = []
    control = labels == CONTROL
    if scan.largest >= LOG_LIMIT:
        what = f"X holds fractions and values up to {scan.largest:,.4g}; log1p expression stays below {LOG_LIMIT:g}"
        findings.append(Finding("error", what, "take log1p once, of counts scaled to target_sum"))
    findings.extend(judge_logs(scan, control, labels, measured=False))
    if (scan.weighed & control).any() and required is not None and not has_errors(findings):
        findings.extend(_check_scale(scan.natural_totals[scan.weighed & control], required))
    return findings


def has_errors(findings: list[Finding]) -> bool:
    """Tell whether one of them is an error."""
    return any(finding.level == "error" for finding in findings)


def _check_scale(totals: np.ndarray, required: Requirements) -> list[Finding]:
    """Judge the target sum by the control cells' natural totals."""
    include = "include the course's control cells unchanged, and scale predictions to the same target_sum"
    if required.control_totals is not None:
        ratio = scale_ratio(totals, required.control_totals)
        if ratio == 1:
            return []
        what = (
            f"the control cells add up to {np.median(totals):,.0f} on the natural scale, the course's to "
            f"{np.median(required.control_totals):,.0f}: they look scaled to "
        )
        due = required.target_sum
        what += "another target_sum" if due is None else f"target_sum {ratio * due:,.0f}, not {due:,.0f}"
        return [Finding("error", what, include)]
    if len(required.genes) >= WHOLE_TRANSCRIPTOME:
        low, high = np.quantile(totals, [0.05, 0.95])
        if high > low * (1 + SCALE_TOLERANCE):
            what = (
                f"the control cells add up to {low:,.0f} to {high:,.0f} on the natural scale, so they were not scaled "
                "to one total before log1p, or log1p was taken twice"
            )
            return [Finding("warning", what, "scale every cell to the same total, then take log1p once")]
        return [
            Finding(
                "note",
                f"the {counted(len(totals), 'control cell')} look scaled to target_sum {np.median(totals):,.0f}",
                "the truth's must be the same",
            )
        ]
    return [Finding("note", "the target_sum was not judged", "that needs the control cells: give --course or --truth")]
