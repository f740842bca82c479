"""Everything that is wrong with a prediction file or upload, found in one pass and reported at once."""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from starter import progress
from starter.blocks import CELLS_PER_BLOCK, open_h5ad, read_blocks, read_frame, unreadable
from starter.due import Due
from starter.preprocess import FRACTION, LOG_LIMIT, SCALE_TOLERANCE, natural_totals, scale_ratio
from starter.schema import CONTROL, TARGET_GENE, Finding, FindingsError, InputError, some
from starter.vcc import unpacked

MAX_CELLS = 100_000
"""The challenge's limit for one upload, controls included."""
MAX_GENES = 20_000
"""Size limit of a file whose genes are not known beforehand."""
BYTES_PER_VALUE = 12
"""A stored value at most: float64 and its int32 column."""
OTHER_BYTES = 64 << 20
"""Room for cell and gene names."""
WHOLE_TRANSCRIPTOME = 10_000
"""With as many genes, a scaled cell's natural total is its target sum."""
FEW_CELLS = 10
"""Fewer cells of a perturbation leave the rank test without power."""
OUT_OF_ORDER = "the genes are those due, but in another order"


def size_limit(n_genes: int = MAX_GENES) -> int:
    """Give the bytes that a prediction of some genes can need when it is unpacked."""
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
    try:
        with unpacked(path, size_limit(len(due.genes)) if due else size_limit()) as file:
            try:
                with open_h5ad(file) as opened:
                    return _check_content(opened, due)
            except Exception as error:  # whatever is in somebody's file
                known = error if isinstance(error, InputError) else unreadable(str(file), error)
                if not isinstance(known, InputError):
                    raise
                return [Finding("error", str(known).replace(str(file), str(path)))]
    except FindingsError as error:
        return list(error.findings)


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
        findings.append(Finding("error", what, "write fewer cells a perturbation, or fewer control cells"))
    if fault := _check_shape(file["X"], len(obs), len(var)):
        return [*findings, fault]
    labels = obs[TARGET_GENE].astype(str).to_numpy() if TARGET_GENE in obs else np.full(len(obs), "")
    scan = _scan(file["X"], labels == CONTROL)
    return [*findings, *_check_values(scan, due), *_check_empty(scan, labels)]


def _check_shape(x: h5py.Group | h5py.Dataset, n_cells: int, n_genes: int) -> Finding | None:
    """Compare what a matrix says of itself with what describes it, before anything is read."""
    values = x.get("data") if isinstance(x, h5py.Group) else x
    shape = tuple(int(size) for size in (x.attrs.get("shape", ()) if isinstance(x, h5py.Group) else x.shape))
    if not isinstance(values, h5py.Dataset) or shape != (n_cells, n_genes):
        what = f"X is {' x '.join(map(str, shape)) or 'without shape'}, and obs and var describe {n_cells} x {n_genes}"
        return Finding("error", what, "write it again with starter.submission")
    if values.dtype.kind not in "biuf":
        return Finding("error", f"X holds {values.dtype}, not numbers", "write log1p expression")
    if values.size > n_cells * n_genes:
        what = f"X stores {values.size:,} values for {n_cells:,} cells x {n_genes:,} genes"
        return Finding("error", what, "write it again; a cell has at most one value a gene")
    return None


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
        findings.append(Finding("error", f"genes missing: {len(missing):,} ({some(missing)})", "predict every gene"))
    if len(extra):
        what = f"genes that are not due: {len(extra):,} ({some(extra)})"
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
        findings.append(Finding("error", f"cells without {TARGET_GENE}: {missing:,}", "label every cell"))
    counts = obs[TARGET_GENE].dropna().astype(str).value_counts()
    if CONTROL not in counts:
        findings.append(
            Finding("error", f"no cell is labelled {CONTROL!r}", "add the course's control cells as they are")
        )
    predicted = counts.drop(CONTROL, errors="ignore").sort_index()
    if due is not None:
        expected = pd.Index(sorted(due.n_cells))
        if len(absent := expected.difference(predicted.index)):
            what = f"perturbations missing: {len(absent):,} ({some(absent)})"
            findings.append(Finding("error", what, "predict all of them"))
        if len(extra := predicted.index.difference(expected)):
            what = f"perturbations that are not due: {len(extra):,} ({some(extra)})"
            findings.append(Finding("error", what, "leave them out"))
        other = [
            f"{label} has {n:,}, measured {due.n_cells[label]:,}"
            for label, n in predicted.items()
            if due.n_cells.get(label) and n != due.n_cells[label]
        ]
        if other:
            what = f"perturbations with another number of cells than measured: {len(other):,} ({some(other)})"
            findings.append(Finding("note", what, "the number of DE genes follows the number of cells"))
    few = predicted[predicted < FEW_CELLS]
    if len(few):
        named = [f"{label} has {n}" for label, n in few.items()]
        what = f"perturbations with fewer than {FEW_CELLS} cells: {len(few):,} ({some(named)})"
        findings.append(
            Finding(
                "warning", what, "write more cells: in so few, hardly any gene can be called differentially expressed"
            )
        )
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
    twice: bool = False
    """Whether an entry of one cell and gene is stored more than once."""
    filled: list[np.ndarray] = field(default_factory=list)
    """Which cells hold a value, block by block."""
    totals: list[np.ndarray] = field(default_factory=list)
    """Natural totals of the control cells, block by block."""


