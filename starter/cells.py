"""From a predicted profile (a mean) to single cells (a distribution), in several ways.

Scoring by rank tests needs cells with the zeros and the spread of real ones. A perfect mean in cells that are all
equal makes hundreds of genes "differentially expressed".
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import anndata
import numba
import numpy as np
import pandas as pd
import scipy.sparse

from starter.preprocess import LOG_LIMIT, library_sizes, target_sum
from starter.pseudobulk import check_profile_table
from starter.schema import CONTEXT, CONTROL, PERTURBATION, TARGET_GENE, InputError

MAX_DISPERSION = 10.0
"""Upper limit of a gene's estimated negative binomial dispersion."""


@dataclass(frozen=True)
class Controls:
    """Control cells, from which predicted cells are made."""

    counts: scipy.sparse.csr_matrix
    """Cells x genes, raw UMI counts."""
    scale: np.ndarray
    """Expression of one UMI in each cell (target_sum / n_umis): log expression = log1p(scale x count)."""
    genes: tuple[str, ...] | None = None
    """Their genes, where known, by which the columns of a profile table are checked."""

    def logs(self) -> scipy.sparse.csr_matrix:
        """Give log1p expression, CSR float32."""
        return _logs(self.counts, self.scale)

    @cached_property
    def dispersion(self) -> np.ndarray:
        """Negative binomial dispersion of each gene (var = mu + phi mu^2), by the method of moments.

        One value a gene, in [0, MAX_DISPERSION]; 1 for genes without counts.
        """
        counts, exposure = self.counts.astype(np.float64), 1 / self.scale
        rate = np.asarray(counts.sum(axis=0)).ravel() / exposure.sum()
        squares = np.asarray(counts.multiply(counts).sum(axis=0)).ravel()
        cross = exposure @ counts
        expected = rate**2 * (exposure**2).sum()
        excess = squares - 2 * rate * cross + expected - rate * exposure.sum()
        phi = np.divide(excess, expected, out=np.ones(len(rate)), where=expected > 0)
        return np.clip(phi, 0, MAX_DISPERSION)


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


