"""Attention over genes: a transformer that predicts the effect of switching off a gene that nobody has perturbed.

A gene is a token: how it responded to the perturbations that were measured, and what else is known of it. The perturbed
gene is one token more, made of its features. Tokens have no order: whoever shuffles the genes shuffles the answer.

This module needs torch (the extra `student`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from starter.models.attention import Block, target_network
from starter.models.baselines import Profiles, train_mean
from starter.priors.features import of_targets
from starter.schema import CONTROL
from starter.training import loop

COMPONENTS = 20
"""Principal components of the training effects in a gene's token."""
GENES = 64
"""Genes that a training batch shows, drawn anew for each; all of them are predicted."""
BATCH = 16
"""Perturbations of a batch."""


class GeneTransformer(nn.Module):
    """From the tokens of genes and the features of a target to the effect on each gene."""

    def __init__(
        self,
        n_of_gene: int,
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
        n_of_gene, n_of_target
            Numbers that describe a gene, and a target.
        size, heads, layers
            Numbers of a token inside, heads of each attention, blocks.
        dropout
            Share of a target's features that are hidden while training.
        alone
            Without attention: a token looks at itself only.
        """
        super().__init__()
        self.gene = nn.Linear(n_of_gene, size)
        self.target = target_network(n_of_target, size, dropout)
        self.flag = nn.Parameter(torch.zeros(size))  # added to the token of the target's own gene
        self.blocks = nn.ModuleList(Block(size, heads, alone=alone) for _ in range(layers))
        self.norm, self.query = nn.LayerNorm(size), nn.Linear(size, size)

    def forward(self, genes: Tensor, target: Tensor, is_target: Tensor) -> Tensor:
        """Predict effects.

        Parameters
        ----------
        genes
            Genes x numbers.
        target
            Batch x numbers.
        is_target
            Batch x genes, 1 where a gene is the target itself, else 0.

        Returns
        -------
        Batch x genes.
        """
        perturbation = self.target(target)[:, None]  # batch x 1 x size
        tokens = self.gene(genes) + perturbation + is_target[..., None] * self.flag  # batch x genes x size
        x = torch.cat([perturbation, tokens], dim=1)  # batch x (1 + genes) x size
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        query = self.query(x[:, :1])  # the perturbation asks each gene: batch x 1 x size
        return (query * x[:, 1:]).sum(dim=-1) / math.sqrt(query.shape[-1])  # batch x genes


class Known(NamedTuple):
    """What `gene_transformer` knows beforehand."""

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


def gene_tokens(effects: np.ndarray, more: np.ndarray, n: int = COMPONENTS) -> np.ndarray:
    """Describe each gene by how it responded, and by what else is known of it.

    Parameters
    ----------
    effects
        Training perturbations x genes.
    more
        Genes x other features.
    n
        Principal components of the effects, or as many as there are.

    Returns
    -------
    Genes x (components + features). A component's column holds its loadings times its standard deviation; one factor
    brings all of these to a mean square of 1. Features are standardised.
    """
    found = PCA(min(n, len(effects) - 1, effects.shape[1]), svd_solver="full").fit(effects)
    responses = found.components_.T * np.sqrt(found.explained_variance_)  # genes x components
    size = np.sqrt((responses**2).mean())
    return np.hstack([responses / (size or 1.0), StandardScaler().fit_transform(more)])


def prepare(profiles: pd.DataFrame, known: Known, targets: Sequence[str]) -> Task:
    """Lay out what is learned from and what is wanted.

    Parameters
    ----------
    profiles, targets
        As of every `starter.models.baselines.Model`.
    known
        Features. A gene that the genes' features do not know gets their mean.
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
    return Task(
        genes=torch.tensor(gene_tokens(effects.to_numpy(), more.to_numpy()), dtype=torch.float32),
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
        A `GeneTransformer`.
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


def fit(
    profiles: pd.DataFrame,
    known: Known,
    epochs: int = 20,
    learning_rate: float = 2e-3,
    models: int = 1,
    seed: int = 0,
    network: Callable[[int, int], nn.Module] = GeneTransformer,
) -> Profiles:
    """Train attention over genes.

    Parameters
    ----------
    profiles
        As in `starter.models.baselines`.
    known
        Features of targets, and of genes.
    epochs, learning_rate
        Of the training.
    models
        How many are trained, with other first weights, and averaged.
    seed
        Of weights, order and dropout.
    network
        Makes the network from numbers of a gene and of a target.

    Returns
    -------
    A function from targets to predicted profiles, one row a target. A target of which nothing is known gets the train
    mean.
    """
    if len(of_targets(known.targets, profiles.index.drop(CONTROL, errors="ignore"))) < 2:
        return lambda targets: train_mean(profiles, None, targets)
    task, trained = prepare(profiles, known, []), []
    for number in range(models):
        with loop.seeded(seed, number):
            model = network(task.genes.shape[1], task.targets.shape[1])
        settings = loop.Settings(epochs=epochs, learning_rate=learning_rate, weight_decay=0.05, seed=seed + number)
        train(model, task, settings)
        trained.append(model)

    def answer(targets: Sequence[str]) -> pd.DataFrame:
        asked = prepare(profiles, known, targets)
        return sum(predict(model, asked) for model in trained) / models

    return answer


def gene_transformer(profiles: pd.DataFrame, known: Known, targets: Sequence[str], **settings: Any) -> pd.DataFrame:
    """Predict profiles by attention over genes, as a `starter.models.baselines.Model`.

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
