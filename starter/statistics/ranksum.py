"""Mann-Whitney U (Wilcoxon rank-sum) of every perturbation and gene against the control cells, in one pass.

Every gene's non-zero values are sorted once, all cells together, and one walk over them serves every perturbation; the
zeros are one block of ties. `rank_sum` is usable without the rest of the kit:

>>> import numpy as np
>>> x = np.array([[0, 1], [2, 1], [3, 1], [0, 5]], dtype=np.float32)  # cells x genes
>>> result = rank_sum(x, groups=np.array([0, 0, 1, 1]), n_groups=2)  # two control cells, two of one perturbation
>>> result.u
array([[2.5, 3. ]])
>>> p_values(result).round(3)
array([[1.   , 0.617]])
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.sparse
import scipy.special

from starter.data.blocks import Cells, in_memory
from starter.errors import InputError
from starter.statistics.columns import Columns, columns
from starter.statistics.sorted_controls import GENES_PER_BLOCK, SortedControls, bits_of, longest, sort_bits, take_genes


class RankSum(NamedTuple):
    """The test's result, perturbations x genes."""

    u: np.ndarray
    """U of the perturbation: pairs (perturbed, control) in which the perturbed cell is higher, ties half."""
    ties: np.ndarray
    """Sum of t^3 - t over the groups of t tied cells, perturbation and control together."""
    n_cells: np.ndarray
    """Cells of each perturbation."""
    n_control: int
    """Control cells."""


def rank_sum(
    x: Cells | scipy.sparse.spmatrix | np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    controls: SortedControls | None = None,
) -> RankSum:
    """Compare every group of cells with the control cells, gene by gene.

    Parameters
    ----------
    x
        Cells x genes, not negative: CSR or dense, float32 or float64; or cells that are read in blocks.
    groups
        Group of each cell: 0 for control, 1 to n_groups - 1 for perturbations, negative to leave out.
    n_groups
        Number of groups, control included.
    controls
        Other control cells, sorted before by `sort_controls`, instead of those of group 0.

    Returns
    -------
    Arrays of n_groups - 1 rows; row i is group i + 1.

    Raises
    ------
    InputError
        If a value is negative, NaN or infinite, or `groups` does not fit.

    References
    ----------
    Mann and Whitney (1947), Annals of Mathematical Statistics 18:50.
    """
    cells = x if isinstance(x, Cells) else in_memory(x)
    if len(groups) != cells.shape[0] or (len(groups) and max(groups) >= n_groups):
        msg = f"groups must give each of {cells.shape[0]:,} cells a number below n_groups, {n_groups}"
        raise InputError(msg)
    groups = np.where(groups == 0, -1, groups) if controls else groups
    n_cells = np.bincount(groups[groups >= 0], minlength=n_groups)
    u, ties = (np.empty((n_groups - 1, cells.shape[1])) for _ in range(2))
    for genes, part in columns(cells, groups >= 0):
        of_part = controls and take_genes(controls, genes)
        result = rank_columns(part, groups[None], n_cells[None], of_part)[0]
        u[:, genes], ties[:, genes] = result.u, result.ties
    return RankSum(u, ties, n_cells[1:], controls.n_cells if controls else int(n_cells[0]))


def rank_columns(
    part: Columns,
    layers: np.ndarray,
    n_cells: np.ndarray,
    controls: SortedControls | None = None,
    control_of: np.ndarray | None = None,
) -> list[RankSum]:
    """Compare groups of cells with the control cells, in several groupings of the same cells at once.

    Parameters
    ----------
    part
        The non-zeros of some genes; of cells that are in a group.
    layers
        Group of each cell in each grouping, L x cells: 0 for control, negative to leave out.
    n_cells
        Cells of each group in each grouping, L x groups, control included.
    controls
        Other control cells of the same genes; control groups must then be empty.
    control_of
        The group that each group is compared with, which is its own; default: group 0 for all.

    Returns
    -------
    One result a grouping and control group, in this order; its rows are the groups that are compared with it.
    """
    n_genes, n_groups = len(part.pointers) - 1, n_cells.shape[1]
    control_of = np.zeros(n_groups, np.int64) if control_of is None else control_of
    is_control = control_of == np.arange(n_groups)
    if controls:
        n_cells = np.where(is_control, 0, n_cells)
    u, ties = (np.empty((len(layers), n_groups, n_genes)) for _ in range(2))
    none = SortedControls(np.empty(0, part.values.dtype), np.zeros(n_genes + 1, np.int64), 0)
    other = controls or none
    _rank(
        bits_of(part.values),
        part.cells,
        part.pointers,
        np.any(layers >= 0, axis=0),
        np.ascontiguousarray(layers, dtype=np.int32),
        n_cells.astype(np.int64),
        control_of,
        bits_of(other.values.astype(part.values.dtype, copy=False)),
        other.pointers,
        other.n_cells,
        u,
        ties,
    )
    results = []
    for layer, n_of_layer in enumerate(n_cells):
        for control in np.flatnonzero(is_control):
            rows = (control_of == control) & ~is_control
            n_control = other.n_cells if controls else int(n_of_layer[control])
            results.append(RankSum(u[layer, rows], ties[layer, rows], n_of_layer[rows], n_control))
    return results