def thin(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
    """Change real control cells until each gene's mean is the predicted one.

    Control cells are drawn. Where a gene's mean is too high, UMIs are removed at random (thinning); where it is too
    low, counts are added as a negative binomial with the gene's dispersion in the controls would add them. Both stop
    where the mean is right, so the ratio is solved on the cells drawn and not on average.

    Parameters
    ----------
    profile
        Mean log1p expression, one value a gene.
    controls
        Control cells.
    n_cells
        How many cells to make. More than there are controls draws controls again.
    rng
        Source of randomness.

    Returns
    -------
    Cells x genes, log1p expression, CSR float32. The mean of a gene is right to one UMI in one cell.

    Raises
    ------
    InputError
        If the profile has not one finite value, 0 or more, for each gene.
    """
    _check_profile(profile, controls)
    drawn = _draw(controls.counts.shape[0], n_cells, rng)
    counts = scipy.sparse.csc_matrix(controls.counts[drawn], dtype=np.float32)
    scale = controls.scale[drawn]
    rows, values, n_kept = _match_means(
        counts.data.astype(np.int64),
        counts.indices,
        counts.indptr.astype(np.int64),
        scale,
        np.asarray(profile, dtype=np.float64) * n_cells,
        controls.dispersion,
        rng.integers(2**32, size=counts.shape[1]),
    )
    made = scipy.sparse.csc_matrix((values, rows, np.concatenate([[0], np.cumsum(n_kept)])), shape=counts.shape)
    return _logs(made.tocsr(), scale)


def constant(
    profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator
) -> scipy.sparse.csr_matrix:
    """Every cell is the profile itself. For what this costs, see `thin`, whose parameters it has."""
    del controls, rng
    return scipy.sparse.csr_matrix(np.broadcast_to(profile.astype(np.float32), (n_cells, len(profile))))


def shift(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
    """Control cells plus the predicted effect, clipped at 0. Parameters are those of `thin`."""
    logs = controls.logs()
    effect = profile - np.asarray(logs.mean(axis=0)).ravel()
    cells = logs[_draw(logs.shape[0], n_cells, rng)].toarray() + effect
    return scipy.sparse.csr_matrix(np.maximum(cells, 0), dtype=np.float32)


Way = Callable[[np.ndarray, Controls, int, np.random.Generator], scipy.sparse.csr_matrix]

WAYS: dict[str, Way] = {"thin": thin, "constant": constant, "shift": shift}
"""How cells can be made."""


def make_cells(
    table: pd.DataFrame, controls: Controls, n_cells: Mapping[str, int], way: str = "thin", seed: int = 0
) -> Iterator[tuple[str, scipy.sparse.csr_matrix]]:
    """Make the cells of a prediction, one perturbation after the other, the control cells first.

    Parameters
    ----------
    table
        A profile table of one context: index context and perturbation, columns genes.
    controls
        The course's control cells.
    n_cells
        Cells to make of each perturbation.
    way
        A key of `WAYS`.
    seed
        With the perturbation's name it fixes the cells, whatever else is predicted beside it.

    Yields
    ------
    Label and cells (cells x genes, log1p expression, CSR float32).

    Raises
    ------
    InputError
        If the way is unknown, the table is no profile table of one context and these genes, or a perturbation's
        number of cells is not given.
    """
    if way not in WAYS:
        msg = f"there is no way {way!r} to make cells; the ways are {', '.join(WAYS)}"
        raise InputError(msg)
    check_profile_table(table, controls.genes)
    if table.index.get_level_values(CONTEXT).nunique() > 1:  # noqa: PD101  (it is not a constant series)
        msg = "the profile table has several contexts; cells are made with the controls of one"
        raise InputError(msg)
    labels = table.index.get_level_values(PERTURBATION)
    if missing := [label for label in labels if label not in n_cells]:
        msg = f"how many cells are due is not known for {', '.join(missing)}"
        raise InputError(msg)
    yield CONTROL, controls.logs()
    for label, profile in zip(labels, table.to_numpy(float), strict=True):
        _check_profile(profile, controls)
        rng = np.random.default_rng([seed, zlib.crc32(label.encode())])
        yield label, WAYS[way](profile, controls, n_cells[label], rng)


def _check_profile(profile: np.ndarray, controls: Controls) -> None:
    n_genes = controls.counts.shape[1]
    if profile.shape != (n_genes,):
        msg = f"a profile has one value a gene, {n_genes:,} here; this one has the shape {profile.shape}"
        raise InputError(msg)
    if n_bad := int((~((profile >= 0) & (profile < LOG_LIMIT))).sum()):
        msg = f"values of the profile that are no mean log1p expression (0 to {LOG_LIMIT:g}, not NaN): {n_bad:,}"
        raise InputError(msg)


def _draw(n_available: int, n: int, rng: np.random.Generator) -> np.ndarray:
    whole, rest = divmod(n, n_available)
    return np.concatenate([np.tile(np.arange(n_available), whole), rng.choice(n_available, rest, replace=False)])


def _logs(counts: scipy.sparse.csr_matrix, scale: np.ndarray) -> scipy.sparse.csr_matrix:
    logs = scipy.sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    logs.data = np.log1p(logs.data * np.repeat(scale, np.diff(logs.indptr)))
    return logs.astype(np.float32)


@numba.njit(parallel=True, cache=True)
def _match_means(
    data: np.ndarray,
    rows: np.ndarray,
    indptr: np.ndarray,
    scale: np.ndarray,
    goal: np.ndarray,
    phi: np.ndarray,
    seeds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover (compiled)
    n_cells, n_genes = len(scale), len(goal)
    made = np.zeros((n_genes, n_cells), np.float32)
    n_kept = np.zeros(n_genes, np.int64)
    for gene in numba.prange(n_genes):
        np.random.seed(seeds[gene])  # noqa: NPY002  (a generator cannot be shared by parallel loops)
        counts = np.zeros(n_cells, np.int64)
        total = 0.0
        for k in range(indptr[gene], indptr[gene + 1]):
            counts[rows[k]] = data[k]
            total += np.log1p(scale[rows[k]] * data[k])
        if total > goal[gene]:
            _remove(counts, total, goal[gene], scale)
        elif total < goal[gene]:
            _add(counts, total, goal[gene], scale, phi[gene])
        for cell in range(n_cells):
            made[gene, cell] = counts[cell]
            n_kept[gene] += counts[cell] > 0
    kept = int(n_kept.sum())
    out_rows, out_values = np.empty(kept, np.int32), np.empty(kept, np.float32)
    at = 0
    for gene in range(n_genes):
        for cell in range(n_cells):
            if made[gene, cell] > 0:
                out_rows[at], out_values[at] = cell, made[gene, cell]
                at += 1
    return out_rows, out_values, n_kept


@numba.njit(cache=True)
def _remove(counts: np.ndarray, total: float, goal: float, scale: np.ndarray) -> None:  # pragma: no cover (compiled)
    """Take UMIs away, each as likely as any other, until the sum of log1p expression is nearest to the goal."""
    owner = np.repeat(np.arange(len(counts)), counts)
    for left in range(len(owner), 0, -1):
        pick = np.random.randint(left)  # noqa: NPY002
        cell = owner[pick]
        owner[pick] = owner[left - 1]
        change = np.log1p(scale[cell] * counts[cell]) - np.log1p(scale[cell] * (counts[cell] - 1))
        if total - change < goal and goal - (total - change) > total - goal:
            return
        counts[cell] -= 1
        total -= change
        if total <= goal:
            return


@numba.njit(cache=True)
def _add(
    counts: np.ndarray, total: float, goal: float, scale: np.ndarray, phi: float
) -> None:  # pragma: no cover (compiled)
    """Add UMIs until the sum of log1p expression is nearest to the goal.

    Given each cell's gamma factor, the counts of a negative binomial are Poisson, and Poisson counts arrive one by
    one in cells chosen by their rate.
    """
    rate = np.empty(len(counts))
    running = 0.0
    for cell in range(len(counts)):
        factor = np.random.gamma(1 / phi, phi) if phi > 1e-6 else 1.0  # noqa: NPY002
        running += factor / scale[cell]
        rate[cell] = running
    while total < goal:
        cell = min(np.searchsorted(rate, np.random.random() * running, side="right"), len(counts) - 1)  # noqa: NPY002
        change = np.log1p(scale[cell] * (counts[cell] + 1)) - np.log1p(scale[cell] * counts[cell])
        if total + change > goal and total + change - goal > goal - total:
            return
        counts[cell] += 1
        total += change
