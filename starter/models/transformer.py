"""Attention over genes: a transformer that predicts the effect of switching off a gene that nobody has perturbed.

A gene is a token: how it responded to the perturbations that were measured, and what else is known of it. The perturbed
gene is one token more, made of its features. Tokens have no order: whoever shuffles the genes shuffles the answer.

This module needs torch (the extra `student`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from starter.models.attention import Block, target_network
from starter.models.baselines import Profiles, train_mean
from starter.models.gene_task import Known, predict, prepare, train
from starter.priors.features import of_targets
from starter.schema import CONTROL
from starter.training import loop


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


def gene_tokens(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    """Describe each gene by how it responded, and by what else is known of it.

    Parameters
    ----------
    effects
        Training perturbations x genes.
    more
        Genes x other features.
    n
        Principal components of the effects.

    Returns
    -------
    Genes x (components + features). A component's column holds its loadings times its standard deviation; one factor
    brings all of these to a mean square of 1. Features are standardised.
    """
    found = PCA(n, svd_solver="full").fit(effects)
    responses = found.components_.T * np.sqrt(found.explained_variance_)  # genes x components
    size = np.sqrt((responses**2).mean())
    return np.hstack([responses / (size or 1.0), StandardScaler().fit_transform(more)])


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
    task, trained = prepare(profiles, known, [], gene_tokens), []
    for number in range(models):
        with loop.seeded(seed, number):
            model = network(task.genes.shape[1], task.targets.shape[1])
        settings = loop.Settings(epochs=epochs, learning_rate=learning_rate, weight_decay=0.05, seed=seed + number)
        train(model, task, settings)
        trained.append(model)

    def answer(targets: Sequence[str]) -> pd.DataFrame:
        asked = prepare(profiles, known, targets, gene_tokens)
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
