"""Whether the prediction finds the differentially expressed genes (DES), and how many there are."""

import numpy as np

from starter.scoring.screens.summary import Reference, Summary, needed
from starter.statistics.de import DETable

TOP = 50
"""Genes that `top_k_recall` compares."""
NO_CHANGE = 1e-6
"""A t score that sums of float64 make where nothing differs."""


def overlap_at_n(truth: Summary, prediction: Summary) -> np.ndarray:
    """Differential expression score of VCC 2025: |top n measured and top n predicted| / n.

    n is the number of measured DE genes; genes are ordered by absolute log fold change, and only a longer
    predicted list is cut.

    Returns
    -------
    One value a perturbation in [0, 1]; 0 where no gene is differentially expressed.
    """
    return np.nan_to_num(overlap_where_de(truth, prediction), nan=0.0)


def overlap_where_de(truth: Summary, prediction: Summary) -> np.ndarray:
    """`overlap_at_n`, undefined where no measured gene is differentially expressed.

    Returns
    -------
    One value a perturbation in [0, 1], or NaN.
    """
    values = np.full(len(truth.perturbations), np.nan)
    for row, (measured, predicted) in enumerate(zip(de_genes(truth.de), de_genes(prediction.de), strict=True)):
        if n := len(measured):
            values[row] = len(np.intersect1d(measured, predicted[:n])) / n
    return values


def top_k_recall(truth: Reference, prediction: Summary) -> np.ndarray:
    """Share of the k most changed genes that are also among the k most changed predicted ones.

    Genes are ordered by absolute t score, k is 50 or the number of genes that differ at all if that is smaller, and the
    target counts. PerturBench, Wu et al. (2024), arXiv:2408.10609, whose t score overestimates the controls' variance
    ("t-test_overestim_var"); here it is Welch's. A random order of G genes scores k / G.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes, with t scores.

    Returns
    -------
    One value a perturbation in [0, 1]; NaN where no measured gene differs from the controls.
    """
    values = np.full(len(truth.perturbations), np.nan)
    measured_first, predicted_first = (_most_changed(needed(side.t_score, "t scores")) for side in (truth, prediction))
    sides = zip(measured_first, predicted_first, strict=True)
    for row, (measured, predicted) in enumerate(sides):
        if k := len(measured):
            values[row] = len(np.intersect1d(measured, predicted[:k])) / k
    return values


def de_count_error(truth: Reference, prediction: Summary) -> np.ndarray:
    """Doublings between the predicted and the measured number of differentially expressed genes.

    |log2((predicted + 1) / (measured + 1))|; ours.

    Returns
    -------
    One value a perturbation, 0 (as many) or more; 1 is twice or half as many.
    """
    measured, predicted = (side.de.significant().sum(axis=1) for side in (truth, prediction))
    return np.abs(np.log2((predicted + 1) / (measured + 1)))


def de_genes(table: DETable) -> list[np.ndarray]:
    """Positions of the significant genes of each perturbation, largest absolute log fold change first."""
    # float32 before the comparison, as the reference tool casts; undefined fold changes come first, ties stay in
    # the order of the genes
    size = np.abs(table.log2_fold_change).astype(np.float32)
    size[np.isnan(size)] = np.inf
    order = np.argsort(-size, axis=1, kind="stable")
    return [genes[significant[genes]] for genes, significant in zip(order, table.significant(), strict=True)]


def _most_changed(t_score: np.ndarray) -> list[np.ndarray]:
    size = np.nan_to_num(np.abs(t_score), nan=0, posinf=np.inf)
    # ties stay in the order of the genes
    order = np.argsort(-size, axis=1, kind="stable")[:, :TOP]
    return [genes[row[genes] > NO_CHANGE] for genes, row in zip(order, size, strict=True)]
