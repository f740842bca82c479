"""Replogle's pseudobulk files as profile tables: what a perturbation does in another cell line, in a minute."""

from pathlib import Path

import numpy as np
import pandas as pd

from data_scripts.adoption.genes import harmonise_genes, names_at_hand
from data_scripts.adoption.layout import Layout
from data_scripts.catalogue import data_set
from data_scripts.download import fetch
from data_scripts.lineage import write_lineage
from data_scripts.priors import build as priors
from starter.data.h5ad import open_h5ad, read_frame
from starter.errors import InputError
from starter.files import whole
from starter.schema import CONTROL, PERTURBATION

CONTEXTS = {"replogle_k562_essential_bulk": "K562", "replogle_k562_gwps_bulk": "K562", "replogle_rpe1_bulk": "RPE1"}
"""Files that have this layout, and their cell lines."""
N_CELLS = "num_cells_filtered"
"""obs: how many cells a row is the mean of."""


def build(
    name: str, folder: str | Path, downloads: str | Path, target_sum: float = 10_000
) -> tuple[Path, pd.DataFrame]:
    """Write a profile table of a pseudobulk file of raw counts.

    A row of the file is the mean count of the cells of one transcript's guides. Rows of one gene, and those of the
    controls, are averaged by their numbers of cells. A profile is log1p(target_sum x mean count / sum of the means):
    the log of a mean, where a course data set gives the mean of logs, so the two are not to be mixed.

    Parameters
    ----------
    name
        Of `CONTEXTS`.
    folder
        Receives `<name>_other_context.parquet`, as models take knowledge of another context, its lineage, and
        `priors/` (`data_scripts.priors.build`), what is known of its genes.
    downloads
        Where downloads go.
    target_sum
        The total that profiles are scaled to.

    Returns
    -------
    The path, and the table: index perturbation with the control, columns genes, log1p expression.

    Raises
    ------
    InputError
        If the file cannot be had, or has another layout; or if a prior cannot be had, and then the rest is complete.
    """
    entry = data_set(name)
    source = fetch(entry.files[0], downloads)
    names, tables = names_at_hand(downloads)
    with open_h5ad(source) as file:
        obs, var = read_frame(file, "obs"), read_frame(file, "var")
        if N_CELLS not in obs or "gene_name" not in var:
            msg = (
                f"{source} has no obs[{N_CELLS!r}] or no var['gene_name']: it is no pseudobulk file of Replogle et al."
            )
            raise InputError(msg)
        counts = np.asarray(file["X"][:], dtype=np.float64)
    genes = harmonise_genes(var, Layout(symbols="gene_name", ensembl="index"), names)
    parts = obs.index.astype(str).str.split("_")
    if not (parts.str.len() >= 3).all():
        msg = f"{source}: its rows are not named NUMBER_GENE_TRANSCRIPT, such as 10005_ZBTB4_P1_ENSG00000174282"
        raise InputError(msg)
    labels = [gene if gene == CONTROL else genes.measured(gene) or gene for gene in parts.str[1]]
    n_cells = obs[N_CELLS].to_numpy(float)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (n_cells > 0).all()) or CONTROL not in labels:
        what = f"negative or missing values, rows of no cell, or no {CONTROL} row"
        msg = f"{source} holds {what}; take the file of raw counts"
        raise InputError(msg)
    weighted = pd.DataFrame(counts * n_cells[:, None], columns=genes.symbols).groupby(np.array(labels)).sum()
    profiles = np.log1p(target_sum * weighted.div(weighted.sum(axis=1), axis=0))
    profiles.index.name = PERTURBATION
    path = Path(folder) / f"{name.removesuffix('_bulk')}_other_context.parquet"
    with whole(path) as part:
        profiles.to_parquet(part)
    write_lineage(path, [source, *tables], [entry], {"target_sum": target_sum, "context": CONTEXTS[name]}, __file__)
    priors.build({*profiles.index, *profiles.columns} - {CONTROL}, Path(folder) / "priors", downloads)
    return path, profiles
