"""An `.h5ad` of labelled cells opened for scoring: labels and genes at once, values a block of cells at a time."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter.blocks import CELLS_PER_BLOCK, check_matrix, open_h5ad, read_blocks, read_frame, unreadable
from starter.columns import Cells, Seen, float_csr, scan
from starter.preprocess import FRACTION, judge_scale, log_expression, log_to_target, stated_totals
from starter.schema import (
    CONTEXT,
    COURSE,
    N_UMIS,
    ONE_CONTEXT,
    TARGET_GENE,
    Finding,
    FindingsError,
    InputError,
    check_description,
)

WEIGHED = 200
"""Cells of each perturbation whose natural total is taken."""
WEIGHED_CONTROLS = 2_000
"""Control cells whose natural total is taken."""


@dataclass(frozen=True)
class Screen:
    """Labelled cells of which the values stay in the file."""

    name: str
    """What to call the file in a message."""
    obs: pd.DataFrame
    genes: np.ndarray
    course: Mapping
    """What `uns["course"]` says, if anything."""
    cells: Cells
    """Stored values, float64 or float32; valid while the file is open."""
    n_bytes: int
    """What they take without compression."""

    @cached_property
    def labels(self) -> np.ndarray:
        """Perturbation of each cell, or the control label."""
        return self.obs[TARGET_GENE].astype(str).to_numpy(str)

    @cached_property
    def contexts(self) -> np.ndarray:
        """Context of each cell."""
        if CONTEXT not in self.obs:
            return np.full(len(self.obs), ONE_CONTEXT)
        return self.obs[CONTEXT].astype(str).to_numpy(str)

    @property
    def n_blocks(self) -> int:
        """How many blocks one reading of the cells takes."""
        return -(-len(self.obs) // CELLS_PER_BLOCK)

    def watched(self, advance: Callable[[], None]) -> "Screen":
        """Call a function for every block that is read."""

        def see(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
            del start
            advance()
            return block

        return replace(self, cells=self.cells.mapped(see))


@contextmanager
def open_screen(path: str | Path, name: str | None = None, *, controls: bool = True) -> Iterator[Screen]:
    """Open labelled cells, which may be counts or log1p expression, in any layout that AnnData writes.

    Parameters
    ----------
    path
        The `.h5ad`.
    name
        What to call it in a message; default: its path.
    controls
        Whether there must be control cells.

    Yields
    ------
    The screen, which must not be used after the block.

    Raises
    ------
    FindingsError
        If labels or genes cannot be used; the message lists all faults.
    InputError
        If the file cannot be read at all.
    """
    name = name or str(path)
    try:
        with open_h5ad(path) as file:
            yield _screen(file, name, controls=controls)
    except InputError as error:
        if isinstance(error, FindingsError) or name == str(path):
            raise
        raise InputError(str(error).replace(str(path), name)) from error


def _screen(file: h5py.File, name: str, *, controls: bool) -> Screen:
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    try:
        course = anndata.io.read_elem(file["uns"][COURSE]) if COURSE in file.get("uns", ()) else {}
    except Exception as error:  # whatever is in somebody's file
        what = f"{name}: uns[{COURSE!r}]"
        raise unreadable(what, error) from error
    described = anndata.AnnData(obs=obs, var=var, uns={COURSE: course} if course else {})
    findings = check_description(described, controls=controls)
    x = file["X"]
    if fault := check_matrix(x, described.shape):
        findings.append(fault)
    if 0 in described.shape:
        what = f"X has {described.n_obs:,} cells x {described.n_vars:,} genes"
        findings.append(Finding("error", what, "write the cells that there are"))
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(name, findings)
    return Screen(
        name=name,
        obs=obs,
        genes=var.index.astype(str).to_numpy(str),
        course=course,
        cells=_stored(x, described.shape),
        n_bytes=sum(part.nbytes for part in (x.values() if isinstance(x, h5py.Group) else [x])),
    )


def _stored(x: h5py.Group | h5py.Dataset, shape: tuple[int, int]) -> Cells:
    kind = x.attrs.get("encoding-type", "array")
    if kind == "csc_matrix":
        # genes first: only the whole matrix can be turned
        whole = scipy.sparse.vstack(list(read_blocks(x)), format="csr")
        whole.sum_duplicates()

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            del keep
            for start in range(0, shape[0], CELLS_PER_BLOCK):
                yield float_csr(whole[start : start + CELLS_PER_BLOCK])
    else:

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            for block in read_blocks(x, keep=keep, checked=False):
                yield float_csr(block)

    return Cells(shape, read, dense=isinstance(x, h5py.Dataset))


def look(cells: Cells, keep: np.ndarray, weigh: np.ndarray | None = None) -> tuple[Cells, Seen]:
    """Look at all values once, and mend what is merely untidy: unsorted indices, entries stored in pieces.

    Parameters
    ----------
    cells
        Cells x genes.
    keep
        Which cells to look at, boolean.
    weigh
        Of which cells the natural total is needed, boolean.

    Returns
    -------
    The cells, tidy, and what was seen.

    Raises
    ------
    InputError
        If the matrix is damaged.
    """
    seen = scan(cells, keep, weigh, FRACTION)
    if seen.canonical:
        return cells, seen
    tidy = cells.mapped(_tidy)
    return tidy, scan(tidy, keep, weigh, FRACTION)


def _tidy(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
    del start
    block.check_format(full_check=True)
    block.sum_duplicates()
    return block


class Logs(NamedTuple):
    """Cells brought to log1p expression."""

    cells: Cells
    how: str
    """How the values came to be."""
    totals: np.ndarray
    """Natural total of each cell that was weighed, else 0."""
    as_given: bool = False
    """Whether the values are the stored ones."""


def log_expression_of(screen: Screen, cells: Cells, seen: Seen, keep: np.ndarray, counts: str, target: float) -> Logs:
    """Bring cells to log1p expression by a rule set.

    Parameters
    ----------
    screen, cells, seen
        An open screen and what `look` gave of it.
    keep
        Which cells are looked at, boolean.
    counts
        What the rule set does with counts: `starter.metrics.Profile.counts`.
    target
        UMIs to which the course scales cells.

    Raises
    ------
    InputError
        If the values are neither counts nor log1p expression.
    """
    if is_log(seen, screen.name):
        return Logs(cells, "log1p expression as given", seen.natural_totals, as_given=True)
    if counts == "scaled to their median" and N_UMIS not in screen.obs:
        totals = seen.totals[keep]
        median = float(np.median(totals[totals > 0])) if totals.any() else 1.0
        return Logs(
            cells.mapped(lambda block, _: log_to_target(block, median)),
            "counts scaled to their own median total, log1p (cell-eval's rule)",
            np.where(seen.totals > 0, median, 0.0),
        )
    sizes = library_totals(screen, seen)
    return Logs(
        cells.mapped(lambda block, start: log_expression(block, sizes[start : start + block.shape[0]], target)),
        f"log1p({target:,.0f} x count / {N_UMIS if N_UMIS in screen.obs else 'row sum'})",
        target * np.divide(seen.totals, sizes, out=np.zeros(len(sizes)), where=sizes > 0),
    )


def is_log(seen: Seen, name: str) -> bool:
    """Tell log1p expression from counts; see `starter.preprocess.judge_scale`."""
    return judge_scale(seen.lowest, seen.highest, seen.n_odd, name, fractional=seen.fractional)


def library_totals(screen: Screen, seen: Seen) -> np.ndarray:
    """Total UMIs of every cell: `obs.n_umis` where known, else the sum of its counts.

    Raises
    ------
    InputError
        If `obs.n_umis` is no positive number in a cell.
    """
    stated = stated_totals(screen.obs)
    return seen.totals if stated is None else stated


def gather(cells: Cells, keep: np.ndarray) -> scipy.sparse.csr_matrix:
    """Bring some cells into memory, in order."""
    kept, start = [], 0
    for block in cells.read(keep):
        kept.append(block[keep[start : start + block.shape[0]]])
        start += block.shape[0]
    return scipy.sparse.vstack(kept, format="csr")


def sample(groups: np.ndarray, n_controls: int, n_perturbed: int) -> np.ndarray:
    """Mark evenly spaced cells of each group, at most so many of the control (group 0) and of each perturbation."""
    marked = np.zeros(len(groups), bool)
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    for cells in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(cells):
            limit = n_perturbed if groups[cells[0]] else n_controls
            marked[cells[:: -(-len(cells) // limit)]] = True
    return marked


def median_depth(totals: np.ndarray, groups: np.ndarray, marked: np.ndarray, n_groups: int) -> np.ndarray:
    """Median total of the marked cells of each perturbation (groups 1 to n_groups - 1); NaN without any."""
    table = pd.Series(totals[marked]).groupby(groups[marked]).median()
    return table.reindex(range(1, n_groups)).to_numpy(float)


def fingerprint(logs: Logs, seen: Seen, cells: np.ndarray) -> np.ndarray:
    """Hash cells in their order by the sums of their log1p expression, exact to the last bit.

    Other cells that had the same sums would win little: where a prediction's controls pass for the course's, the
    course's are used, or else their profile is still compared.

    Parameters
    ----------
    logs
        Cells brought to log1p expression.
    seen
        What `look` saw of the values as stored.
    cells
        Which cells to hash, boolean.

    Returns
    -------
    The 32 bytes of a SHA-256.
    """
    totals = seen.totals if logs.as_given else scan(logs.cells, cells).totals
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(totals[cells], "<f8")).digest(), np.uint8)
