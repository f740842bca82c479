"""Question `warm_up`: the weight of the divergence as training goes on."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _moments_of_training(rng: np.random.Generator) -> list[dict[str, object]]:
    """Twice before and twice after the end of the rise, in some order."""
    cases = []
    for place in (rng.uniform(0.05, 0.4), rng.uniform(0.6, 0.95), rng.uniform(1.1, 1.4), rng.uniform(1.5, 2.0)):
        share = float(rng.uniform(0.2, 0.5))
        cases.append({"progress": place * share, "share": share, "weight": float(rng.uniform(2.0, 20.0))})
    return [cases[number] for number in rng.permutation(len(cases))]


def _warm_up(progress: float, share: float, weight: float) -> float:
    return float(np.interp(progress, [0.0, share], [0.0, weight]))


QUESTION = Question(
    name="warm_up",
    asks=Function("warm_up"),
    inputs=_moments_of_training,
    due=_warm_up,
    hints=(
        "Begin without the KL term and let it grow in a straight line, until it has its full weight.",
        "weight x progress / share, and never more than weight",
        "three numbers in, one number out; the smaller of 1 and a ratio",
    ),
    mistakes=(
        Mistake("it goes on rising; stop at the weight", lambda progress, share, weight: weight * progress / share),
        Mistake(
            "it rises until the training's end; it is to reach the weight after `share` of it",
            lambda progress, share, weight: weight * progress,
        ),
        Mistake("this ends at 1; multiply by the weight", lambda progress, share, weight: min(1, progress / share)),
        Mistake("it falls; begin at 0", lambda progress, share, weight: weight * max(0, 1 - progress / share)),
        Mistake("it jumps; rise in a straight line", lambda progress, share, weight: weight * float(progress >= share)),
        Mistake(
            "this takes the larger of 1 and progress / share; take the smaller: min, not max",
            lambda progress, share, weight: weight * max(1.0, progress / share),
        ),
    ),
    without=WITHOUT,
    held_back=("starter.models.cvae",),
)
