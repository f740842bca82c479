"""Question `pds`: the perturbation discrimination score of each prediction."""

from typing import Literal

import numpy as np
import pandas as pd
import scipy.spatial.distance
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import STEP, WITHOUT

Metric = Literal["cityblock", "euclidean"]
TARGETS = tuple(f"GENE{letter}" for letter in "ABCDEFGHIJ")


def _effects(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give tables of effects in which own genes are far off, two measured effects are equal, one target is no gene."""
    cases = []
    for n_targets, n_genes in ((8, 12), (7, 10), (10, 14)):
        targets = list(rng.permutation(TARGETS)[:n_targets])
        genes = [*targets[:-1], *(f"GENE{number}" for number in range(n_genes - n_targets + 1))]
        genes = list(rng.permutation(genes))
        measured = rng.normal(0, 0.5, (n_targets, n_genes))
        predicted = measured + rng.normal(0, 1.0, measured.shape)
        tables = [pd.DataFrame(np.rint(x / STEP) * STEP, index=targets, columns=genes) for x in (measured, predicted)]
        for target in targets[:-1]:
            # nobody's prediction of the own gene comes near the measured one
            tables[0].loc[target, target] = -STEP * rng.integers(128, 256)
            tables[1].loc[target, target] = STEP * rng.integers(128, 256)
        _tempt(tables[0], tables[1], targets[0], targets[1], targets[-1])
        first, second = rng.choice(targets[2:-1], 2, replace=False)
        tables[0].loc[second] = tables[0].loc[first]
        cases.append({"measured": tables[0], "predicted": tables[1]})
    return cases


def _tempt(measured: pd.DataFrame, predicted: pd.DataFrame, one: str, two: str, other: str) -> None:
    """Put the effect of a target that is no gene near the predictions of two others.

    It is nearer to the first one than the right effect is, but not by Euclid nor without all targets' genes; it is
    farther from the second one, but not with that target's own gene.
    """
    sign = np.where(np.arange(measured.shape[1]) % 2, STEP, -STEP)
    measured.loc[other] = predicted.loc[one]
    measured.loc[other, measured.columns.difference(measured.index)[0]] += 16 * STEP * (measured.shape[1] // 2 + 1)
    measured.loc[one] = predicted.loc[one] + 16 * sign
    predicted.loc[two] = measured.loc[other] - 16 * sign
    measured.loc[two] = predicted.loc[two] + 6 * sign
    measured.loc[one, one] = predicted.loc[one, one] - 256 * STEP
    measured.loc[two, two] = predicted.loc[two, two] - 512 * STEP


def _distances(measured: pd.DataFrame, predicted: pd.DataFrame, metric: Metric = "cityblock") -> np.ndarray:
    rows = []
    for target in measured.index:
        genes = measured.columns.drop(target, errors="ignore")
        rows.append(scipy.spatial.distance.cdist(predicted.loc[[target], genes], measured[genes], metric)[0])
    return np.array(rows)


def _scores(distances: np.ndarray) -> np.ndarray:
    """Rank the right one, whose distance is on the diagonal; equal ones share their rank."""
    ranks = scipy.stats.rankdata(distances, axis=1).diagonal()
    return 1 - (ranks - 1) / (len(distances) - 1)


def _pds(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _scores(_distances(measured, predicted))


def _pds_own_gene(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _scores(scipy.spatial.distance.cdist(predicted, measured, "cityblock"))


def _pds_no_targets(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    genes = measured.columns.difference(measured.index)
    return _scores(scipy.spatial.distance.cdist(predicted[genes], measured[genes], "cityblock"))


def _pds_without_ties(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    ranks = scipy.stats.rankdata(_distances(measured, predicted), method="min", axis=1).diagonal()
    return 1 - (ranks - 1) / (len(measured) - 1)


def _pds_over_all(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return 1 - (1 - _pds(measured, predicted)) * (len(measured) - 1) / len(measured)


def _pds_squared(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _scores(_distances(measured, predicted, "euclidean"))


def _pds_other_way(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _pds(predicted, measured)


def _pds_as_rank(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return 1 - _pds(measured, predicted)


def _pds_signed(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    kept = [measured.columns.drop(target, errors="ignore") for target in measured.index]
    sums = [
        measured[genes].sum(axis=1) - predicted.loc[own, genes].sum()
        for own, genes in zip(measured.index, kept, strict=True)
    ]
    return _scores(np.array(sums))


def _pds_counted(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return (1 - _pds(measured, predicted)) * (len(measured) - 1)


QUESTION = Question(
    name="pds",
    asks=Function("pds"),
    inputs=_effects,
    due=_pds,
    hints=(
        (
            "Is a prediction nearer to its own measured effect than to the others'? The target's own gene would "
            "give it away."
        ),
        (
            "1 - (number nearer + half of the others as near) / (number of perturbations - 1), by the sum of "
            "absolute differences"
        ),
        "for each target: columns without its own gene; distances of its prediction to every measured row; one score",
    ),
    mistakes=(
        Mistake("the target's own gene is in the distances; leave out its column", _pds_own_gene),
        Mistake("all targets' genes are left out; leave out only the own one of each prediction", _pds_no_targets),
        Mistake("effects exactly as far as the right one count half; here they do not count", _pds_without_ties),
        Mistake("the count is divided by all perturbations; divide by the number of the others", _pds_over_all),
        Mistake("this is the Euclidean distance; sum the absolute differences", _pds_squared),
        Mistake(
            "here the predictions are ranked for each measured effect; rank the measured effects for each prediction",
            _pds_other_way,
        ),
        Mistake("this is the share that is nearer; the score is 1 minus it", _pds_as_rank),
        Mistake("np.abs is missing, so that distances up and down cancel", _pds_signed),
        Mistake(
            "those that are nearer are counted, not a share; divide by the others, and take it from 1", _pds_counted
        ),
    ),
    without=WITHOUT,
)
