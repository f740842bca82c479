"""Question `batch_entropy`: how well batches mix among near cells of an embedding."""

import numpy as np
import scipy.spatial
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _mixtures(rng: np.random.Generator) -> list[dict[str, object]]:
    """Batches of unequal sizes, partly apart; a part of the largest is far from all others; distances have no ties."""
    cases = []
    for sizes, width, k in (((14, 9, 7), 3, 6), ((17, 24, 13), 2, 8), ((8, 12, 10, 5), 4, 7)):
        batch = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        embedding = rng.normal(size=(len(batch), width)) + rng.normal(0, 0.8, (len(sizes), width))[batch]
        embedding[np.flatnonzero(batch == np.argmax(sizes))[: k + 1]] += 20
        cases.append(
            {
                "embedding": embedding,
                "batch": np.array([f"batch_{number}" for number in batch]),
                "k": k,
            }
        )
    return cases


def _near(embedding: np.ndarray, first: int, last: int) -> np.ndarray:
    return scipy.spatial.KDTree(embedding).query(embedding, last)[1][:, first:]


def _shares(batch: np.ndarray, near: np.ndarray) -> np.ndarray:
    return np.array([[(batch[row] == name).mean() for name in np.unique(batch)] for row in near])


def _batch_entropy(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    shares = _shares(batch, _near(embedding, 1, k + 1))
    return float(np.mean([scipy.stats.entropy(row, base=len(row)) for row in shares]))


def _itself_among(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    shares = _shares(batch, _near(embedding, 0, k))
    return float(np.mean([scipy.stats.entropy(row, base=len(row)) for row in shares]))


def _not_divided(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    return _batch_entropy(embedding, batch, k) * np.log(len(np.unique(batch)))


def _mean_shares(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    shares = _shares(batch, _near(embedding, 1, k + 1)).mean(axis=0)
    return float(scipy.stats.entropy(shares, base=len(shares)))


def _divided_by_k(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    return _not_divided(embedding, batch, k) / np.log(k)


def _farthest(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    far = np.argsort(-scipy.spatial.distance.cdist(embedding, embedding), axis=1)[:, :k]
    return float(np.mean([scipy.stats.entropy(row, base=len(row)) for row in _shares(batch, far)]))


QUESTION = Question(
    name="batch_entropy",
    asks=Function("batch_entropy"),
    inputs=_mixtures,
    due=_batch_entropy,
    hints=(
        "If batches mix well, the neighbours of a cell come from all of them alike.",
        "-sum(share x log share) / log(number of batches) for each cell, 0 log 0 = 0; then the mean",
        "distances: cells x cells, none to itself; k nearest: cells x k; shares: batches x cells; one entropy per cell",
    ),
    mistakes=(
        Mistake("each cell is its own nearest neighbour; leave it out and take the next k", _itself_among),
        Mistake("divide by the logarithm of the number of batches, so that 1 is perfect mixing", _not_divided),
        Mistake("shares were averaged first; take each cell's entropy, then the mean", _mean_shares),
        Mistake("this is divided by the logarithm of k; divide by that of the number of batches", _divided_by_k),
        Mistake("a batch that is not near a cell has share 0, and 0 log 0 counts as 0", lambda **case: np.nan),
        Mistake("these are the farthest cells; sort from the nearest", _farthest),
    ),
    without=WITHOUT,
    held_back=("starter.models.scgpt.batch_mixing",),
)
