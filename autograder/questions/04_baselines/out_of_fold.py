"""Question `out_of_fold`: the mean effect, for each perturbation from the other folds."""

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _dealt(rng: np.random.Generator) -> list[dict[str, object]]:
    """Effects with folds of unequal sizes, in mixed order; a fold's number is not its place."""
    cases = []
    for sizes, n_genes in (((3, 1, 2), 5), ((2, 4, 3), 7), ((1, 3, 2, 5), 4)):
        fold = rng.permutation(np.repeat(np.arange(len(sizes))[::-1], sizes))
        cases.append({"effects": rng.normal(0.2, 1.0, (len(fold), n_genes)), "fold": fold})
    return cases


def _mean_where(effects: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Average for each perturbation the effects that are learned from, perturbations x perturbations."""
    return learned @ effects / learned.sum(axis=1, keepdims=True)


def _out_of_fold(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, np.not_equal.outer(fold, fold).astype(float))


def _in_sample(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, np.ones((len(fold), len(fold))))


def _own_fold(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, np.equal.outer(fold, fold).astype(float))


def _all_but_itself(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, 1 - np.eye(len(fold)))


def _mean_of_folds(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    means = pd.DataFrame(effects).groupby(np.asarray(fold)).mean()
    return np.array([means.drop(index=own).mean() for own in fold])


def _one_number(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return np.repeat(_out_of_fold(effects, fold).mean(axis=1, keepdims=True), effects.shape[1], axis=1)


def _sums(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return np.not_equal.outer(fold, fold) @ effects


QUESTION = Question(
    name="out_of_fold",
    asks=Function("out_of_fold"),
    inputs=_dealt,
    due=_out_of_fold,
    hints=(
        "To judge a model fairly, predict each perturbation by what was learned without its fold.",
        "for each fold: the mean effect of all perturbations of the other folds",
        "rows of a fold get one mean per gene, of the rows that are not in it; the result is perturbations x genes",
    ),
    mistakes=(
        Mistake("the hidden fold is in the mean; learn from the other folds alone", _in_sample),
        Mistake("this is the mean of the fold itself; learn from the other folds", _own_fold),
        Mistake("only the perturbation itself is left out; leave its whole fold out", _all_but_itself),
        Mistake("this averages the folds' means; let each perturbation count once", _mean_of_folds),
        Mistake("this is one number for all genes; take the mean of each gene (axis=0)", _one_number),
        Mistake("these are sums; take the mean of the other folds' effects", _sums),
    ),
    without=WITHOUT,
)
