"""What a prediction of season 2026 must be: whole counts in every context, without control cells."""

import re

import numpy as np
import pandas as pd

from starter.data.scale import LOG_LIMIT
from starter.data.scan import Scan
from starter.errors import Finding, difference, listed
from starter.prediction.requirements import Requirements
from starter.prediction.season import SEASON_2026
from starter.schema import CONTEXT, CONTROL, TARGET_GENE

PHASES = (("A", "B", "C"), ("D", "E", "F"))
"""The contexts of the validation phase, and those of the final one."""
GENES = 18_533
"""Genes of the challenge's own list."""
CELLS = 400
"""Cells that each perturbation has in each context, where the list does not say."""
FRACTION = 1e-6
"""A value may be that far above a whole number."""
MAX_TOTAL = 1_000_000
"""Counts that a cell may have."""


def contexts_due(present: set[str], required: Requirements | None) -> tuple[str, ...]:
    """Say which contexts a prediction must hold: those of its list, else of the phase that fits it best.

    Parameters
    ----------
    present
        The contexts that it holds.
    required
        What it must hold, if known.
    """
    if required is not None and required.contexts:
        return required.contexts
    return max(PHASES, key=lambda phase: len(present & set(phase)))


def check_labels(labels: pd.DataFrame, required: Requirements | None) -> list[Finding]:
    """Compare contexts, perturbations and their cells with those due.

    Parameters
    ----------
    labels
        `target_gene` and, if there is one, `context` of every labelled cell.
    required
        What the prediction must hold, if known.
    """
    findings = []
    if required is not None and len(required.genes) != GENES:
        what = f"the list has {len(required.genes):,} genes, and that of season 2026 has {GENES:,}"
        findings.append(Finding("warning", what, "take gene_names.csv from the challenge's controls"))
    control = labels[TARGET_GENE] == CONTROL
    if control.any():
        what = f"control cells: {int(control.sum()):,} are labelled {CONTROL!r}"
        findings.append(Finding("error", what, "leave them out; the scorer takes the measured ones"))
    labels = labels[~control]
    if CONTEXT not in labels:
        return findings
    present = set(labels[CONTEXT])
    contexts = contexts_due(present, required)
    if odd := difference(contexts, present):
        what = f"the contexts are not {', '.join(contexts)}: {odd}"
        findings.append(Finding("error", what, "label every cell as the challenge's control cells are labelled"))
    if required is None:
        return findings
    if not required.contexts:
        what = f"whether contexts {', '.join(contexts)} are those of this phase was not judged"
        findings.append(Finding("note", what, "keep the challenge's manifest.json beside the lists"))
    cells = labels[labels[CONTEXT].isin(contexts)].groupby([TARGET_GENE, CONTEXT]).size()
    return [*findings, *_check_pairs(cells, required, [context for context in contexts if context in present])]


def _check_pairs(cells: pd.Series, required: Requirements, contexts: list[str]) -> list[Finding]:
    """Compare the cells of each perturbation and context with those due."""
    findings = []
    missing = [
        f"{label} in {context}"
        for label in required.n_cells
        for context in contexts
        if (label, context) not in cells.index
    ]
    if missing:
        what = f"perturbations missing: {len(missing):,} ({listed(missing)})"
        findings.append(Finding("error", what, "predict all of them in every context"))
    extra = sorted(set(cells.index.get_level_values(TARGET_GENE)) - set(required.n_cells))
    if extra:
        what = f"perturbations that are not due: {len(extra):,} ({listed(extra)})"
        guides = any(re.sub(r"-\d+$", "", label) in required.n_cells for label in extra)
        way_out = "a label is the gene's symbol, without the number of a guide" if guides else "leave them out"
        findings.append(Finding("error", what, way_out))
    wrong = [
        f"{label} in {context} has {n:,}, due {expected:,}"
        for (label, context), n in cells.items()
        if label in required.n_cells and n != (expected := required.n_cells[label] or CELLS)
    ]
    if wrong:
        what = f"perturbations with another number of cells than due: {len(wrong):,} ({listed(wrong)})"
        way_out = "write exactly as many; the number of cells moves the significance of every gene"
        findings.append(Finding("error", what, way_out))
    return findings


def check_values(scan: Scan, required: Requirements | None, labels: np.ndarray) -> list[Finding]:
    """Judge whether the values are counts that scoring accepts, whatever is due."""
    del required, labels
    findings = []
    if scan.fraction > FRACTION:
        logs = "; it looks like log1p expression" if scan.largest < LOG_LIMIT else ""
        what = f"X holds fractions (up to {scan.fraction:.2g}) and values up to {scan.largest:,.4g}{logs}"
        way_out = "write raw counts, not their logs" if logs else "round to whole counts"
        findings.append(Finding("error", what, way_out))
    over = scan.totals[scan.totals > MAX_TOTAL]
    if over.size:
        what = f"cells whose counts add up to more than {MAX_TOTAL:,}: {over.size:,} (most: {over.max():,.0f})"
        findings.append(Finding("error", what, "scale the expected counts of a cell to a measured cell's total"))
    if scan.n_stored > SEASON_2026.max_stored:
        what = f"X stores {scan.n_stored:,} values; the limit is {SEASON_2026.max_stored:,}"
        findings.append(Finding("error", what, "predict fewer expressed genes a cell, and call X.eliminate_zeros()"))
    return findings
