"""What several questions of notebook 09 share."""

import numpy as np

WITHOUT = ("starter.models", "starter.scoring", "starter.prediction", "starter.statistics")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""


def members(rng: np.random.Generator, n_models: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw what was measured and what models predict of it, about 0.

    Parameters
    ----------
    n_models, shape
        Models; perturbations and genes.

    Returns
    -------
    Predicted, models x perturbations x genes: the last model is the first one and much that is wrong, so that least
    squares would give it a weight below 0. Measured, perturbations x genes: a part of every model but the last.
    """
    known = rng.normal(size=(n_models - 1, *shape))
    wrong = rng.normal(size=shape)
    share = rng.uniform(0.15, 0.3, n_models - 1)
    measured = np.tensordot(share, known, 1) - 0.4 * wrong + 0.3 * rng.normal(size=shape)
    predicted = np.concatenate([known, (known[0] + wrong)[None]])
    return predicted, measured
