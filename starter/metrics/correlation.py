"""Whether predicted and measured effects go the same way."""

import numpy as np

from starter.summary import Summary

ROUNDING = 1e-6
"""Spread of an effect, in log1p expression, that float32 rounding alone can make."""


def pearson_delta(truth: Summary, prediction: Summary) -> np.ndarray:
    """Pearson correlation over all genes of predicted and measured effect, each against its own control.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation in [-1, 1]; NaN where an effect is the same for every gene.
    """
    measured, predicted = (_centred(side.effects()) for side in (truth, prediction))
    length = np.sqrt((measured**2).sum(axis=1) * (predicted**2).sum(axis=1))
    return np.divide((measured * predicted).sum(axis=1), length, out=np.full(len(length), np.nan), where=length > 0)


def pearson_delta_or_zero(truth: Summary, prediction: Summary) -> np.ndarray:
    """`pearson_delta`, with 0 where an effect is the same for every gene: it tells nothing.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation in [-1, 1].
    """
    constant = np.any([np.ptp(side.effects(), axis=1) <= ROUNDING for side in (truth, prediction)], axis=0)
    return np.where(constant, 0.0, pearson_delta(truth, prediction))


def _centred(effects: np.ndarray) -> np.ndarray:
    centred = effects - effects.mean(axis=1, keepdims=True, dtype=float)
    centred[np.ptp(effects, axis=1) == 0] = 0
    return centred
