"""The task of a transformer of cells: sets of control cells, features of targets, and the sets that it learns.

This module needs torch and scDataset (the extra `student`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from starter.data.cell_sets import CellSet, CellSets, plan_sets
from starter.models.baselines import train_mean
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
Distance = Callable[[Tensor, Tensor], Tensor]
"""Two sets of cells (... x cells x numbers) -> how far they are apart, one number a pair of sets."""


class KnownCells(NamedTuple):
    """What a transformer of cells knows beforehand, and the cells that it learns from."""

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


def set_loss(
    model: nn.Module, task: Task, batch: CellSet, distance: Distance, weight: float = 1.0
) -> dict[str, Tensor]:
    """Compare predicted and measured sets.

    Parameters
    ----------
    model
        From control cells and features of targets to perturbed cells.
    task
        What `prepare` gave.
    batch
        Sets of the task's cells, of the perturbations `task.training`.
    distance
        Of sets.
    weight
        Of the second term.

    Returns
    -------
    energy, the mean distance; mean, the squared distance of the sets' means, a component, times `weight`.
    """
    control, perturbed = task.reduce(batch.control), task.reduce(batch.perturbed)
    predicted = model(control, task.targets.to(control.device)[batch.perturbation])  # sets x cells x components
    apart = predicted.mean(dim=1) - perturbed.mean(dim=1)  # sets x components
    return {"energy": distance(predicted, perturbed).mean(), "mean": weight * apart.square().mean()}


def train(
    model: nn.Module, task: Task, settings: loop.Settings, distance: Distance, weight: float = 1.0
) -> pd.DataFrame:
    """Train a model of sets in place, with the cells dealt out anew in every epoch, and give its history.

    `distance` is of predicted and measured sets, `weight` that of `set_loss`.
    """

    def batches(epoch: int) -> Iterable[CellSet]:
        plan = plan_sets(task.obs, task.training, SIZE, np.random.default_rng([settings.seed, epoch]))
        return DataLoader(CellSets(task.expression, plan), batch_size=BATCH, shuffle=True)

    def loss(model: nn.Module, batch: CellSet, over: float) -> dict[str, Tensor]:
        del over
        return set_loss(model, task, batch, distance, weight)

    return loop.fit(model, loss, batches, settings)


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
