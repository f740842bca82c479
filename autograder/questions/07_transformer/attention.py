"""Question `attention`: values averaged by scaled dot products, with a mask."""

import numpy as np
import torch
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _looks(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make queries, keys and values of different sizes; each query has its own mask, which leaves it some keys."""
    cases = []
    for lead, n, m, d, size in (((), 3, 5, 4, 2), ((2,), 4, 7, 6, 3), ((3, 2), 5, 4, 8, 5)):
        query, key = rng.normal(0, 1.6, (*lead, n, d)), rng.normal(0.4, 1.6, (*lead, m, d))
        places = rng.permuted(np.broadcast_to(np.arange(m), (*lead, n, m)), axis=-1)
        mask = places < rng.integers(2, m, (*lead, n, 1))  # two keys at least, and not all
        cases.append({"query": query, "key": key, "value": rng.normal(size=(*lead, m, size)), "mask": mask})
    return cases


def _attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    q, k, v = (torch.from_numpy(part) for part in (query, key, value))
    allowed = None if mask is None else torch.from_numpy(mask)
    return functional.scaled_dot_product_attention(q, k, v, allowed).numpy()


def _without_mask(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _attention(query, key, value, None)


def _mask_turned_round(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hidden = np.where(mask, -np.inf, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]))
    return _softmax(hidden) @ value


def _unscaled_scores(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _attention(query * np.sqrt(query.shape[-1]), key, value, mask)


def _divided_by_d(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _attention(query / np.sqrt(query.shape[-1]), key, value, mask)


def _over_queries(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = np.where(mask, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]), -np.inf)
    return _softmax(scores, axis=-2) @ value


def _masked_afterwards(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (_softmax(query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])) * mask) @ value


def _zero_scores(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _softmax(np.where(mask, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]), 0)) @ value


def _softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # where everything is hidden
        weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
        return weights / weights.sum(axis=axis, keepdims=True)


def _weights_alone(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _softmax(np.where(mask, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]), -np.inf))


def _without_softmax(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]) * mask) @ value


QUESTION = Question(
    name="attention",
    asks=Function("attention", tensors=True),
    inputs=_looks,
    due=_attention,
    hints=(
        "Each query asks every key how well they fit, and takes the values by these shares.",
        "softmax(Q K' / sqrt(d)) V, with -inf where a query may not look",
        "scores: ... x queries x keys; softmax over the keys (last dimension); times values: ... x queries x size",
    ),
    mistakes=(
        Mistake("the mask is forgotten; where it is False, put -inf into the scores", _without_mask),
        Mistake("the mask is turned round; True may be looked at", _mask_turned_round),
        Mistake("divide the scores by the square root of d, the length of a query", _unscaled_scores),
        Mistake("the scores were divided by d; divide by its square root", _divided_by_d),
        Mistake("the softmax ran over queries; a query's weights for all keys sum to 1 (dim=-1)", _over_queries),
        Mistake("weights were hidden after the softmax, and sum to less than 1; hide scores", _masked_afterwards),
        Mistake("hidden scores were set to 0, which is a score like any other; set them to -inf", _zero_scores),
        Mistake("these are the weights; average the values by them (@ value)", _weights_alone),
        Mistake("the softmax is missing: scores must become weights that sum to 1", _without_softmax),
    ),
    without=WITHOUT,
    held_back=("starter.models.attention",),
)
