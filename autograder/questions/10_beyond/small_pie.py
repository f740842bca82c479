"""Question `small_pie`: effects from knowledge of the target, the line's controls, and evidence, by one ridge."""

from typing import Any

import numpy as np
from sklearn.kernel_ridge import KernelRidge

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT

LINE, TARGET = 10.0, 4.0
"""How sharply lines and targets are told apart, as the notebook has it."""
SMALL = 1e-9
"""A penalty that is none."""


def _sources(rng: np.random.Generator) -> list[dict[str, object]]:
    """Pairs of two lines whose controls differ; some of the asked pairs have no evidence."""
    cases = []
    for n, m, n_features, n_genes, penalty in ((7, 4, 3, 6, 0.8), (9, 3, 5, 5, 2.0), (6, 5, 4, 8, 0.4)):
        controls = rng.gamma(2.0, 0.6, (2, n_genes))
        known, asked = (
            {
                "control": controls[rng.permutation(np.arange(rows) % 2)],
                "knowledge": rng.normal(size=(rows, n_features)),
                "evidence": rng.normal(0, 0.5, (rows, n_genes)) * (np.arange(rows) % 3 > 0)[:, None],
            }
            for rows in (n, m)
        )
        effects = known["evidence"] + rng.normal(0.2, 0.6, (n, n_genes))
        cases.append({"known": known, "asked": asked, "effects": effects, "penalty": penalty})
    return cases


def _likeness(a: np.ndarray, b: np.ndarray, sharpness: float) -> float:
    return float(np.exp(sharpness * (a @ b / np.sqrt((a @ a) * (b @ b)) - 1)))


def _alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray], way: str = "") -> np.ndarray:
    """Compare every two pairs; `way` is a mistake."""
    table = np.zeros((len(one["control"]), len(other["control"])))
    for i, j in np.ndindex(table.shape):
        line = _likeness(one["control"][i], other["control"][j], LINE)
        target = _likeness(one["knowledge"][i], other["knowledge"][j], TARGET)
        told = float(one["evidence"][i] @ other["evidence"][j])
        table[i, j] = {
            "": line * (target + told),
            "added": line + target + told,
            "multiplied": line * target * told,
            "no line": target + told,
            "no target": line * told,
            "no evidence": line * target,
        }[way]
    return table


def _small_pie(
    known: dict[str, np.ndarray], asked: dict[str, np.ndarray], effects: np.ndarray, penalty: float, way: str = ""
) -> np.ndarray:
    regression = KernelRidge(alpha=penalty, kernel="precomputed").fit(_alike(known, known, way), effects)
    return regression.predict(_alike(asked, known, way))


def _mistaken(way: str) -> Any:
    return lambda known, asked, effects, penalty: _small_pie(known, asked, effects, penalty, way)


def _no_penalty(
    known: dict[str, np.ndarray], asked: dict[str, np.ndarray], effects: np.ndarray, penalty: float
) -> np.ndarray:
    return _small_pie(known, asked, effects, SMALL)


def _weighed_alone(
    known: dict[str, np.ndarray], asked: dict[str, np.ndarray], effects: np.ndarray, penalty: float
) -> np.ndarray:
    weights = _alike(asked, known)
    return weights / weights.sum(axis=1, keepdims=True) @ effects


QUESTION = Question(
    name="small_pie",
    asks=Function("small_pie"),
    inputs=_sources,
    due=_small_pie,
    hints=(
        "Two pairs are alike if their lines are, and if what is known of their targets or their evidence is.",
        "alike = line x (target + evidence evidence'); weights = (alike + penalty I)^-1 effects; asked alike x weights",
        "alike of known: pairs x pairs; of asked: asked x pairs; weights: pairs x genes; prediction: asked x genes",
    ),
    mistakes=(
        Mistake("lines and targets are added here; multiply by the likeness of the lines", _mistaken("added")),
        Mistake("evidence is multiplied here; it is added to the likeness of the targets", _mistaken("multiplied")),
        Mistake("the control profiles are not used, so all lines count as one", _mistaken("no line")),
        Mistake("what is known of the targets is not used", _mistaken("no target")),
        Mistake("the evidence is not used", _mistaken("no evidence")),
        Mistake("the penalty is missing: add it to the diagonal", _no_penalty),
        Mistake("this averages effects by likeness; solve for the weights, as ridge does", _weighed_alone),
    ),
    without=WITHOUT,
)
