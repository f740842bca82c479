"""Question `match_controls`: a control cell of the same batch, alike in depth, for every perturbed cell."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _match_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw cells of two batches, one of them deeper; in one case a batch has fewer controls than perturbed cells."""
    cases = []
    for sizes in (((3, 5), (2, 4)), ((4, 5), (3, 2)), ((2, 6), (4, 5))):
        cells = _cells_to_match(rng, sizes)
        # by chance alone, logs and z-scores may change no pair
        while any((changed(**cells) == _match_controls(**cells)).all() for changed in (_without_logs, _not_scaled)):
            cells = _cells_to_match(rng, sizes)
        cases.append(cells)
    return cases


def _cells_to_match(rng: np.random.Generator, sizes: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    parts = []
    for number, (n_perturbed, n_controls) in enumerate(sizes):
        n = n_perturbed + n_controls
        umis = np.rint(rng.lognormal(8.5 + 0.6 * number, 0.7, n))
        genes = np.rint(umis**0.6 * rng.lognormal(2.2, 0.25, n))
        perturbed = np.arange(n) < n_perturbed
        parts.append(pd.DataFrame({"umis": umis, "genes": genes, "batch": f"rep{number}", "perturbed": perturbed}))
    cells = pd.concat(parts).iloc[rng.permutation(sum(len(part) for part in parts))]
    return {
        "features": cells[["umis", "genes"]].to_numpy(),
        "batch": cells["batch"].to_numpy(str),
        "perturbed": cells["perturbed"].to_numpy(),
    }


def _z_scores(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _nearest_pairs(scaled: np.ndarray, cells: np.ndarray, controls: np.ndarray) -> list[tuple[int, int]]:
    """Try every assignment of some rows to others."""
    n = min(len(cells), len(controls))
    every = (
        list(zip(some, others, strict=True))
        for some in itertools.combinations(cells, n)
        for others in itertools.permutations(controls, n)
    )
    return min(every, key=lambda pairs: sum(np.linalg.norm(scaled[i] - scaled[j]) for i, j in pairs))


def _match_controls(
    features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray, *, logs: bool = True, scale: bool = True
) -> np.ndarray:
    control_of = np.full(len(batch), -1)
    for label in sorted(set(batch)):
        here = np.flatnonzero(batch == label)
        x = np.log1p(features[here]) if logs else features[here]
        x = _z_scores(x) if scale else x
        for i, j in _nearest_pairs(x, np.flatnonzero(perturbed[here]), np.flatnonzero(~perturbed[here])):
            control_of[here[i]] = here[j]
    return control_of


def _without_logs(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return _match_controls(features, batch, perturbed, logs=False)


def _not_scaled(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return _match_controls(features, batch, perturbed, scale=False)


def _across_batches(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """One assignment for all cells, by a library, as there are too many to try."""
    del batch
    z = _z_scores(np.log1p(features))
    cells, controls = np.flatnonzero(perturbed), np.flatnonzero(~perturbed)
    distances = np.linalg.norm(z[cells][:, None] - z[controls], axis=2)
    rows, columns = scipy.optimize.linear_sum_assignment(distances)
    control_of = np.full(len(perturbed), -1)
    control_of[cells[rows]] = controls[columns]
    return control_of


def _nearest(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Greedy: each cell takes its nearest control, whoever else has it."""
    control_of = np.full(len(batch), -1)
    for cell in np.flatnonzero(perturbed):
        here = np.flatnonzero(batch == batch[cell])
        z = _z_scores(np.log1p(features[here]))
        controls = np.flatnonzero(~perturbed[here])
        distance = np.linalg.norm(z[controls] - z[here == cell], axis=1)
        control_of[cell] = here[controls[distance.argmin()]]
    return control_of


def _numbered_in_batch(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Give the place among the batch's controls instead of the row."""
    control_of = _match_controls(features, batch, perturbed)
    return np.array(
        [-1 if control < 0 else int(((batch == batch[control]) & ~perturbed)[:control].sum()) for control in control_of]
    )


QUESTION = Question(
    name="match_controls",
    asks=Function("match_controls"),
    inputs=_match_cases,
    due=_match_controls,
    mistakes=(
        Mistake("cells are matched across batches; assign within each batch", _across_batches),
        Mistake("this is each cell's nearest control, which several share; use linear_sum_assignment", _nearest),
        Mistake(
            "the control's number within its batch came; give its row among all cells (np.flatnonzero)",
            _numbered_in_batch,
        ),
        Mistake(
            "the features are not on the log scale; take np.log1p before z-scoring",
            _without_logs,
        ),
        Mistake(
            "the features are not z-scored, so the one that varies more decides",
            _not_scaled,
        ),
    ),
    without=WITHOUT,
)
