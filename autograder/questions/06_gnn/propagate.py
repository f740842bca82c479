"""Question `propagate`: what genes hold after messages travelled some steps."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _travels(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three matrices, not symmetric, one of them an array, with features and numbers of steps."""
    cases = []
    for n, n_features, steps, kind in ((5, 3, 3, scipy.sparse.csr_matrix), (8, 4, 2, np.array), (6, 2, 4, np.array)):
        matrix = rng.uniform(0, 0.6, (n, n)) * (rng.random((n, n)) < 0.6)
        cases.append({"matrix": kind(matrix), "features": rng.normal(0.5, 1, (n, n_features)), "steps": steps})
    return cases


def _propagate(matrix: scipy.sparse.csr_matrix | np.ndarray, features: np.ndarray, steps: int) -> np.ndarray:
    return np.linalg.matrix_power(_dense(matrix), steps) @ features


def _dense(matrix: scipy.sparse.csr_matrix | np.ndarray) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def _all_steps(matrix: scipy.sparse.csr_matrix | np.ndarray, features: np.ndarray, steps: int) -> np.ndarray:
    return np.mean([_propagate(matrix, features, step) for step in range(steps + 1)], axis=0)


def _each_entry(matrix: scipy.sparse.csr_matrix | np.ndarray, features: np.ndarray, steps: int) -> np.ndarray:
    return _dense(matrix) ** steps @ features


QUESTION = Question(
    name="propagate",
    asks=Function("propagate"),
    inputs=_travels,
    due=_propagate,
    hints=(
        "One step takes what each gene's neighbours hold. Many steps do this again, each from the last.",
        "x(t + 1) = S x(t), steps times",
        "features: genes x features, and again after each product",
    ),
    mistakes=(
        Mistake("this is one step; multiply `steps` times", lambda matrix, features, steps: matrix @ features),
        Mistake("this is one step too many", lambda matrix, features, steps: _propagate(matrix, features, steps + 1)),
        Mistake(
            "the matrix is transposed: row i says what gene i hears",
            lambda matrix, features, steps: _propagate(matrix.T, features, steps),
        ),
        Mistake("this averages all steps; give what is there after the last", _all_steps),
        Mistake("each entry was raised to a power; multiply by the matrix again and again", _each_entry),
        Mistake(
            "one step was multiplied by `steps`; each step starts from the one before",
            lambda matrix, features, steps: steps * (matrix @ features),
        ),
        Mistake(
            "one step is missing: range(steps) makes all of them",
            lambda matrix, features, steps: _propagate(matrix, features, steps - 1),
        ),
    ),
    without=WITHOUT,
    held_back=("starter.models.gnn",),
)
