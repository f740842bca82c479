"""How well batches mix in an embedding of cells, among each cell's neighbours; as cz-benchmarks 0.15 measures it."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from starter.models.scgpt.embedding_quality import checked

ENTROPY_NEIGHBOURS = 200
"""Of `batch_entropy`; as in cz-benchmarks."""


def batch_entropy(embedding: np.ndarray, batch: np.ndarray, k: int = ENTROPY_NEIGHBOURS) -> float:
    """Tell how well batches mix: the entropy of the batches among each cell's neighbours, over its largest value.

    Parameters
    ----------
    embedding
        Cells x dimensions.
    batch
        One a cell; two or more.
    k
        Neighbours of a cell (Euclidean), itself not among them; at most all others.

    Returns
    -------
    From 0 (a cell's neighbours are all of one batch) to 1 (all batches alike).
    """
    embedding, batch = checked(embedding, batch)
    number = np.unique(batch, return_inverse=True)[1]
    near = NearestNeighbors(n_neighbors=min(k, len(batch) - 1)).fit(embedding).kneighbors(return_distance=False)
    shares = np.stack([(number[near] == n).mean(axis=1) for n in range(number.max() + 1)], axis=1)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return float(-(shares * logs).sum(axis=1).mean() / np.log(shares.shape[1]))
