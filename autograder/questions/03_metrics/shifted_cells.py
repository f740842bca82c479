"""Question `shifted_cells`: control cells shifted by a predicted effect."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _control_cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give control cells with zeros, and profiles with genes up, down and off."""
    cases = []
    for n_cells, n_genes in ((6, 5), (9, 4), (4, 8)):
        counts = rng.poisson(rng.gamma(1.0, 2.0, n_genes), (n_cells, n_genes))
        cells = np.log1p(counts * rng.uniform(0.5, 2, (n_cells, 1)))
        cells[0, :2], cells[1, :2] = 0, rng.uniform(1, 2, 2)
        mean = cells.mean(axis=0)
        profile = np.maximum(mean + rng.normal(0, 0.5, n_genes), 0)
        profile[:2] = mean[0] / 4, mean[1] + 0.6  # one gene down and one up, each with a cell at 0
        cases.append({"profile": profile, "control_cells": cells})
    return cases


def _shifted(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return (control_cells + profile - control_cells.mean(axis=0)).clip(min=0)


def _not_clipped(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return control_cells + profile - control_cells.mean(axis=0)


def _profile_added(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return control_cells + profile


def _over_genes(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return (control_cells + profile - control_cells.mean(axis=1, keepdims=True)).clip(min=0)


def _zeros_kept(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return np.where(control_cells > 0, _shifted(profile, control_cells), 0)


def _turned_round(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return (control_cells + control_cells.mean(axis=0) - profile).clip(min=0)


def _effect_clipped(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return control_cells + (profile - control_cells.mean(axis=0)).clip(min=0)


def _one_mean(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return (control_cells + profile - control_cells.mean()).clip(min=0)


QUESTION = Question(
    name="shifted_cells",
    asks=Function("shifted_cells"),
    inputs=_control_cells,
    due=_shifted,
    hints=(
        "Real control cells keep their noise; move them so that their mean is the prediction.",
        "cell + (profile - mean of the control cells), and nothing below 0",
        "mean over cells: one per gene; effect: one per gene; added to cells x genes, which keeps its shape",
    ),
    mistakes=(
        Mistake("some values are below 0; clip them at 0", _not_clipped),
        Mistake("the whole profile is added; add the effect, profile minus mean of the control cells", _profile_added),
        Mistake("the mean is one number a cell; take it over the cells (axis=0)", _over_genes),
        Mistake("zeros of the control cells stayed 0; add the effect to them, too", _zeros_kept),
        Mistake("the effect is turned round: profile minus mean of the control cells", _turned_round),
        Mistake("the effect was clipped; clip the cells, after the effect is added", _effect_clipped),
        Mistake("one number for all genes was taken off; take the mean of each gene (axis=0)", _one_mean),
    ),
    without=WITHOUT,
)
