"""Whether the prediction finds the differentially expressed genes (DES)."""

import numpy as np

from starter.de import DETable
from starter.summary import Summary


def overlap_at_n(truth: Summary, prediction: Summary) -> np.ndarray:
    """Differential expression score of VCC 2025: |top n measured and top n predicted| / n.

    n is the number of measured DE genes; genes are ordered by absolute log fold change, and only a longer
    predicted list is cut.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation in [0, 1]; 0 where no gene is differentially expressed.
    """
    return np.nan_to_num(overlap_where_de(truth, prediction), nan=0.0)


def overlap_where_de(truth: Summary, prediction: Summary) -> np.ndarray:
    """`overlap_at_n`, undefined where no measured gene is differentially expressed.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation in [0, 1], or NaN.
    """
    values = np.full(len(truth.perturbations), np.nan)
    for row, (measured, predicted) in enumerate(zip(de_genes(truth.de), de_genes(prediction.de), strict=True)):
        if n := len(measured):
            values[row] = len(np.intersect1d(measured, predicted[:n])) / n
    return values


def de_genes(table: DETable) -> list[np.ndarray]:
    """Positions of the significant genes of each perturbation, largest absolute log fold change first."""
    # float32 before the comparison, as the reference tool casts; undefined fold changes come first, ties stay in
    # the order of the genes
    size = np.abs(table.log2_fold_change).astype(np.float32)
    size[np.isnan(size)] = np.inf
    order = np.argsort(-size, axis=1, kind="stable")
    return [genes[significant[genes]] for genes, significant in zip(order, table.significant(), strict=True)]
