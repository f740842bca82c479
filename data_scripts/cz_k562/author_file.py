"""The author's raw file (Replogle et al. 2022, `K562_essential_raw_singlecell_01.h5ad`), as the benchmark names it.

AnnData 0.7 wrote it: dense float32 counts in one piece, 310,385 cells x 8,563 genes, 10.7 GB. It is never in memory at
once: one pass takes the sums of every cell and keeps the control cells, and later single rows are read.
"""

from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.benchmark import CONDITION
from starter.data.h5ad import CELLS_PER_BLOCK, check_matrix, csr_of, read_frame
from starter.data.zarr_store import is_array
from starter.errors import InputError, listed
from starter.progress import bar
from starter.schema import CONTROL

RENAMED_OBS = {"gene_id": CONDITION, "gene": "condition_name"}
RENAMED_VAR = {"gene_name": "gene"}
GEM_GROUP = "gem_group"
UMI_COUNT, N_GENES = "UMI_count", "ngenes"
"""obs: what cells are matched by, UMIs and genes seen over the file's genes."""
TWICE = ("TBCE", "HSPA14")
"""Symbols of two Ensembl IDs each; both get theirs appended."""
RIBOSOMAL = ("RPS", "RPL")


class Tables(NamedTuple):
    """What describes the cells and the genes, under the benchmark's names."""

    obs: pd.DataFrame
    var: pd.DataFrame
    rows: np.ndarray
    """Where each cell stands in the file: of barcodes that stand there twice, the first is kept."""


class Totals(NamedTuple):
    """What one pass over the file found."""

    of_cells: pd.DataFrame
    """UMIs, genes seen, and the share of ribosomal UMIs of every cell."""
    controls: scipy.sparse.csr_matrix
    """The control cells, in their order."""


def read_tables(file: h5py.File) -> Tables:
    """Read what describes cells and genes, under the benchmark's names.

    Raises
    ------
    InputError
        If it is not the author's layout, or no cell is a control.
    """
    name = file.filename
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    if fault := check_matrix(file["X"], (len(obs), len(var))):
        msg = f"{name}: {fault}"
        raise InputError(msg)
    if not is_array(file["X"]):
        msg = (
            f"{name}: X is sparse, and that of the author's raw file dense; give K562_essential_raw_singlecell_01.h5ad"
        )
        raise InputError(msg)
    for kind, frame, due in (("obs", obs, [*RENAMED_OBS, GEM_GROUP]), ("var", var, list(RENAMED_VAR))):
        if missing := [column for column in due if column not in frame]:
            msg = (
                f"{name}: {kind} has no column {listed(missing)}; give the author's file, whose columns are not renamed"
            )
            raise InputError(msg)
    rows = np.flatnonzero(~obs.index.duplicated())
    obs, var = obs.iloc[rows].rename(columns=RENAMED_OBS), var.rename(columns=RENAMED_VAR)
    obs.index, var.index = obs.index.astype(str), var.index.astype(str)
    obs[CONDITION] = pd.Categorical(obs[CONDITION].astype(str))
    if CONTROL not in obs[CONDITION].cat.categories:
        msg = f"{name}: no cell has the gene_id {CONTROL!r}; give the author's file, whose controls are labelled so"
        raise InputError(msg)
    var["gene"] = unique_symbols(var["gene"])
    var["ensembl_id"] = var.index
    return Tables(obs, var, rows)


def unique_symbols(symbols: pd.Series) -> np.ndarray:
    """Make gene symbols unique by the Ensembl ID, as the benchmark does.

    Parameters
    ----------
    symbols
        One a gene; the index holds the Ensembl IDs.

    Returns
    -------
    `TBCE` and `HSPA14` with the ID of either gene, any other symbol with it from the second time on.
    """
    names = symbols.astype(str)
    appended = names.isin(TWICE) | names.duplicated()
    return np.where(appended, names + "_" + symbols.index, names)


def measure(x: h5py.Dataset, tables: Tables) -> Totals:
    """Take the sums of every cell in one pass, and keep the control cells.

    Raises
    ------
    InputError
        If a value is no count.
    """
    obs, var, _ = tables
    is_control = (obs[CONDITION] == CONTROL).to_numpy()
    ribosomal = var["gene"].astype(str).str.startswith(RIBOSOMAL).to_numpy()
    umis, n_genes, ribosomal_umis, controls, start = [], [], [], [], 0
    for block in count_blocks(x, tables.rows, "measuring cells"):
        umis.append(np.asarray(block.sum(axis=1)).ravel())
        n_genes.append(np.diff(block.indptr))
        ribosomal_umis.append(np.asarray(block[:, ribosomal].sum(axis=1)).ravel())
        controls.append(block[is_control[start : start + block.shape[0]]])
        start += block.shape[0]
    of_cells = pd.DataFrame({UMI_COUNT: np.concatenate(umis), N_GENES: np.concatenate(n_genes)}, index=obs.index)
    of_cells["percent_ribo"] = np.concatenate(ribosomal_umis) / np.maximum(of_cells[UMI_COUNT].to_numpy(float), 1.0)
    return Totals(of_cells, scipy.sparse.vstack(controls, format="csr"))


def count_blocks(x: h5py.Dataset, rows: np.ndarray, what: str) -> Iterator[scipy.sparse.csr_matrix]:
    """Give the cells that are kept, a block at a time, with progress.

    Parameters
    ----------
    x
        Dense counts, cells x genes.
    rows
        Which rows are kept, ascending.
    what
        The work, for the bar.

    Raises
    ------
    InputError
        If a value is no count.
    """
    kept = np.zeros(x.shape[0], dtype=bool)
    kept[rows] = True
    starts = range(0, x.shape[0], CELLS_PER_BLOCK)
    with bar(what, len(starts)) as advance:
        for start in starts:
            values = np.asarray(x[start : start + CELLS_PER_BLOCK], np.float32)[kept[start : start + CELLS_PER_BLOCK]]
            wrong = ~(values >= 0) | (values != np.rint(values))  # NaN is neither
            if wrong.any():
                msg = f"{x.file.filename}: X holds {values[wrong][0]:g}, which is no count; give the raw file"
                raise InputError(msg)
            yield csr_of(values)
            advance()


def read_rows(x: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Read single cells, cells x genes; each lies in one piece in the file."""
    values = np.empty((len(rows), x.shape[1]), np.float32)
    for place, row in enumerate(rows):
        values[place] = x[row]
    return values
