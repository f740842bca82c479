"""Normalisation: from UMI counts to log1p expression, and how to tell one from the other."""

import warnings

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.logs_of_counts import logs_of
from starter.data.rules import unusable_totals
from starter.errors import InputError
from starter.schema import CONTROL, COURSE, N_UMIS, TARGET_GENE


def library_sizes(adata: anndata.AnnData) -> np.ndarray:
    """Total UMIs of every cell: `obs.n_umis` where known, else the row sum.

    Returns
    -------
    float64, one per cell.

    Raises
    ------
    InputError
        If `obs.n_umis` is no positive number in a cell.
    """
    stated = stated_totals(adata.obs)
    return np.asarray(adata.X.sum(axis=1), dtype=np.float64).ravel() if stated is None else stated


def stated_totals(obs: pd.DataFrame) -> np.ndarray | None:
    """Total UMIs of every cell as `obs.n_umis` states them, float64; None without that column.

    Raises
    ------
    InputError
        If one is no positive number.
    """
    if N_UMIS not in obs:
        return None
    if bad := unusable_totals(obs[N_UMIS]):
        msg = f"cells whose {N_UMIS} is not a positive number of UMIs: {bad:,}; mend or drop the column {N_UMIS!r}"
        raise InputError(msg)
    return obs[N_UMIS].to_numpy(np.float64)


def target_sum(adata: anndata.AnnData) -> float:
    """Give the number of UMIs to which every cell of a course data set is scaled.

    Returns
    -------
    What `uns["course"]` says, else the median library size of the control cells.

    Raises
    ------
    InputError
        If there are no control cells.
    """
    stated = adata.uns.get(COURSE, {}).get("target_sum")
    if stated is not None:
        return float(stated)
    control = (adata.obs[TARGET_GENE] == CONTROL).to_numpy()
    if not control.any():
        msg = f"no cell is labelled {CONTROL!r}, so the target sum is unknown"
        raise InputError(msg)
    return float(np.median(library_sizes(adata)[control]))


def unit_of(target: float, n_umis: np.ndarray) -> np.ndarray:
    """Give what one UMI of each cell is when cells are scaled to a target: target / n_umis; 0 in a cell without."""
    return np.divide(target, n_umis, out=np.zeros(len(n_umis)), where=np.asarray(n_umis) > 0)


def log_expression(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, target: float) -> scipy.sparse.csr_matrix:
    """Make log1p(target x count / n_umis) of every count.

    Parameters
    ----------
    counts
        Cells x genes, raw UMI counts.
    n_umis
        Total UMIs of each cell.
    target
        The library size to which cells are scaled, in UMIs.

    Returns
    -------
    CSR float32 of the same sparsity. A cell whose library size is 0 has no counts and stays empty.
    """
    if counts.shape[0] != len(n_umis):
        msg = f"{counts.shape[0]} cells, but {len(n_umis)} library sizes"
        raise AssertionError(msg)
    return logs_of(scipy.sparse.csr_matrix(counts), unit_of(target, n_umis))


def expression(adata: anndata.AnnData) -> scipy.sparse.csr_matrix:
    """log1p expression of a course data set: log1p(target_sum x count / n_umis).

    Returns
    -------
    Cells x genes, CSR float32.
    """
    return log_expression(adata.X, library_sizes(adata), target_sum(adata))


def log_to_target(x: scipy.sparse.spmatrix | np.ndarray, target: float) -> scipy.sparse.csr_matrix | np.ndarray:
    """Scale counts to one library size, then log1p, in float32: what cell-eval does with counts and their median.

    Parameters
    ----------
    x
        Cells x genes, counts.
    target
        The library size, in UMIs.

    Returns
    -------
    Float32 of the same kind (CSR or dense).
    """
    import scanpy  # takes seconds to import, and only counts need it

    copy = x.astype(np.float32) if scipy.sparse.issparse(x) else np.array(x, dtype=np.float32)
    adata = anndata.AnnData(copy, obs=pd.DataFrame(index=pd.RangeIndex(x.shape[0]).astype(str)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        scanpy.pp.normalize_total(adata, target_sum=target)
    scanpy.pp.log1p(adata)
    return adata.X
