"""One pass over a stored matrix, block by block: what its values are, and what is wrong with them in any season."""

from dataclasses import dataclass, field

import h5py
import numpy as np
import pandas as pd

from starter import progress
from starter.blocks import CELLS_PER_BLOCK, read_blocks
from starter.preprocess import LOG_LIMIT, natural_totals
from starter.schema import CONTEXT, TARGET_GENE, Finding, some


@dataclass
class Scan:
    """What one pass over the matrix tells of its values, taken as float32 as an upload stores them."""

    stored: int = 0
    nan: int = 0
    infinite: int = 0
    negative: int = 0
    largest: float = 0.0
    lowest: float = 0.0
    fraction: float = 0.0
    """Largest distance of a value from the whole number towards 0."""
    zeros: int = 0
    twice: bool = False
    """Whether an entry of one cell and gene is stored more than once."""
    totals: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Sum of every cell."""
    natural_totals: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Totals of the control cells on the natural scale, as long as the values can be logs."""


def scan_matrix(x: h5py.Group | h5py.Dataset, control: np.ndarray) -> Scan:
    """Look at every stored value once.

    Parameters
    ----------
    x
        The element `X` of an open `.h5ad`.
    control
        Which cells are controls.
    """
    scan = Scan()
    totals, natural = [], []
    start = 0
    with progress.bar("check", -(-len(control) // CELLS_PER_BLOCK)) as advance:
        for block in read_blocks(x):
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and counted so
                block = block.astype(np.float32, copy=False)
            data = block.data
            finite = np.isfinite(data)
            n_finite = int(np.count_nonzero(finite))
            scan.stored += data.size
            if n_finite < data.size:
                nan = int(np.isnan(data).sum())
                scan.nan += nan
                scan.infinite += data.size - n_finite - nan
                data = data[finite]
            if data.size:
                scan.negative += int(np.count_nonzero(data < 0))
                scan.zeros += int(np.count_nonzero(data == 0))
                scan.largest = max(scan.largest, float(data.max()))
                scan.lowest = min(scan.lowest, float(data.min()))
                scan.fraction = max(scan.fraction, float(np.abs(data - np.trunc(data)).max()))
            block.sort_indices()
            scan.twice |= not block.has_canonical_format
            totals.append(block @ np.ones(block.shape[1]))
            of_controls = control[start : start + block.shape[0]]
            if scan.largest < LOG_LIMIT and not scan.nan and of_controls.any():
                natural.append(natural_totals(block[of_controls]))
            start += block.shape[0]
            advance()
    if totals:
        scan.totals = np.concatenate(totals)
    if natural:
        scan.natural_totals = np.concatenate(natural)
    return scan


def check_numbers(scan: Scan) -> list[Finding]:
    """Report values that neither expression nor counts can have."""
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
    if scan.zeros:
        findings.append(Finding("note", f"zeros stored in X: {scan.zeros:,}", "starter pack leaves them out"))
    return findings


def check_empty(scan: Scan, cells: pd.DataFrame) -> list[Finding]:
    """Report perturbations none of whose cells holds a value, in all contexts or in one.

    Parameters
    ----------
    scan
        What the matrix holds.
    cells
        `target_gene` of every cell and, where the season has contexts, `context`.
    """
    if not scan.totals.any():
        return [Finding("error", "X holds no value other than 0", "write the predicted expression")]
    findings = []
    filled = pd.Series(scan.totals != 0)
    by_label = filled.groupby(cells[TARGET_GENE]).any()
    if len(empty := by_label.index[~by_label]):
        what = f"labels with empty cells only: {len(empty):,} ({some(empty)})"
        findings.append(Finding("error", what, "write the predicted expression of each"))
    if CONTEXT in cells:
        by_pair = filled[~cells[TARGET_GENE].isin(empty)].groupby([cells[TARGET_GENE], cells[CONTEXT]]).any()
        if named := [f"{label} in {context}" for label, context in by_pair.index[~by_pair]]:
            what = f"perturbations with empty cells only in one context: {len(named):,} ({some(named)})"
            findings.append(Finding("warning", what, "see whether the model ran for them"))
    return findings
