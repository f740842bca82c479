"""Question `bilinear`: ridge regression with features of targets and of genes (Ahlmann-Eltze et al.)."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT, regressions


def _bilinear_inputs(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = regressions(rng, "penalty", (0.3, 1.5, 0.1))
    for case, n in zip(cases, (2, 4, 3), strict=True):
        case["genes"] = rng.normal(0.3, 1.0, (case["effects"].shape[1], n))
    order = ("features", "effects", "genes", "wanted", "penalty")
    return [{name: case[name] for name in order} for case in cases]


def _bilinear(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    """Solve the formula of Ahlmann-Eltze et al. (2025) as one linear system: vec(W) by Kronecker products."""
    p, g, b = features, genes, effects.mean(axis=0)
    left = p.T @ p + penalty * np.eye(p.shape[1])
    right = g.T @ g + penalty * np.eye(g.shape[1])
    w = np.linalg.solve(np.kron(left, right), (p.T @ (effects - b) @ g).ravel()).reshape(p.shape[1], -1)
    return b + wanted @ w @ g.T


def _one_side(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    return effects.mean(axis=0) + _without_mean_both(features, effects, np.eye(len(genes)), wanted, penalty, 0.0)


def _without_mean_both(
    features: np.ndarray,
    effects: np.ndarray,
    genes: np.ndarray,
    wanted: np.ndarray,
    penalty: float,
    penalty_of_genes: float | None = None,
) -> np.ndarray:
    of_genes = penalty if penalty_of_genes is None else penalty_of_genes
    rest = effects - effects.mean(axis=0)
    w = np.linalg.inv(features.T @ features + penalty * np.eye(features.shape[1])) @ features.T @ rest
    return wanted @ w @ genes @ np.linalg.inv(genes.T @ genes + of_genes * np.eye(genes.shape[1])) @ genes.T


def _penalty_on_targets_only(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    return effects.mean(axis=0) + _without_mean_both(features, effects, genes, wanted, penalty, 0.0)


def _effects_not_centred(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    p, g = features, genes
    w = np.linalg.inv(p.T @ p + penalty * np.eye(p.shape[1])) @ p.T @ effects @ g
    return effects.mean(axis=0) + wanted @ w @ np.linalg.inv(g.T @ g + penalty * np.eye(g.shape[1])) @ g.T


def _features_centred(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    mean = features.mean(axis=0)
    return _bilinear(features - mean, effects, genes, wanted - mean, penalty)


def _penalty_on_genes_only(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    return effects.mean(axis=0) + _without_mean_both(features, effects, genes, wanted, 0.0, penalty)


def _no_penalty(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    return _bilinear(features, effects, genes, wanted, 0.0)


QUESTION = Question(
    name="bilinear",
    asks=Function("bilinear"),
    inputs=_bilinear_inputs,
    due=_bilinear,
    hints=(
        "An effect is a product of what a target is and what a gene is, joined by a small table of weights.",
        "W = (P'P + penalty I)^-1 P'(Y - b) G (G'G + penalty I)^-1, b the mean effect; prediction = b + P_wanted W G'",
        "W: features of targets x features of genes; P_wanted W: wanted x features of genes; times G': wanted x genes",
    ),
    mistakes=(
        Mistake("the mean effect b is missing; add it back at the end", _without_mean_both),
        Mistake("only the targets have features here; map through the genes' features too", _one_side),
        Mistake("the penalty is missing on the genes' side", _penalty_on_targets_only),
        Mistake("take the mean effect b off the effects before you solve", _effects_not_centred),
        Mistake("this model does not centre the features; take off the mean effect only", _features_centred),
        Mistake("the penalty is missing on the targets' side", _penalty_on_genes_only),
        Mistake("the penalty is missing on both sides; add it to both diagonals", _no_penalty),
    ),
    without=WITHOUT,
)
