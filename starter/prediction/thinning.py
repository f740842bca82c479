"""Change the counts of cells until every gene's mean is the one wanted: the compiled part of `cells`.

Nothing here runs in parallel: who makes the cells of several perturbations makes them in as many threads.
"""

from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse

ROOM = 1.25
"""For how many more values there is room at first than were drawn."""
FEW = 32
"""UMIs of a gene in a cell whose logs are taken once."""


class _Genes(NamedTuple):
    """Counts of cells gene after gene."""

    cells: np.ndarray
    counts: np.ndarray
    pointers: np.ndarray
    """Where each gene begins, and the last one ends."""


def match_means(
    counts: scipy.sparse.csr_matrix,
    drawn: np.ndarray,
    scale: np.ndarray,
    goal: np.ndarray,
    phi: np.ndarray,
    rng: np.random.Generator,
) -> scipy.sparse.csr_matrix:
    """Remove or add UMIs, gene by gene, until the sum of log1p expression over the cells is nearest to the goal.

    Parameters
    ----------
    counts
        Cells x genes.
    drawn
        Rows of the cells to change; one may be drawn several times.
    scale
        Expression of one UMI in each cell drawn.
    goal
        Sum over the cells drawn of log1p(scale x count) that each gene is to have.
    phi
        Negative binomial dispersion of each gene, by which counts are added.
    rng
        Source of randomness.

    Returns
    -------
    Cells drawn x genes, counts, CSR float32.
    """
    n_genes = len(goal)
    given = _by_gene(counts, drawn)
    room = int(len(given.cells) * ROOM)
    made = _Genes(*_match_all(*given, scale, goal, phi, rng, np.empty(room, np.int32), np.empty(room, np.int32)))
    del given
    return _by_cell(made, (len(drawn), n_genes))


# NumPy makes the large arrays below, and compiled code fills them: it asks for large pages, in which writing here and
# there takes half the time


def _by_gene(counts: scipy.sparse.csr_matrix, drawn: np.ndarray) -> _Genes:
    """Turn the rows that were drawn around."""
    heads = _heads_of_genes(counts.indices, counts.indptr, drawn, counts.shape[1])
    genes = _Genes(np.empty(heads[-1], np.int32), np.empty(heads[-1], np.int32), heads.copy())
    _turn_rows(counts.data, counts.indices, counts.indptr, drawn, heads, genes.cells, genes.counts)
    return genes


def _by_cell(genes: _Genes, shape: tuple[int, int]) -> scipy.sparse.csr_matrix:
    """Turn genes around."""
    heads = _heads_of_cells(genes.cells[: genes.pointers[-1]], shape[0])
    cells = scipy.sparse.csr_matrix(shape, dtype=np.float32)
    cells.data, cells.indices = np.empty(heads[-1], np.float32), np.empty(heads[-1], np.int32)
    cells.indptr = heads.astype(np.int32 if heads[-1] <= np.iinfo(np.int32).max else np.int64)
    _turn_genes(*genes, heads, cells.data, cells.indices)
    return cells


@numba.njit(cache=True, nogil=True)
def _heads_of_genes(
    indices: np.ndarray, indptr: np.ndarray, drawn: np.ndarray, n_genes: int
) -> np.ndarray:  # pragma: no cover (compiled)
    """Say where each gene begins, and the last one ends."""
    heads = np.zeros(n_genes + 1, np.int64)
    for row in drawn:
        for gene in indices[indptr[row] : indptr[row + 1]]:
            heads[np.uint32(gene) + 1] += 1
    for gene in range(n_genes):
        heads[gene + 1] += heads[gene]
    return heads


