"""Pseudobulk: the mean expression of a perturbation's cells (its profile), and its effect."""

from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.dataset import PAIR, pairs
from starter.data.preprocess import expression
from starter.errors import InputError, difference
from starter.files import check_file
from starter.schema import CONTEXT, CONTROL, PERTURBATION


def group_means(x: scipy.sparse.spmatrix | np.ndarray, groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Mean of each group of cells, gene by gene.

    Parameters
    ----------
    x
        Cells x genes.
    groups
        The group of each cell, 0 to n_groups - 1; negative cells are left out.
    n_groups
        How many groups there are.

    Returns
    -------
    n_groups x genes, float64. A group without cells is NaN.
    """
    cells = np.flatnonzero(groups >= 0)
    membership = scipy.sparse.csr_matrix((np.ones(len(cells)), (groups[cells], cells)), shape=(n_groups, len(groups)))
    sums = membership @ (x.astype(np.float64) if scipy.sparse.issparse(x) else np.asarray(x, dtype=np.float64))
    sums = sums.toarray() if scipy.sparse.issparse(sums) else sums
    n_cells = np.bincount(groups[cells], minlength=n_groups)
    return np.divide(sums, n_cells[:, None], out=np.full(sums.shape, np.nan), where=n_cells[:, None] > 0)


def profiles(adata: anndata.AnnData) -> pd.DataFrame:
    """Mean log1p expression of every (context, perturbation) pair, controls included.

    Parameters
    ----------
    adata
        A course data set (raw counts).

    Returns
    -------
    A profile table: index context and perturbation (sorted), columns genes, float64, in units of
    log1p(target_sum x count / n_umis).
    """
    codes, index = pairs(adata.obs).factorize(sort=True)
    means = group_means(expression(adata), codes, len(index))
    return pd.DataFrame(means, index=index.set_names(PAIR), columns=adata.var_names)


def effects(table: pd.DataFrame) -> pd.DataFrame:
    """Profile minus the control profile of the same context.

    Parameters
    ----------
    table
        A profile table with one control row a context.

    Returns
    -------
    A table of the same columns without the control rows.

    Raises
    ------
    InputError
        If a context has no control row.
    """
    perturbation = table.index.get_level_values(PERTURBATION)
    control = table[perturbation == CONTROL].droplevel(PERTURBATION)
    perturbed = table[perturbation != CONTROL]
    contexts = perturbed.index.get_level_values(CONTEXT)
    if missing := sorted(set(contexts) - set(control.index)):
        msg = f"no {CONTROL!r} profile in context {', '.join(missing)}"
        raise InputError(msg)
    return perturbed - control.loc[contexts].to_numpy()


def read_profile_table(path: str | Path, genes: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a profile table (`.parquet`).

    Parameters
    ----------
    path
        The file.
    genes
        The genes that it must have, in order; default: any.

    Raises
    ------
    InputError
        If it cannot be read, or is no profile table.
    """
    check_file(path)
    try:
        # one thread and no buffer ahead: columns are many and short, and memory is what they would cost
        table = pd.read_parquet(path, use_threads=False, pre_buffer=False)
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} cannot be read as parquet ({' '.join(str(error).split())}); write it with DataFrame.to_parquet"
        raise InputError(msg) from error
    try:
        check_profile_table(table, genes)
    except InputError as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error
    return table


def check_profile_table(table: pd.DataFrame, genes: Sequence[str] | None = None) -> None:
    """Refuse a table that is not a profile table.

    Parameters
    ----------
    table
        Index context and perturbation, columns genes, mean log1p expression.
    genes
        The genes that it must have, in order; default: any.

    Raises
    ------
    InputError
        If the index, the genes or a value is wrong.
    """
    if list(table.index.names) != PAIR:
        msg = f"a profile table is indexed by {' and '.join(PAIR)}; this one is indexed by {list(table.index.names)}"
        raise InputError(msg)
    if genes is not None and list(table.columns) != list(genes):
        what = difference(genes, table.columns) or "their order differs"
        msg = f"the profile table's columns are not the course's genes: {what}"
        raise InputError(msg)
    if table.index.has_duplicates:
        msg = f"rows that occur twice in the profile table: {int(table.index.duplicated().sum()):,}"
        raise InputError(msg)
    values = table.to_numpy()
    if not np.isfinite(values).all():
        msg = f"NaN or infinite values in the profile table: {int((~np.isfinite(values)).sum()):,}"
        raise InputError(msg)
    if (values < 0).any():
        msg = f"negative values in the profile table: {int((values < 0).sum()):,}; expression is never below 0"
        raise InputError(msg)
