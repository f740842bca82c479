"""Learning from messages: what a target hears from measured perturbations, along several gene graphs.

Every measured target holds its effect, reduced to a few numbers, and tells them to those that hear it. How messages
travel, the network that reads them and the direction term of its loss are parts that can be exchanged.

This module needs torch (the extra `student`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from starter.errors import InputError
from starter.models.baselines import Profiles, train_mean
from starter.schema import CONTROL
from starter.training import loop

STEPS = 2
"""How far messages go."""
COMPONENTS, EXAMPLES_EACH = 12, 8
"""Numbers that stand for an effect, and training perturbations that each of them takes."""
SETTINGS = loop.Settings(epochs=15, learning_rate=0.02, weight_decay=1e-3, clip=None)
BATCH = 32
"""Perturbations of a batch."""
DIRECTION = 0.1
"""Weight of the direction term, as in GEARS."""
DirectionLoss = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""predicted and measured (perturbations x genes), control (genes), width -> one number: do genes go the right way?"""


class Parts(NamedTuple):
    """What a graph network is made of; `starter.models.gnn.PARTS` are the kit's."""

    reach: Callable[[pd.DataFrame, Sequence[str], Sequence[str], int], np.ndarray]
    """edges, targets that listen, measured ones that speak, steps -> targets x speakers: the share heard of each."""
    network: Callable[[int, int], nn.Module]
    """Makes the network from numbers of messages and genes; its `bias` holds an effect on each gene."""
    direction_loss: DirectionLoss


def loss_terms(
    network: nn.Module,
    batch: tuple[Tensor, Tensor],
    control: Tensor,
    direction_loss: DirectionLoss | None = None,
    weight: float = DIRECTION,
) -> dict[str, Tensor]:
    """Give the terms of the loss: error (mean squared) and, if it is given, direction, which is weighted.

    The batch holds messages and measured expression, a row a perturbation. One unit of expression is the spread of the
    training effects (see `train`), which is also the width of the direction term.
    """
    heard, measured = batch
    control = control.to(measured.device)
    predicted = network(heard, control)
    terms = {"error": (predicted - measured).square().mean()}
    if direction_loss and weight:
        terms["direction"] = weight * direction_loss(predicted, measured, control, 1.0)
    return terms


def train(
    network: nn.Module,
    heard: np.ndarray,
    measured: np.ndarray,
    control: np.ndarray,
    seed: int = 0,
    direction_loss: DirectionLoss | None = None,
    weight: float = DIRECTION,
    settings: loop.Settings = SETTINGS,
) -> tuple[Callable[[np.ndarray], np.ndarray], pd.DataFrame]:
    """Train a network on profiles, in place. It begins at the mean effect.

    Parameters
    ----------
    network
        From messages and control to expression; its `bias` holds an effect on each gene.
    heard
        Training perturbations x messages.
    measured
        Their profiles, perturbations x genes, mean log1p expression.
    control
        The control's profile.
    seed
        Fixes the order of the perturbations.
    direction_loss, weight
        The direction term and its weight; without it, the error alone.
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

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], over: float) -> dict[str, Tensor]:
        del over
        return loss_terms(model, batch, base, direction_loss, weight)

    history = loop.fit(network, loss, batches, settings)

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
    parts: Parts,
    steps: int = STEPS,
    direction: float = DIRECTION,
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
    parts
        What it is made of.
    steps
        How far messages go.
    direction
        Weight of the loss's direction term.
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
        return np.hstack([parts.reach(edges, listeners, measured.index, steps) @ numbers for edges in known.values()])

    heard = hear(measured.index)
    learns = heard.any(axis=1)
    if learns.sum() < 2:
        return lambda targets: train_mean(profiles, None, targets)
    with loop.seeded(seed):
        made = parts.network(heard.shape[1], values.shape[1])
    answer, _ = train(made, heard[learns], values[learns], control, seed, parts.direction_loss, direction)

    def predict(targets: Sequence[str]) -> pd.DataFrame:
        predicted, wanted = train_mean(profiles, None, targets), hear(targets)
        if (asked := wanted.any(axis=1)).any():
            predicted.loc[asked] = np.maximum(answer(wanted[asked]), 0)
        return predicted

    return predict
