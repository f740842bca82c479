"""The task of a transformer of genes: tokens of genes, features of targets, and the effects that it learns.

This module needs torch (the extra `student`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from starter.models.baselines import train_mean
from starter.priors.features import of_targets
from starter.schema import CONTROL
from starter.training import loop

COMPONENTS = 20
"""Principal components of the training effects in a gene's token."""
GENES = 64
"""Genes that a training batch shows, drawn anew for each; all of them are predicted."""
BATCH = 16
"""Perturbations of a batch."""


class Known(NamedTuple):
    """What a transformer of genes knows beforehand."""

    targets: pd.DataFrame
    """Features of targets; `side_by_side` joins several tables."""
    genes: pd.DataFrame | None = None
    """Features of the genes that are measured, such as `starter.priors.features.coexpression_features`."""


class Task(NamedTuple):
    """What is learned from, and what is wanted."""

    genes: Tensor
    """Genes x numbers: the tokens."""
    targets: Tensor
    """Training targets x numbers."""
    effects: Tensor
    """Training targets x genes, less their mean, divided by `scale`."""
    wanted: Tensor
    """Wanted targets x numbers."""
    is_target: Tensor
    """Training targets, then wanted ones x genes: 1 where the gene is the target."""
    names: list[str]
    """The wanted targets of which something is known."""
    train_mean: pd.DataFrame
    """What is predicted where nothing is known; one row a target."""
    scale: float
    """Of effects, log1p expression."""


def prepare(
    profiles: pd.DataFrame,
    known: Known,
    targets: Sequence[str],
    gene_tokens: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
) -> Task:
    """Lay out what is learned from and what is wanted.

    Parameters
    ----------
    profiles, targets
        As of every `starter.models.baselines.Model`.
    known
        Features. A gene that the genes' features do not know gets their mean.
    gene_tokens
        effects (training perturbations x genes), other features of genes (genes x features), components -> genes x
        numbers; `starter.models.transformer.gene_tokens` is the kit's.
    """
    predicted = train_mean(profiles, None, targets)
    effects = profiles.drop(index=CONTROL) - profiles.loc[CONTROL]
    rest = effects - effects.mean()
    more = pd.DataFrame({"control": profiles.loc[CONTROL], "mean effect": effects.mean()}, index=profiles.columns)
    if known.genes is not None:
        more = more.join(known.genes.reindex(profiles.columns).fillna(known.genes.mean()))
    trained, wanted = (of_targets(known.targets, names) for names in (effects.index, targets))
    own = [np.isin(profiles.columns, target.split("+")) for target in (*trained.index, *wanted.index)]
    scale = float(rest.to_numpy().std()) or 1.0
    n = min(COMPONENTS, len(effects) - 1, effects.shape[1])
    return Task(
        genes=torch.tensor(gene_tokens(effects.to_numpy(), more.to_numpy(), n), dtype=torch.float32),
        targets=torch.tensor(trained.to_numpy(), dtype=torch.float32),
        effects=torch.tensor(rest.loc[trained.index].to_numpy() / scale, dtype=torch.float32),
        wanted=torch.tensor(wanted.to_numpy(), dtype=torch.float32),
        is_target=torch.tensor(np.reshape(own, (-1, profiles.shape[1])), dtype=torch.float32),
        names=list(wanted.index),
        train_mean=predicted,
        scale=scale,
    )


def effect_loss(model: nn.Module, task: Task, batch: tuple[Tensor, ...], n_genes: int = GENES) -> dict[str, Tensor]:
    """Compare predicted and measured effects on some genes, drawn anew for each batch.

    Tokens have no order, so any genes will do; fewer are quicker, since the cost of attention grows with their square.

    Parameters
    ----------
    model
        From tokens of genes, features of targets and own genes to effects.
    task
        What `prepare` gave.
    batch
        Features, effects and own genes (`is_target`) of some training targets.
    n_genes
        How many genes to show.

    Returns
    -------
    error, the mean squared error, in units of the effects' variance.
    """
    target, effects, is_target = batch
    shown = torch.randperm(len(task.genes))[:n_genes]
    predicted = model(task.genes[shown].to(target.device), target, is_target[:, shown])  # batch x genes shown
    return {"error": (predicted - effects[:, shown]).square().mean()}


def train(model: nn.Module, task: Task, settings: loop.Settings) -> pd.DataFrame:
    """Train a model of genes in place, and give its history."""
    n = len(task.targets)
    batches = loop.in_memory(task.targets, task.effects, task.is_target[:n], batch_size=BATCH, seed=settings.seed)
    return loop.fit(model, lambda model, batch, over: effect_loss(model, task, batch), batches, settings)


def predict(model: nn.Module, task: Task) -> pd.DataFrame:
    """Predict profiles of all wanted targets; one of which nothing is known gets the train mean."""
    predicted = task.train_mean.copy()
    own = task.is_target[len(task.targets) :]
    with torch.no_grad():
        batches = zip(task.wanted.split(BATCH), own.split(BATCH), strict=True)
        rest = [model(task.genes, target, is_target) for target, is_target in batches] if task.names else []
    for name, values in zip(task.names, torch.cat(rest) if rest else [], strict=True):
        predicted.loc[name] = np.maximum(predicted.loc[name] + task.scale * values.numpy(), 0)
    return predicted
