"""Cells and their conditions, as a conditional autoencoder takes them, and what its decoder says of them.

This module needs torch (the extra `student`).
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from starter.data.preprocess import library_sizes, target_sum
from starter.models.negative_binomial import moments
from starter.schema import CONTROL, TARGET_GENE
from starter.training import loop

SMALLEST_SPREAD = 0.1
"""Of a gene's log1p expression over control cells, as a divisor."""


class Known(NamedTuple):
    """What the model learns from beside the training profiles."""

    tables: Mapping[str, pd.DataFrame]
    """Feature tables by name (`starter.priors.features`)."""
    counts: scipy.sparse.csr_matrix
    """Cells x genes, raw; the genes are the profiles' columns. Only cells whose label the profiles have are read."""
    n_umis: np.ndarray
    """Total UMIs of each cell."""
    target_gene: np.ndarray
    """Label of each cell."""
    target_sum: float
    """Library size to which expression is scaled."""


class Batch(NamedTuple):
    """Some cells."""

    x: Tensor
    """Cells x genes: log1p expression, less the control mean, over the control's standard deviation."""
    counts: Tensor
    """Cells x genes."""
    depth: Tensor
    """Cells x 1: total UMIs over `target_sum`."""
    condition: Tensor
    """Cells x numbers of a condition."""


def known_of(screen: anndata.AnnData, tables: Mapping[str, pd.DataFrame]) -> Known:
    """Take from a screen (raw counts, one context) what the model needs.

    Parameters
    ----------
    screen
        A course data set.
    tables
        Feature tables by name.
    """
    labels = screen.obs[TARGET_GENE].astype(str).to_numpy()
    return Known(tables, screen.X.tocsr(), library_sizes(screen), labels, target_sum(screen))


class Cells(Dataset):
    """Cells and their conditions, made dense a batch at a time. Control cells give scale, rates and theta."""

    def __init__(self, known: Known, rows: np.ndarray, table: pd.DataFrame) -> None:
        """Take some cells.

        Parameters
        ----------
        known
            All cells.
        rows
            Which of them, control cells among them.
        table
            Conditions of their labels (`starter.priors.conditions`).
        """
        self.counts = known.counts[rows].astype(np.float32)
        self.depth = (known.n_umis[rows] / known.target_sum).astype(np.float32)[:, None]
        self.condition = table.to_numpy()
        self.number = table.index.get_indexer(known.target_gene[rows])
        control = self.number == table.index.get_loc(CONTROL)
        counts, depth = self.counts[control].toarray(), self.depth[control]
        logs = np.log1p(counts / depth)  # cells x genes
        self.centre, self.spread = logs.mean(axis=0), np.maximum(logs.std(axis=0), SMALLEST_SPREAD)  # genes, each
        self.rate, self.theta = moments(counts, depth)

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, rows: Tensor | np.ndarray) -> Batch:
        rows = np.asarray(rows)  # numpy takes a tensor of one row for a number
        counts, depth = self.counts[rows].toarray(), self.depth[rows]
        x = (np.log1p(counts / depth) - self.centre) / self.spread
        return Batch(*map(torch.from_numpy, (x, counts, depth, self.condition[self.number[rows]])))

    def batches(self, size: int, seed: int) -> loop.Batches:
        """Give what `starter.training.loop.fit` takes: batches of so many cells, in another order in every epoch."""

        def of_epoch(epoch: int) -> DataLoader:
            order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(self)))
            return DataLoader(self, batch_size=None, sampler=order.split(size))

        return of_epoch


class Coder(Protocol):
    """A network that encodes cells and decodes them again, told their conditions both times."""

    def encode(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and log-variance of the latent numbers, cells x latent numbers each."""
        ...

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """Give log rates, cells x genes."""
        ...


def log_rates(model: Coder, x: Tensor, condition: Tensor) -> Tensor:
    """Give the log rate of every gene under a condition, the mean over cells; no draws are made.

    Parameters
    ----------
    model
        Encoder and decoder.
    x
        Cells x genes, as in `Batch`.
    condition
        1 x numbers.
    """
    with torch.no_grad():
        condition = condition.expand(len(x), -1)  # cells x numbers
        return model.decode(model.encode(x, condition)[0], condition).mean(dim=0)  # genes
