"""Question `des`: the differential expression score of each perturbation."""

from collections.abc import Callable, Iterable

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _de_tables(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give DE tables in which more, fewer or no genes are called than measured, and none where none is measured."""
    cases = []
    for n_genes, n_called in (
        (9, [(4, 7), (5, 2), (3, 0), (0, 4)]),
        (14, [(8, 8), (6, 11), (0, 0), (7, 3), (2, 9)]),
        (11, [(1, 6), (5, 9), (9, 4)]),
    ):
        inputs = {}
        for side, name in enumerate(("measured", "predicted")):
            fdr = rng.uniform(0.06, 1, (len(n_called), n_genes))
            for row, called in enumerate(n_called):
                genes = rng.choice(n_genes, called[side], replace=False)
                fdr[row, genes] = rng.uniform(0.0001, 0.045, len(genes))
            inputs[f"{name}_fdr"] = fdr
            inputs[f"{name}_fold"] = rng.normal(0, 1.5, fdr.shape)
        cases.append(inputs)
    return cases


def _overlap(
    sides: Iterable[np.ndarray],
    *,
    size: Callable[[float], float] = abs,
    below: float = 0.05,
    cut: bool = True,
    none: float = np.nan,
) -> np.ndarray:
    """Compare lists of called genes, in the right or a wrong way."""
    scores = []
    for fdr, _, predicted_fdr, predicted_fold in zip(*sides, strict=True):
        due = set(np.flatnonzero(fdr < 0.05))
        order = sorted(range(len(fdr)), key=[-size(fold) for fold in predicted_fold].__getitem__)
        called = [gene for gene in order if predicted_fdr[gene] < below]
        scores.append(len(due.intersection(called[: len(due)] if cut else called)) / len(due) if due else none)
    return np.array(scores)


def _des(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values())


def _des_signed(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), size=float)


def _des_whole_list(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), cut=False)


def _des_zero(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), none=0.0)


def _des_all_genes(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), below=np.inf)


def _des_shorter(**tables: np.ndarray) -> np.ndarray:
    n_called = [(tables[f"{side}_fdr"] < 0.05).sum(axis=1) for side in ("measured", "predicted")]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _des(**tables) * n_called[0] / np.minimum(*n_called)


def _des_swapped(**tables: np.ndarray) -> np.ndarray:
    measured_fdr, measured_fold, predicted_fdr, predicted_fold = tables.values()
    return _overlap((predicted_fdr, predicted_fold, measured_fdr, measured_fold))


QUESTION = Question(
    name="des",
    asks=Function("des"),
    inputs=_de_tables,
    due=_des,
    mistakes=(
        Mistake("genes are ordered by signed fold change; order them by its size", _des_signed),
        Mistake("the predicted list is not cut; only its first n genes count", _des_whole_list),
        Mistake("without a measured gene the score is np.nan; here it is 0", _des_zero),
        Mistake("predicted genes that are not called are in the list; keep those with FDR below .05", _des_all_genes),
        Mistake("this divides by the shorter list; divide by the number of measured genes", _des_shorter),
        Mistake("measured and predicted are swapped; n is the number of measured genes", _des_swapped),
    ),
    without=WITHOUT,
)
