"""Whether a predicted effect resembles its own perturbation more than the others (PDS)."""

import numpy as np
import scipy.spatial.distance

from starter.summary import Summary


def discrimination_score_l1(truth: Summary, prediction: Summary) -> np.ndarray:
    """Perturbation discrimination score of VCC 2025: 1 - rank / n.

    The predicted effect is compared by L1 distance with every measured effect, over all genes but the
    perturbation's own target; rank is the number of perturbations that are nearer than the right one.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation in [1/n, 1]; a constant prediction scores (n + 1) / 2n on average.
    """
    distances = _distances(truth, prediction)
    n = len(distances)
    # the reference tool breaks ties by this sort
    ranks = [int(np.flatnonzero(np.argsort(row) == own)[0]) for own, row in enumerate(distances)]
    return 1 - np.array(ranks, dtype=float) / n


def discrimination_score_l1_midrank(truth: Summary, prediction: Summary) -> np.ndarray:
    """Perturbation discrimination score of the course: 1 - midrank / (n - 1).

    Ties count half, and a constant prediction scores .5 on average whatever n.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes.

    Returns
    -------
    One value a perturbation in [0, 1]; NaN if there is one perturbation only.
    """
    distances = _distances(truth, prediction)
    n = len(distances)
    if n < 2:
        return np.full(n, np.nan)
    own = np.diag(distances)[:, None]
    midranks = (distances < own).sum(axis=1) + ((distances == own).sum(axis=1) - 1) / 2
    return 1 - midranks / (n - 1)


def rank_matrix(truth: Summary, prediction: Summary) -> np.ndarray:
    """Rank of every measured effect by its distance from every predicted one.

    Parameters
    ----------
    truth, prediction
        Summaries of the same P perturbations and genes.

    Returns
    -------
    P x P integers; row p holds 0 at the measured effect nearest to the prediction of p.
    """
    return _distances(truth, prediction).argsort(axis=1).argsort(axis=1)


def _distances(truth: Summary, prediction: Summary) -> np.ndarray:
    measured, predicted = truth.effects(), prediction.effects()
    distances = np.empty((len(predicted), len(measured)))
    for row, perturbation in enumerate(truth.perturbations):
        genes = truth.genes != perturbation
        distances[row] = scipy.spatial.distance.cdist(predicted[row : row + 1, genes], measured[:, genes], "cityblock")
    return distances