def _scan(x: h5py.Group | h5py.Dataset, control: np.ndarray) -> _Scan:
    scan = _Scan()
    start = 0
    with progress.bar("check", -(-len(control) // CELLS_PER_BLOCK)) as advance:
        for block in read_blocks(x):
            data = block.data.astype(np.float64, copy=False)
            finite = data[np.isfinite(data)]
            scan.stored += data.size
            scan.nan += int(np.isnan(data).sum())
            scan.infinite += int(np.isinf(data).sum())
            scan.negative += int((finite < 0).sum())
            scan.zeros += int((finite == 0).sum())
            block.sort_indices()
            scan.twice |= not block.has_canonical_format
            if finite.size:
                scan.largest = max(scan.largest, float(finite.max()))
                scan.lowest = min(scan.lowest, float(finite.min()))
                scan.fraction = max(scan.fraction, float(np.modf(finite)[0].max()))
            scan.filled.append(np.diff(block.indptr) > 0)
            if scan.largest < LOG_LIMIT and not scan.nan:
                scan.totals.append(natural_totals(block[control[start : start + block.shape[0]]]))
            start += block.shape[0]
            advance()
    return scan


def _check_values(scan: _Scan, due: Due | None) -> list[Finding]:
    findings = []
    if scan.nan or scan.infinite:
        what = f"NaN in X: {scan.nan:,}; infinite values: {scan.infinite:,}"
        findings.append(Finding("error", what, "write finite numbers; a model that gives NaN has diverged"))
    if scan.negative:
        what = f"negative values in X: {scan.negative:,} (lowest {scan.lowest:.3g})"
        findings.append(Finding("error", what, "expression is never below 0; clip there"))
    if scan.twice:
        what = "X stores entries of one cell and gene more than once"
        findings.append(Finding("error", what, "call X.sum_duplicates(), and see why it was so"))
    if scan.stored and scan.fraction <= FRACTION:
        what = (
            f"X looks like counts: all {scan.stored:,} stored values are whole numbers (largest {scan.largest:,.0f}); "
            "the scorer would scale them to the file's own median, which on a screen of few genes is another quantity"
        )
        target = (
            f"the course's target_sum, {due.target_sum:,.0f}"
            if due and due.target_sum
            else "one target_sum for all cells"
        )
        findings.append(Finding("error", what, f"write log1p(target_sum x count / n_umis) with {target}"))
        return findings
    if scan.largest >= LOG_LIMIT:
        what = f"X holds fractions and values up to {scan.largest:,.4g}; log1p expression stays below {LOG_LIMIT:g}"
        findings.append(Finding("error", what, "take log1p once, of counts scaled to target_sum"))
    if scan.zeros:
        findings.append(Finding("note", f"zeros stored in X: {scan.zeros:,}", "starter pack leaves them out"))
    totals = np.concatenate(scan.totals) if scan.totals else np.empty(0)
    if totals.size and due is not None:
        findings.extend(_check_scale(totals, due))
    return findings


def _check_scale(totals: np.ndarray, due: Due) -> list[Finding]:
    """Judge the target sum by the control cells' natural totals."""
    include = "include the course's control cells unchanged, and scale predictions to the same target_sum"
    if due.control_totals is not None:
        ratio = scale_ratio(totals, due.control_totals)
        if abs(ratio - 1) <= SCALE_TOLERANCE:
            return []
        what = (
            f"the control cells add up to {np.median(totals):,.0f} on the natural scale, the course's to "
            f"{np.median(due.control_totals):,.0f}: they look scaled to target_sum {ratio * due.target_sum:,.0f}, "
            f"not {due.target_sum:,.0f}"
        )
        return [Finding("error", what, include)]
    if len(due.genes) >= WHOLE_TRANSCRIPTOME:
        low, high = np.quantile(totals, [0.05, 0.95])
        if high > low * (1 + SCALE_TOLERANCE):
            what = (
                f"the control cells add up to {low:,.0f} to {high:,.0f} on the natural scale, so they were not scaled "
                "to one total before log1p, or log1p was taken twice"
            )
            return [Finding("warning", what, "scale every cell to the same total, then take log1p once")]
        return [
            Finding(
                "note", f"the cells look scaled to target_sum {np.median(totals):,.0f}", "the truth's must be the same"
            )
        ]
    return [Finding("note", "the target_sum was not judged", "that needs the course's control cells: --course")]


def _check_empty(scan: _Scan, labels: np.ndarray) -> list[Finding]:
    if not scan.stored:
        return [Finding("error", "X holds no value other than 0", "write the predicted expression")]
    filled = pd.Series(np.concatenate(scan.filled)).groupby(labels).any()
    if len(empty := filled.index[~filled]):
        what = f"labels with empty cells only: {len(empty):,} ({some(empty)})"
        return [Finding("error", what, "write the predicted expression of each")]
    return []
