"""Question `evidence`: what the same target did in the other cell lines."""

from typing import Any

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _measured(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three lines; targets of all lines, of two, of the asked line alone, and of none; measured ones are asked too."""
    cases = []
    for n_genes, n_targets in ((5, 6), (4, 7), (7, 6)):
        lines = np.array([f"line {letter}" for letter in "ABC"])
        gene = np.array([f"GENE{number}" for number in rng.permutation(20)[: n_targets + 1]])
        pairs = [(line, target) for line in lines for target in gene[: n_targets - 2]]
        pairs += [(lines[0], gene[n_targets - 2]), (lines[1], gene[n_targets - 2]), (lines[2], gene[n_targets - 1])]
        order = rng.permutation(len(pairs))
        line, target = (np.array([pairs[i][side] for i in order]) for side in (0, 1))
        asked = [(lines[2], name) for name in gene] + [(lines[0], gene[0]), (lines[1], gene[n_targets - 2])]
        order = rng.permutation(len(asked))
        cases.append(
            {
                "effects": rng.normal(0.2, 1.0, (len(pairs), n_genes)),
                "line": line,
                "target": target,
                "asked_line": np.array([asked[i][0] for i in order]),
                "asked_target": np.array([asked[i][1] for i in order]),
            }
        )
    return cases


def _evidence(
    effects: np.ndarray, line: np.ndarray, target: np.ndarray, asked_line: np.ndarray, asked_target: np.ndarray
) -> np.ndarray:
    """Take a target's own line off the sum over all lines."""
    wide = pd.DataFrame(effects, index=pd.MultiIndex.from_arrays([target, line]))
    sums, sizes = wide.groupby(level=0).sum(), wide.groupby(level=0).size()
    found = []
    for own, name in zip(asked_line, asked_target, strict=True):
        total, n = (sums.loc[name], sizes[name]) if name in sizes.index else (0 * sums.iloc[0], 0)
        if (name, own) in wide.index:
            total, n = total - wide.loc[(name, own)], n - 1
        found.append(np.asarray(total, float) / n if n else np.zeros(effects.shape[1]))
    return np.array(found)


def _means(chosen: Any, empty: float = 0.0, how: Any = np.mean) -> Any:
    """Average the rows that `chosen` picks for each asked pair."""

    def gives(
        effects: np.ndarray, line: np.ndarray, target: np.ndarray, asked_line: np.ndarray, asked_target: np.ndarray
    ) -> np.ndarray:
        rows = []
        for own, name in zip(asked_line, asked_target, strict=True):
            picked = effects[chosen(line, target, own, name)]
            rows.append(how(picked, axis=0) if len(picked) else np.full(effects.shape[1], empty))
        return np.array(rows)

    return gives


def _elsewhere(line: np.ndarray, target: np.ndarray, own: str, name: str) -> np.ndarray:
    return (target == name) & (line != own)


def _first_alone(line: np.ndarray, target: np.ndarray, own: str, name: str) -> np.ndarray:
    return np.flatnonzero(_elsewhere(line, target, own, name))[:1]


QUESTION = Question(
    name="evidence",
    asks=Function("evidence"),
    inputs=_measured,
    due=_evidence,
    mistakes=(
        Mistake(
            "the asked line's own measurement is in it, which is the answer; leave that line out",
            _means(lambda line, target, own, name: target == name),
        ),
        Mistake(
            "these are other targets too; average the asked target alone",
            _means(lambda line, target, own, name: line != own),
        ),
        Mistake(
            "these are the other targets of the same line; take the same target in the other lines",
            _means(lambda line, target, own, name: (line == own) & (target != name)),
        ),
        Mistake("a target that was measured nowhere else has zeros, not NaN", _means(_elsewhere, empty=np.nan)),
        Mistake("this is the sum over the other lines; take their mean", _means(_elsewhere, how=np.sum)),
        Mistake("this is one of the other lines; take the mean of all of them", _means(_first_alone)),
    ),
    without=WITHOUT,
)