def p_values(result: RankSum, erfc: Callable[[Any], Any] = scipy.special.erfc) -> np.ndarray:
    """Two-sided asymptotic p with tie and continuity correction.

    Equal to `scipy.stats.mannwhitneyu(method="asymptotic")`, and 1 where every value is tied.

    Parameters
    ----------
    result
        What `rank_sum` gave.
    erfc
        The complementary error function. SciPy's is not exact in the tail (1e-10 of p); see `exact_erfc`.

    Returns
    -------
    Perturbations x genes. A perturbation without cells is NaN.
    """
    n1 = result.n_cells[:, None].astype(float)
    n2 = float(result.n_control)
    n = n1 + n2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n1 * n2 / 12 * ((n + 1) - result.ties / (n * (n - 1)))
        distance = np.maximum(result.u, n1 * n2 - result.u) - n1 * n2 / 2 - 0.5
        p = erfc(distance / np.sqrt(variance) / np.sqrt(2))
    p = np.where(variance > 0, np.minimum(p, 1.0), 1.0)
    return np.where((n1 > 0) & (n2 > 0), p, np.nan)


@numba.vectorize([numba.float64(numba.float64)], cache=True)
def exact_erfc(x: float) -> float:  # pragma: no cover (compiled)
    """Complementary error function of the C library, right to the last bits, as pdex computes p."""
    return math.erfc(x)


