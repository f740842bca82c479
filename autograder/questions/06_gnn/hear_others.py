"""Question `hear_others`: the shares of what a gene hears that come from each speaker, not from itself."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _listeners(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three matrices of messages, not symmetric; the first listener is a speaker, the second hears only itself."""
    cases = []
    for n, n_listeners, n_speakers in ((9, 4, 5), (12, 5, 7), (8, 3, 5)):
        spread = rng.uniform(0.05, 1, (n, n)) * (rng.random((n, n)) < 0.8)
        order = rng.permutation(n)
        speakers, rest = order[:n_speakers], order[n_speakers:]
        listeners = np.concatenate([speakers[:2], rest])[:n_listeners]
        spread[listeners[1], np.setdiff1d(np.arange(n), listeners[1])] = 0
        spread[listeners[:2], listeners[:2]] = rng.uniform(0.6, 1.5, 2)
        spread[listeners[0], speakers[1:3]] = rng.uniform(0.1, 1, 2)
        spread[listeners[2], speakers[:2]] = rng.uniform(0.1, 1, 2)
        cases.append({"spread": spread, "listeners": listeners, "speakers": speakers})
    return cases


def _shares(
    spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray, own: float = 0.0, axis: int = 1
) -> np.ndarray:
    """Messages as shares of those that a listener gets (axis 1), or that a speaker sends (0)."""
    heard = np.array([[spread[i, j] * (own if i == j else 1) for j in speakers] for i in listeners])
    total = heard.sum(axis=axis, keepdims=True)
    return np.where(total > 0, heard / np.where(total > 0, total, 1), 0)


def _hear_others(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread, listeners, speakers)


def _hear_itself(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread, listeners, speakers, own=1.0)


def _not_shares(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return np.array([[spread[i, j] * (i != j) for j in speakers] for i in listeners])


def _shares_too_early(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _hear_itself(spread, listeners, speakers) * np.not_equal.outer(listeners, speakers)


def _of_all_genes(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    heard = _not_shares(spread, listeners, speakers)
    return heard / spread[listeners].sum(axis=1, keepdims=True)


def _of_speakers(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread, listeners, speakers, axis=0)


def _turned(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    return _shares(spread.T, listeners, speakers)


def _nobody_is_nan(spread: np.ndarray, listeners: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    heard = _shares(spread, listeners, speakers)
    return np.where(heard.any(axis=1, keepdims=True), heard, np.nan)


QUESTION = Question(
    name="hear_others",
    asks=Function("hear_others"),
    inputs=_listeners,
    due=_hear_others,
    hints=(
        "Whoever hears itself knows the answer. Take that away first, then make shares of what is left.",
        (
            "heard = spread of listeners and speakers, 0 where both are the same gene; then each row / its sum, 0 "
            "where it is 0"
        ),
        "heard: listeners x speakers; row sums as a column (keepdims); the shares keep the shape",
    ),
    mistakes=(
        Mistake("a listener hears itself; set that entry to 0", _hear_itself),
        Mistake("the rows do not sum to 1; divide each by its sum", _not_shares),
        Mistake("take a listener's own message away before you divide", _shares_too_early),
        Mistake("divide by the sum over the speakers, not over all genes", _of_all_genes),
        Mistake("the columns sum to 1 here; divide each row by its sum", _of_speakers),
        Mistake("rows and columns are swapped: spread[i, j] is what i hears of j", _turned),
        Mistake("who hears nobody needs a row of zeros, not NaN", _nobody_is_nan),
    ),
    without=WITHOUT,
    held_back=("starter.models.gnn",),
)
