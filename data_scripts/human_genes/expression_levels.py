"""How strongly genes are expressed: measured in real cells, and filled in for genes that none of them measured.

The sci-fi screen of Jurkat cells (scPerturb's test data) is not used: half a percent of its transcripts are ribosomal,
as in nuclei, and its levels hardly follow those of blood cells (correlation .28 in 66 genes; those of the THP-1 screen
.82 in 10).
"""

import hashlib
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special
import scipy.stats
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict

CP10K = 10_000
FOLDS, PENALTIES = 10, tuple(10.0**power for power in range(-1, 4))


def mean_level(counts: scipy.sparse.csr_matrix, n_umis: np.ndarray, genes: np.ndarray) -> pd.Series:
    """Average each gene over cells.

    Parameters
    ----------
    counts
        UMIs, cells x genes.
    n_umis
        UMIs of each cell over its whole transcriptome.
    genes
        Their symbols.

    Returns
    -------
    Mean count per 10,000 UMIs of a cell, by gene.
    """
    return pd.Series(np.asarray(counts.multiply(CP10K / n_umis[:, None]).mean(axis=0)).ravel(), genes)


def level_in_norman(path: str | Path) -> pd.Series:
    """Average the control cells of K562 in PerturBench's fixture, log1p counts per 10,000."""
    screen = anndata.read_h5ad(path)
    controls = screen[((screen.obs["cell_type"] == "k562") & (screen.obs["condition"] == "control")).to_numpy()]
    return pd.Series(np.expm1(controls.X.toarray().astype(float)).mean(axis=0), controls.var_names)


def level_in_pbmc(path: str | Path) -> pd.Series:
    """Average the blood cells of scanpy's test data; its `raw` holds log1p counts per 10,000."""
    with h5py.File(path) as file:  # in a layout of 2018, of which AnnData warns
        values, genes, starts = (file[f"raw.X/{part}"][:] for part in ("data", "indices", "indptr"))
        symbols = file["raw.var"]["index"].astype(str)
    logged = scipy.sparse.csr_matrix((values.astype(float), genes, starts), (len(starts) - 1, len(symbols)))
    return pd.Series(np.expm1(logged.toarray()).mean(axis=0), symbols)


def fill_in(measured: pd.Series, features: pd.DataFrame, genes: list[str]) -> tuple[pd.Series, float]:
    """Give genes a plausible level, as it follows from what else is known of them, and a draw.

    Linear regression (ridge; the penalty by leave-one-out) on the measured genes gives the expected level. The genes
    are put in the order of the expected level plus a draw that weighs half as much, and their levels are normally
    distributed in this order: around the mean expected level, with the spread of the measured ones. The draw belongs
    to the gene's symbol, so that it is the same every time.

    Parameters
    ----------
    measured
        ln of the mean count per 10,000 of some genes.
    features
        Gene x feature, of these and of those to be filled in.
    genes
        The genes to be filled in.

    Returns
    -------
    ln of the mean count per 10,000 of `genes`; and the correlation of expected and measured level in genes that the
    regression has not seen (ten folds).
    """
    scaled = (features - features.loc[measured.index].mean()) / features.loc[measured.index].std()
    model = RidgeCV(PENALTIES)
    unseen = cross_val_predict(model, scaled.loc[measured.index], measured, cv=FOLDS)
    expected = model.fit(scaled.loc[measured.index], measured).predict(scaled.loc[genes])
    order = expected / expected.std() + 0.5 * np.array([draw_of(gene) for gene in genes])
    share = (scipy.stats.rankdata(order) - 0.5) / len(genes)
    levels = expected.mean() + measured.std() * scipy.special.ndtri(share)
    return pd.Series(levels, genes), float(np.corrcoef(unseen, measured)[0, 1])


def draw_of(symbol: str) -> float:
    """Give a standard normal number that belongs to a symbol."""
    number = int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:6])
    return float(scipy.special.ndtri((number + 0.5) / 2**48))
