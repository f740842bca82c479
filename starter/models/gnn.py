"""A graph network: what a gene's neighbours did when they were switched off tells what the gene will do.

Every measured target holds its effect, reduced to a few numbers. Messages carry them along a gene graph, some steps far
(SGConv, Wu et al. 2019). A small network in the manner of GEARS (Roohani et al. 2024, Nat. Biotechnol. 42:927) turns
what a target hears from several graphs into the effect on every gene. It is not GEARS: a target holds what was measured
of it, in place of free numbers that have to be learned; it never hears itself, so that it is trained on what it will be
asked; the direction term of the loss has a gradient; no messages pass among co-expressed genes, no network across genes
stands at the end; and it learns from profiles, not from cells.

This module needs torch (the extra `student`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn

from starter.errors import InputError
from starter.models.baselines import Profiles, train_mean
from starter.priors.graphs import adjacency
from starter.schema import CONTROL
from starter.training import loop

STEPS = 2
"""How far messages go."""
COMPONENTS, EXAMPLES_EACH = 12, 8
"""Numbers that stand for an effect, and training perturbations that each of them takes."""
WIDTH = 16
"""Of gene and perturbation embeddings."""
SETTINGS = loop.Settings(epochs=15, learning_rate=0.02, weight_decay=1e-3, clip=None)
BATCH = 32
"""Perturbations of a batch."""
DIRECTION = 0.1
"""Weight of the direction term, as in GEARS."""


def normalise(matrix: scipy.sparse.spmatrix) -> scipy.sparse.csr_matrix:
    """Let every gene listen to itself and its neighbours, to hubs less: D^-1/2 (A + I) D^-1/2, D the row sums of A + I.

    Kipf and Welling (2017), "Semi-supervised classification with graph convolutional networks", equation 2. A is
    genes x genes, symmetric, with an empty diagonal.
    """
    with_self = matrix + scipy.sparse.identity(matrix.shape[0], format="csr")
    scale = scipy.sparse.diags(1 / np.sqrt(np.asarray(with_self.sum(axis=1)).ravel()))
    return (scale @ with_self @ scale).tocsr()


def propagate(
    matrix: scipy.sparse.spmatrix, features: np.ndarray | scipy.sparse.spmatrix, steps: int = STEPS
) -> np.ndarray | scipy.sparse.spmatrix:
    """Pass messages along a graph: matrix^steps features, one product a step."""
    for _ in range(steps):
        features = matrix @ features
    return features


def reach(edges: pd.DataFrame, targets: Sequence[str], sources: Sequence[str], steps: int = STEPS) -> np.ndarray:
    """Say how much of what a target hears comes from each source.

    Parameters
    ----------
    edges
        A gene graph.
    targets
        Perturbations that listen; a double A+B hears what A and B hear.
    sources
        Measured perturbations that speak. None is heard by itself.
    steps
        How far messages go.

    Returns
    -------
    Targets x sources; a row sums to 1, or is 0 where no message arrives.
    """
    matrix, genes = adjacency(edges)
    messages = propagate(normalise(matrix), _places(targets, genes).T, steps).T  # symmetric: there as back
    heard = (messages @ _places(sources, genes).T).toarray()  # targets x genes, genes x sources -> targets x sources
    heard[np.equal.outer(np.asarray(targets, dtype=object), np.asarray(sources, dtype=object))] = 0
    total = heard.sum(axis=1, keepdims=True)
    return np.divide(heard, total, out=np.zeros_like(heard), where=total > 0)


class GraphNetwork(nn.Module):
    """Effects of perturbations on genes.

    A perturbation's messages pass a linear layer (with the propagation before it, this is SGConv); the result is added
    to every gene's embedding; each gene reads the sum with weights of its own; and the control expression is added.
    """

    def __init__(self, n_messages: int, n_genes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.conv = nn.Linear(n_messages, width, bias=False)
        self.gene = nn.Parameter(0.3 * torch.randn(n_genes, width))
        self.weight = nn.Parameter(0.1 * torch.randn(n_genes, width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(n_genes))

    def forward(self, heard: Tensor, control: Tensor) -> Tensor:
        """Predict expression, perturbations x genes, from messages (perturbations x n_messages) and control (genes)."""
        perturbation = self.conv(heard)  # perturbations x width
        hidden = torch.relu(self.gene + perturbation[:, None])  # perturbations x genes x width
        return control + (hidden * self.weight).sum(dim=2) + self.bias  # perturbations x genes


def direction_loss(predicted: Tensor, measured: Tensor, control: Tensor, width: float) -> Tensor:
    """Ask whether genes go the right way: mean (sign(measured effect) - tanh(predicted effect / width))^2.

    GEARS takes the sign of the predicted effect, whose derivative is 0 wherever it has one, so that its term changes no
    gradient, whatever its weight. The hyperbolic tangent is a sign with a slope.

    Parameters
    ----------
    predicted, measured
        Expression, perturbations x genes.
    control
        Expression of the control, genes.
    width
        Predicted effect from which on the direction counts as clear, in units of expression.
    """
    return (torch.sign(measured - control) - torch.tanh((predicted - control) / width)).square().mean()


def loss_terms(
    network: nn.Module, batch: tuple[Tensor, Tensor], control: Tensor, direction: float = DIRECTION
) -> dict[str, Tensor]:
    """Give the terms of the loss: error (mean squared) and direction, which is weighted.

    The batch holds messages and measured expression, a row a perturbation. One unit of expression is the spread of the
    training effects (see `train`), which is also the width of the direction term.
    """
    heard, measured = batch
    control = control.to(measured.device)
    predicted = network(heard, control)
    terms = {"error": (predicted - measured).square().mean()}
    if direction:
        terms["direction"] = direction * direction_loss(predicted, measured, control, width=1.0)
    return terms


def train(
    network: nn.Module,
    heard: np.ndarray,
    measured: np.ndarray,
    control: np.ndarray,
    seed: int = 0,
    direction: float = DIRECTION,
    settings: loop.Settings = SETTINGS,
) -> tuple[Callable[[np.ndarray], np.ndarray], pd.DataFrame]:
    """Train a network on profiles, in place. It begins at the mean effect.

    Parameters
    ----------
    network
        Such as `GraphNetwork`; its `bias` holds an effect on each gene.
    heard
        Training perturbations x messages.
    measured
        Their profiles, perturbations x genes, mean log1p expression.
    control
        The control's profile.
    seed
        Fixes the order of the perturbations.
    direction
        Weight of the direction term.
    settings
        Of the training.

    Returns
    -------
    A function from messages to predicted profiles, and the history.
    """
    effects = measured - control
    unit = effects.std() or 1.0  # so that the learning rate fits weak screens and strong ones
    heard_scale = np.sqrt((heard**2).mean()) or 1.0
    inputs, outputs, base = (
        torch.from_numpy(np.asarray(values, dtype=np.float32))
        for values in (heard / heard_scale, measured / unit, control / unit)
    )
    with torch.no_grad():
        network.get_parameter("bias").copy_(torch.from_numpy(effects.mean(axis=0) / unit))
    batches = loop.in_memory(inputs, outputs, batch_size=BATCH, seed=seed)
    history = loop.fit(network, lambda model, batch, over: loss_terms(model, batch, base, direction), batches, settings)

    def predict(heard: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return (
                network(torch.from_numpy((heard / heard_scale).astype(np.float32)), base).numpy().astype(float) * unit
            )

    return predict, history


def effect_numbers(values: np.ndarray, n: int = COMPONENTS) -> np.ndarray:
    """Reduce profiles or effects, perturbations x genes, to at most n principal components, perturbations x numbers.

    There are fewer where there are not `EXAMPLES_EACH` perturbations for each.
    """
    centred = values - values.mean(axis=0)
    left, length, _ = np.linalg.svd(centred, full_matrices=False)  # perturbations x rank, rank
    n = min(n, max(1, len(values) // EXAMPLES_EACH))
    return left[:, :n] * length[:n]


def fit(
    profiles: pd.DataFrame,
    known: Mapping[str, pd.DataFrame],
    steps: int = STEPS,
    direction: float = DIRECTION,
    network: Callable[[int, int], nn.Module] = GraphNetwork,
    seed: int = 0,
    features: Callable[[np.ndarray], np.ndarray] = effect_numbers,
) -> Profiles:
    """Learn from what the neighbours of each training perturbation in several graphs did.

    Parameters
    ----------
    profiles
        As of every `starter.models.baselines.Model`.
    known
        Gene graphs by name (`starter.priors.graphs`).
    steps
        How far messages go.
    direction
        Weight of the loss's direction term.
    network
        Makes the network from numbers of messages and genes.
    seed
        Fixes the first weights and the order of the perturbations.
    features
        Makes the numbers that measured targets hold and tell, measured x numbers, from their profiles.

    Returns
    -------
    A function from targets to predicted profiles, one row a target, never below 0. A target that no message reaches
    gets the train mean.

    Raises
    ------
    InputError
        If the profiles lack the control or any perturbation, or there is no graph.
    """
    train_mean(profiles, None, [])  # which looks at the profiles
    if not known:
        msg = "a graph network needs a gene graph; give one or more by name"
        raise InputError(msg)
    measured, control = profiles.drop(index=CONTROL), profiles.loc[CONTROL].to_numpy(float)
    values = measured.to_numpy(float)
    numbers = features(values)  # measured x numbers

    def hear(listeners: Sequence[str]) -> np.ndarray:
        return np.hstack([reach(edges, listeners, measured.index, steps) @ numbers for edges in known.values()])

    heard = hear(measured.index)
    learns = heard.any(axis=1)
    if learns.sum() < 2:
        return lambda targets: train_mean(profiles, None, targets)
    with loop.seeded(seed):
        made = network(heard.shape[1], values.shape[1])
    answer, _ = train(made, heard[learns], values[learns], control, seed, direction)

    def predict(targets: Sequence[str]) -> pd.DataFrame:
        predicted, wanted = train_mean(profiles, None, targets), hear(targets)
        if (asked := wanted.any(axis=1)).any():
            predicted.loc[asked] = np.maximum(answer(wanted[asked]), 0)
        return predicted

    return predict


def gnn(
    profiles: pd.DataFrame, known: Mapping[str, pd.DataFrame], targets: Sequence[str], **settings: Any
) -> pd.DataFrame:
    """Predict perturbations from what their neighbours in several graphs did, as a `starter.models.baselines.Model`.

    Parameters
    ----------
    profiles, known
        As `fit` takes them.
    targets
        As of every `starter.models.baselines.Model`.
    settings
        Keywords of `fit`.

    Returns
    -------
    One row a target, same columns as `profiles`.
    """
    return fit(profiles, known, **settings)(targets)


def _places(names: Sequence[str], genes: np.ndarray) -> scipy.sparse.csr_matrix:
    """Mark each perturbation's genes, perturbations x genes; genes that the graph does not have are not marked."""
    place = {gene: number for number, gene in enumerate(genes)}
    marks = [(row, place[gene]) for row, name in enumerate(names) for gene in name.split("+") if gene in place]
    rows, columns = np.array(marks, dtype=int).reshape(-1, 2).T
    return scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(genes)))
