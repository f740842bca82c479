"""Question `cells_lacking`: how many cells of each context and perturbation an upload lacks."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function
from starter.schema import CONTROL

from .shared import WITHOUT


def _uploads(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw labels of cells: some pairs are short, some have too many cells, one has none, and others are not due."""
    cases = []
    for contexts, n_perturbations, n_cells in ((("A", "B"), 4, 6), (("D", "E", "F"), 3, 8), (("A", "C"), 5, 5)):
        perturbations = [f"GENE{number}" for number in rng.permutation(np.arange(10, 99))[:n_perturbations]]
        pairs = [(context, name) for context in contexts for name in perturbations]
        present = dict(zip(pairs, n_cells + rng.integers(-2, 3, len(pairs)), strict=True))
        short, long, empty = (pairs[row] for row in rng.permutation(len(pairs))[:3])
        present |= {short: n_cells - 3, long: n_cells + 3, empty: 0}
        present |= {(contexts[0], CONTROL): n_cells + 4, (contexts[-1], "GENE1"): n_cells - 1}
        cells = [pair for pair, n in present.items() for _ in range(n)]
        cells = [cells[row] for row in rng.permutation(len(cells))]
        context, target_gene = (np.array(column) for column in zip(*cells, strict=True))
        cases.append(
            {
                "context": context,
                "target_gene": target_gene,
                "contexts": list(contexts),
                "perturbations": perturbations,
                "n_cells": n_cells,
            }
        )
    return cases


def _table(present: Counter, contexts: Sequence[str], perturbations: Sequence[str], n_cells: int) -> pd.DataFrame:
    rows = {context: [n_cells - present[context, name] for name in perturbations] for context in contexts}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(perturbations))


def _cells_lacking(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    return _table(Counter(zip(context, target_gene, strict=True)), contexts, perturbations, n_cells)


def _present(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    return n_cells - _cells_lacking(context, target_gene, contexts, perturbations, n_cells)


def _turned_round(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    return -_cells_lacking(context, target_gene, contexts, perturbations, n_cells)


def _never_too_many(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    return _cells_lacking(context, target_gene, contexts, perturbations, n_cells).clip(lower=0)


def _contexts_together(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    present = Counter(target_gene)
    every = Counter({(one, name): present[name] for one in contexts for name in perturbations})
    return _table(every, contexts, perturbations, n_cells)


def _what_is_there(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    del contexts, perturbations
    return n_cells - pd.crosstab(context, target_gene).rename_axis(None).rename_axis(None, axis=1)


def _empty_missing(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    lacking = _cells_lacking(context, target_gene, contexts, perturbations, n_cells).astype(float)
    return lacking.where(lacking < n_cells)


def _upright(
    context: np.ndarray, target_gene: np.ndarray, contexts: list[str], perturbations: list[str], n_cells: int
) -> pd.DataFrame:
    return _cells_lacking(context, target_gene, contexts, perturbations, n_cells).T


QUESTION = Question(
    name="cells_lacking",
    asks=Function("cells_lacking"),
    inputs=_uploads,
    due=_cells_lacking,
    hints=(
        "Count what is there for every pair that was asked for, also for pairs of which there is nothing.",
        "lacking = what should be there of a pair, minus what is there of it",
        "present: a table of contexts x perturbations, brought to the lists' order, 0 where nothing is",
    ),
    mistakes=(
        Mistake("these are the cells that are there; take them from n_cells", _present),
        Mistake("the sign is turned round: above 0 where cells are lacking", _turned_round),
        Mistake("cells too many are a fault too: let them stand below 0", _never_too_many, credit=0.5),
        Mistake("all contexts were counted together; count each on its own", _contexts_together),
        Mistake(
            "these are the labels that are there, control and others among them; the table has what is due "
            "(reindex, with fill_value=0)",
            _what_is_there,
        ),
        Mistake("a pair without a cell lacks all of them: fill_value=0", _empty_missing, credit=0.5),
        Mistake("a row is a context, a column a perturbation", _upright),
    ),
    comparator=Same(),
    without=WITHOUT,
)