@numba.njit(parallel=True, cache=True, nogil=True)
def _rank(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    wanted: np.ndarray,
    layers: np.ndarray,
    n_cells: np.ndarray,
    control_of: np.ndarray,
    control_values: np.ndarray,
    control_pointers: np.ndarray,
    n_other: int,
    u: np.ndarray,
    ties: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_genes = len(pointers) - 1
    for block in numba.prange(-(-n_genes // GENES_PER_BLOCK)):
        _rank_block(
            block * GENES_PER_BLOCK,
            min((block + 1) * GENES_PER_BLOCK, n_genes),
            values,
            cells,
            pointers,
            wanted,
            layers,
            n_cells,
            control_of,
            control_values,
            control_pointers,
            n_other,
            u,
            ties,
        )


@numba.njit(cache=True, nogil=True)  # by itself, since what runs in parallel takes ten times as long to compile
def _rank_block(
    low: int,
    high: int,
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    wanted: np.ndarray,
    layers: np.ndarray,
    n_cells: np.ndarray,
    control_of: np.ndarray,
    control_values: np.ndarray,
    control_pointers: np.ndarray,
    n_other: int,
    u: np.ndarray,
    ties: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_layers, n_groups = n_cells.shape
    size = longest(pointers, low, high)
    keys, spare_keys = np.empty(size, values.dtype), np.empty(size, values.dtype)
    order, spare_order = np.empty(size, np.uint32), np.empty(size, np.uint32)
    below, equal = np.zeros(size, np.int64), np.zeros(size, np.int64)
    zeros, present = np.empty(n_groups, np.int64), np.zeros(n_groups, np.int64)
    own_below = np.empty(n_groups, np.int64)
    groups = np.empty(size, np.int32)
    for gene in range(low, high):
        n, other_ties = int(np.int64(0)), 0.0  # not the literal 0, for which numba compiles everything once more
        for i in range(pointers[gene], pointers[gene + 1]):
            if not n_other or wanted[cells[i]]:
                keys[n], order[n] = values[i], cells[i]
                n += 1
        in_order, owner = sort_bits(keys, order, spare_keys, spare_order, n) if n else (keys, order)
        other = control_values[control_pointers[gene] : control_pointers[gene + 1]]
        if n_other:
            other_ties = _place(in_order, n, other, n_other, below, equal)
        for layer in range(n_layers):
            _walk(
                in_order,
                owner,
                n,
                layers[layer],
                n_cells[layer],
                control_of,
                below,
                equal,
                n_other - len(other),
                other_ties,
                groups,
                zeros,
                present,
                own_below,
                u[layer, :, gene],
                ties[layer, :, gene],
            )


@numba.njit(cache=True, nogil=True)
def _place(
    values: np.ndarray, n: int, other: np.ndarray, n_other: int, below: np.ndarray, equal: np.ndarray
) -> float:  # pragma: no cover (compiled)
    """Count the other control cells below and equal to each of a gene's sorted values, once for all groupings.

    Returns
    -------
    Sum of t^3 - t over the runs of ties among the other controls' values above 0.
    """
    ties = 0.0
    k, lower = 0, n_other - len(other)
    i = 0
    while i < n or k < len(other):
        value = values[i] if i < n else other[k]
        if k < len(other):
            value = min(value, other[k])
        run = 0
        while k < len(other) and other[k] == value:
            run += 1
            k += 1
        tied = float(run)
        ties += tied**3 - tied
        while i < n and values[i] == value:
            below[i], equal[i] = lower, run
            i += 1
        lower += run
    return ties


@numba.njit(cache=True, nogil=True)
def _walk(
    values: np.ndarray,
    owner: np.ndarray,
    n: int,
    group: np.ndarray,
    n_cells: np.ndarray,
    control_of: np.ndarray,
    other_below: np.ndarray,
    other_equal: np.ndarray,
    other_zeros: int,
    other_ties: float,
    groups: np.ndarray,
    zeros: np.ndarray,
    present: np.ndarray,
    own_below: np.ndarray,
    u: np.ndarray,
    ties: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """Walk over the sorted values of one gene, with what is known of other control cells beside each.

    `present` counts the cells of each group in the current run of ties, and is all 0 before and after; `own_below`
    counts the cells of each control group that are lower than the run.
    """
    n_groups = len(n_cells)
    for g in range(n_groups):
        zeros[g] = n_cells[g]
    for i in range(n):
        g = groups[i] = group[owner[i]]
        if g >= 0:
            zeros[g] -= 1
    for g in range(n_groups):
        control = zeros[control_of[g]] + other_zeros
        control_ties = float(control) ** 3 - control
        if g == control_of[g]:
            own_below[g] = zeros[g]
            ties[g] = control_ties + other_ties
        else:
            u[g] = 0.5 * zeros[g] * control
            tied = 1.0 * (zeros[g] + control)
            ties[g] = (tied**3 - tied) - control_ties
    i = 0
    while i < n:
        value, below, other = values[i], other_below[i], other_equal[i]
        if i + 1 == n or values[i + 1] != value:  # most values are alone
            g = groups[i]
            i += 1
            if g >= 0:
                c = control_of[g]
                if g == c:
                    own_below[c] += 1
                else:
                    u[g] += own_below[c] + below + 0.5 * other
                ties[g] += 3.0 * other * other + 3.0 * other  # (c + 1)^3 - (c + 1) - (c^3 - c)
            continue
        j = i
        while j < n and values[j] == value:
            g = groups[j]
            if g >= 0:
                present[g] += 1
            j += 1
        for m in range(i, j):
            g = groups[m]
            if g < 0 or g == control_of[g] or present[g] == 0:
                continue
            control = present[control_of[g]] + other
            u[g] += present[g] * (own_below[control_of[g]] + below + 0.5 * control)
            tied = 1.0 * (present[g] + control)
            ties[g] += (tied**3 - tied) - (float(control) ** 3 - control)
            present[g] = 0
        for m in range(i, j):
            g = groups[m]
            if g >= 0 and present[g]:  # a control group
                control = present[g] + other
                ties[g] += (float(control) ** 3 - control) - (float(other) ** 3 - other)
                own_below[g] += present[g]
                present[g] = 0
        i = j
    for g in range(n_groups):
        if g != control_of[g]:
            ties[g] += ties[control_of[g]]
