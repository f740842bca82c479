"""Whether a prediction resembles its own perturbation more than the others (PDS, centroid accuracy, rank)."""

import numpy as np
import scipy.spatial.distance

from starter.scoring.screens.summary import Reference, Summary


def discrimination_score_l1(truth: Summary, prediction: Summary) -> np.ndarray:
    """Perturbation discrimination score of VCC 2025: 1 - rank / n.

    The predicted effect is compared by L1 distance with every measured effect, over all genes but the
    perturbation's own target; rank is the number of perturbations that are nearer than the right one.

    Returns
    -------
    One value a perturbation in [1/n, 1]; a constant prediction scores (n + 1) / 2n on average.
    """
    # the reference tool knows a target by the whole label: of A+B it leaves out neither
    distances = _distances(truth, prediction, truth.genes == truth.perturbations[:, None])
    n = len(distances)
    # the reference tool breaks ties by this sort
    ranks = [int(np.flatnonzero(np.argsort(row) == own)[0]) for own, row in enumerate(distances)]
    return 1 - np.array(ranks, dtype=float) / n


def discrimination_score_l1_midrank(truth: Summary, prediction: Summary) -> np.ndarray:
    """Perturbation discrimination score of the course: 1 - midrank / (n - 1).

    Both targets of A+B are left out, ties count half, and a constant prediction scores .5 on average whatever n.

    Returns
    -------
    One value a perturbation in [0, 1]; NaN if there is one perturbation only.
    """
    return 1 - _midranks(_distances(truth, prediction, truth.own_targets()))


def centroid_accuracy(truth: Reference, prediction: Summary) -> np.ndarray:
    """Share of the other measured profiles that are farther from the prediction than the right one.

    The others are all perturbations that were measured, also those that are not scored. Distances are Euclidean, over
    all genes, the target included; a measured profile that is exactly as far as the right one does not count. The
    centroid accuracy of Systema, Viñas Torné et al. (2025), Nature Biotechnology.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes; truth may have others.

    Returns
    -------
    One value a perturbation in [0, 1]; NaN if one perturbation only was measured. Among the scored perturbations alone,
    the same prediction for every one scores .5 on average whatever n, and less only where measured profiles are equally
    far.
    """
    distances = _profile_distances(truth, prediction)
    own = np.diag(distances)[:, None]
    if truth.others is not None:
        distances = np.hstack([distances, scipy.spatial.distance.cdist(prediction.profiles, truth.others)])
    n = distances.shape[1]
    if n < 2:
        return np.full(len(distances), np.nan)
    return (distances > own).sum(axis=1) / (n - 1)


def rank(truth: Reference, prediction: Summary) -> np.ndarray:
    """Share of the other predictions that are nearer to the measured profile than the right one.

    PerturBench's rank by RMSE, Wu et al. (2024), arXiv:2408.10609: `centroid_accuracy` fixes a prediction and ranks the
    measured profiles, this fixes a measured profile and ranks the predictions. PerturBench breaks ties at random; here
    they count half.

    Returns
    -------
    One value a perturbation in [0, 1], 0 best, .5 for the same prediction everywhere; NaN if there is one perturbation
    only.
    """
    return _midranks(_profile_distances(truth, prediction).T)


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
    return _distances(truth, prediction, truth.own_targets()).argsort(axis=1).argsort(axis=1)


def _distances(truth: Summary, prediction: Summary, own: np.ndarray) -> np.ndarray:
    """L1 distance of every predicted effect from every measured one, over all but the prediction's own genes."""
    measured, predicted = truth.effects(), prediction.effects()
    distances = np.empty((len(predicted), len(measured)))
    for row, genes in enumerate(~own):
        distances[row] = scipy.spatial.distance.cdist(predicted[row : row + 1, genes], measured[:, genes], "cityblock")
    return distances


def _profile_distances(truth: Summary, prediction: Summary) -> np.ndarray:
    return scipy.spatial.distance.cdist(prediction.profiles, truth.profiles)


def _midranks(distances: np.ndarray) -> np.ndarray:
    n = len(distances)
    if n < 2:
        return np.full(n, np.nan)
    own = np.diag(distances)[:, None]
    return ((distances < own).sum(axis=1) + ((distances == own).sum(axis=1) - 1) / 2) / (n - 1)
