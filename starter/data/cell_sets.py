"""What set models train on: (control set, perturbation, perturbed set), read from memory or from a file.

This module needs torch and scDataset (the extra `student`); no other module of the kit imports it.

>>> sets = CellSets(preprocess.expression(train), plan_sets(train.obs, names, size=32, rng=rng))  # doctest: +SKIP
>>> for batch in torch.utils.data.DataLoader(sets, batch_size=16, shuffle=True):  # doctest: +SKIP
...     batch.control, batch.perturbation, batch.perturbed  # 16 x 32 x genes, 16, 16 x 32 x genes
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import torch
from scdataset import BlockShuffling, scDataset
from torch.utils.data import Dataset, default_collate

from starter.data.batches import UNMATCHED, comparable
from starter.data.dataset import PAIR, pairs
from starter.data.h5ad import check_matrix, layout_of, open_h5ad, read_blocks, read_frame
from starter.data.preprocess import log_expression, stated_totals, target_sum
from starter.errors import InputError, listed
from starter.schema import BATCH, CONTROL, N_UMIS, PERTURBATION, TARGET_GENE


class CellSet(NamedTuple):
    """One example; a batch of them has one dimension more in front."""

    control: torch.Tensor
    """Control cells, cells x genes, log1p expression, float32."""
    perturbation: torch.Tensor
    """Its number among the names that `plan_sets` was given, int64."""
    perturbed: torch.Tensor
    """Perturbed cells; as many, each beside a control cell of its context and batch."""


class Plan(NamedTuple):
    """Which rows of a screen make which set."""

    control: np.ndarray
    """Sets x size."""
    perturbation: np.ndarray
    """Number of each set's perturbation."""
    perturbed: np.ndarray
    """Sets x size."""


def plan_sets(
    obs: pd.DataFrame,
    perturbations: Sequence[str],
    size: int,
    rng: np.random.Generator,
    control_of: np.ndarray | None = None,
) -> Plan:
    """Deal the cells of perturbations out into sets, each perturbed cell with a control cell.

    Parameters
    ----------
    obs
        What describes the screen's cells.
    perturbations
        Those that are wanted, in the order in which they are numbered.
    size
        Cells of a set. A perturbation of n cells makes n // size sets, without repetition; one of fewer cells than
        `size` makes one set, with repetition. What is left over has its turn in another plan.
    rng
        Deals and draws. Make a new plan for every epoch.
    control_of
        The row of each cell's control, such as `starter.data.matching.match_screen` gives; perturbed cells that have
        none are left out. Default: drawn from the cell's context and batch.

    Raises
    ------
    InputError
        If a perturbation has no cells, or a batch has no control cells, or there is nothing to choose from.
    """
    if size < 1 or not len(perturbations):
        msg = f"sets of {size} cells of {len(perturbations)} perturbations: ask for at least one of each"
        raise InputError(msg)
    usable = np.ones(len(obs), dtype=bool) if control_of is None else np.asarray(control_of) != UNMATCHED
    pair_of_cell, index = pairs(obs).factorize()
    names = index.set_names(PAIR).get_level_values(PERTURBATION)
    known = set(names[np.unique(pair_of_cell[usable])]) - {CONTROL}
    if missing := [name for name in perturbations if name not in known]:
        kind = "cells" if control_of is None else "cells that have a control"
        msg = f"no perturbed {kind} of {listed(missing)}; there are of {listed(sorted(known)) or 'none'}"
        raise InputError(msg)
    if control_of is None:
        control_of = _draw_controls(obs, rng)
    numbers, perturbed = [], []
    for number, name in enumerate(perturbations):
        for pair in np.flatnonzero(names == name):
            cells = rng.permutation(np.flatnonzero(usable & (pair_of_cell == pair)))
            if 0 < len(cells) < size:
                cells = rng.choice(cells, size)
            n_sets = len(cells) // size
            numbers.append(np.full(n_sets, number))
            perturbed.append(cells[: n_sets * size].reshape(n_sets, size))
    rows = np.concatenate(perturbed)
    return Plan(control_of[rows], np.concatenate(numbers), rows)


