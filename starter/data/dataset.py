"""Course data sets: open a screen, take its controls and perturbations, split it by perturbation."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.h5ad import check_sparse, open_h5ad, unreadable
from starter.data.rules import check_screen
from starter.data.write import write_h5ad
from starter.data.zarr_store import is_store
from starter.errors import FindingsError, InputError, NotThereError
from starter.schema import CONTEXT, CONTROL, COURSE, COURSE_KEYS, ONE_CONTEXT, PERTURBATION, TARGET_GENE


def read_screen(path: str | Path) -> anndata.AnnData:
    """Open a course data set (`.h5ad` or Zarr store) and check it against the rules of `starter.schema`.

    Returns
    -------
    Cells x genes raw counts, in memory.

    Raises
    ------
    FindingsError
        If it breaks rules; the message lists all of them with the way out.
    InputError
        If the file cannot be read at all.
    """
    with open_h5ad(path) as opened:
        store = opened if is_store(path) else None  # of a file this says in one sentence what AnnData says in many
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not unique")  # the check says it, with the way out
            warnings.filterwarnings("ignore", category=anndata.OldFormatWarning)
            if store is not None:
                adata = anndata.io.read_zarr(store)
            else:
                with Path(path).open("rb") as file:  # which HDF5 does not lock, whatever AnnData lets it do to a path
                    adata = anndata.read_h5ad(file)
    except Exception as error:  # whatever is in somebody's file
        raise unreadable(str(path), error) from error
    try:
        check_sparse(adata.X)
    except InputError as error:
        msg = f"{path}: {error}; write it again with AnnData.write_h5ad"
        raise InputError(msg) from error
    findings = check_screen(adata)
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(str(path), findings)
    return adata


def write_screen(
    path: str | Path,
    blocks: Iterable[scipy.sparse.csr_matrix],
    obs: pd.DataFrame | Callable[[], pd.DataFrame],
    var: pd.DataFrame,
    course: Mapping[str, object] | Callable[[], Mapping[str, object]],
    compression: str | int | None = "gzip",
    stored: int = 0,
) -> None:
    """Write a course data set, taking its cells a block at a time.

    Parameters
    ----------
    path
        The `.h5ad` to write.
    blocks
        Raw counts (cells x genes, CSR) in the order of `obs`.
    obs, var
        Cells and genes, with the columns of `starter.schema`.
    course
        What the screen is: the keys of `COURSE_KEYS`. Like `obs` it may be a function that gives it once all blocks are
        taken.
    compression
        An HDF5 filter, gzip's level, or None.
    stored
        How many values there can be, as for `write_h5ad`.

    Raises
    ------
    AssertionError
        If a key is missing.
    """

    def description() -> dict:
        described = dict(course() if callable(course) else course)
        if missing := set(COURSE_KEYS) - set(described):
            msg = f"the screen's description lacks {sorted(missing)}"
            raise AssertionError(msg)
        return {COURSE: described}

    write_h5ad(path, blocks, obs, var, uns=description, compression=compression, stored=stored)


def perturbations(adata: anndata.AnnData) -> list[str]:
    """List a screen's perturbations, sorted, without the control."""
    return sorted(set(adata.obs[TARGET_GENE].astype(str)) - {CONTROL})


def contexts(adata: anndata.AnnData) -> list[str]:
    """List a screen's contexts, sorted."""
    return sorted(set(adata.obs[CONTEXT].astype(str))) if CONTEXT in adata.obs else [ONE_CONTEXT]


def column(adata: anndata.AnnData, name: str) -> np.ndarray:
    """Take what a screen says of each cell, such as its guide or batch, as text.

    Returns
    -------
    One text a cell.

    Raises
    ------
    NotThereError
        If the screen does not say it.
    """
    if name not in adata.obs:
        msg = f"this screen's cells have no {name}"
        raise NotThereError(msg)
    return adata.obs[name].astype(str).to_numpy()


PAIR = [CONTEXT, PERTURBATION]
"""Index names of a profile table."""


def pairs(obs: pd.DataFrame) -> pd.MultiIndex:
    """Give the (context, perturbation) pair of every cell; controls are a pair of their own."""
    contexts = obs[CONTEXT].astype(str) if CONTEXT in obs else pd.Series(ONE_CONTEXT, index=obs.index)
    return pd.MultiIndex.from_arrays([contexts, obs[TARGET_GENE].astype(str)], names=PAIR)
