"""How far the predicted profile is from the measured one."""

import numpy as np

from starter.summary import Summary


def mae(truth: Summary, prediction: Summary) -> np.ndarray:
    """Mean absolute error over all genes, the target included, in log1p expression.

    Controls play no part, which is why editing them cannot improve it.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation, 0 (perfect) or more.
    """
    return np.abs(prediction.profiles.astype(float) - truth.profiles).mean(axis=1)
