"""The control cells from which predicted cells are made."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import anndata
import numba
import numpy as np
import scipy.sparse

from starter.data.blocks import views
from starter.data.logs_of_counts import log_sums, logs_of
from starter.data.preprocess import library_sizes, target_sum, unit_of
from starter.data.stored import StoredScreen, open_stored, shared_target_sum
from starter.errors import InputError, counted, difference, listed
from starter.schema import CONTEXT, CONTROL, TARGET_GENE

MAX_DISPERSION = 10.0
"""Upper limit of a gene's estimated negative binomial dispersion."""
NO_DISPERSION = 1e-6
"""Below this a negative binomial is Poisson."""
CELLS_AT_ONCE = 1024
"""Cells whose sums are taken together, so that no second copy of all of them is made."""


@dataclass(frozen=True)
class Controls:
    """Control cells, from which predicted cells are made."""

    counts: scipy.sparse.csr_matrix
    """Cells x genes, raw UMI counts, whole numbers of any type."""
    scale: np.ndarray
    """Expression of one UMI in each cell (target_sum / n_umis): log expression = log1p(scale x count)."""
    genes: tuple[str, ...] | None = None
    """Their genes, where known, by which the columns of a profile table are checked."""

    def logs(self) -> scipy.sparse.csr_matrix:
        """Give log1p expression, CSR float32."""
        return logs_of(self.counts, self.scale)

    @property
    def n_blocks(self) -> int:
        """How many `blocks` there are."""
        return -(-len(self.scale) // CELLS_AT_ONCE)

    def blocks(self) -> Iterator[tuple[scipy.sparse.csr_matrix, np.ndarray]]:
        """Give the cells block by block, counts with sorted indices and scales; the counts are not to be changed."""
        scales = (self.scale[start : start + CELLS_AT_ONCE] for start in range(0, len(self.scale), CELLS_AT_ONCE))
        for block, scale in zip(views(self.counts, CELLS_AT_ONCE), scales, strict=True):
            yield block if block.has_sorted_indices else block.sorted_indices(), scale

    @property
    def profile(self) -> np.ndarray:
        """Mean log1p expression of each gene."""
        return self._moments[0]

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation among cells of each gene's log1p expression."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each gene's log1p expression."""
        grouped = ((counts, np.zeros(len(scale), np.int64), scale) for counts, scale in self.blocks())
        sums, squares = log_sums(grouped, (1, self.counts.shape[1]))
        mean = sums[0] / len(self.scale)
        return mean, np.sqrt(np.maximum(squares[0] / len(self.scale) - mean**2, 0))  # rounding can fall below 0

    @property
    def rate(self) -> np.ndarray:
        """Mean expression of each gene on the natural scale; divided by a cell's scale, the UMIs to expect in it."""
        return self._sums[0][0] / (1 / self.scale).sum()

    @cached_property
    def dispersion(self) -> np.ndarray:
        """Negative binomial dispersion of each gene (var = mu + phi mu^2), by the method of moments.

        One value a gene, in [0, MAX_DISPERSION]; 1 for genes without counts.
        """
        _, squares, cross = self._sums[0]
        exposure = 1 / self.scale
        expected = self.rate**2 * (exposure**2).sum()
        excess = squares - 2 * self.rate * cross + expected - self.rate * exposure.sum()
        phi = np.divide(excess, expected, out=np.ones(len(squares)), where=expected > 0)
        return np.clip(phi, 0, MAX_DISPERSION)

    @property
    def totals(self) -> np.ndarray:
        """Sum of each cell's expression on the natural scale, over the genes that there are."""
        return self._sums[1] * self.scale

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each gene the sums of counts, of their squares and of counts x 1 / scale, 3 x genes; each cell's sum."""
        of_genes, of_cells = np.zeros((3, self.counts.shape[1])), np.zeros(len(self.scale))
        _add(self.counts.data, self.counts.indices, self.counts.indptr, 1 / self.scale, of_genes, of_cells)
        return of_genes, of_cells


@numba.njit(cache=True, nogil=True)
def _add(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    exposure: np.ndarray,
    of_genes: np.ndarray,
    of_cells: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    for cell in range(len(exposure)):
        for i in range(indptr[cell], indptr[cell + 1]):
            count, gene = np.float64(data[i]), np.uint32(indices[i])
            of_genes[0, gene] += count
            of_genes[1, gene] += count * count
            of_genes[2, gene] += count * exposure[cell]
            of_cells[cell] += count


def controls_of(adata: anndata.AnnData) -> Controls:
    """Take the control cells of a course data set.

    Raises
    ------
    InputError
        If there are none.
    """
    control = (adata.obs[TARGET_GENE] == CONTROL).to_numpy()
    if not control.any():
        msg = f"no cell is labelled {CONTROL!r}; cells are made from control cells"
        raise InputError(msg)
    scale = target_sum(adata) / library_sizes(adata)[control]
    return Controls(adata.X[control], scale, tuple(adata.var_names))


def read_controls(
    paths: str | Path | Sequence[str | Path], target: float | None = None
) -> tuple[dict[str, Controls], float]:
    """Read the control cells of course data sets or of the challenge's files, and no other cell.

    Parameters
    ----------
    paths
        `.h5ad` or Zarr stores of raw counts, of the same genes; each holds one context or more.
    target
        UMIs to which cells are scaled. Default: what the first file says of its course that says so, else the median
        library size of all control cells.

    Returns
    -------
    Control cells of each context, sorted by its name, and the target. A stored count takes 6 bytes of memory.

    Raises
    ------
    FindingsError
        If a file's labels or genes break the rules of a course data set.
    InputError
        If a file cannot be read or does not hold counts; the genes of two differ; a context is in two files, or has
        a control cell without UMIs.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    with ExitStack() as stack:
        screens = [stack.enter_context(open_stored(path)) for path in paths]
        _check_alike(screens)
        gathered = [_gather(screen) for screen in screens]
        if target is None:
            sizes = [np.concatenate([own.sizes for own in of_file.values()]) for of_file in gathered]
            target = shared_target_sum(screens, sizes)
        found = {
            context: Controls(own.counts, unit_of(target, own.sizes), screen.genes)
            for screen, of_file in zip(screens, gathered, strict=True)
            for context, own in of_file.items()
        }
        return dict(sorted(found.items())), target


def look_at_controls(paths: Sequence[str | Path]) -> tuple[tuple[str, ...], list[str]]:
    """Give the genes and the contexts of control cells without reading them; files and errors as of `read_controls`."""
    with ExitStack() as stack:
        screens = [stack.enter_context(open_stored(path)) for path in paths]
        _check_alike(screens)
        contexts = {name for screen in screens for name in screen.pairs[screen.control].get_level_values(CONTEXT)}
        return screens[0].genes, sorted(contexts)


def _check_alike(screens: Sequence[StoredScreen]) -> None:
    """Refuse files that do not go together."""
    seen: dict[str, str] = {}
    for screen in screens:
        if what := difference(screens[0].genes, screen.genes):
            msg = f"the genes of {screen.name} are not those of {screens[0].name}: {what}"
            raise InputError(msg)
        if screen.genes != screens[0].genes:
            msg = f"the genes of {screen.name} are in another order than those of {screens[0].name}; write them alike"
            raise InputError(msg)
        present = sorted(set(screen.pairs[screen.control].get_level_values(CONTEXT)))
        if twice := [context for context in present if context in seen]:
            msg = (
                f"{listed(twice)} has control cells in {seen[twice[0]]} and in {screen.name}; name each file's context "
                f"in its column obs.{CONTEXT}"
            )
            raise InputError(msg)
        seen.update(dict.fromkeys(present, screen.name))


class _OfContext(NamedTuple):
    """The control cells of a context."""

    counts: scipy.sparse.csr_matrix
    sizes: np.ndarray
    """UMIs of each cell."""


def _gather(screen: StoredScreen) -> dict[str, _OfContext]:
    """Bring the control cells of each context into memory in one reading."""
    contexts, control = screen.pairs.get_level_values(CONTEXT).to_numpy(str), screen.control
    of_context = {context: control & (contexts == context) for context in sorted(set(contexts[control]))}
    gathered = {context: _Gathered(screen.stored(own), len(screen.genes)) for context, own in of_context.items()}
    sizes = np.zeros(len(control))
    for cells, block, totals in screen.counts(control, "read control cells"):
        sizes[cells] = totals
        for context, own in of_context.items():
            gathered[context].add(block, np.flatnonzero(own[cells]))
    if empty := int((sizes[control] == 0).sum()):
        msg = f"{screen.name}: {counted(empty, 'control cell')} without a single UMI; leave them out"
        raise InputError(msg)
    return {context: _OfContext(gathered[context].matrix(), sizes[own]) for context, own in of_context.items()}


class _Gathered:
    """Counts of cells that come bit by bit, in the smallest type that holds them: half of what SciPy would take."""

    def __init__(self, n_values: int, n_genes: int) -> None:
        # pages that nothing is written to take no memory
        self._data, self._indices = np.empty(n_values, np.uint16), np.empty(n_values, np.int32)
        self._pointers, self._size, self._n_genes = [np.zeros(1, np.int64)], 0, n_genes

    def add(self, block: scipy.sparse.csr_matrix, cells: np.ndarray) -> None:
        """Take some cells of a block."""
        counts = block if len(cells) == block.shape[0] else block[cells]
        if counts.nnz and counts.data.max() > np.iinfo(self._data.dtype).max:
            self._data = self._data.astype(np.uint32)
        span = slice(self._size, self._size + counts.nnz)
        self._data[span], self._indices[span] = counts.data, counts.indices
        self._pointers.append(counts.indptr[1:].astype(np.int64) + self._size)
        self._size = span.stop

    def matrix(self) -> scipy.sparse.csr_matrix:
        """Give all of them."""
        pointers = np.concatenate(self._pointers)
        counts = scipy.sparse.csr_matrix((len(pointers) - 1, self._n_genes), dtype=self._data.dtype)
        index = np.int32 if self._size <= np.iinfo(np.int32).max else np.int64
        counts.data, counts.indices = self._data[: self._size], self._indices[: self._size].astype(index, copy=False)
        counts.indptr = pointers.astype(index)
        return counts


def counts_from_logs(logs: scipy.sparse.csr_matrix) -> Controls | None:
    """Recover raw counts from log1p expression: a cell's smallest value is one UMI.

    Parameters
    ----------
    logs
        Cells x genes, log1p(scale x count) with a scale for each cell.

    Returns
    -------
    Counts and scales; None if the values are not whole multiples of a unit.
    """
    counts = scipy.sparse.csr_matrix(logs, dtype=np.float64, copy=True)
    counts.eliminate_zeros()
    np.expm1(counts.data, out=counts.data)
    n_values = np.diff(counts.indptr)
    filled = np.flatnonzero(n_values)
    scale = np.ones(counts.shape[0])
    scale[filled] = np.minimum.reduceat(counts.data, counts.indptr[filled])
    counts.data /= np.repeat(scale, n_values)
    whole = np.rint(counts.data)
    if (np.abs(counts.data - whole) > 0.02 + 1e-5 * whole).any():
        return None
    counts.data = whole
    return Controls(counts.astype(np.float32), scale)
