"""Attention over cells: from a set of control cells and a perturbation to a set of perturbed cells.

Nobody measures a cell before and after its perturbation, so there are no pairs to learn from, only sets. Predicted and
measured sets are compared by the energy distance, as STATE does (Adduri et al. 2025, bioRxiv 2025.06.26.661135).

This module needs torch and scDataset (the extra `student`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from starter.data.cell_sets import CellSet, CellSets, plan_sets
from starter.models.attention import Block, target_network
from starter.models.baselines import Profiles, train_mean
from starter.priors.features import of_targets
from starter.schema import CONTROL, TARGET_GENE
from starter.training import loop, threads

COMPONENTS = 20
"""Principal components of the training effects, in which cells are described and compared."""
SIZE = 32
"""Cells of a set."""
BATCH = 8
"""Sets of a batch."""
SETS = 16
"""Sets of control cells from which a profile is predicted."""


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


class KnownCells(NamedTuple):
    """What `set_transformer` knows beforehand, and the cells that it learns from."""

    targets: pd.DataFrame
    """Features of targets."""
    expression: scipy.sparse.csr_matrix
    """Cells x genes, log1p expression. Cells of perturbations that are not among the profiles are never looked at."""
    obs: pd.DataFrame
    """What describes the cells: target_gene, and batch and context where there are any."""


class Task(NamedTuple):
    """What is learned from, and what is wanted."""

    components: Tensor
    """Genes x components, orthonormal."""
    centre: Tensor
    """Control profile, one number a gene."""
    scale: float
    """Standard deviation of control cells, one number for all components."""
    expression: scipy.sparse.csr_matrix
    """Cells x genes, log1p expression: training perturbations and controls."""
    obs: pd.DataFrame
    """Of these cells."""
    training: list[str]
    """Training targets of which something is known."""
    targets: Tensor
    """Training targets x numbers."""
    wanted: Tensor
    """Wanted targets x numbers."""
    names: list[str]
    """The wanted targets of which something is known."""
    train_mean: pd.DataFrame
    """What is predicted where nothing is known; one row a target."""

    def reduce(self, cells: Tensor) -> Tensor:
        """Describe cells (... x genes, log1p expression) by components."""
        centre, components = (tensor.to(cells.device) for tensor in (self.centre, self.components))
        return (cells - centre) @ components / self.scale  # ... x components


def prepare(profiles: pd.DataFrame, known: KnownCells, targets: Sequence[str], n: int = COMPONENTS) -> Task:
    """Lay out what is learned from and what is wanted.

    Parameters
    ----------
    profiles, targets
        As of every `starter.models.baselines.Model`.
    known
        Features, and cells.
    n
        Components, or as many as there are training effects and genes.
    """
    predicted = train_mean(profiles, None, targets)
    control = profiles.loc[CONTROL].to_numpy()
    effects = profiles.drop(index=CONTROL).to_numpy() - control
    # not centred, so that the mean effect is among them
    components = np.linalg.svd(effects, full_matrices=False)[2][:n].T  # genes x components
    label = known.obs[TARGET_GENE].astype(str).to_numpy()
    trained, wanted = (of_targets(known.targets, names) for names in (profiles.index.drop(CONTROL), targets))
    used = np.isin(label, [CONTROL, *trained.index])
    spread = ((known.expression[label == CONTROL] @ components) - control @ components).std()
    return Task(
        components=torch.tensor(components, dtype=torch.float32),
        centre=torch.tensor(control, dtype=torch.float32),
        scale=max(float(spread), float(np.finfo(np.float32).tiny)),
        expression=known.expression[used],
        obs=known.obs[used],
        training=list(trained.index),
        targets=torch.tensor(trained.to_numpy(), dtype=torch.float32),
        wanted=torch.tensor(wanted.to_numpy(), dtype=torch.float32),
        names=list(wanted.index),
        train_mean=predicted,
    )


def set_loss(model: nn.Module, task: Task, batch: CellSet, weight: float = 1.0) -> dict[str, Tensor]:
    """Compare predicted and measured sets.

    Parameters
    ----------
    model
        A `SetTransformer`.
    task
        What `prepare` gave.
    batch
        Sets of the task's cells, of the perturbations `task.training`.
    weight
        Of the second term.

    Returns
    -------
    energy, the mean energy distance; mean, the squared distance of the sets' means, a component, times `weight`.
    """
    control, perturbed = task.reduce(batch.control), task.reduce(batch.perturbed)
    predicted = model(control, task.targets.to(control.device)[batch.perturbation])  # sets x cells x components
    apart = predicted.mean(dim=1) - perturbed.mean(dim=1)  # sets x components
    return {"energy": energy_distance(predicted, perturbed).mean(), "mean": weight * apart.square().mean()}


def train(model: nn.Module, task: Task, settings: loop.Settings, weight: float = 1.0) -> pd.DataFrame:
    """Train a model of sets in place, with the cells dealt out anew in every epoch, and give its history."""

    def batches(epoch: int) -> Iterable[CellSet]:
        plan = plan_sets(task.obs, task.training, SIZE, np.random.default_rng([settings.seed, epoch]))
        return DataLoader(CellSets(task.expression, plan), batch_size=BATCH, shuffle=True)

    return loop.fit(model, lambda model, batch, over: set_loss(model, task, batch, weight), batches, settings)


def control_sets(task: Task, seed: int = 0) -> Tensor:
    """Draw sets of control cells, `SETS` x `SIZE` x components."""
    controls = np.flatnonzero((task.obs[TARGET_GENE] == CONTROL).to_numpy())
    drawn = np.random.default_rng(seed).choice(controls, SETS * SIZE, replace=len(controls) < SETS * SIZE)
    cells = torch.from_numpy(task.expression[drawn].toarray()).float()  # (SETS SIZE) x genes
    return task.reduce(cells).unflatten(0, (SETS, SIZE))


def predict(model: nn.Module, task: Task, seed: int = 0) -> pd.DataFrame:
    """Predict profiles: control profile and mean change of control cells. Where nothing is known, the train mean."""
    predicted, sets = task.train_mean.copy(), control_sets(task, seed)
    for name, target in zip(task.names, task.wanted, strict=True):
        with torch.no_grad(), threads.enough(model):
            change = (model(sets, target.expand(SETS, -1)) - sets).mean(dim=(0, 1))  # components
        profile = task.centre + task.scale * (task.components @ change)  # genes
        predicted.loc[name] = np.maximum(profile.numpy(), 0)
    return predicted


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
    train(model, task, settings, weight)

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
