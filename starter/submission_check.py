"""Everything that is wrong with a prediction file or upload, found in one pass and reported at once."""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from starter import progress
from starter.blocks import CELLS_PER_BLOCK, open_h5ad, read_blocks, read_frame
from starter.due import Due
from starter.preprocess import FRACTION, LOG_LIMIT
from starter.schema import CONTROL, TARGET_GENE, Finding, InputError, some
from starter.vcc import unpacked

MAX_CELLS = 100_000
"""The challenge's limit for one upload, controls included."""
MAX_GENES = 20_000
"""Size limit of a file whose genes are not known beforehand."""
BYTES_PER_VALUE = 12
"""A stored value at most: float64 and its int32 column."""
OTHER_BYTES = 64 << 20
"""Room for cell and gene names."""
FEW_CELLS = 10
"""Fewer cells of a perturbation leave the rank test without power."""
TOTAL_TOLERANCE = 1.1
"""The file's controls may be a sample: their mean total expression may differ by this factor."""
OUT_OF_ORDER = "the genes are those due, but in another order"


def size_limit(due: Due | None) -> int:
    """Give the bytes that a prediction can need when it is unpacked."""
    n_genes = len(due.genes) if due else MAX_GENES
    return MAX_CELLS * n_genes * BYTES_PER_VALUE + OTHER_BYTES


def check_prediction(path: str | Path, due: Due | None = None) -> list[Finding]:
    """Check a prediction file or upload, and report everything at once.

    Parameters
    ----------
    path
        `.h5ad` or `.vcc`.
    due
        What it must hold; without it, only what holds of any prediction is checked.

    Returns
    -------
    Errors (scoring refuses or misjudges the file), warnings and notes.

    Raises
    ------
    InputError
        If there is no such file.
    """
    with unpacked(path, size_limit(due)) as (file, findings):
        if file is None:
            return findings
        try:
            with open_h5ad(file) as opened:
                return [*findings, *_check_content(opened, due)]
        except InputError as error:
            return [*findings, Finding("error", str(error).replace(str(file), str(path)))]


def _check_content(file: h5py.File, due: Due | None) -> list[Finding]:
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    findings = [*_check_genes(var.index.astype(str), due), *_check_labels(obs, due)]
    extra = [f"obs.{column}" for column in obs.columns if column != TARGET_GENE]
    extra += [f"var.{column}" for column in var.columns]
    extra += [key for key in ("layers", "obsm", "varm", "obsp", "varp", "raw") if key in file and len(file[key])]
    if extra:
        findings.append(Finding("note", f"{some(extra)} will not be scored", "starter pack leaves them out"))
    if len(obs) > MAX_CELLS:
        what = f"it has {len(obs):,} cells; the limit is {MAX_CELLS:,}"
        return [*findings, Finding("error", what, "write fewer cells a perturbation, or fewer control cells")]
    values = file["X"].get("data") if isinstance(file["X"], h5py.Group) else file["X"]
    stored = values.size if isinstance(values, h5py.Dataset) else 0
    if stored > len(obs) * max(len(var), 1):
        what = f"X stores {stored:,} values for {len(obs):,} cells x {len(var):,} genes"
        return [*findings, Finding("error", what, "write it again; a cell has at most one value a gene")]
    control = (obs[TARGET_GENE].astype(str) == CONTROL).to_numpy() if TARGET_GENE in obs else None
    return [*findings, *_check_values(_scan(file["X"], len(obs), control), due)]


def _check_genes(genes: pd.Index, due: Due | None) -> list[Finding]:
    findings = []
    if not genes.is_unique:
        twice = genes[genes.duplicated()].unique()
        findings.append(Finding("error", f"genes occur twice: {some(twice)}", "each gene is one column"))
    if due is None:
        return findings
    expected = pd.Index(due.genes)
    missing, extra = expected.difference(genes, sort=False), genes.difference(expected, sort=False)
    if len(missing):
        findings.append(Finding("error", f"{len(missing):,} genes are missing: {some(missing)}", "predict every gene"))
    if len(extra):
        what = f"{len(extra):,} genes are not among those due: {some(extra)}"
        findings.append(Finding("error", what, "leave them out, or check whether symbols and ids are mixed"))
    if not len(missing) and not len(extra) and genes.is_unique and list(genes) != list(expected):
        findings.append(Finding("error", OUT_OF_ORDER, "starter pack reorders them; or index with the course's genes"))
    return findings


