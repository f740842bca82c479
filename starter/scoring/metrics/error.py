"""How far the predicted profile is from the measured one."""

import numpy as np

from starter.scoring.screens.summary import Reference, Summary


def mae(truth: Summary, prediction: Summary) -> np.ndarray:
    """Mean absolute error over all genes, the target included, in log1p expression.

    Controls play no part, which is why editing them cannot improve it.

    Returns
    -------
    One value a perturbation, 0 (perfect) or more.
    """
    return np.abs(prediction.profiles.astype(float) - truth.profiles).mean(axis=1)


def rmse(truth: Reference, prediction: Summary) -> np.ndarray:
    """Root mean squared error over all genes, the target included, in log1p expression.

    PerturBench's RMSE of average expression, Wu et al. (2024), arXiv:2408.10609.

    Returns
    -------
    One value a perturbation, 0 (perfect) or more.
    """
    return np.sqrt(((prediction.profiles.astype(float) - truth.profiles) ** 2).mean(axis=1))


def weighted_mse(truth: Reference, prediction: Summary) -> np.ndarray:
    """Mean squared error in which genes count by how strongly they change (WMSE).

    sum_g w_g (predicted_g - measured_g)^2 with the truth's weights; Mejia et al. (2025), "Diversity by design",
    arXiv:2506.22641. With equal weights it is the plain mean squared error.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes; truth has weights.

    Returns
    -------
    One value a perturbation, 0 (perfect) or more, in squared log1p expression.
    """
    return (truth.weights * (prediction.profiles.astype(float) - truth.profiles) ** 2).sum(axis=1)
