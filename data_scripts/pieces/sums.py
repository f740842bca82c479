"""Sums over the cells of a screen in pieces: pseudobulk, mean log expression and its variance, of groups of cells.

Groups are the perturbations of a context; control cells also form a group in each batch. Memory holds a block of cells
and three numbers a group and gene, however many cells there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anndata
import numba
import numpy as np
import pandas as pd

from data_scripts.rows import row_reader
from starter.data.blocks import float_csr
from starter.data.h5ad import check_matrix, open_h5ad, read_frame
from starter.data.preprocess import stated_totals
from starter.errors import InputError
from starter.schema import BATCH, CONTEXT, CONTROL, ONE_CONTEXT, PERTURBATION, TARGET_GENE

BLOCK = 4_096
"""Cells that are read at once."""
ALL = "all"
"""The batch of a group that has the cells of all batches."""
GROUP = [CONTEXT, PERTURBATION, BATCH]
SCREEN = "screen"
"""Key of `uns` under which the file says of what screen it is."""


@dataclass(frozen=True)
class Sums:
    """Sums over groups of cells. Those of two pieces are added by `add`."""

    n_cells: pd.Series
    """Index context, perturbation and batch, sorted."""
    counts: np.ndarray
    """Groups x genes: sum of raw counts, which is exact up to 2^53."""
    logs: np.ndarray
    """Sum of log1p(target_sum x count / n_umis)."""
    squares: np.ndarray
    """Sum of its squares."""


def sum_piece(path: str | Path, target_sum: float) -> Sums:
    """Sum up the cells of a piece, or of any course data set.

    Parameters
    ----------
    path
        `.h5ad` or Zarr store.
    target_sum
        UMIs to which cells are scaled.

    Raises
    ------
    InputError
        If it cannot be read, or has no totals.
    """
    with open_h5ad(path) as file:
        obs, n_genes = read_frame(file, "obs"), len(read_frame(file, "var"))
        if finding := check_matrix(file["X"], (len(obs), n_genes)):
            msg = f"{path}: {finding}"
            raise InputError(msg)
        n_umis = stated_totals(obs)
        if n_umis is None:
            msg = f"{path} has no total UMIs of its cells; write the pieces again"
            raise InputError(msg)
        codes, of_controls, index = _groups(obs)
        n_cells = np.bincount(np.concatenate([codes, of_controls[of_controls >= 0]]), minlength=len(index))
        found = Sums(pd.Series(n_cells, index), *np.zeros((3, len(index), n_genes)))
        read = row_reader(file["X"], path)
        for start in range(0, len(obs), BLOCK):
            cells = slice(start, min(start + BLOCK, len(obs)))
            counts = float_csr(read(np.arange(cells.start, cells.stop)))
            scale = target_sum / n_umis[cells]
            for groups in (codes, of_controls):
                _add(
                    counts.data, counts.indices, counts.indptr, scale, groups[cells],
                    found.counts, found.logs, found.squares,
                )  # fmt: skip
    return found


def _groups(obs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.MultiIndex]:
    """Give each cell the number of its perturbation's group, control cells that of their batch too (others -1)."""
    context = obs[CONTEXT].astype(str) if CONTEXT in obs else pd.Series(ONE_CONTEXT, obs.index)
    target = obs[TARGET_GENE].astype(str)
    batch = obs[BATCH].astype(str) if BATCH in obs else None
    by_pair = pd.MultiIndex.from_arrays([context, target, [ALL] * len(obs)], names=GROUP)
    index = by_pair.unique()
    by_batch = None
    if batch is not None:
        by_batch = pd.MultiIndex.from_arrays([context, target, batch], names=GROUP)
        index = index.union(by_batch[(target == CONTROL).to_numpy()].unique())
    index = index.sort_values()
    codes = index.get_indexer(by_pair)
    return codes, np.full(len(obs), -1) if by_batch is None else index.get_indexer(by_batch), index


@numba.njit(cache=True, nogil=True)
def _add(
    counts: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    scale: np.ndarray,
    groups: np.ndarray,
    sum_counts: np.ndarray,
    sum_logs: np.ndarray,
    sum_squares: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    for cell in range(len(groups)):
        group = groups[cell]
        if group < 0:
            continue
        for i in range(indptr[cell], indptr[cell + 1]):
            gene = indices[i]
            # float32, as starter.data.preprocess.log_expression has it
            value = np.float64(np.float32(np.log1p(scale[cell] * np.float64(counts[i]))))
            sum_counts[group, gene] += counts[i]
            sum_logs[group, gene] += value
            sum_squares[group, gene] += value * value


def add(first: Sums, *others: Sums) -> Sums:
    """Add the sums of pieces, in the order given; groups may differ."""
    index = first.n_cells.index
    for other in others:
        index = index.union(other.n_cells.index)
    index = index.sort_values()
    total = Sums(pd.Series(0, index), *np.zeros((3, len(index), first.counts.shape[1])))
    for one in (first, *others):
        places = index.get_indexer(one.n_cells.index)
        total.n_cells.iloc[places] += one.n_cells.to_numpy()
        for key in ("counts", "logs", "squares"):
            getattr(total, key)[places] += getattr(one, key)
    return total


def write_sums(sums: Sums, genes: pd.Index, course: Mapping[str, object], path: str | Path) -> None:
    """Write sums as an AnnData object of groups x genes.

    Parameters
    ----------
    sums
        Of all pieces.
    genes
        Their names.
    course
        What the screen is.
    path
        The `.h5ad`. X: mean log expression. Layers: `counts`, the pseudobulk; `sum` and `sum_squares` of log
        expression; `variance`, unbiased, NaN for one cell. obs: context, perturbation, batch (`ALL`, and of controls
        each batch too), number of cells.
    """
    n = sums.n_cells.to_numpy()[:, None]
    mean = sums.logs / n
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(n > 1, np.maximum(sums.squares - n * mean**2, 0) / (n - 1), np.nan)
    obs = sums.n_cells.rename("n_cells").reset_index()
    obs.index = obs[GROUP].agg(" | ".join, axis=1)
    layers = {"counts": sums.counts, "sum": sums.logs, "sum_squares": sums.squares, "variance": variance}
    adata = anndata.AnnData(mean, obs, pd.DataFrame(index=genes), layers=layers, uns={SCREEN: dict(course)})
    adata.write_h5ad(Path(path), compression="gzip")
