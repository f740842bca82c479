"""Question `true_ranks`: at which place the right perturbation stands when all are sorted by likeness."""

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _likenesses(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three tables with ties; in one row all is alike, as for a model that predicts the same for all."""
    cases = []
    for n, more in ((6, 3), (8, 2), (5, 5)):
        similarity = rng.integers(0, 5, (n, n + more)) / 4 - 0.3
        similarity[1] = 0.2
        own = np.arange(n)
        similarity[own[2:], own[2:]] += rng.choice([0.0, 0.5], n - 2)
        for row in own:  # each row has a tie with the right one, and something that is less alike
            similarity[row, (row + 1) % n] = similarity[row, row]
        similarity[0, 0], similarity[0, 1], similarity[0, 2:4] = 0.3, 0.3, (0.8, 0.1)
        cases.append({"similarity": similarity})
    return cases


def _places(similarity: np.ndarray, ties: str = "average") -> np.ndarray:
    ranks = scipy.stats.rankdata(-similarity, method=ties, axis=1)
    return np.array([ranks[row, row] for row in range(len(ranks))], dtype=float)


QUESTION = Question(
    name="true_ranks",
    asks=Function("true_ranks"),
    inputs=_likenesses,
    due=_places,
    hints=(
        "At which place stands the right one, if all are sorted by likeness? Ties share their places.",
        "1 + number that are more alike + half of the others that are as alike",
        (
            "likeness of the right one: the diagonal, as a column; comparisons: signatures x perturbations; one "
            "place per row"
        ),
    ),
    mistakes=(
        Mistake("the best place is 1, not 0", lambda similarity: _places(similarity) - 1),
        Mistake(
            "whoever is equally alike counts half, and not as beaten", lambda similarity: _places(similarity, "min")
        ),
        Mistake(
            "whoever is equally alike counts half, and not as winner", lambda similarity: _places(similarity, "max")
        ),
        Mistake("the least alike comes first here; sort from the most alike", lambda similarity: _places(-similarity)),
        Mistake(
            "these are places within a column; a row holds one signature's likeness to all perturbations",
            lambda similarity: _places(similarity[:, : len(similarity)].T),
        ),
        Mistake(
            "this is a share of all perturbations; give the place itself",
            lambda similarity: _places(similarity) / similarity.shape[1],
        ),
    ),
    without=WITHOUT,
)