def _check_labels(obs: pd.DataFrame, due: Due | None) -> list[Finding]:
    if TARGET_GENE not in obs:
        what = f"obs has no column {TARGET_GENE!r}; its columns are {some(obs.columns) or 'none'}"
        return [Finding("error", what, f"name the column of perturbations {TARGET_GENE!r}")]
    findings = []
    if missing := int(obs[TARGET_GENE].isna().sum()):
        findings.append(Finding("error", f"{missing:,} cells have no {TARGET_GENE}", "label every cell"))
    counts = obs[TARGET_GENE].dropna().astype(str).value_counts()
    if CONTROL not in counts:
        findings.append(
            Finding("error", f"no cell is labelled {CONTROL!r}", "add the course's control cells as they are")
        )
    predicted = counts.drop(CONTROL, errors="ignore").sort_index()
    if due is not None:
        expected = pd.Index(sorted(due.n_cells))
        if len(absent := expected.difference(predicted.index)):
            what = f"{len(absent):,} perturbations are missing: {some(absent)}"
            findings.append(Finding("error", what, "predict all of them"))
        if len(extra := predicted.index.difference(expected)):
            what = f"{len(extra):,} perturbations are not among those due: {some(extra)}"
            findings.append(Finding("error", what, "leave them out"))
        other = [
            f"{label} has {n:,} (measured: {due.n_cells[label]:,})"
            for label, n in predicted.items()
            if due.n_cells.get(label) and n != due.n_cells[label]
        ]
        if other:
            what = f"{len(other):,} perturbations have another number of cells than measured: {some(other)}"
            findings.append(Finding("note", what, "the number of DE genes follows the number of cells"))
    few = predicted[predicted < FEW_CELLS]
    if len(few):
        named = [f"{label} ({n})" for label, n in few.items()]
        what = f"{len(few):,} perturbations have fewer than {FEW_CELLS} cells: {some(named)}"
        findings.append(Finding("warning", what, "write more cells, or no gene can be called differentially expressed"))
    return findings


@dataclass
class _Scan:
    """What one pass over the matrix tells."""

    stored: int = 0
    nan: int = 0
    infinite: int = 0
    negative: int = 0
    largest: float = 0.0
    lowest: float = 0.0
    fraction: float = 0.0
    """Largest fractional part."""
    zeros: int = 0
    totals: list[np.ndarray] = field(default_factory=list)
    """Total expression of the control cells on the natural scale."""


def _scan(x: h5py.Group | h5py.Dataset, n_cells: int, control: np.ndarray | None) -> _Scan:
    scan = _Scan()
    start = 0
    with progress.bar("check", -(-n_cells // CELLS_PER_BLOCK)) as advance:
        for block in read_blocks(x):
            data = block.data.astype(np.float64, copy=False)
            finite = data[np.isfinite(data)]
            scan.stored += data.size
            scan.nan += int(np.isnan(data).sum())
            scan.infinite += int(np.isinf(data).sum())
            scan.negative += int((finite < 0).sum())
            scan.zeros += int((finite == 0).sum())
            if finite.size:
                scan.largest = max(scan.largest, float(finite.max()))
                scan.lowest = min(scan.lowest, float(finite.min()))
                scan.fraction = max(scan.fraction, float(np.modf(finite)[0].max()))
            if control is not None and scan.largest < LOG_LIMIT and not scan.nan:
                rows = block[control[start : start + block.shape[0]]].astype(np.float64)
                rows.data = np.expm1(rows.data)
                scan.totals.append(np.asarray(rows.sum(axis=1)).ravel())
            start += block.shape[0]
            advance()
    return scan


def _check_values(scan: _Scan, due: Due | None) -> list[Finding]:
    findings = []
    if scan.nan or scan.infinite:
        what = f"X holds {scan.nan:,} NaN and {scan.infinite:,} infinite values"
        findings.append(Finding("error", what, "write finite numbers; a model that gives NaN has diverged"))
    if scan.negative:
        what = f"X holds {scan.negative:,} negative values (lowest {scan.lowest:.3g})"
        findings.append(Finding("error", what, "expression is never below 0; clip there"))
    if scan.stored and scan.fraction <= FRACTION:
        what = (
            f"X looks like counts: all {scan.stored:,} stored values are whole numbers (largest {scan.largest:,.0f}); "
            "the scorer would scale them to the file's own median, which on a screen of few genes is another quantity"
        )
        way_out = "write log1p(target_sum x count / n_umis) with the course's target_sum"
        findings.append(Finding("error", what, way_out))
        return findings
    if scan.largest >= LOG_LIMIT:
        what = f"X holds fractions and values up to {scan.largest:,.4g}; log1p expression stays below {LOG_LIMIT:g}"
        findings.append(Finding("error", what, "take log1p once, of counts scaled to target_sum"))
    if scan.zeros:
        findings.append(Finding("note", f"X stores {scan.zeros:,} zeros", "starter pack leaves them out"))
    totals = np.concatenate(scan.totals) if scan.totals else np.empty(0)
    if totals.size and due is not None and due.control_total and scan.largest < LOG_LIMIT:
        ratio = totals.mean() / due.control_total
        if not 1 / TOTAL_TOLERANCE < ratio < TOTAL_TOLERANCE:
            what = (
                f"the control cells add up to {totals.mean():,.0f} on the natural scale, the course's to "
                f"{due.control_total:,.0f}: they look scaled to target_sum {ratio * due.target_sum:,.0f}, "
                f"not {due.target_sum:,.0f}"
            )
            way_out = "include the course's control cells unchanged, and scale predictions to the same target_sum"
            findings.append(Finding("error", what, way_out))
    return findings
