"""Values as scGPT is taught them: in bins, some of them masked, and the error of those.

This module needs torch (the extra `student`).
"""

import numpy as np
from torch import Tensor, nn

from starter.errors import InputError


def bin_values(expression: np.ndarray, n_bins: int) -> np.ndarray:
    """Replace the values of each cell by their bins, so that cells of all depths look alike.

    Parameters
    ----------
    expression
        Cells x genes, at least 0, on any scale.
    n_bins
        How many values there will be, the 0 among them; 51 as published.

    Returns
    -------
    Cells x genes, float32: 0 where there was 0, else 1 to n_bins - 1. The edges of the bins are quantiles of the cell's
    own non-zero values (`np.quantile` at n_bins - 1 places from 0 to 1); a value on an edge is in the bin above.
    """
    if n_bins < 3:
        msg = f"{n_bins} bins leave nothing to tell apart; take at least 3, of which one is for zeros"
        raise InputError(msg)
    binned = np.zeros(expression.shape, np.float32)
    for row, values in zip(binned, np.asarray(expression), strict=True):
        there = values > 0
        if there.any():
            edges = np.quantile(values[there], np.linspace(0, 1, n_bins - 1))
            row[there] = np.searchsorted(edges, values[there], side="right")
    return binned


def masked_error(predicted: Tensor, due: Tensor, counts: Tensor) -> Tensor:
    """Average the squared errors of the places that count.

    Parameters
    ----------
    predicted, due
        Batch x genes.
    counts
        Batch x genes, True where a place counts; at least one does.
    """
    return nn.functional.mse_loss(predicted[counts], due[counts])
