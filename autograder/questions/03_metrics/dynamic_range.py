"""Question `dynamic_range`: how far a replicate goes from the baseline to a perfect score."""

from typing import Any

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _ranges(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give scores of which more or less is better.

    Half of the shares lie below -1, or above 1, so that of the two in the middle one is clipped. One baseline is
    perfect, and so is its replicate: it gains nothing, and has no room.
    """
    cases = []
    for n_perturbations, best, higher, side in (
        (6, 1.0, True, -1),
        (8, 0.0, False, -1),
        (10, 0.0, False, 1),
        (4, 1.0, True, 1),
    ):
        baseline = rng.uniform(0.2, 0.7, n_perturbations)
        share = rng.uniform(0.1, 0.9, n_perturbations)
        share[: n_perturbations // 2] = side * rng.uniform(1.3, 2.2, n_perturbations // 2)
        share[n_perturbations // 2] *= side
        replicate = baseline + (best - baseline) * share
        baseline[-1] = replicate[-1] = best
        order = rng.permutation(n_perturbations)
        scores = {"baseline": baseline[order], "replicate": replicate[order]}
        cases.append({**scores, "best": best, "higher_is_better": higher})
    return cases


def _shares(baseline: np.ndarray, replicate: np.ndarray, best: float, *, higher_is_better: bool) -> np.ndarray:
    errors = [x if not higher_is_better else np.negative(x) for x in (baseline, replicate, best)]
    return np.asarray((errors[0] - errors[1]) / (errors[0] - errors[2] + 1e-6))


def _dynamic_range(**scores: Any) -> float:
    return float(np.quantile(np.minimum(np.maximum(_shares(**scores), -1), 1), 0.5))


def _mean_range(**scores: Any) -> float:
    return float(_shares(**scores).clip(-1, 1).mean())


def _mean_not_clipped(**scores: Any) -> float:
    return float(_shares(**scores).mean())


def _clipped_last(**scores: Any) -> float:
    return float(np.clip(np.median(_shares(**scores)), -1, 1))


def _room_turned(**scores: Any) -> float:
    return float(np.median(-_shares(**scores).clip(-1, 1)))


def _always_higher(**scores: Any) -> float:
    room = np.abs(scores["best"] - scores["baseline"])
    return float(np.median(((scores["replicate"] - scores["baseline"]) / (room + 1e-6)).clip(-1, 1)))


def _of_means(**scores: Any) -> float:
    means = {name: scores[name].mean() for name in ("baseline", "replicate")}
    return float(_shares(**{**scores, **means}).clip(-1, 1))


def _upside_down(baseline: np.ndarray, replicate: np.ndarray, best: float, *, higher_is_better: bool) -> float:
    sign = 1 if higher_is_better else -1
    return float(np.median((sign * (best - baseline) / (sign * (replicate - baseline) + 1e-6)).clip(-1, 1)))


QUESTION = Question(
    name="dynamic_range",
    asks=Function("dynamic_range"),
    inputs=_ranges,
    due=_dynamic_range,
    hints=(
        "A metric is of use if a replicate is far better than the baseline, on the way to perfection.",
        (
            "gain / (room + 1e-6) of each perturbation, both counted so that better is positive; clipped to [-1, "
            "1]; the median"
        ),
        "gain and room: one per perturbation (turn both round where lower is better); clipped likewise; one number",
    ),
    mistakes=(
        Mistake("this is the mean; take the median over the perturbations", _mean_range),
        Mistake("this is the mean of shares that are not clipped; clip to [-1, 1], take the median", _mean_not_clipped),
        Mistake("clip each perturbation's share to [-1, 1] before you take the median", _clipped_last),
        Mistake("gain and room have different signs; perfection is better than the baseline", _room_turned),
        Mistake("where lower is better, the gain is baseline minus replicate", _always_higher),
        Mistake("take the share of each perturbation first, then the median; not that of the means", _of_means),
        Mistake("the share is upside down: divide the gain by the room", _upside_down),
    ),
    without=WITHOUT,
)
