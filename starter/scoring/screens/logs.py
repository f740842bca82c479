"""Cells of any kind brought to log1p expression, as a rule set asks."""

import hashlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from starter.data.blocks import Cells
from starter.data.judged import beyond_logs, judge_logs, like_z_scores, seen
from starter.data.preprocess import log_expression, log_to_target, stated_totals
from starter.data.scale import has_one_total, judge_scale
from starter.data.scan import Scan, scan_cells
from starter.errors import InputError
from starter.schema import N_UMIS
from starter.scoring.screens.opened import Screen

WEIGHED = 200
"""Cells of each perturbation whose natural total is taken."""
WEIGHED_CONTROLS = 2_000
"""Control cells whose natural total is taken."""


class Logs(NamedTuple):
    """Cells brought to log1p expression."""

    cells: Cells
    how: str
    """How the values came to be."""
    totals: np.ndarray
    """Natural total of each cell that was weighed, else 0."""
    target_sum: float | None = None
    """UMIs to which cells were scaled before log1p, where known."""
    as_given: bool = False
    """Whether the values are the stored ones."""


def log_expression_of(screen: Screen, cells: Cells, scan: Scan, keep: np.ndarray, target: float | None) -> Logs:
    """Bring cells to log1p expression by a rule set.

    Parameters
    ----------
    screen, cells, scan
        An open screen and what `starter.data.scan.tidied` gave of its cells.
    keep
        Which cells are looked at, boolean.
    target
        UMIs to which cells are scaled; None for the median total of all that are looked at (cell-eval's rule).

    Raises
    ------
    InputError
        If the values are neither counts nor log1p expression.
    """
    if is_log(scan, screen.name):
        target = _target_of_logs(screen, scan)
        how = f"log1p expression as given ({seen(scan)})"
        return Logs(cells, how, scan.natural_totals, target, as_given=True)
    if target is None:
        totals = scan.totals[keep]
        # scanpy, by which cell-eval scales, counts empty cells in if the values are sparse
        median = float(np.median(totals[totals > 0] if cells.dense and totals.any() else totals))
        if not median > 0:
            msg = f"more than half of the cells of {screen.name} are empty; leave empty cells out"
            raise InputError(msg)
        return Logs(
            cells.mapped(lambda block, _: log_to_target(block, median)),
            "counts scaled to their own median total, log1p (cell-eval's rule)",
            np.where(scan.totals > 0, median, 0.0),
            median,
        )
    sizes = library_totals(screen, scan)
    return Logs(
        cells.mapped(lambda block, start: log_expression(block, sizes[start : start + block.shape[0]], target)),
        f"log1p({target:,.0f} x count / {N_UMIS if N_UMIS in screen.obs else 'row sum'})",
        target * np.divide(scan.totals, sizes, out=np.zeros(len(sizes)), where=sizes > 0),
        target,
    )


def _target_of_logs(screen: Screen, scan: Scan) -> float | None:
    """Tell what logs were scaled to, from what the file says or from cells that all have the same total."""
    if (stated := screen.course.get("target_sum")) is not None:
        return float(stated)
    totals = scan.natural_totals[scan.natural_totals > 0]
    return float(np.median(totals)) if len(totals) and has_one_total(totals) else None


def is_log(scan: Scan, name: str) -> bool:
    """Tell log1p expression from counts; see `starter.data.scale.judge_scale`.

    Raises
    ------
    InputError
        If the values are neither, with what they look like.
    """
    if not scan.n_not_finite and like_z_scores(scan):
        msg = (
            f"{name} holds negative values (lowest {scan.lowest:.3g}): {scan.n_negative:,} of {scan.n_stored:,}, so "
            "many that they look scaled to zero mean (z-scores, residuals); write log1p expression as it was before"
        )
        raise InputError(msg)
    if not scan.n_not_finite and scan.n_negative == 0 and scan.fractional and (what := beyond_logs(scan)):
        msg = f"{name} holds fractions and values up to {scan.largest:.4g}, so it is no log1p expression: {what}"
        raise InputError(msg)
    return judge_scale(scan.lowest, scan.largest, scan.n_not_finite, name, fractional=scan.fractional)


def is_log_throughout(screen: Screen, scan: Scan, groups: np.ndarray, *, measured: bool) -> bool:
    """Tell log1p expression from counts, for control cells and perturbed cells.

    Parameters
    ----------
    screen, scan
        An open screen and what was seen of its cells.
    groups
        0 for control, other numbers for perturbations, negative for cells that are left out.
    measured
        Whether all cells were measured; see `starter.data.judged.judge_logs`.

    Raises
    ------
    InputError
        If they are neither, with what was seen, and where the file of measured cells itself holds counts.
    """
    try:
        if not is_log(scan, screen.name):
            return False
    except InputError as error:
        if not measured or not (elsewhere := screen.other_counts()):
            raise
        msg = f"{error}; {elsewhere}"
        raise InputError(msg) from error
    found = judge_logs(scan, groups == 0, screen.labels, measured=measured)
    if faults := [fault for fault in found if fault.level == "error"]:
        way_out = screen.other_counts() if measured else ""
        msg = f"{screen.name}: {'; '.join(fault.what for fault in faults)}; {way_out or faults[0].way_out}"
        raise InputError(msg)
    return True


def library_totals(screen: Screen, scan: Scan) -> np.ndarray:
    """Total UMIs of every cell: `obs.n_umis` where known, else the sum of its counts.

    Raises
    ------
    InputError
        If `obs.n_umis` is no positive number in a cell.
    """
    stated = stated_totals(screen.obs)
    return scan.totals if stated is None else stated


def median_depth(totals: np.ndarray, groups: np.ndarray, marked: np.ndarray, n_groups: int) -> np.ndarray:
    """Median total of the marked cells of each perturbation (groups 1 to n_groups - 1); NaN without any."""
    table = pd.Series(totals[marked]).groupby(groups[marked]).median()
    return table.reindex(range(1, n_groups)).to_numpy(float)


def fingerprint(logs: Logs, scan: Scan, cells: np.ndarray) -> np.ndarray:
    """Hash cells in their order by the sums of their log1p expression, exact to the last bit.

    Other cells that had the same sums would win little: where a prediction's controls pass for the course's, the
    course's are used, or else their profile is still compared.

    Parameters
    ----------
    logs
        Cells brought to log1p expression.
    scan
        What a scan tells of the values as stored.
    cells
        Which cells to hash, boolean.

    Returns
    -------
    The 32 bytes of a SHA-256.
    """
    totals = scan.totals if logs.as_given else scan_cells(logs.cells, cells).totals
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(totals[cells], "<f8").data).digest(), np.uint8)
