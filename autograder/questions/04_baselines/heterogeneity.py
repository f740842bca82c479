"""Question `heterogeneity`: the median correlation of every two effects."""

import numpy as np
import pandas as pd
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _effects(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three tables of effects with a shared part, an offset that a cosine would see, and strengths of their own."""
    cases = []
    for n, n_genes in ((6, 17), (10, 23), (8, 31)):
        common = rng.normal(size=n_genes)
        values = (
            rng.uniform(0.2, 1.6, (n, 1)) * common + rng.gamma(1.0, 1.0, (n, n_genes)) + rng.uniform(0, 1.5, (n, 1))
        )
        names = [f"GENE{letter}" for letter in "ABCDEFGHIJ"[:n]]
        genes = [f"G{number}" for number in range(n_genes)]
        cases.append({"effects": pd.DataFrame(values, index=names, columns=genes)})
    return cases


def _pairs(effects: pd.DataFrame) -> list[float]:
    rows = effects.to_numpy()
    return [scipy.stats.pearsonr(rows[i], rows[j])[0] for i in range(len(rows)) for j in range(i)]


def _heterogeneity(effects: pd.DataFrame) -> float:
    return float(np.median(_pairs(effects)))


def _cosines(effects: pd.DataFrame) -> float:
    unit = effects.to_numpy() / np.linalg.norm(effects, axis=1, keepdims=True)
    return float(np.median((unit @ unit.T)[np.triu_indices(len(unit), 1)]))


def _with_diagonal(effects: pd.DataFrame) -> float:
    return float(np.median([*_pairs(effects), *np.ones(len(effects))]))


def _covariances(effects: pd.DataFrame) -> float:
    return float(np.median(np.cov(effects)[np.triu_indices(len(effects), 1)]))


QUESTION = Question(
    name="heterogeneity",
    asks=Function("heterogeneity"),
    inputs=_effects,
    due=_heterogeneity,
    hints=(
        "If all effects were alike, one answer would fit all. Compare every two of them.",
        "the median of Pearson's correlation over all pairs, each pair once, none with itself",
        (
            "correlations: perturbations x perturbations; its upper triangle without the diagonal: one per pair; "
            "one number"
        ),
    ),
    mistakes=(
        Mistake(
            "every effect is compared with itself too, which gives 1; take each pair once, np.triu_indices(n, k=1)",
            lambda effects: float(np.median(np.corrcoef(effects))),
        ),
        Mistake(
            "this is the mean of the correlations; take the median", lambda effects: float(np.mean(_pairs(effects)))
        ),
        Mistake(
            "these are correlations of genes; the rows of the table are what you compare",
            lambda effects: _heterogeneity(effects.T),
        ),
        Mistake("this is a cosine; Pearson's correlation takes each effect's mean off first", _cosines),
        Mistake("the pairs of an effect with itself are in it, which give 1; leave them out with k=1", _with_diagonal),
        Mistake("these are covariances, which grow with the effects; take correlations (np.corrcoef)", _covariances),
    ),
    without=WITHOUT,
)
