"""What several questions of notebook 04 share."""

from typing import Any

import numpy as np

WITHOUT = ("starter.models", "starter.priors", "starter.scoring", "starter.statistics")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""


def regressions(rng: np.random.Generator, setting: str, values: tuple[float, ...]) -> list[dict[str, Any]]:
    """Three small regressions with features of unequal lengths that do not centre at 0."""
    cases = []
    for (n, m, n_features, n_genes), value in zip(((9, 4, 3, 5), (14, 3, 5, 7), (8, 5, 2, 4)), values, strict=True):
        features = rng.normal(0.7, 1.0, (n, n_features)) * rng.uniform(0.5, 3.0, (n, 1))
        effects = features @ rng.normal(size=(n_features, n_genes)) + rng.normal(0.4, 0.5, (n, n_genes))
        wanted = rng.normal(0.7, 1.0, (m, n_features))
        cases.append({"features": features, "effects": effects, "wanted": wanted, setting: value})
    return cases
