"""Question `des`: the differential expression score of each perturbation."""

from collections.abc import Callable, Iterable

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _de_tables(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give DE tables with more, fewer and no genes called than measured, and without a measured one."""
    cases = []
    for n_genes, n_rows in ((24, 3), (19, 5), (28, 4)):
        rows = [_crowded(rng, n_genes), _missed(rng, n_genes), _row(rng, n_genes, np.array([], int), np.arange(4))]
        for _ in range(n_rows):
            n_measured, n_predicted = rng.integers((2, 0), 12)
            measured = rng.permutation(n_genes)[:n_measured]
            rows.append(_row(rng, n_genes, measured, rng.permutation(n_genes)[:n_predicted]))
        tables = [np.array(table) for table in zip(*(rows[i] for i in rng.permutation(len(rows))), strict=True)]
        names = ("measured_fdr", "measured_fold", "predicted_fdr", "predicted_fold")
        cases.append(dict(zip(names, tables, strict=True)))
    return cases


def _row(rng: np.random.Generator, n_genes: int, measured: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, ...]:
    """Give measured FDR and fold, then predicted ones: genes that are called, the predicted ones by size.

    A gene that is not called has the largest predicted fold, and the more a called one changes the larger its FDR.
    """
    fdr, predicted_fdr = rng.uniform(0.051, 0.09, (2, n_genes))
    fdr[measured] = rng.uniform(0.02, 0.045, len(measured))
    predicted_fdr[predicted] = np.sort(rng.uniform(0.02, 0.045, len(predicted)))[::-1]
    size = np.sort(rng.uniform(0.5, 4.0, n_genes))[::-1]
    rest = rng.permutation(np.setdiff1d(np.arange(n_genes), predicted))
    predicted_fold = np.zeros(n_genes)
    predicted_fold[np.concatenate([rest[:1], predicted, rest[1:]])] = size
    predicted_fold[predicted[:1]] *= -1
    return fdr, rng.normal(0, 1.5, n_genes), predicted_fdr, predicted_fold


def _crowded(rng: np.random.Generator, n_genes: int) -> tuple[np.ndarray, ...]:
    """Call more genes than are measured: which of them come first decides.

    n - 2 of the measured ones do by size, n - 3 by signed fold change, n - 1 with the smallest change first.
    """
    genes, n = rng.permutation(n_genes), int(rng.integers(4, 8))
    return _row(rng, n_genes, genes[[0, *range(3, n), n + 1, n + 2]], genes[: n + 3])


def _missed(rng: np.random.Generator, n_genes: int) -> tuple[np.ndarray, ...]:
    """Call two genes, one of many that are measured."""
    genes, n = rng.permutation(n_genes), int(rng.integers(5, 9))
    return _row(rng, n_genes, genes[:n], genes[[0, n]])


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


def _des_of_called(**tables: np.ndarray) -> np.ndarray:
    called = [tables[f"{side}_fdr"] < 0.05 for side in ("measured", "predicted")]
    with np.errstate(invalid="ignore"):
        return (called[0] & called[1]).sum(axis=1) / called[1].sum(axis=1)


def _des_smallest_first(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), size=lambda fold: -abs(fold))


def _des_counted(**tables: np.ndarray) -> np.ndarray:
    return _des(**tables) * (tables["measured_fdr"] < 0.05).sum(axis=1)


QUESTION = Question(
    name="des",
    asks=Function("des"),
    inputs=_de_tables,
    due=_des,
    hints=(
        "Which genes are called, in the measured and in the predicted table, and how many are the same?",
        (
            "n = number of measured genes with FDR < .05; score = shared with the first n predicted ones by |fold "
            "change| / n"
        ),
        (
            "for each row: two lists of genes, sorted by the size of the fold change, called ones only; one "
            "number, nan if n is 0"
        ),
    ),
    mistakes=(
        Mistake("genes are ordered by signed fold change; order them by its size", _des_signed),
        Mistake("the predicted list is not cut; only its first n genes count", _des_whole_list),
        Mistake("without a measured gene the score is np.nan; here it is 0", _des_zero),
        Mistake("predicted genes that are not called are in the list; keep those with FDR below .05", _des_all_genes),
        Mistake("this divides by the shorter list; divide by the number of measured genes", _des_shorter),
        Mistake("measured and predicted are swapped; n is the number of measured genes", _des_swapped),
        Mistake(
            "n is the number of genes that were called in the prediction here; take that of the measured ones",
            _des_of_called,
        ),
        Mistake(
            "the smallest change comes first, as it does by FDR; sort by size, from the largest", _des_smallest_first
        ),
        Mistake("this is a count, not a share; divide by the number of measured genes", _des_counted),
    ),
    without=WITHOUT,
)
