"""Cells of a screen in pieces as batches for training, in random order, read a block of neighbours at a time.

This module needs torch and scDataset (the extra `student`).

>>> cells = StoredCells(open_pieces("tahoe_pieces"))  # doctest: +SKIP
>>> for counts, label in stream(cells, batch_size=64, seed=0):  # doctest: +SKIP
...     counts, cells.labels[label]  # 64 x genes, float32; 64 labels
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

import numpy as np
import scipy.sparse
import torch
from scdataset import BlockShuffling, scDataset

from data_scripts.pieces.folder import Pieces
from data_scripts.rows import row_reader
from starter.data.h5ad import csr_of, open_h5ad, read_frame
from starter.errors import InputError
from starter.schema import TARGET_GENE

BLOCK_SIZE = 256
FETCH_FACTOR = 64


class StoredCells:
    """All cells of a screen in pieces, which stay on disk; several are taken at once by their numbers.

    Each process that takes cells opens the files itself, so workers of a DataLoader may share it.

    Attributes
    ----------
    labels
        Labels of the cells, sorted: target genes, and `non-targeting`.
    codes
        Of each cell the number of its label.
    shape
        Cells and genes.
    """

    def __init__(self, pieces: Pieces, column: str = TARGET_GENE) -> None:
        """Read the labels of all cells.

        Parameters
        ----------
        pieces
            The screen.
        column
            Of `obs`, whose values are the labels.

        Raises
        ------
        InputError
            If a piece cannot be read or lacks the column.
        """
        found = []
        for path in pieces.paths:
            with open_h5ad(path) as file:
                obs = read_frame(file, "obs")
            if column not in obs:
                msg = f"{path} has no column {column!r} in obs; it has {', '.join(obs)}"
                raise InputError(msg)
            found.append(np.unique(obs[column].astype(str).to_numpy(object), return_inverse=True))
        self.labels = np.unique(np.concatenate([labels for labels, _ in found]).astype(str))
        places = [np.searchsorted(self.labels, labels.astype(str))[codes] for labels, codes in found]
        self.codes = np.concatenate(places)
        self.shape = (len(self.codes), len(pieces.genes))
        self._pieces = pieces
        self._process = 0
        self._stack = ExitStack()
        self._readers: list[Callable] = []

    def __len__(self) -> int:
        """Give the number of cells."""
        return self.shape[0]

    def __getitem__(self, cells: np.ndarray) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
        """Read the counts and the numbers of the labels of cells, given by their numbers in ascending order."""
        cells = np.asarray(cells)
        if self._process != os.getpid():
            self._open()
        starts = self._pieces.starts
        ends = np.searchsorted(cells, starts)
        parts = [
            self._readers[piece](cells[ends[piece] : ends[piece + 1]] - starts[piece])
            for piece in np.flatnonzero(np.diff(ends))
        ]
        parts = [csr_of(part) if isinstance(part, np.ndarray) else part for part in parts]
        counts = parts[0] if len(parts) == 1 else scipy.sparse.vstack(parts, format="csr")
        return counts, self.codes[cells]

    def _open(self) -> None:
        self._stack, self._process = ExitStack(), os.getpid()
        files = [self._stack.enter_context(open_h5ad(path)) for path in self._pieces.paths]
        self._readers = [row_reader(file["X"], path) for file, path in zip(files, self._pieces.paths, strict=True)]

    def __getstate__(self) -> dict:
        """Leave open files behind: the process that gets this opens its own."""
        return {**self.__dict__, "_process": 0, "_stack": None, "_readers": []}

    def __enter__(self) -> Self:
        """Use it in a `with`, which closes the files."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the files."""
        self._stack.close()
        self._process = 0


def stream(
    cells: StoredCells, batch_size: int, seed: int, block_size: int = BLOCK_SIZE, fetch_factor: int = FETCH_FACTOR
) -> scDataset:
    """Give all cells once, in random order, in batches.

    Parameters
    ----------
    cells
        What to read.
    batch_size
        Cells of a batch.
    seed
        Of the order, which is another in every epoch.
    block_size
        Neighbouring cells that are read together: the larger, the quicker and the less random.
    fetch_factor
        Batches that are read at once, then shuffled; this many batches are in memory.

    Returns
    -------
    An iterable over pairs: counts (batch_size x genes, float32) and codes (int64, places in `cells.labels`). Give it to
    a DataLoader with `batch_size=None` for several processes. D'Ascenzo and Cultrera di Montesano (2025), "scDataset",
    arXiv:2506.01883.
    """
    return scDataset(cells, BlockShuffling(block_size), batch_size, fetch_factor, batch_callback=_batch, seed=seed)


def _batch(
    fetched: tuple[scipy.sparse.csr_matrix, np.ndarray], places: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    counts, codes = fetched
    return torch.from_numpy(counts[places].toarray()), torch.from_numpy(codes[places])