@numba.njit(cache=True, nogil=True)
def _turn_rows(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    drawn: np.ndarray,
    heads: np.ndarray,
    cells: np.ndarray,
    counts: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    for cell in range(len(drawn)):
        for k in range(indptr[drawn[cell]], indptr[drawn[cell] + 1]):
            gene = np.uint32(indices[k])
            head = np.uint64(heads[gene])
            cells[head], counts[head] = cell, data[k]
            heads[gene] += 1


@numba.njit(cache=True, nogil=True)
def _heads_of_cells(cells: np.ndarray, n_cells: int) -> np.ndarray:  # pragma: no cover (compiled)
    """Say where each cell begins, and the last one ends."""
    heads = np.zeros(n_cells + 1, np.int64)
    for cell in cells:
        heads[np.uint32(cell) + 1] += 1
    for cell in range(n_cells):
        heads[cell + 1] += heads[cell]
    return heads


@numba.njit(cache=True, nogil=True)
def _turn_genes(
    cells: np.ndarray,
    counts: np.ndarray,
    pointers: np.ndarray,
    heads: np.ndarray,
    data: np.ndarray,
    indices: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    heads = heads.copy()
    for gene in range(len(pointers) - 1):
        for k in range(pointers[gene], pointers[gene + 1]):
            cell = np.uint32(cells[k])
            head = np.uint64(heads[cell])
            data[head], indices[head] = counts[k], gene
            heads[cell] += 1


@numba.njit(cache=True, nogil=True)
def _match_all(
    cells: np.ndarray,
    given: np.ndarray,
    pointers: np.ndarray,
    scale: np.ndarray,
    goal: np.ndarray,
    phi: np.ndarray,
    rng: np.random.Generator,
    out_cells: np.ndarray,
    out_counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover (compiled)
    """Match gene after gene; what is made is written to the last two, or to longer ones."""
    n_cells = len(scale)
    made = np.zeros(len(pointers), np.int64)
    counts, logs = np.zeros(n_cells, np.int32), np.zeros(n_cells)  # of one gene
    table = np.empty((n_cells, FEW))  # the logs of few UMIs
    for cell in range(n_cells):
        for count in range(FEW):
            table[cell, count] = np.log1p(scale[cell] * count)
    exposure = 1 / scale
    running = np.cumsum(exposure)
    first = np.empty(n_cells, np.int32)
    _begin(running, first)
    at = 0
    for gene in range(len(goal)):
        total = 0.0
        for k in range(pointers[gene], pointers[gene + 1]):
            cell, count = np.uint32(cells[k]), np.uint32(given[k])
            log = table[cell, count] if count < FEW else np.log1p(scale[cell] * count)
            counts[cell], logs[cell] = count, log
            total += log
        if total > goal[gene]:
            _remove(cells[pointers[gene] : pointers[gene + 1]], counts, logs, total, goal[gene], scale, rng)
        elif total < goal[gene]:
            _add(counts, logs, total, goal[gene], scale, phi[gene], exposure, running, first, rng)
        if at + n_cells > len(out_cells):  # the genes so far say how much is still to come
            room = at + n_cells + int((at + n_cells) * (len(goal) - gene) / (gene + 1) * 0.5)
            out_cells, out_counts = _longer(out_cells, room), _longer(out_counts, room)
        for cell in range(n_cells):
            if counts[cell] > 0:
                out_cells[at], out_counts[at] = cell, counts[cell]
                at += 1
            counts[cell], logs[cell] = 0, 0.0
        made[gene + 1] = at
    return out_cells, out_counts, made


@numba.njit(cache=True, nogil=True)
def _longer(values: np.ndarray, size: int) -> np.ndarray:  # pragma: no cover (compiled)
    longer = np.empty(size, values.dtype)
    longer[: len(values)] = values
    return longer


@numba.njit(cache=True, nogil=True)
def _begin(running: np.ndarray, first: np.ndarray) -> None:  # pragma: no cover (compiled)
    """Find where to look for a share of a running sum: of n equal shares, the first place that exceeds each."""
    n, place = len(running), 0
    for share in range(n):
        while place < n - 1 and running[place] <= share * running[-1] / n:
            place += 1
        first[share] = place


@numba.njit(cache=True, nogil=True)
def _choose(running: np.ndarray, first: np.ndarray, rng: np.random.Generator) -> int:  # pragma: no cover (compiled)
    """Choose a place with the probability of what it adds to a running sum."""
    share = rng.random()
    place = first[int(share * len(running))]
    while place < len(running) - 1 and running[place] <= share * running[-1]:
        place += 1
    return place


@numba.njit(cache=True, nogil=True)
def _remove(
    filled: np.ndarray,
    counts: np.ndarray,
    logs: np.ndarray,
    total: float,
    goal: float,
    scale: np.ndarray,
    rng: np.random.Generator,
) -> None:  # pragma: no cover (compiled)
    """Take UMIs away, each as likely as any other, until the sum of log1p expression is nearest to the goal.

    An UMI is chosen among those that there were at first, and again if it is gone; what there was at first is counted
    anew whenever half is gone. `logs` is log1p(scale x count) of each cell, so that only one logarithm is taken for an
    UMI; `filled` are the cells that have any.
    """
    before, running = np.empty(len(filled)), np.empty(len(filled))
    first = np.empty(len(filled), np.int32)
    while True:
        n_umis = 0.0
        for i in range(len(filled)):
            before[i] = counts[filled[i]]
            n_umis += before[i]
            running[i] = n_umis
        if n_umis == 0:
            return
        _begin(running, first)
        left = n_umis
        while 2 * left > n_umis:
            i = _choose(running, first, rng)
            cell = filled[i]
            if rng.random() * before[i] >= counts[cell]:
                continue
            less = np.log1p(scale[cell] * (counts[cell] - 1))
            change = float(logs[cell] - less)
            if total - change < goal and goal - (total - change) > total - goal:
                return
            counts[cell] -= 1
            logs[cell] = less
            total -= change
            left -= 1
            if total <= goal:
                return


@numba.njit(cache=True, nogil=True)
def _add(
    counts: np.ndarray,
    logs: np.ndarray,
    total: float,
    goal: float,
    scale: np.ndarray,
    phi: float,
    exposure: np.ndarray,
    running: np.ndarray,
    first: np.ndarray,
    rng: np.random.Generator,
) -> None:  # pragma: no cover (compiled)
    """Add UMIs until the sum of log1p expression is nearest to the goal.

    Given each cell's gamma factor, the counts of a negative binomial are Poisson, and Poisson counts arrive one by
    one in cells chosen by their rate: factor x exposure. Most genes need few UMIs, so factors are not drawn at first.
    Without them, after n arrivals up to time t a cell's rate is the mean of what its factor can be,
    exposure (1 + phi n) / (1 + phi exposure t); arrivals come by thinning those of a faster process (Lewis and Shedler
    1979). Once as many were tried as there are cells, factors are drawn as they are distributed after these arrivals:
    gamma, with the shape 1/phi + n and the rate 1/phi + exposure t.
    """
    n_cells, varies = len(counts), phi > 1e-6
    added = np.zeros(n_cells, np.int32)
    most, time, tried, drawn = 0, 0.0, 0, not varies
    while total < goal:
        if not drawn and tried == n_cells:
            running, first = np.empty(n_cells), np.empty(n_cells, np.int32)
            whole = 0.0
            for cell in range(n_cells):
                shape, rate = 1 / phi + added[cell], 1 / phi + exposure[cell] * time
                whole += rng.standard_gamma(shape) / rate * exposure[cell]
                running[cell] = whole
            if not whole > 0:  # every factor was rounded to 0
                return
            _begin(running, first)
            drawn = True
        cell = _choose(running, first, rng)
        if not drawn:
            tried += 1
            bound = 1 + phi * most
            time += rng.standard_exponential() / (running[-1] * bound)
            if rng.random() * bound * (1 + phi * exposure[cell] * time) >= 1 + phi * added[cell]:
                continue
            added[cell] += 1
            most = max(most, added[cell])
        more = np.log1p(scale[cell] * (counts[cell] + 1))
        change = float(more - logs[cell])
        if total + change > goal and total + change - goal > goal - total:
            return
        counts[cell] += 1
        logs[cell] = more
        total += change
