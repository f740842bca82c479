"""Question `mae`: the mean absolute error of each profile."""

import numpy as np
import scipy.spatial.distance

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _profiles(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give measured and predicted profiles, errors of either sign."""
    cases = []
    for n_perturbations, n_genes in ((4, 7), (3, 11), (6, 5)):
        measured = rng.gamma(2.0, 0.6, (n_perturbations, n_genes))
        predicted = np.maximum(measured + rng.normal(0, 0.4, measured.shape), 0)
        cases.append({"measured": measured, "predicted": predicted})
    return cases


def _mae(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    n_genes = measured.shape[1]
    return scipy.spatial.distance.cdist(predicted, measured, "cityblock").diagonal() / n_genes


QUESTION = Question(
    name="mae",
    asks=Function("mae"),
    inputs=_profiles,
    due=_mae,
    hints=(
        "How far is a prediction off, gene by gene, whichever way? Then one number per perturbation.",
        "mean over the genes of |predicted - measured|",
        "differences: perturbations x genes; their sizes likewise; the mean over axis 1: one per perturbation",
    ),
    mistakes=(
        Mistake("this is one number; average over the genes only (axis=1)", lambda **x: _mae(**x).mean()),
        Mistake(
            "this is one number a gene; average over the genes (axis=1), not over the perturbations",
            lambda measured, predicted: np.abs(predicted - measured).mean(axis=0),
        ),
        Mistake(
            "errors of different sign cancel; take the absolute difference before the mean",
            lambda measured, predicted: np.abs((predicted - measured).mean(axis=1)),
        ),
        Mistake(
            "this is the squared error; take the absolute difference",
            lambda measured, predicted: ((predicted - measured) ** 2).mean(axis=1),
        ),
        Mistake(
            "this is the root of the mean squared error; take the mean of absolute differences",
            lambda measured, predicted: np.sqrt(((predicted - measured) ** 2).mean(axis=1)),
        ),
        Mistake(
            "this is the sum over the genes; take the mean",
            lambda measured, predicted: np.abs(predicted - measured).sum(axis=1),
        ),
        Mistake(
            "np.abs is missing, so that errors up and down cancel",
            lambda measured, predicted: (predicted - measured).mean(axis=1),
        ),
        Mistake(
            "this is the median of the errors; take their mean",
            lambda measured, predicted: np.median(np.abs(predicted - measured), axis=1),
        ),
    ),
    without=WITHOUT,
)
