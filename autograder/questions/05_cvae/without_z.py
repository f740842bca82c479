"""Question `WithoutZ`: the cVAE whose encoder says nothing, as after a posterior collapse."""

from collections.abc import Callable

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Object

from .shared import SHAPES, WITHOUT, decode, encode, network, normal

Encoded = list[np.ndarray]


def _collapsed(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in SHAPES:
        n_cells, n_genes, n_conditions, _, _ = shape
        control, perturbed = np.zeros((1, n_conditions), np.float32), normal(rng, 1, n_conditions)
        x = normal(rng, n_cells, n_genes)
        calls = [
            ["encode", {"x": x, "condition": normal(rng, n_cells, n_conditions)}],
            ["effect", {"x": x, "control": control, "perturbed": perturbed}],
        ]
        cases.append(network(rng, shape) | {"calls": calls})
    return cases


def _with(encoding: Callable[[dict, np.ndarray, np.ndarray], Encoded]) -> Callable[..., list]:
    """Answer both calls by a way to encode; control cells all get the decoder's answer to their own latent means."""

    def gives(build: dict, weights: dict, calls: list) -> list:
        del build
        (_, to_encode), (_, asked) = calls
        x, control, perturbed = asked.values()
        rows = []
        for cell in x:
            z, _ = encoding(weights, cell[None], control)
            rows.append(decode(weights, z, perturbed)[0] - decode(weights, z, control)[0])
        return [encoding(weights, to_encode["x"], to_encode["condition"]), np.mean(rows, axis=0)]

    return gives


def _prior(weights: dict, x: np.ndarray, condition: np.ndarray) -> Encoded:
    del condition
    return [np.zeros((len(x), len(weights["mean.bias"]))) for _ in range(2)]


def _variance(weights: dict, x: np.ndarray, condition: np.ndarray) -> Encoded:
    mean, log_variance = _prior(weights, x, condition)
    return [mean, np.exp(log_variance)]


def _mean_only(weights: dict, x: np.ndarray, condition: np.ndarray) -> Encoded:
    return [_prior(weights, x, condition)[0], encode(weights, x, condition)[1]]


def _variance_only(weights: dict, x: np.ndarray, condition: np.ndarray) -> Encoded:
    return [encode(weights, x, condition)[0], _prior(weights, x, condition)[1]]


def _of_nothing(weights: dict, x: np.ndarray, condition: np.ndarray) -> Encoded:
    return encode(weights, np.zeros_like(x), condition)


QUESTION = Question(
    name="WithoutZ",
    asks=Object("WithoutZ"),
    inputs=_collapsed,
    due=_with(_prior),
    hints=(
        "If z says the same of every cell, it says nothing. Which two numbers describe N(0, 1)?",
        "mean 0 and variance 1, so log-variance log(1) = 0",
        "two arrays of cells x latent numbers; the input only says how many cells there are",
    ),
    mistakes=(
        Mistake("z still tells of the cell; give the same for every cell, zeros", _with(encode)),
        Mistake("the variance is 1, so its logarithm is 0", _with(_variance)),
        Mistake("the log-variance still tells of the cell; it is 0 too", _with(_mean_only)),
        Mistake("the mean still tells of the cell; it is 0 too", _with(_variance_only)),
        Mistake("the encoder still runs, without the cell; give zeros in its place", _with(_of_nothing)),
    ),
    comparator=Same(),
    without=WITHOUT,
)
