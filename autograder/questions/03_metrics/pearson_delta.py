"""Question `pearson_delta`: the correlation of measured and predicted effects, with constant ones."""

import numpy as np
import scipy.spatial.distance
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Close
from starter.answers.kinds import Function

from .shared import STEP, WITHOUT


def _beyond(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give profiles with one reference for all, or one each; a measured and a predicted one differ by a constant."""
    cases = []
    for n_perturbations, n_genes, of_each in ((4, 9, False), (5, 6, True), (3, 13, True)):
        shape = (n_perturbations, n_genes)
        measured, predicted, reference = (np.rint(rng.gamma(3.0, 0.5, shape) / STEP) * STEP for _ in range(3))
        reference = reference if of_each else reference[0]
        for side, row in zip((measured, predicted), rng.permutation(n_perturbations)[:2], strict=True):
            side[row] = (reference[row] if of_each else reference) + 4 * STEP
        cases.append({"measured": measured, "predicted": predicted, "reference": reference})
    return cases


def _correlations(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    pairs = zip(measured, predicted, strict=True)
    return np.array([scipy.stats.pearsonr(x, y).statistic if np.ptp(x) and np.ptp(y) else 0.0 for x, y in pairs])


def _pearson_delta(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return _correlations(measured - reference, predicted - reference)


def _of_profiles(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    del reference
    return _correlations(measured, predicted)


def _cosines(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    pairs = zip(measured - reference, predicted - reference, strict=True)
    return np.array([1 - scipy.spatial.distance.cosine(x, y) for x, y in pairs])


def _undefined(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    values = _pearson_delta(measured, predicted, reference)
    constant = [np.ptp(profiles - reference, axis=1) == 0 for profiles in (measured, predicted)]
    return np.where(np.logical_or(*constant), np.nan, values)


def _without_root(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    x, y = (side - reference - (side - reference).mean(axis=1, keepdims=True) for side in (measured, predicted))
    squares = (x**2).sum(axis=1) * (y**2).sum(axis=1)
    return np.divide((x * y).sum(axis=1), squares, out=np.zeros(len(x)), where=squares > 0)


QUESTION = Question(
    name="pearson_delta",
    asks=Function("pearson_delta"),
    inputs=_beyond,
    due=_pearson_delta,
    hints=(
        "Correlate what goes beyond the reference, not the profiles: these are alike for all perturbations.",
        (
            "x = measured - reference, y = predicted - reference, each minus its mean; r = sum(x y) / "
            "sqrt(sum(x^2) sum(y^2))"
        ),
        (
            "x and y: perturbations x genes; row means as a column (keepdims); three sums over axis 1; 0 where "
            "the root is 0"
        ),
    ),
    mistakes=(
        Mistake(
            "this correlates profiles; subtract the reference from both sides (one of one row: a number a gene)",
            _of_profiles,
        ),
        Mistake("this is a cosine; subtract each row's mean over the genes before you multiply", _cosines),
        Mistake("a difference that is the same for every gene gives nan here; it is to give 0", _undefined),
        Mistake(
            "only the prediction has the reference subtracted; subtract it from the measured side, too",
            lambda measured, predicted, reference: _correlations(measured, predicted - reference),
        ),
        Mistake(
            "the root below the line is missing: divide by the root of the product of both sums of squares",
            _without_root,
        ),
    ),
    comparator=Close(rtol=1e-6, atol=1e-9),
    without=WITHOUT,
)
