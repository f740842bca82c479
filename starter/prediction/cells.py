"""From a predicted profile (a mean) to single cells (a distribution), in several ways.

Scoring by rank tests needs cells with the zeros and the spread of real ones. A perfect mean in cells that are all
equal makes hundreds of genes "differentially expressed". `python -m benchmarks.cells` measures what each way costs.
"""

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple, TypeVar

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.dataset import pairs
from starter.data.logs_of_counts import log_values, logs_of
from starter.data.preprocess import expression
from starter.data.pseudobulk import check_profile_table, group_means
from starter.data.scale import LOG_LIMIT
from starter.errors import InputError, difference, listed
from starter.prediction.controls import NO_DISPERSION, Controls
from starter.prediction.thinning import match_means
from starter.schema import CONTEXT, CONTROL, PERTURBATION, TARGET_GENE

MOST_THREADS = 8
"""Perturbations that are made at once; each takes the memory of its cells several times."""
Made = TypeVar("Made")
Part = TypeVar("Part")


class Counted(NamedTuple):
    """Made cells as counts."""

    counts: scipy.sparse.csr_matrix
    """Cells x genes, whole UMIs, float32."""
    scale: np.ndarray
    """What one UMI of each cell is on the scale before the log."""

    def to_logs(self) -> scipy.sparse.csr_matrix:
        """Make them log1p expression, CSR float32, in place: a second copy is of the size of all that is at hand."""
        self.counts.data = log_values(self.counts, self.scale)
        return self.counts


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
    return thinned(profile, controls, n_cells, rng).to_logs()


