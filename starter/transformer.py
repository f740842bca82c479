"""Attention over genes: a transformer that predicts the effect of switching off a gene that nobody has perturbed.

A gene is a token: how it responded to the perturbations that were measured, and what else is known of it. The perturbed
gene is one token more, made of its features. Tokens have no order: whoever shuffles the genes shuffles the answer.

This module needs torch (the extra `student`).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from starter import training
from starter.baselines import train_mean
from starter.features import GENE, of_targets
from starter.schema import CONTROL, InputError

COMPONENTS = 20
"""Principal components of the training effects in a gene's token."""
GENES = 128
"""Genes that a training batch shows, drawn anew for each; all of them are predicted."""
BATCH = 16
"""Perturbations of a batch."""


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average values, each query by its own weights: softmax(Q K' / sqrt(d)) V.

    Vaswani et al. (2017), "Attention is all you need", equation 1.

    Parameters
    ----------
    query, key
        ... x queries x d, ... x keys x d.
    value
        ... x keys x any size.
    mask
        ... x queries x keys, or what broadcasts to it; False where a query may not look.

    Returns
    -------
    ... x queries x size of a value.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ value


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in a part of the numbers of its own."""

    def __init__(self, size: int, heads: int) -> None:
        """Make the weights.

        Parameters
        ----------
        size
            Numbers of a token, a multiple of `heads`.
        heads
            Attentions side by side.
        """
        super().__init__()
        if size % heads:
            msg = f"{size} numbers a token cannot be dealt out to {heads} heads; take a multiple of {heads}"
            raise InputError(msg)
        self.heads = heads
        self.project = nn.Linear(size, 3 * size)  # queries, keys and values, in this order
        self.out = nn.Linear(size, size)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Let tokens look at each other.

        Parameters
        ----------
        x
            Batch x tokens x size.
        real
            Batch x tokens, False for a token that nobody may look at; default: none.

        Returns
        -------
        Batch x tokens x size.
        """
        # batch x heads x tokens x numbers of a head
        parts = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.project(x).chunk(3, dim=-1))
        seen = attention(*parts, mask=None if real is None else real[:, None, None, :])
        return self.out(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention between tokens, then a network within each; both are added to what was there (Xiong et al. 2020)."""

    def __init__(self, size: int, heads: int, dropout: float = 0.1) -> None:
        """Make the weights; the network within a token is twice as wide."""
        super().__init__()
        self.attention = MultiHeadAttention(size, heads)
        self.network = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
        self.norm_1, self.norm_2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Pass on tokens, batch x tokens x size; `real` is that of `MultiHeadAttention`."""
        x = x + self.dropout(self.attention(self.norm_1(x), real))
        return x + self.dropout(self.network(self.norm_2(x)))


class GeneTransformer(nn.Module):
    """From the tokens of genes and the features of a target to the effect on each gene."""

    def __init__(
        self, n_of_gene: int, n_of_target: int, size: int = 64, heads: int = 4, layers: int = 2, dropout: float = 0.2
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
        """
        super().__init__()
        self.gene = nn.Linear(n_of_gene, size)
        self.target = target_network(n_of_target, size, dropout)
        self.flag = nn.Parameter(torch.zeros(size))  # added to the token of the target's own gene
        self.blocks = nn.ModuleList(Block(size, heads) for _ in range(layers))
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
        perturbation = self.target(target)[:, None]
        tokens = self.gene(genes) + perturbation + is_target[..., None] * self.flag
        x = torch.cat([perturbation, tokens], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        query = self.query(x[:, :1])  # the perturbation asks each gene
        return (query * x[:, 1:]).sum(dim=-1) / math.sqrt(query.shape[-1])


def target_network(n: int, size: int, dropout: float) -> nn.Sequential:
    """Make a network from the features of a target to a token."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(n, size), nn.GELU(), nn.Linear(size, size))


class Known(NamedTuple):
    """What `gene_transformer` knows beforehand."""

    targets: pd.DataFrame
    """Features of targets; `side_by_side` joins several tables."""
    genes: pd.DataFrame | None = None
    """Features of the genes that are measured, such as `starter.features.coexpression_features`."""


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


def side_by_side(tables: Sequence[pd.DataFrame], length: float = 8.0) -> pd.DataFrame:
    """Join feature tables, of the genes that every table knows.

    Parameters
    ----------
    tables
        Feature tables.
    length
        Each table is centred and scaled to rows of this length (root mean square), so that all weigh the same, whatever
        their numbers of columns.
    """
    scaled = []
    for table in tables:
        centred = table - table.mean()
        scaled.append(centred * length / np.sqrt((centred**2).sum(axis=1).mean()))
    return pd.concat(scaled, axis=1, join="inner").sort_index().rename_axis(GENE)


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
    responses = found.components_.T * np.sqrt(found.explained_variance_)
    size = np.sqrt((responses**2).mean())
    return np.hstack([responses / (size or 1.0), StandardScaler().fit_transform(more)])


def prepare(profiles: pd.DataFrame, known: Known, targets: Sequence[str]) -> Task:
    """Lay out what is learned from and what is wanted.

    Parameters
    ----------
    profiles
        Training profiles of one context: index perturbation with the control, columns genes.
    known
        Features. A gene that the genes' features do not know gets their mean.
    targets
        Perturbations to predict.
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
    arrays = (
        gene_tokens(effects.to_numpy(), more.to_numpy()),
        trained.to_numpy(),
        rest.loc[trained.index].to_numpy() / scale,
        wanted.to_numpy(),
        np.reshape(own, (-1, profiles.shape[1])),
    )
    return Task(*(torch.tensor(array, dtype=torch.float32) for array in arrays), list(wanted.index), predicted, scale)


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
    predicted = model(task.genes[shown], target, is_target[:, shown])
    return {"error": (predicted - effects[:, shown]).square().mean()}


def train(model: nn.Module, task: Task, settings: training.Settings) -> pd.DataFrame:
    """Train a model of genes in place, and give its history."""
    n = len(task.targets)
    batches = training.in_memory(task.targets, task.effects, task.is_target[:n], batch_size=BATCH, seed=settings.seed)
    return training.fit(
        model, lambda model, batch, over: effect_loss(model, task, batch), batches, settings, device="cpu"
    )


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


def gene_transformer(
    profiles: pd.DataFrame,
    known: Known,
    targets: Sequence[str],
    epochs: int = 20,
    learning_rate: float = 2e-3,
    models: int = 1,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict profiles by attention over genes.

    Parameters
    ----------
    profiles, targets
        As in `starter.baselines`.
    known
        Features of targets, and of genes.
    epochs, learning_rate
        Of the training.
    models
        How many are trained, with other first weights, and averaged.
    seed
        Of weights, order and dropout.

    Returns
    -------
    One row a target, same columns as `profiles`. A target of which nothing is known gets the train mean.
    """
    task = prepare(profiles, known, targets)
    if len(task.targets) < 2 or not task.names:
        return task.train_mean
    answers = []
    for number in range(models):
        with training.seeded(seed, number):
            model = GeneTransformer(task.genes.shape[1], task.targets.shape[1])
        settings = training.Settings(epochs=epochs, learning_rate=learning_rate, weight_decay=0.05, seed=seed + number)
        train(model, task, settings)
        answers.append(predict(model, task))
    return sum(answers) / models
