"""Question `knn`: the mean effect of the targets that are most alike."""

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT, regressions


def _neighbourhoods(rng: np.random.Generator) -> list[dict[str, object]]:
    """Put beside one wanted target k short rows that point its way, a row that is near, and a long one."""
    cases = regressions(rng, "k", (3, 4, 2))
    for case in cases:
        features, wanted, k = case["features"], case["wanted"][0], case["k"]
        length = np.linalg.norm(wanted)
        aside = rng.normal(size=len(wanted))
        aside -= aside @ wanted / length**2 * wanted
        aside *= 0.5 * length / np.linalg.norm(aside)
        short = 0.1 * (wanted + rng.uniform(-0.1, 0.1, (k, 1)) * aside)
        rows = rng.permutation(len(features))[: k + 2]
        features[rows] = np.vstack([short, wanted + aside, 5 * (wanted - aside)])
    return cases


def _knn(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int, metric: str = "cosine") -> np.ndarray:
    return KNeighborsRegressor(k, metric=metric).fit(features, effects).predict(wanted)


def _euclidean(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _knn(features, effects, wanted, k, "euclidean")


def _longest(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return np.array([effects[np.argsort(-(features @ row))[:k]].mean(axis=0) for row in wanted])


def _farthest(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _knn(-features, effects, wanted, k)


def _one_more(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _knn(features, effects, wanted, k + 1)


def _sum_of_nearest(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return k * _knn(features, effects, wanted, k)


def _without_first(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return ((k + 1) * _knn(features, effects, wanted, k + 1) - _knn(features, effects, wanted, 1)) / k


def _unit_columns(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _longest(features / np.linalg.norm(features, axis=0), effects, wanted, k)


QUESTION = Question(
    name="knn",
    asks=Function("knn"),
    inputs=_neighbourhoods,
    due=_knn,
    hints=(
        "Targets with features that point the same way may do the same: average the effects of the most alike.",
        "cosine = f . w / (|f| |w|); the mean effect of the k targets with the largest",
        (
            "unit rows of features; similarity: wanted x measured; places of the k largest in each row; mean: "
            "wanted x genes"
        ),
    ),
    mistakes=(
        Mistake("these are the nearest by Euclidean distance; compare directions (cosine)", _euclidean),
        Mistake("long rows win here; divide each row of features by its length first", _longest),
        Mistake("these are the k least alike; sort from the most alike", _farthest),
        Mistake("this is the mean of k + 1 effects; take k", _one_more),
        Mistake("this is the sum of the effects; take their mean", _sum_of_nearest),
        Mistake(
            "the most alike is left out; `wanted` is not among the measured targets, so take the first k",
            _without_first,
        ),
        Mistake("each column is divided by its length; divide each row by its own length (axis=1)", _unit_columns),
    ),
    without=WITHOUT,
)
