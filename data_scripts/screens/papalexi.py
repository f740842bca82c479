"""The course's real screen: ECCITE-seq knock-outs in THP-1 cells (Papalexi et al. 2021), 299 genes.

Two R files of the packages sceptredata and sceptre hold the counts of a random subset of genes, the guide counts, and
covariates over the whole transcriptome.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.catalogue import data_set
from data_scripts.download import fetch
from data_scripts.formats.rda import read_rda
from data_scripts.lineage import write_lineage
from data_scripts.priors import build as priors
from starter.data.dataset import read_screen, write_screen
from starter.data.split import make_split
from starter.errors import InputError
from starter.schema import BATCH, CONTROL, GUIDE, N_UMIS, PERCENT_MITO, TARGET_GENE

NAME = "papalexi_thp1"
MIN_GUIDE_UMIS = 5
"""A cell's top guide has at least as many UMIs ..."""
MIN_GUIDE_SHARE = 0.8
"""... and this share of the cell's guide UMIs; other cells carry no guide or several, and are left out."""
DROPPED = ("SPI1",)
"""Targets with too few cells (33) to be scored."""
HIDDEN = ("JAK2", "IFNGR2", "IRF1", "BRD4", "STAT2", "STAT5A", "ETV7")
"""Strong, moderate and silent targets; STAT1 stays in training, which a pathway model needs."""
PUBLIC = ("IFNGR1", "CUL3", "CAV1")


def build(folder: str | Path) -> Path:
    """Build the course data set.

    Parameters
    ----------
    folder
        Receives `papalexi_thp1.h5ad`, its split and its lineage, and `priors/`, what `data_scripts.priors` writes of
        its genes; downloads go to `downloads/` in it.

    Returns
    -------
    The path of the `.h5ad`: 16,159 cells x 299 genes, 24 targets, 1,923 controls.

    Raises
    ------
    InputError
        If a source file cannot be had or has not the expected content. If that is one of the priors, the rest is
        complete.
    """
    folder = Path(folder)
    entry = data_set(NAME)
    sources = [fetch(file, folder / "downloads") for file in entry.files]
    counts, obs, genes = read_cells(*sources)
    course = {
        "name": NAME,
        "title": entry.title,
        "organism": entry.organism,
        "licence": entry.licence,
        "source": entry.source,
        "citation": entry.citation,
        "simulated": False,
        "target_sum": float(obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS].median()),
    }
    path = folder / f"{NAME}.h5ad"
    write_screen(path, _blocks(counts), obs, pd.DataFrame(index=genes), course)
    make_split(read_screen(path), HIDDEN, PUBLIC).write(folder / f"{NAME}.split.json")
    parameters = {
        "min_guide_umis": MIN_GUIDE_UMIS,
        "min_guide_share": MIN_GUIDE_SHARE,
        "dropped": DROPPED,
        "hidden": HIDDEN,
        "public": PUBLIC,
    }
    write_lineage(path, sources, [entry], parameters, __file__)
    priors.build(priors.read_genes(path), folder / "priors", folder / "downloads")
    return path


def read_cells(screen: str | Path, covariates: str | Path) -> tuple[scipy.sparse.csr_matrix, pd.DataFrame, np.ndarray]:
    """Read the cells that carry one guide.

    Parameters
    ----------
    screen
        `lowmoi_example_data.rda`: counts of genes and of guides, and the target of each guide.
    covariates
        `covariate_data_frame_lowmoi.rda`: replicate, UMIs of the whole transcriptome and mitochondrial share by cell.

    Returns
    -------
    Counts, cells x genes; the course's `obs`; gene symbols.

    Raises
    ------
    InputError
        If the two files are not of the same cells.
    """
    content = read_rda(screen, "lowmoi_example_data")
    of_cell = read_rda(covariates, "covariate_data_frame_lowmoi")
    counts, genes = _matrix(content["response_matrix"])
    guide_counts, guides = _matrix(content["grna_matrix"])
    target_of = content["grna_target_data_frame"].set_index("grna_id")["grna_target"].astype(str)
    if len(of_cell) != counts.shape[0]:
        msg = f"{covariates} describes {len(of_cell):,} cells, {screen} holds {counts.shape[0]:,}"
        raise InputError(msg)

    guide, n_top, share = call_guides(guide_counts)
    obs = pd.DataFrame(
        {
            TARGET_GENE: pd.Categorical(target_of[guides[guide]].to_numpy()),
            GUIDE: pd.Categorical(guides[guide]),
            BATCH: pd.Categorical(of_cell["bio_rep"].astype(str).to_numpy()),
            N_UMIS: of_cell["response_n_umis"].to_numpy(np.int64),
            PERCENT_MITO: 100 * of_cell["p_mito"].to_numpy(float),  # theirs is a share
        },
        index=[f"cell{number:05d}" for number in range(len(guide))],
    )
    kept = (n_top >= MIN_GUIDE_UMIS) & (share >= MIN_GUIDE_SHARE) & ~obs[TARGET_GENE].isin(DROPPED).to_numpy()
    counts, obs = counts[kept], obs[kept].copy()
    for column in (TARGET_GENE, GUIDE):
        obs[column] = obs[column].cat.remove_unused_categories()
    return counts, obs, genes


def call_guides(counts: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find each cell's top guide by UMI count.

    Parameters
    ----------
    counts
        Cells x guides.

    Returns
    -------
    Number of the top guide (the first of equals), its UMIs, and its share of the cell's guide UMIs (0 without any).
    """
    dense = counts.toarray()
    guide = dense.argmax(axis=1)
    n_top, total = dense.max(axis=1), dense.sum(axis=1)
    return guide, n_top, np.divide(n_top, total, out=np.zeros(len(total)), where=total > 0)


def _matrix(slots: Any) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Turn an R dgTMatrix of features x cells into cells x features, and the names of the features."""
    n_features, n_cells = (int(size) for size in slots.Dim)
    triplets = scipy.sparse.coo_matrix((slots.x, (slots.j, slots.i)), shape=(n_cells, n_features), dtype=np.float32)
    return triplets.tocsr(), np.asarray(slots.Dimnames[0], dtype=str)


def _blocks(counts: scipy.sparse.csr_matrix) -> Iterator[scipy.sparse.csr_matrix]:
    yield counts
