"""Question `noised`: a cell mixed with noise, as diffusion learns from."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _mixtures(rng: np.random.Generator) -> list[dict[str, object]]:
    return [
        {"cell": rng.normal(0.5, 1.5, (n, k)), "noise": rng.normal(size=(n, k)), "time": rng.uniform(0.1, 0.9, (n, 1))}
        for n, k in ((4, 3), (7, 2), (5, 6))
    ]


def _turned(cell: np.ndarray, noise: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Turn from the cell to the noise, a quarter of a circle in all: the real part of a complex product."""
    return ((cell - 1j * noise) * np.exp(0.5j * np.pi * time)).real


QUESTION = Question(
    name="noised",
    asks=Function("noised", tensors=True),
    inputs=_mixtures,
    due=_turned,
    hints=(
        "Diffusion turns a cell into noise along a quarter of a circle, so that the variance stays.",
        "cos(pi t / 2) cell + sin(pi t / 2) noise",
        "cell and noise: cells x numbers; time: a column",
    ),
    mistakes=(
        Mistake(
            "the shares are exchanged; at time 0 it is the cell alone",
            lambda cell, noise, time: _turned(noise, cell, time),
        ),
        Mistake(
            "this is a straight line; take cosine and sine", lambda cell, noise, time: cell + time * (noise - cell)
        ),
        Mistake(
            "half of pi is missing; at time 1 it is noise alone",
            lambda cell, noise, time: _turned(cell, noise, 2 / np.pi * time),
        ),
        Mistake("the noise was taken off; add it", lambda cell, noise, time: _turned(cell, -noise, time)),
        Mistake(
            "this goes twice as far; time 1 is a quarter of a circle, pi / 2",
            lambda cell, noise, time: _turned(cell, noise, 2 * time),
        ),
    ),
    comparator=Same(),
    without=WITHOUT,
)
