"""Sums of each group of cells, gene by gene."""

import numba
import numpy as np

from starter.statistics.columns import Columns


def group_sums(part: Columns, groups: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum the values of each group of cells and their squares, gene by gene.

    Parameters
    ----------
    part
        The non-zeros of some genes.
    groups
        Group of each cell; negative cells are left out.
    n_groups
        How many groups there are.

    Returns
    -------
    Sums and sums of squares, n_groups x genes, float64.
    """
    sums = np.zeros((2, len(part.pointers) - 1, n_groups))
    _group_sums(part.values, part.cells, part.pointers, groups, sums)
    return np.ascontiguousarray(sums[0].T), np.ascontiguousarray(sums[1].T)


def sum_in_order(part: Columns, groups: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Sum share[group] x value of each group's cells, one after the other in their order, in the values' precision.

    Where the last bit of a mean matters, the order of summation is part of a rule.

    Parameters
    ----------
    part
        The non-zeros of some genes.
    groups
        Group of each cell; negative cells are left out.
    share
        What each value of a group is multiplied with, usually 1 / number of cells.

    Returns
    -------
    Groups x genes, of the values' dtype.
    """
    sums = np.zeros((len(part.pointers) - 1, len(share)), part.values.dtype)
    _sum_in_order(part.values, part.cells, part.pointers, groups, share.astype(sums.dtype), sums)
    return np.ascontiguousarray(sums.T)


def layer_sums(part: Columns, layers: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do `group_sums` and `sum_in_order` for several groupings of the same cells in one pass.

    Parameters
    ----------
    part
        The non-zeros of some genes.
    layers
        Group of each cell in each grouping, L x cells; negative cells are left out. The cells of group 0 must be the
        same in all groupings.
    shares
        L x groups, as for `sum_in_order`.

    Returns
    -------
    Sums and sums of squares (float64) and sums in order (of the values' dtype), each L x groups x genes.
    """
    n_layers, n_groups = shares.shape
    shape = (len(part.pointers) - 1, n_layers, n_groups)
    sums, squares, in_order = np.zeros(shape), np.zeros(shape), np.zeros(shape, part.values.dtype)
    layers = np.ascontiguousarray(layers.T, dtype=np.int32)
    shares = shares.astype(in_order.dtype)
    _layer_sums(part.values, part.cells, part.pointers, layers, shares, sums, squares, in_order)
    for array in (sums, squares, in_order):
        array[:, 1:, 0] = array[:, :1, 0]
    first, second, third = (np.ascontiguousarray(np.moveaxis(array, 0, 2)) for array in (sums, squares, in_order))
    return first, second, third


@numba.njit(parallel=True, cache=True, nogil=True)
def _group_sums(
    values: np.ndarray, cells: np.ndarray, pointers: np.ndarray, groups: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover (compiled)
    for gene in numba.prange(len(pointers) - 1):
        for i in range(pointers[gene], pointers[gene + 1]):
            group = groups[cells[i]]
            if group >= 0:
                value = np.float64(values[i])
                sums[0, gene, group] += value
                sums[1, gene, group] += value * value


@numba.njit(parallel=True, cache=True, nogil=True)
def _sum_in_order(
    values: np.ndarray, cells: np.ndarray, pointers: np.ndarray, groups: np.ndarray, share: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover (compiled)
    for gene in numba.prange(len(pointers) - 1):
        for i in range(pointers[gene], pointers[gene + 1]):
            group = groups[cells[i]]
            if group >= 0:
                sums[gene, group] += values[i] * share[group]


@numba.njit(parallel=True, cache=True, nogil=True)
def _layer_sums(
    values: np.ndarray,
    cells: np.ndarray,
    pointers: np.ndarray,
    layers: np.ndarray,
    shares: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
    in_order: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    n_layers = layers.shape[1]
    for gene in numba.prange(len(pointers) - 1):
        for i in range(pointers[gene], pointers[gene + 1]):
            cell = cells[i]
            value = np.float64(values[i])
            group = layers[cell, 0]
            if group == 0:  # the controls are the same in all groupings
                sums[gene, 0, 0] += value
                squares[gene, 0, 0] += value * value
                in_order[gene, 0, 0] += values[i] * shares[0, 0]
                continue
            for layer in range(n_layers):
                group = layers[cell, layer]
                if group >= 0:
                    sums[gene, layer, group] += value
                    squares[gene, layer, group] += value * value
                    in_order[gene, layer, group] += values[i] * shares[layer, group]