def thinned(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> Counted:
    """`thin` before the log: counts, for an upload that holds counts."""
    _check_profile(profile, controls)
    drawn = _draw(controls.counts.shape[0], n_cells, rng)
    scale = controls.scale[drawn]
    goal = np.asarray(profile, dtype=np.float64) * n_cells
    return Counted(match_means(controls.counts, drawn, scale, goal, controls.dispersion, rng), scale)


def constant(
    profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator
) -> scipy.sparse.csr_matrix:
    """Every cell is the profile itself. For what this costs, see `thin`, whose parameters it has."""
    del rng
    _check_profile(profile, controls)
    return scipy.sparse.csr_matrix(np.broadcast_to(profile.astype(np.float32), (n_cells, len(profile))))


def shift(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
    """Control cells plus the predicted effect, clipped at 0. Parameters are those of `thin`."""
    _check_profile(profile, controls)
    cells = _drawn_logs(controls, n_cells, rng).toarray() + (profile - controls.profile)
    return scipy.sparse.csr_matrix(np.maximum(cells, 0), dtype=np.float32)


def scale(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
    """Control cells times predicted over control mean, in log1p expression. Parameters are those of `thin`.

    Zeros stay zeros: a gene that no control cell expresses is 0, whatever was predicted.
    """
    _check_profile(profile, controls)
    ratio = np.divide(profile, controls.profile, out=np.zeros(len(profile)), where=controls.profile > 0)
    cells = scipy.sparse.csr_matrix(_drawn_logs(controls, n_cells, rng).multiply(ratio), dtype=np.float32)
    cells.eliminate_zeros()
    return cells


def gaussian(
    profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator
) -> scipy.sparse.csr_matrix:
    """Add to the profile normal noise with each gene's deviation among the controls, clip at 0. See `thin`."""
    _check_profile(profile, controls)
    cells = rng.normal(profile, controls.deviation, (n_cells, len(profile)))
    return scipy.sparse.csr_matrix(np.maximum(cells, 0), dtype=np.float32)


def poisson(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
    """Poisson counts with the library sizes of control cells. Parameters are those of `thin`.

    A gene's rate is its rate in the controls times the ratio of predicted to control expression, which is exact only if
    its spread does not change: the mean of logs is not the log of the mean.
    """
    return poisson_counts(profile, controls, n_cells, rng).to_logs()


def poisson_counts(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> Counted:
    """`poisson` before the log."""
    return _from_rates(profile, controls, n_cells, rng, np.zeros(len(profile)))


def negative_binomial(
    profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator
) -> scipy.sparse.csr_matrix:
    """`poisson` with each gene's overdispersion in the controls, so that cells vary as real ones do."""
    return negative_binomial_counts(profile, controls, n_cells, rng).to_logs()


def negative_binomial_counts(
    profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator
) -> Counted:
    """`negative_binomial` before the log."""
    return _from_rates(profile, controls, n_cells, rng, controls.dispersion)


Way = Callable[[np.ndarray, Controls, int, np.random.Generator], scipy.sparse.csr_matrix]
CountingWay = Callable[[np.ndarray, Controls, int, np.random.Generator], Counted]

WAYS: dict[str, Way] = {
    "thin": thin,
    "constant": constant,
    "shift": shift,
    "scale": scale,
    "gaussian": gaussian,
    "poisson": poisson,
    "negative_binomial": negative_binomial,
}
"""How cells can be made from a profile and control cells, as log1p expression."""
COUNTING_WAYS: dict[str, CountingWay] = {
    "thin": thinned,
    "poisson": poisson_counts,
    "negative_binomial": negative_binomial_counts,
}
"""Those of them that make counts, which a log is taken of."""


def resample_from(screen: anndata.AnnData) -> Way:
    """Make a way that gives real cells: those of the measured perturbation whose profile is nearest to the predicted.

    Nearest by mean absolute difference. The cells are drawn as control cells are in `thin`.

    Parameters
    ----------
    screen
        A course data set (raw counts) with the perturbations that may be taken, such as those of the training part.

    Returns
    -------
    A way for `make_cells`. It raises InputError if its genes are not those of the control cells.

    Raises
    ------
    InputError
        If no cell of the screen is perturbed.
    """
    perturbed = (screen.obs[TARGET_GENE] != CONTROL).to_numpy()
    if not perturbed.any():
        msg = "there is no perturbed cell to resample; give the cells of the training perturbations"
        raise InputError(msg)
    # of all cells: without a stated target sum the control cells give it
    logs, genes = expression(screen)[perturbed], list(screen.var_names)
    codes, measured = pairs(screen.obs[perturbed]).factorize()
    profiles = group_means(logs, codes, len(measured))

    def resample(
        profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator
    ) -> scipy.sparse.csr_matrix:
        _check_profile(profile, controls)
        if controls.genes is not None and list(controls.genes) != genes:
            what = difference(controls.genes, genes) or "their order differs"
            msg = f"the genes of the cells to resample are not those of the control cells: {what}"
            raise InputError(msg)
        nearest = np.abs(profiles - profile).sum(axis=1).argmin()
        cells = np.flatnonzero(codes == nearest)
        return logs[cells[_draw(len(cells), n_cells, rng)]]

    return resample


def make_cells(
    table: pd.DataFrame, controls: Controls, n_cells: Mapping[str, int], way: str | Way = "thin", seed: int = 0
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
        A key of `WAYS`, or a function like them (`resample_from` gives one). Several perturbations are made at once in
        threads, but one after the other by a function that is given.
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
    make, labels = _maker(table, controls, n_cells, way, seed)
    yield CONTROL, controls.logs()
    yield from zip(labels, _in_order(make, range(len(labels)), _threads_of(way)), strict=True)


def make_all(
    table: pd.DataFrame, controls: Controls, n_cells: Mapping[str, int], way: str | Way = "thin", seed: int = 0
) -> Iterator[scipy.sparse.csr_matrix]:
    """Make the cells of `make_cells`, those of the control in blocks, as many at once as there are processors.

    Parameters
    ----------
    table, controls, n_cells, way, seed
        As `make_cells` takes them.

    Returns
    -------
    Cells x genes, log1p expression, CSR float32: control cells as in `Controls.blocks`, then each row of the table.

    Raises
    ------
    InputError
        As `make_cells` does, before any cell is made.
    """
    make, labels = _maker(table, controls, n_cells, way, seed)

    def block(part: tuple[scipy.sparse.csr_matrix, np.ndarray] | int) -> scipy.sparse.csr_matrix:
        return make(part) if isinstance(part, int) else logs_of(*part)

    return _in_order(block, chain(controls.blocks(), range(len(labels))), _threads_of(way))


def _maker(
    table: pd.DataFrame, controls: Controls, n_cells: Mapping[str, int], way: str | Way, seed: int
) -> tuple[Callable[[int], scipy.sparse.csr_matrix], list[str]]:
    """Give what makes the cells of a row of the table, and the perturbations of the rows."""
    function = _way(way, WAYS) if isinstance(way, str) else way
    check_profile_table(table, controls.genes)
    if table.index.get_level_values(CONTEXT).nunique() > 1:  # noqa: PD101  (it is not a constant series)
        msg = "the profile table has several contexts; cells are made with the controls of one"
        raise InputError(msg)
    labels = _labels(table, n_cells)

    def make(row: int) -> scipy.sparse.csr_matrix:
        rng = np.random.default_rng([seed, _number(labels[row])])
        return function(table.iloc[row].to_numpy(float), controls, n_cells[labels[row]], rng)

    first = [make(0)] if labels else []  # alone: it finds out about the control cells what all others use, in threads
    return lambda row: first.pop() if row == 0 and first else make(row), labels


def make_counts(
    table: pd.DataFrame,
    controls: Mapping[str, Controls],
    n_cells: Mapping[str, int],
    way: str = "thin",
    seed: int = 0,
) -> Iterator[tuple[tuple[str, str], scipy.sparse.csr_matrix]]:
    """Make the cells of a prediction as counts, in each context from its own control cells, which are not among them.

    Parameters
    ----------
    table
        A profile table: index context and perturbation, columns genes.
    controls
        The control cells of each of its contexts, at the scale of the table.
    n_cells
        Cells to make of each perturbation in each context.
    way
        A key of `COUNTING_WAYS`.
    seed
        With the pair's names it fixes the cells.

    Returns
    -------
    (Context, perturbation) and cells (cells x genes, whole UMIs, CSR float32), in the order of the table, as they are
    taken.

    Raises
    ------
    InputError
        If the way makes no counts, the table is no profile table of these genes, a context has no control cells, or a
        perturbation's number of cells is not given.
    """
    make = _way(way, COUNTING_WAYS)
    for own in controls.values():
        check_profile_table(table, own.genes)
    contexts = table.index.get_level_values(CONTEXT)
    if unknown := sorted(set(contexts) - set(controls)):
        msg = f"there are no control cells of the context {listed(unknown)}; they are of {listed(sorted(controls))}"
        raise InputError(msg)
    labels = _labels(table, n_cells)

    def cells(row: int) -> tuple[tuple[str, str], scipy.sparse.csr_matrix]:
        context, label = contexts[row], labels[row]
        rng = np.random.default_rng([seed, _number(context), _number(label)])
        return (context, label), make(table.iloc[row].to_numpy(float), controls[context], n_cells[label], rng).counts

    return _in_order(cells, range(len(labels)), _threads())


def _way(way: str, ways: Mapping[str, Made]) -> Made:
    if way in ways:
        return ways[way]
    if way in WAYS:
        msg = f"the way {way!r} makes log1p expression and no counts; ways that make counts are {', '.join(ways)}"
        raise InputError(msg)
    msg = f"there is no way {way!r} to make cells; the ways are {', '.join(ways)}"
    raise InputError(msg)


def _labels(table: pd.DataFrame, n_cells: Mapping[str, int]) -> list[str]:
    labels = list(table.index.get_level_values(PERTURBATION))
    if missing := list(dict.fromkeys(label for label in labels if label not in n_cells)):
        msg = f"how many cells are due is not known for {listed(missing)}"
        raise InputError(msg)
    return labels


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def _threads() -> int:
    return min(os.cpu_count() or 1, MOST_THREADS)


def _threads_of(way: str | Way) -> int:
    """Say how many threads may make cells: one, if somebody's own function does."""
    return 1 if callable(way) else _threads()


def _in_order(work: Callable[[Part], Made], parts: Iterable[Part], threads: int) -> Iterator[Made]:
    """Give the results of all parts in order, some of them being worked on while one is taken."""
    if threads == 1:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _check_profile(profile: np.ndarray, controls: Controls) -> None:
    n_genes = controls.counts.shape[1]
    if profile.shape != (n_genes,):
        msg = f"a profile has one value a gene, {n_genes:,} here; this one has the shape {profile.shape}"
        raise InputError(msg)
    if n_bad := int((~((profile >= 0) & (profile < LOG_LIMIT))).sum()):
        msg = f"values of the profile that are no mean log1p expression (0 to {LOG_LIMIT:g}, not NaN): {n_bad:,}"
        raise InputError(msg)


def _drawn_logs(controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
    drawn = _draw(controls.counts.shape[0], n_cells, rng)
    return logs_of(controls.counts[drawn], controls.scale[drawn])


def _from_rates(
    profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator, phi: np.ndarray
) -> Counted:
    """Draw counts of cells with the library sizes of control cells; phi is each gene's dispersion, 0 for Poisson."""
    _check_profile(profile, controls)
    unit = controls.scale[_draw(len(controls.scale), n_cells, rng)]
    # how much the controls' mean lies above expm1 of their mean log; a gene without counts there tells nothing
    natural = np.expm1(controls.profile)
    above = np.divide(controls.rate, natural, out=np.ones(len(profile)), where=natural > 0)
    expected = np.expm1(profile) * above / unit[:, None]
    varying = phi > NO_DISPERSION
    expected[:, varying] *= rng.gamma(1 / phi[varying], phi[varying], (n_cells, int(varying.sum())))
    return Counted(scipy.sparse.csr_matrix(rng.poisson(expected), dtype=np.float32), unit)


def _draw(n_available: int, n: int, rng: np.random.Generator) -> np.ndarray:
    whole, rest = divmod(n, n_available)
    return np.concatenate([np.tile(np.arange(n_available), whole), rng.choice(n_available, rest, replace=False)])
