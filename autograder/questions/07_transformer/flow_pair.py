"""Question `flow_pair`: a point on the way from noise to a cell, and the velocity there."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _flows(rng: np.random.Generator) -> list[dict[str, object]]:
    return [
        {
            "start": rng.normal(size=(n, k)),
            "end": rng.normal(1.0, 1.5, (n, k)),
            "time": rng.uniform(0.05, 0.95, (n, 1)),
        }
        for n, k in ((4, 3), (7, 2), (5, 6))
    ]


QUESTION = Question(
    name="flow_pair",
    asks=Function("flow_pair", tensors=True),
    inputs=_flows,
    due=lambda start, end, time: [start + time * (end - start), end - start],
    hints=(
        "On a straight line from start to end: where is one at a time, and how fast does one go?",
        "point = (1 - t) start + t end; velocity = end - start",
        "both cells x numbers; time is a column, which all numbers of a cell share",
    ),
    mistakes=(
        Mistake(
            "time runs backwards; at 0 a point is at its start",
            lambda start, end, time: [time * start + (1 - time) * end, end - start],
        ),
        Mistake(
            "the velocity points back; it goes from start to end",
            lambda start, end, time: [(1 - time) * start + time * end, start - end],
        ),
        Mistake(
            "the velocity is the whole way in one unit of time; do not multiply it by time",
            lambda start, end, time: [(1 - time) * start + time * end, time * (end - start)],
        ),
        Mistake(
            "that is what is left of the way; the velocity is the same all the time",
            lambda start, end, time: [(1 - time) * start + time * end, (1 - time) * (end - start)],
        ),
    ),
    comparator=Same(),
    without=WITHOUT,
)
