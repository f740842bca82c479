"""Networks and inputs that several questions of notebook 05 share."""

from collections.abc import Callable

import numpy as np

WITHOUT = ("starter.models",)
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""
SHAPES = ((9, 8, 4, 3, 14), (7, 6, 5, 2, 17), (8, 11, 3, 4, 15))
"""Cells, genes, numbers of a condition, latent numbers, hidden units."""


def normals(rng: np.random.Generator, *, noise: bool) -> list[dict[str, object]]:
    """Means and log-variances of both signs."""
    cases = []
    for shape in ((5, 3), (2, 6), (7, 4)):
        case = {"mean": rng.normal(0.4, 1.0, shape), "log_variance": rng.normal(-0.6, 0.9, shape)}
        cases.append(case | ({"noise": rng.normal(size=shape)} if noise else {}))
    return cases


def detached(due: Callable[..., list[np.ndarray]], *which: int) -> Callable[..., list[np.ndarray]]:
    """Give the right value, with no gradient reaching some of the parameters."""

    def gives(**inputs: np.ndarray) -> list[np.ndarray]:
        return [np.zeros_like(part) if place in which else part for place, part in enumerate(due(**inputs))]

    return gives


def network(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, object]:
    """Draw the sizes (`build`) and the float32 weights of a conditional VAE."""
    _, n_genes, n_conditions, n_latent, n_hidden = shape
    layers = {
        "encoder": (n_hidden, n_genes + n_conditions),
        "mean": (n_latent, n_hidden),
        "log_variance": (n_latent, n_hidden),
        "decoder": (n_hidden, n_latent + n_conditions),
        "change": (n_genes, n_hidden),
    }
    weights = {"log_rate": rng.normal(-1.0, 1.0, n_genes).astype(np.float32)}
    for name, size in layers.items():
        weights[f"{name}.weight"] = rng.normal(0, 1 / np.sqrt(size[1]), size).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.3, size[0]).astype(np.float32)
    build = {"n_genes": n_genes, "n_conditions": n_conditions, "n_latent": n_latent, "n_hidden": n_hidden}
    return {"build": build, "weights": weights}


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw float32 numbers whose mean is not 0."""
    return rng.normal(0.3, 1.0, shape).astype(np.float32)


def _linear(weights: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return np.einsum("cf,hf->ch", x.astype(float), weights[f"{name}.weight"].astype(float)) + weights[f"{name}.bias"]


def _relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.0)


def encode(
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    condition: np.ndarray,
    bend: Callable[[np.ndarray], np.ndarray] = _relu,
    *,
    condition_first: bool = False,
) -> list[np.ndarray]:
    """Give mean and log-variance of the latent numbers, each cells x latent numbers."""
    parts = [condition, x] if condition_first else [x, condition]
    hidden = bend(_linear(weights, "encoder", np.hstack(parts)))
    return [_linear(weights, "mean", hidden), _linear(weights, "log_variance", hidden)]


def decode(
    weights: dict[str, np.ndarray],
    z: np.ndarray,
    condition: np.ndarray,
    bend: Callable[[np.ndarray], np.ndarray] = _relu,
    *,
    condition_first: bool = False,
    log_rate: bool = True,
) -> np.ndarray:
    """Give the log rate of every gene, cells x genes."""
    parts = [condition, z] if condition_first else [z, condition]
    change = _linear(weights, "change", bend(_linear(weights, "decoder", np.hstack(parts))))
    return change + weights["log_rate"] if log_rate else change
