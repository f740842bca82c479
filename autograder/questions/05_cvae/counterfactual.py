"""Question `Counterfactual`: what a perturbation does to log rates, by control cells decoded under two conditions."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Object

from .shared import SHAPES, WITHOUT, decode, encode, network, normal


def _counterfactuals(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in SHAPES:
        n_cells, n_genes, n_conditions, _, _ = shape
        control, perturbed = np.zeros((1, n_conditions), np.float32), normal(rng, 1, n_conditions)
        asked = {"x": normal(rng, n_cells, n_genes), "control": control, "perturbed": perturbed}
        cases.append(network(rng, shape) | {"calls": [["effect", asked]]})
    return cases


def _changes(weights: dict, x: np.ndarray, encoded: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Take, cell by cell, the latent numbers under one condition; decode under two; subtract."""
    rows = []
    for cell in x:
        z, _ = encode(weights, cell[None], encoded)
        rows.append(decode(weights, z, other)[0] - decode(weights, z, one)[0])
    return np.array(rows)


def _effect(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [_changes(weights, x, control, control, perturbed).mean(axis=0)]


def _effect_turned(build: dict, weights: dict, calls: list) -> list:
    return [-_effect(build, weights, calls)[0]]


def _not_averaged(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [_changes(weights, x, control, control, perturbed)]


def _summed(build: dict, weights: dict, calls: list) -> list:
    return [_not_averaged(build, weights, calls)[0].sum(axis=0)]


def _over_genes(build: dict, weights: dict, calls: list) -> list:
    return [_not_averaged(build, weights, calls)[0].mean(axis=1)]


def _encoded_as_perturbed(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [_changes(weights, x, perturbed, control, perturbed).mean(axis=0)]


def _each_its_own(build: dict, weights: dict, calls: list) -> list:
    """Encode under both conditions, so that the latent numbers differ too."""
    del build
    x, control, perturbed = calls[0][1].values()
    decoded = [
        np.mean([decode(weights, encode(weights, cell[None], condition)[0], condition)[0] for cell in x], axis=0)
        for condition in (control, perturbed)
    ]
    return [decoded[1] - decoded[0]]


def _not_subtracted(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [np.mean([decode(weights, encode(weights, cell[None], control)[0], perturbed)[0] for cell in x], axis=0)]


QUESTION = Question(
    name="Counterfactual",
    asks=Object("Counterfactual"),
    inputs=_counterfactuals,
    due=_effect,
    hints=(
        "The same cell, once as control and once perturbed: keep its latent numbers and change the condition.",
        (
            "decode(z, perturbed) - decode(z, control), z being the latent mean of the cell as control; then the "
            "mean over cells"
        ),
        (
            "conditions: 1 x numbers, repeated for each cell; z: cells x latent; change: cells x genes; the mean: "
            "one per gene"
        ),
    ),
    mistakes=(
        Mistake("the sign is turned round: perturbed less control", _effect_turned),
        Mistake("this is one row a cell; average over the cells", _not_averaged),
        Mistake("this is the sum over the cells; average them", _summed),
        Mistake("this averages over genes; average over cells, dim=0", _over_genes),
        Mistake(
            "the cells were encoded as perturbed ones; they are control cells, so give the encoder `control`",
            _encoded_as_perturbed,
        ),
        Mistake("the cells were encoded under each condition; decode the same latent numbers twice", _each_its_own),
        Mistake("these are log rates under the perturbation; subtract those under the control", _not_subtracted),
    ),
    comparator=Same(),
    without=WITHOUT,
    held_back=("starter.models.cvae",),
)
