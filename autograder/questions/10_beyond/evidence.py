"""Question `evidence`: what the same target did in the other cell lines."""

from collections.abc import Callable

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _measured(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw targets that were measured in all lines, in some, in one and in none; anything stands where none was."""
    cases = []
    for n_lines, n_targets, n_genes in ((3, 6, 5), (4, 5, 3), (3, 7, 4)):
        measured = rng.random((n_lines, n_targets)) < 0.6
        order = rng.permutation(n_targets)
        # of these four: in all lines, in none, in the first alone, in the first two
        measured[:, order[:4]] = np.arange(n_lines)[:, None] < np.array([n_lines, 0, 1, 2])
        effects = rng.normal(0.2, 1.0, (n_lines, n_targets, n_genes))
        cases.append({"effects": effects, "measured": measured})
    return cases


def _means(
    chosen: Callable[[np.ndarray, int, int], np.ndarray],
    empty: float = 0.0,
    how: Callable[..., np.ndarray] = np.mean,
) -> Callable[..., np.ndarray]:
    """Go from pair to pair; `chosen` says of which lines the target's effects are averaged."""

    def gives(effects: np.ndarray, measured: np.ndarray) -> np.ndarray:
        found = np.full(effects.shape, empty)
        for line, target in np.ndindex(measured.shape):
            if len(rows := effects[chosen(measured, line, target), target]):
                found[line, target] = how(rows, axis=0)
        return found

    return gives


def _elsewhere(measured: np.ndarray, line: int, target: int) -> np.ndarray:
    return np.array([other for other in np.flatnonzero(measured[:, target]) if other != line], dtype=int)


def _with_own(measured: np.ndarray, line: int, target: int) -> np.ndarray:
    return np.flatnonzero(measured[:, target])


def _all_others(measured: np.ndarray, line: int, target: int) -> np.ndarray:
    return np.delete(np.arange(len(measured)), line)


def _of_all_lines(effects: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Divide by how many other lines there are, measured or not."""
    return _means(_elsewhere, how=np.sum)(effects, measured) / (len(measured) - 1)


def _own_counted(effects: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Leave the own effect out of the sum, and not of the number."""
    return _means(_elsewhere, how=np.sum)(effects, measured) / np.maximum(measured.sum(axis=0), 1)[:, None]


def _same_line(effects: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Average the other targets of the same line."""
    turned = _means(_elsewhere)(effects.swapaxes(0, 1), measured.T)
    return turned.swapaxes(0, 1)


QUESTION = Question(
    name="evidence",
    asks=Function("evidence"),
    inputs=_measured,
    due=_means(_elsewhere),
    hints=(
        "What did the same target do elsewhere? Its own line must not count, for that is the answer.",
        "(sum over all measured lines - own) / (number of measured lines - own), 0 where none is left",
        (
            "effects: lines x targets x genes, 0 where not measured; sum over lines: targets x genes; number: "
            "lines x targets"
        ),
    ),
    mistakes=(
        Mistake("a pair's own effect is in it, which is the answer; leave its own line out", _means(_with_own)),
        Mistake("lines in which the target was not measured count here; look at `measured`", _means(_all_others)),
        Mistake("this is the sum over the other lines; take their mean", _means(_elsewhere, how=np.sum)),
        Mistake("divide by the other lines in which the target was measured, not by all other lines", _of_all_lines),
        Mistake("the own line is left out of the sum and not of the number by which it is divided", _own_counted),
        Mistake("a target that was measured in no other line has zeros, not NaN", _means(_elsewhere, empty=np.nan)),
        Mistake("these are other targets of the same line; take the same target in other lines", _same_line),
    ),
    without=WITHOUT,
)
