"""Attention over cells: from a set of control cells and a perturbation to a set of perturbed cells.

Nobody measures a cell before and after its perturbation, so there are no pairs to learn from, only sets. Predicted and
measured sets are compared by the energy distance, as STATE does (Adduri et al. 2025, bioRxiv 2025.06.26.661135).

This module needs torch and scDataset (the extra `student`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from starter.models.attention import Block, target_network
from starter.models.baselines import Profiles, train_mean
from starter.models.set_task import KnownCells, predict, prepare, train
from starter.priors.features import of_targets
from starter.training import loop


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """Energy distance of two sets of cells, 2 E|X - Y| - E|X - X'| - E|Y - Y'|, with gradients.

    Székely & Rizzo (2013), J. Stat. Plan. Inference 143:1249, as V-statistic: it is 0 for the same cells, never below.
    `starter.scoring.metrics.energy` measures it for scores.

    Parameters
    ----------
    x, y
        ... x cells x numbers; the sets may have different numbers of cells.

    Returns
    -------
    One number a set, shape ...
    """
    return 2 * _mean_distance(x, y) - _mean_distance(x, x) - _mean_distance(y, y)


def _mean_distance(x: Tensor, y: Tensor) -> Tensor:
    # by products of matrices a cell is not exactly 0 from itself, and the root has no slope to trust there
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").mean(dim=(-2, -1))


class SetTransformer(nn.Module):
    """From control cells and the features of a target to perturbed cells, all in the same components."""

    def __init__(
        self,
        n_of_cell: int,
        n_of_target: int,
        size: int = 64,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.2,
        *,
        alone: bool = False,
    ) -> None:
        """Make the weights.

        Parameters
        ----------
        n_of_cell, n_of_target
            Numbers that describe a cell, and a target.
        size, heads, layers
            Numbers of a token inside, heads of each attention, blocks.
        dropout
            Share of a target's features that are hidden while training.
        alone
            Without attention: a token looks at itself only.
        """
        super().__init__()
        self.cell = nn.Linear(n_of_cell, size)
        self.target = target_network(n_of_target, size, dropout)
        self.blocks = nn.ModuleList(Block(size, heads, alone=alone) for _ in range(layers))
        self.norm, self.change = nn.LayerNorm(size), nn.Linear(size, n_of_cell)

    def forward(self, control: Tensor, target: Tensor) -> Tensor:
        """Predict perturbed cells.

        Parameters
        ----------
        control
            Batch x cells x numbers.
        target
            Batch x numbers.

        Returns
        -------
        Batch x cells x numbers: each control cell, changed.
        """
        perturbation = self.target(target)[:, None]  # batch x 1 x size
        x = torch.cat([perturbation, self.cell(control) + perturbation], dim=1)  # batch x (1 + cells) x size
        for block in self.blocks:
            x = block(x)
        return control + self.change(self.norm(x[:, 1:]))  # batch x cells x numbers


def fit(
    profiles: pd.DataFrame,
    known: KnownCells,
    epochs: int = 6,
    learning_rate: float = 3e-3,
    weight: float = 1.0,
    seed: int = 0,
    network: Callable[[int, int], nn.Module] = SetTransformer,
) -> Profiles:
    """Train attention over control cells.

    Parameters
    ----------
    profiles
        As in `starter.models.baselines`.
    known
        Features of targets, and cells.
    epochs, learning_rate, weight
        Of the training; `weight` is that of `set_loss`.
    seed
        Of weights, sets and dropout.
    network
        Makes the network from numbers of a cell and of a target.

    Returns
    -------
    A function from targets to predicted profiles, one row a target. A target of which nothing is known gets the train
    mean.
    """
    task = prepare(profiles, known, [])
    if not task.training:
        return lambda targets: train_mean(profiles, None, targets)
    with loop.seeded(seed):
        model = network(task.components.shape[1], task.targets.shape[1])
    settings = loop.Settings(epochs=epochs, learning_rate=learning_rate, weight_decay=0.05, seed=seed)
    train(model, task, settings, energy_distance, weight)

    def answer(targets: Sequence[str]) -> pd.DataFrame:
        wanted = of_targets(known.targets, targets)
        asked = task._replace(
            wanted=torch.tensor(wanted.to_numpy(), dtype=torch.float32),
            names=list(wanted.index),
            train_mean=train_mean(profiles, None, targets),
        )
        return predict(model, asked, seed) if asked.names else asked.train_mean

    return answer


def set_transformer(profiles: pd.DataFrame, known: KnownCells, targets: Sequence[str], **settings: Any) -> pd.DataFrame:
    """Predict profiles by attention over control cells, as a `starter.models.baselines.Model`.

    Parameters
    ----------
    profiles, known, settings
        As `fit` takes them.
    targets
        As in `starter.models.baselines`.

    Returns
    -------
    One row a target, same columns as `profiles`.
    """
    return fit(profiles, known, **settings)(targets)
