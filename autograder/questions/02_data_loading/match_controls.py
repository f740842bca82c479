"""Question `match_controls`: a control cell of the same batch, alike in depth, for every perturbed cell."""

import itertools

import numpy as np
import scipy.optimize

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT

TRAPS = np.array(
    [
        # the first control is the nearest, the second would be without z-scores
        (0.0, 0.0, True),
        (0.15, 0.0, False),
        (0.0, 0.105, False),
        # the second is the nearest, the first would be by z-scores over all batches
        (0.5, 0.25, True),
        (0.6875, 0.25, False),
        (0.5, 0.3125, False),
        # the first is the nearest, the second would be without logarithms
        (1.0, 0.5, True),
        (1.27, 0.5, False),
        (0.7, 0.5, False),
        # both perturbed cells are nearest to the first; who chooses before the other takes it away from that
        (1.62, 0.75, True),
        (1.5, 0.75, True),
        (1.572, 0.75, False),
        (1.8, 0.75, False),
    ]
)
"""Cells of a batch in which every mistake makes other pairs: logs of UMIs and of genes, and who is perturbed."""
RIVALS = (9, 10)
"""The two perturbed cells that want the same control, in the order in which they have to come."""


def _match_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Put beside a batch of traps one that is deeper; in one case it has fewer controls than perturbed cells."""
    cases = []
    for n_perturbed, n_controls in ((2, 4), (3, 2), (4, 5)):
        n = n_perturbed + n_controls
        traps = TRAPS[:, :2] + rng.uniform(-0.005, 0.005, (len(TRAPS), 2))
        deeper = np.column_stack([rng.normal(3.2, 0.4, n), rng.normal(0.45, 0.2, n)])
        logs = rng.uniform((7.5, 6.5), (8.0, 7.0)) + np.vstack([traps, deeper])
        perturbed = np.append(TRAPS[:, 2] == 1, np.arange(n) < n_perturbed)
        order = rng.permutation(len(logs))
        order[np.isin(order, RIVALS)] = RIVALS
        cases.append(
            {
                "features": np.expm1(logs).round()[order],
                "batch": np.repeat(["rep0", "rep1"], (len(TRAPS), n))[order],
                "perturbed": perturbed[order],
            }
        )
    return cases


def _z_scores(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _nearest_pairs(scaled: np.ndarray, cells: np.ndarray, controls: np.ndarray) -> list[tuple[int, int]]:
    """Try every assignment of some rows to others."""
    n = min(len(cells), len(controls))
    apart = np.linalg.norm(scaled[:, None] - scaled, axis=2)
    others = np.array(list(itertools.permutations(controls, n)))
    found = []
    for some in itertools.combinations(cells, n):
        sums = apart[np.array(some), others].sum(axis=1)
        found.append((sums.min(), list(zip(some, others[sums.argmin()], strict=True))))
    return min(found)[1]


def _match_controls(
    features: np.ndarray,
    batch: np.ndarray,
    perturbed: np.ndarray,
    *,
    logs: bool = True,
    scale: bool = True,
    within: bool = True,
) -> np.ndarray:
    """Match within each batch; without logs, without z-scores, or z-scored over all cells are mistakes."""
    control_of = np.full(len(batch), -1)
    scaled = np.log1p(features) if logs else features
    if scale and not within:
        scaled = _z_scores(scaled)
    for label in sorted(set(batch)):
        here = np.flatnonzero(batch == label)
        x = _z_scores(scaled[here]) if scale and within else scaled[here]
        for i, j in _nearest_pairs(x, np.flatnonzero(perturbed[here]), np.flatnonzero(~perturbed[here])):
            control_of[here[i]] = here[j]
    return control_of


def _without_logs(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return _match_controls(features, batch, perturbed, logs=False)


def _not_scaled(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return _match_controls(features, batch, perturbed, scale=False)


def _scaled_over_all(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return _match_controls(features, batch, perturbed, within=False)


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


def _nearest(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray, *, free: bool = False) -> np.ndarray:
    """Greedy: each cell takes its nearest control, whoever else has it; or that of those which are still free."""
    control_of = np.full(len(batch), -1)
    for cell in np.flatnonzero(perturbed):
        here = np.flatnonzero(batch == batch[cell])
        z = _z_scores(np.log1p(features[here]))
        distance = np.linalg.norm(z - z[here == cell], axis=1)
        distance[perturbed[here] | (free & np.isin(here, control_of))] = np.inf
        if np.isfinite(distance).any():
            control_of[cell] = here[distance.argmin()]
    return control_of


def _nearest_free(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return _nearest(features, batch, perturbed, free=True)


def _numbered_in_batch(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Give the place among the batch's controls instead of the row."""
    control_of = _match_controls(features, batch, perturbed)
    return np.array(
        [-1 if control < 0 else int(((batch == batch[control]) & ~perturbed)[:control].sum()) for control in control_of]
    )


def _zero_for_none(features: np.ndarray, batch: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    return np.maximum(_match_controls(features, batch, perturbed), 0)


QUESTION = Question(
    name="match_controls",
    asks=Function("match_controls"),
    inputs=_match_cases,
    due=_match_controls,
    hints=(
        "Cells of a batch are comparable. Find there the pairs of perturbed and control cells that are alike in all.",
        "z = (log1p - mean) / deviation within the batch; the assignment with the smallest sum of Euclidean distances",
        (
            "z: cells of the batch x features; distances: perturbed x controls; pairs of places, translated to "
            "rows of all cells"
        ),
    ),
    mistakes=(
        Mistake("cells are matched across batches; assign within each batch", _across_batches),
        Mistake("this is each cell's nearest control, which several share; use linear_sum_assignment", _nearest),
        Mistake(
            "each cell in turn takes the nearest that is left; find the smallest sum with linear_sum_assignment",
            _nearest_free,
        ),
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
        Mistake(
            "the features are z-scored over all batches; take mean and deviation of each batch's own cells",
            _scaled_over_all,
        ),
        Mistake("cells without a control got 0, which is a cell; give them -1", _zero_for_none),
    ),
    without=WITHOUT,
    held_back=("starter.data.matching",),
)
