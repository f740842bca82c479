"""What PerturBench does with every curated screen: normalise, and keep the genes that matter.

Its `preprocess` (altoslabs/perturbench, commit 4dd6a03) by the same functions of scanpy. Genes keep the order of the
file; the original's is that of a Python set, another in every process.
"""

import warnings
from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd
import scanpy as sc

from starter.errors import InputError, listed

MIN_CELLS = 10
"""A gene seen in fewer cells is dropped."""
HIGHLY_VARIABLE, DE_GENES = 4_000, 25
"""Most variable genes over all, and most changed genes of every perturbation and covariate (by |t|)."""
MERGED = "cov_merged"
DELIMITER = "+"
VALUES = 1 << 24
"""Counts that are looked at together."""


def preprocess(
    cells: anndata.AnnData, perturbation: str, covariates: Sequence[str], control: str = "control"
) -> anndata.AnnData:
    """Normalise raw counts to their median total, take log1p, and keep variable, changed and perturbed genes.

    Parameters
    ----------
    cells
        Raw counts in memory, CSR; changed in place.
    perturbation, covariates
        Columns of `obs`.
    control
        Label of control cells.

    Returns
    -------
    log1p expression, with raw counts in the layer `counts` and, in `uns["rank_genes_groups_cov"]`, the most changed
    genes of every covariate and perturbation.

    Raises
    ------
    InputError
        If X holds no raw counts, or a covariate has no control cells.
    """
    if not _are_counts(cells.X.data):
        msg = "X holds values that are no counts; give the source with raw counts"
        raise InputError(msg)
    cells.raw = None
    cells.var_names_make_unique()
    cells.obs_names_make_unique()
    cells.obs[MERGED] = merged(cells.obs, covariates)
    without = set(cells.obs[MERGED]) - set(cells.obs.loc[cells.obs[perturbation] == control, MERGED])
    if without:
        msg = f"no cell of {listed(sorted(without))} is a control ({control!r} in {perturbation})"
        raise InputError(msg)
    sc.pp.filter_genes(cells, min_cells=MIN_CELLS)
    sc.pp.calculate_qc_metrics(cells, inplace=True, percent_top=[n for n in (50, 100, 200, 500) if n <= cells.n_vars])
    cells.layers["counts"] = cells.X.copy()
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    most_variable = min(HIGHLY_VARIABLE, cells.n_vars)
    sc.pp.highly_variable_genes(
        cells, flavor="seurat_v3", layer="counts", batch_key=MERGED, n_top_genes=most_variable, subset=False
    )
    changed = changed_genes(cells, perturbation, control)
    cells.uns["rank_genes_groups_cov"] = changed
    kept = set(cells.var_names[cells.var["highly_variable"]]).union(*changed.values())
    kept |= {target for label in cells.obs[perturbation].unique() for target in str(label).split(DELIMITER)}
    return cells[:, cells.var_names.isin(list(kept))].copy()


def _are_counts(values: np.ndarray) -> bool:
    """Tell whether all are whole and not negative, a part at a time."""
    parts = (values[start : start + VALUES] for start in range(0, len(values), VALUES))
    return all(bool(((part >= 0) & (part == np.rint(part)) & np.isfinite(part)).all()) for part in parts)


def merged(obs: pd.DataFrame, covariates: Sequence[str]) -> pd.Series:
    """Join columns to one, `a_b`."""
    joined = obs[covariates[0]].astype(str)
    for name in covariates[1:]:
        joined = joined + "_" + obs[name].astype(str)
    return joined.astype("category")


def changed_genes(cells: anndata.AnnData, perturbation: str, control: str) -> dict[str, list[str]]:
    """Name the genes that change most, up or down, by scanpy's t-test against the control cells of the covariate.

    Parameters
    ----------
    cells
        log1p expression, with `cov_merged` in `obs`.
    perturbation, control
        Column of `obs`, and the control's label.

    Returns
    -------
    `covariate_perturbation` to `DE_GENES` genes; perturbations of one cell in a covariate are left out, since they have
    no spread.
    """
    changed = {}
    for covariate in cells.obs[MERGED].unique():
        cells_here = (cells.obs[MERGED] == covariate).to_numpy()
        labels = cells.obs.loc[cells_here, [perturbation]].astype(str).astype("category")
        here = anndata.AnnData(cells.X[cells_here], labels, cells.var[[]].copy())  # without the layer of counts
        sizes = here.obs[perturbation].value_counts()
        names = [name for name in sizes.index[sizes > 1].sort_values() if name != control]
        if not names:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of genes without spread, and of a fragmented table
            sc.tl.rank_genes_groups(
                here, perturbation, groups=names, reference=control, method="t-test", rankby_abs=True,
                n_genes=min(DE_GENES, here.n_vars),
            )  # fmt: skip
        for name in names:
            changed[f"{covariate}_{name}"] = [str(gene) for gene in here.uns["rank_genes_groups"]["names"][name]]
    return changed
