"""Perturbations of two targets: how their effects add up, and where they do not."""

import numpy as np
import pandas as pd

from starter.simulation.responses import EFFECT_LIMIT, rms

SURPRISING = 0.5
"""Share of doubles that do what neither single does."""
SURPRISE = 0.8
"""Root mean square of what is new, relative to the weighted sum of the singles."""
SURPRISED = 0.06
"""Share of the genes that a surprise changes."""
MOSTLY_ONE, LITTLE, MUCH = 0.6, 0.6, 1.0
"""From which difference of its two weights a double is epistatic; below and above which mean of them it is buffering
and synergistic."""
KINDS = ("additive", "buffering", "synergistic", "epistatic", "neomorphic")


def draw_pairs(n_targets: int, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Choose pairs of targets, n x 2, the first before the second."""
    first, second = np.triu_indices(n_targets, 1)
    chosen = np.sort(rng.choice(len(first), n_pairs, replace=False)) if n_pairs else np.arange(0)
    return np.stack([first[chosen], second[chosen]], axis=1)


def draw_doubles(
    effects: np.ndarray, pairs: np.ndarray, position: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw the effects of doubles: mostly less than the sum of the singles', some with a surprise.

    As in Norman et al. (2019), effects of pairs are near the sum, each single's weight being its own, and some pairs do
    what neither single does.

    Parameters
    ----------
    effects
        Natural log fold changes of the singles, C x T x G.
    pairs
        Rows of the two singles of each double, D x 2.
    position
        Column of each target among the genes, T.
    rng
        Decides about the weights and surprises.

    Returns
    -------
    The effects of the doubles, C x D x G, and how each came about: `weight_a` and `weight_b` of the singles, and its
    `kind`, one of `KINDS`.
    """
    n_pairs = len(pairs)
    weight = np.clip(rng.normal(0.75, 0.35, (n_pairs, 2, 1)), 0, 1.5)
    surprising = rng.random((n_pairs, 1)) < SURPRISING
    shape = n_pairs, effects.shape[2]
    new = rms(rng.standard_normal(shape) * (rng.random(shape) < SURPRISED))  # of genes that are the same everywhere
    doubles = []
    for of_context in effects:
        summed = (weight * of_context[pairs]).sum(axis=1)
        size = np.sqrt((summed**2).mean(axis=1, keepdims=True))
        double = np.clip(summed + surprising * SURPRISE * size * new, -EFFECT_LIMIT, EFFECT_LIMIT)
        for side in (0, 1):
            own = position[pairs[:, side]]
            double[np.arange(n_pairs), own] = of_context[pairs[:, side], own]
        doubles.append(double)
    first, second = weight[:, 0, 0], weight[:, 1, 0]
    return np.stack(doubles), pd.DataFrame(
        {"weight_a": first, "weight_b": second, "kind": _kinds(first, second, surprising[:, 0])}
    )


def _kinds(first: np.ndarray, second: np.ndarray, surprising: np.ndarray) -> np.ndarray:
    mean = (first + second) / 2
    conditions = [surprising, np.abs(first - second) >= MOSTLY_ONE, mean < LITTLE, mean > MUCH]
    return np.select(conditions, ["neomorphic", "epistatic", "buffering", "synergistic"], "additive")
