"""A course data set that stays on disk: what describes its cells and genes in memory, its counts block by block."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anndata
import h5py
import numba
import numpy as np
import pandas as pd
import scipy.sparse

from starter import progress
from starter.data.blocks import Cells, stored_cells
from starter.data.dataset import pairs
from starter.data.h5ad import (
    CELLS_PER_BLOCK,
    GAP,
    check_matrix,
    layout_of,
    open_h5ad,
    read_frame,
    read_pointers,
    taken,
)
from starter.data.preprocess import stated_totals
from starter.data.rules import check_tables
from starter.errors import FindingsError, InputError
from starter.schema import CONTROL, COURSE, N_UMIS, TARGET_GENE

SPAN = 1 << 20
"""Values that are read at once."""
MOST = 1 << 24
"""Up to here float32 tells whole numbers apart; no cell has as many UMIs of a gene."""
ROUNDING = 1e-6
"""By which share of its total a cell's counts may add up to more."""


@dataclass(frozen=True)
class StoredScreen:
    """A course data set on disk."""

    name: str
    """What to call the file in a message."""
    obs: pd.DataFrame
    var: pd.DataFrame
    course: Mapping
    """What `uns["course"]` says; empty if it is not there."""
    cells: Cells
    """Raw counts, float32 or float64; valid while the file is open."""
    x: h5py.Group | h5py.Dataset
    """The stored matrix."""

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes."""
        return tuple(self.var.index.astype(str))

    @property
    def control(self) -> np.ndarray:
        """Which cells are controls, boolean."""
        return (self.obs[TARGET_GENE] == CONTROL).to_numpy()

    @property
    def pairs(self) -> pd.MultiIndex:
        """The (context, perturbation) pair of every cell."""
        return pairs(self.obs)

    def stored(self, keep: np.ndarray) -> int:
        """Tell how many values some cells store, or at most can."""
        if layout_of(self.x) != "csr_matrix":
            return int(keep.sum()) * self.cells.shape[1]
        return int(np.diff(read_pointers(self.x))[keep].sum())

    def target_sum(self) -> float:
        """Give the number of UMIs to which every cell is scaled, as `starter.data.preprocess.target_sum` does.

        Raises
        ------
        InputError
            If it is the controls' median, and that is 0.
        """
        stated = self.course.get("target_sum")
        if stated is not None:
            return float(stated)
        control = self.control
        median = float(np.median(self.library_sizes(control)[control]))
        if not median > 0:
            msg = f"{self.name}: half of the control cells have no UMIs, so the target sum is unknown; leave them out"
            raise InputError(msg)
        return median

    def library_sizes(self, keep: np.ndarray) -> np.ndarray:
        """Give the total UMIs of some cells: `obs.n_umis` where known, else the row sum, for which values are read.

        Parameters
        ----------
        keep
            Which cells, boolean.

        Returns
        -------
        float64, one a cell of the screen; NaN for the other cells.
        """
        totals = np.full(len(self.obs), np.nan)
        if (stated := stated_totals(self.obs)) is not None:
            totals[keep] = stated[keep]
        elif layout_of(self.x) == "csr_matrix":
            totals[keep] = _row_sums(self.x, keep)
        else:
            start = 0
            with progress.bar("library sizes", self.n_blocks) as advance:
                for block in self.cells.read(keep):
                    span = slice(start, start + block.shape[0])
                    sums = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
                    totals[span] = np.where(keep[span], sums, np.nan)
                    start = span.stop
                    advance()
        return totals

    def counts(self, keep: np.ndarray, what: str) -> Iterator[tuple[slice, scipy.sparse.csr_matrix, np.ndarray]]:
        """Read some cells and check that they hold counts, showing progress.

        Parameters
        ----------
        keep
            Which cells are needed, boolean; the others may come empty.
        what
            The work, for the bar.

        Yields
        ------
        Which cells a block has, their counts with sorted indices, and their total UMIs as `library_sizes` gives them.

        Raises
        ------
        InputError
            If a value is no count (negative, NaN, infinite, not whole), an entry is stored twice, or a cell's counts
            add up to more than its stated total.
        """
        stated, start = stated_totals(self.obs), 0
        with progress.bar(what, self.n_blocks) as advance:
            for block in self.cells.read(keep):
                cells = slice(start, start + block.shape[0])
                sums = _row_totals(block, f"{self.name}, cells {start:,} to {cells.stop - 1:,}")
                if stated is not None and (sums > stated[cells] * (1 + ROUNDING)).any():
                    msg = f"{self.name}: counts of a cell add up to more than its {N_UMIS}, the cell's total; mend it"
                    raise InputError(msg)
                yield cells, block, sums if stated is None else stated[cells]
                start = cells.stop
                advance()

    @property
    def n_blocks(self) -> int:
        """How many blocks one reading of the cells takes."""
        return -(-len(self.obs) // CELLS_PER_BLOCK)


@contextmanager
def open_stored(path: str | Path) -> Iterator[StoredScreen]:
    """Open a course data set without reading its counts.

    Cells and genes keep the rules of `starter.data.dataset.read_screen`; the counts may be stored in any layout, and
    are checked by who reads them.

    Parameters
    ----------
    path
        `.h5ad` or Zarr store.

    Yields
    ------
    The screen, which must not be used after the block.

    Raises
    ------
    FindingsError
        If its tables break rules; the message lists all of them with the way out.
    InputError
        If the file cannot be read at all.
    """
    with open_h5ad(path) as file:
        obs, var = read_frame(file, "obs"), read_frame(file, "var")
        stored = file.get(f"uns/{COURSE}")
        course = anndata.io.read_elem(stored) if stored is not None else None
        described = anndata.AnnData(obs=obs, var=var, uns={} if course is None else {COURSE: course})
        findings = check_tables(described)
        if fault := check_matrix(file["X"], (len(obs), len(var))):
            findings.append(fault)
        if any(finding.level == "error" for finding in findings):
            raise FindingsError(str(path), findings)
        cells = stored_cells(file["X"], (len(obs), len(var)))
        yield StoredScreen(str(path), obs, var, course or {}, cells, file["X"])


def shared_target_sum(screens: Sequence[StoredScreen], sizes: Sequence[np.ndarray] | None = None) -> float:
    """Give the number of UMIs to which the cells of several screens that belong together are scaled.

    Parameters
    ----------
    screens
        Such as the contexts of a challenge, a file each.
    sizes
        What `library_sizes` gave of the control cells of each, if they were read already.

    Returns
    -------
    What the first says of its course that says so, else the median library size of all their control cells.
    """
    for screen in screens:
        if (stated := screen.course.get("target_sum")) is not None:
            return float(stated)
    totals = np.concatenate(sizes or [screen.library_sizes(screen.control) for screen in screens])
    return float(np.median(totals[~np.isnan(totals)]))


def _row_totals(block: scipy.sparse.csr_matrix, where: str) -> np.ndarray:
    """Add up each cell's counts, float64; refuse values that are no counts, and sort indices that are not."""
    for _ in range(2):
        values, pointers = block.data.astype(np.float32, copy=False), block.indptr.astype(np.int64)
        sums, faults = _inspect(values, block.indices.astype(np.int32, copy=False), pointers, block.shape[1])
        n_other, n_beyond, n_unsorted, n_twice = faults.tolist()
        if n_beyond:
            beyond = f"{n_beyond:,} column indices beyond its {block.shape[1]:,} genes"
            msg = f"{where}: X is damaged ({beyond}); write it again"
            raise InputError(msg)
        if n_other:
            msg = f"{where}: values that are negative, NaN or not whole: {n_other:,}; give the file of raw UMI counts"
            raise InputError(msg)
        if not n_unsorted:
            break
        block.sort_indices()
    if n_twice:
        msg = f"{where}: entries of one cell and gene stored more than once: {n_twice:,}; call X.sum_duplicates()"
        raise InputError(msg)
    return sums