def _draw_controls(obs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draw a control cell for every cell, of its context and batch."""
    group, is_control = comparable(obs), (obs[TARGET_GENE] == CONTROL).to_numpy()
    if alone := sorted(set(group) - set(group[is_control])):
        cells = np.isin(group, alone)
        msg = (
            f"{int(cells.sum()):,} cells, such as {obs.index[cells][0]}, are of a context or batch without control "
            f"cells; leave them out, or drop the column {BATCH!r}"
        )
        raise InputError(msg)
    control_of = np.empty(len(obs), dtype=int)
    for number in np.unique(group):
        cells = group == number
        control_of[cells] = rng.choice(np.flatnonzero(cells & is_control), cells.sum())
    return control_of


class CellSets(Dataset):
    """Sets of cells, each read when it is asked for.

    A `torch.utils.data.DataLoader` reads all sets of a batch at once.
    """

    def __init__(self, expression: "scipy.sparse.csr_matrix | ScreenFile", plan: Plan) -> None:
        """Take what to read from, and what to read.

        Parameters
        ----------
        expression
            Cells x genes, log1p expression.
        plan
            What `plan_sets` gave.
        """
        self.expression, self.plan = expression, plan

    def __len__(self) -> int:
        """Give the number of sets."""
        return len(self.plan.perturbation)

    def __getitem__(self, index: int) -> CellSet:
        """Read a set."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[CellSet]:
        """Read several sets at once."""
        control, perturbation, perturbed = (np.asarray(part)[np.asarray(indices)] for part in self.plan)
        rows = np.stack([control, perturbed])
        cells = torch.from_numpy(self.expression[rows.ravel()].toarray()).reshape(*rows.shape, -1)
        return [CellSet(*parts) for parts in zip(cells[0], torch.from_numpy(perturbation), cells[1], strict=True)]


def stream(sets: CellSets, batch_size: int, seed: int, block_size: int = 8, fetch_factor: int = 16) -> scDataset:
    """Give the sets in batches, reading several batches at once: quicker than a DataLoader where cells are on disk.

    Parameters
    ----------
    sets
        Sets of cells of a file. Their order is that of the plan, in which a perturbation's sets stand side by side.
    batch_size
        Sets of a batch.
    seed
        Of the order, which is another in every epoch.
    block_size
        Neighbouring sets that are read together.
    fetch_factor
        Batches that are read at once, then shuffled.

    Returns
    -------
    An iterable over `CellSet`s of batch_size x size x genes. D'Ascenzo and Cultrera di Montesano (2025), "scDataset",
    arXiv:2506.01883.
    """
    return scDataset(
        sets,
        BlockShuffling(block_size),
        batch_size,
        fetch_factor,
        fetch_callback=CellSets.__getitems__,
        batch_callback=lambda fetched, places: default_collate([fetched[place] for place in places]),
        seed=seed,
    )


class ScreenFile:
    """log1p expression of a course data set that stays on disk; rows are taken as from a matrix.

    One process reads it: HDF5 files are not shared with workers of a DataLoader (num_workers=0). Close it, or use
    `with`.

    Attributes
    ----------
    obs
        What describes the cells.
    genes
        Their symbols.
    shape
        Cells and genes.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a file.

        Parameters
        ----------
        path
            The `.h5ad`, its counts stored by cells (CSR).

        Raises
        ------
        InputError
            If it cannot be read, or stores its counts otherwise.
        """
        with ExitStack() as stack:
            file = stack.enter_context(open_h5ad(path))
            self.obs, var = read_frame(file, "obs"), read_frame(file, "var")
            self.shape, self.genes = (len(self.obs), len(var)), var.index
            if finding := check_matrix(file["X"], self.shape):
                msg = f"{path}: {finding}"
                raise InputError(msg)
            if (kind := layout_of(file["X"])) != "csr_matrix":
                msg = f"{path} stores X as {kind!r}, and single cells are read from 'csr_matrix'; write X.tocsr()"
                raise InputError(msg)
            self._counts = anndata.io.sparse_dataset(file["X"])
            totals = stated_totals(self.obs)
            if totals is None:
                totals = np.concatenate([block.sum(axis=1).A1 for block in read_blocks(file["X"])])
            self._n_umis = totals
            uns = anndata.io.read_elem(file["uns"]) if "uns" in file else {}
            self._target = target_sum(anndata.AnnData(obs=self.obs.assign(**{N_UMIS: self._n_umis}), uns=uns))
            self._stack = stack.pop_all()

    def __len__(self) -> int:
        """Give the number of cells."""
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> scipy.sparse.csr_matrix:
        """Read the expression of some cells, in any order and with repetition."""
        order, place = np.unique(np.arange(len(self))[rows], return_inverse=True)
        return log_expression(self._counts[order], self._n_umis[order], self._target)[place]

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Open it for a block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()
