"""Question `retrieval`: mean reciprocal rank and hits at k, their intervals, and what chance gives."""

from typing import Any

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _ranked(rng: np.random.Generator) -> list[dict[str, object]]:
    """Ranks among more perturbations than signatures, some of them shared places; one is k itself."""
    cases = []
    for n, n_candidates, k, n_draws in ((12, 30, 5, 60), (15, 22, 3, 41), (11, 40, 8, 83)):
        ranks = 1 + np.floor(n_candidates * rng.beta(0.5, 1.2, n))
        ranks[0], ranks[1], ranks[2] = k, k + 0.5, 1
        cases.append({"ranks": ranks, "n_candidates": n_candidates, "k": k, "draws": rng.integers(0, n, (n_draws, n))})
    return cases


def _row(values: list[float], draws: np.ndarray, chance: float, cut: float = 0.025) -> list[float]:
    """Give the mean, the ends of its interval by sorting the draws' means, and chance."""
    means = [sum(values[i] for i in draw) / len(draw) for draw in draws.tolist()]
    return [sum(values) / len(values), *np.quantile(means, (cut, 1 - cut)), chance]


def _retrieval(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray, **changes: Any) -> np.ndarray:
    hit = changes.get("hit", lambda rank: rank <= k)
    reciprocal = [1 / rank for rank in ranks.tolist()]
    hits = [float(hit(rank)) for rank in ranks.tolist()]
    by_chance = changes.get("by_chance", sum(1 / place for place in range(1, n_candidates + 1)) / n_candidates)
    cut = changes.get("cut", 0.025)
    return np.array([_row(reciprocal, draws, by_chance, cut), _row(hits, draws, k / n_candidates, cut)])


def _of_mean_rank(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray) -> np.ndarray:
    due = _retrieval(ranks, n_candidates, k, draws)
    ends = np.percentile(1 / ranks[draws].mean(axis=1), [2.5, 97.5])
    due[0, :3] = 1 / ranks.mean(), *ends
    return due


def _spread(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray) -> np.ndarray:
    due = _retrieval(ranks, n_candidates, k, draws)
    for row, values in enumerate((1 / ranks, (ranks <= k).astype(float))):
        due[row, 1:3] = np.percentile(values, [2.5, 97.5])
    return due


def _below(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray) -> np.ndarray:
    return _retrieval(ranks, n_candidates, k, draws, hit=lambda rank: rank < k)


def _ninety(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray) -> np.ndarray:
    return _retrieval(ranks, n_candidates, k, draws, cut=0.05)


def _chance_of_middle(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray) -> np.ndarray:
    return _retrieval(ranks, n_candidates, k, draws, by_chance=2 / (n_candidates + 1))


def _chance_of_first(ranks: np.ndarray, n_candidates: int, k: int, draws: np.ndarray) -> np.ndarray:
    return _retrieval(ranks, n_candidates, k, draws, by_chance=1 / n_candidates)


QUESTION = Question(
    name="retrieval",
    asks=Function("retrieval"),
    inputs=_ranked,
    due=_retrieval,
    hints=(
        "Finding the right one first is best; being among the first k is good. What would chance do?",
        "mean of 1 / rank, mean of (rank <= k); by chance the mean of 1 / place over all places, and k / n",
        "values: one per signature; values[draws]: draws x signatures; means over axis 1, percentiles; rows of four",
    ),
    mistakes=(
        Mistake("this is one over the mean rank; take the mean of one over each rank", _of_mean_rank),
        Mistake("place k itself is among the first k", _below),
        Mistake("this is the spread of single signatures; take the mean of each draw first", _spread),
        Mistake("this is a 90 % interval; cut 2.5 % off at each end", _ninety),
        Mistake(
            "by chance each place is as likely: average 1 / place over all places, not the places", _chance_of_middle
        ),
        Mistake("1 / n is the chance of the first place alone; average 1 / place over all places", _chance_of_first),
    ),
    without=WITHOUT,
)