@numba.njit(cache=True, nogil=True)
def _inspect(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_genes: int
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover (compiled)
    """Add up each cell's values; count those that are no counts, columns beyond the genes, out of order, and twice."""
    sums, faults = np.zeros(len(indptr) - 1), np.zeros(4, np.int64)
    for cell in range(len(sums)):
        before, total = -1, 0.0
        for i in range(indptr[cell], indptr[cell + 1]):
            value, gene = np.float64(data[i]), indices[i]
            faults[0] += not (value >= 0 and value == np.trunc(value) and value < MOST)
            faults[1] += gene < 0 or gene >= n_genes
            faults[2] += gene < before
            faults[3] += gene == before
            before = gene
            total += value
        sums[cell] = total
    return sums, faults


def _row_sums(x: h5py.Group, keep: np.ndarray) -> np.ndarray:
    """Add up the values of some cells of a CSR matrix, without their columns; float64, one a kept cell."""
    pointers = read_pointers(x)
    cells = np.flatnonzero(keep)
    begin, end = pointers[cells], pointers[cells + 1]
    apart = np.flatnonzero((begin[1:] - end[:-1] > GAP) | (begin[1:] // SPAN != begin[:-1] // SPAN)) + 1
    sums = np.zeros(len(cells))
    runs = np.split(np.arange(len(cells)), apart)
    with progress.bar("library sizes", len(runs)) as advance:
        for run in runs:
            first = begin[run[0]]
            values = np.append(taken(x["data"], slice(int(first), int(end[run[-1]]))), 0)
            filled = run[end[run] > begin[run]]
            if len(filled):
                bounds = np.column_stack([begin[filled], end[filled]]).ravel() - first
                sums[filled] = np.add.reduceat(values, bounds, dtype=np.float64)[::2]
            advance()
    return sums
