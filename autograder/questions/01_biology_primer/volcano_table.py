"""Question `volcano_table`: fold change, p value and FDR of every gene."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _two_groups(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three comparisons with many zeros, groups of different size, one gene off in either."""
    cases = []
    for n_perturbed, n_control, n_genes in ((19, 34, 8), (27, 15, 12), (12, 41, 5)):
        mean = rng.gamma(2.0, 0.8, n_genes) + 0.3
        factor = np.where(np.arange(n_genes) % 3 == 0, rng.choice([0.2, 4.0], n_genes), 1.0)
        perturbed, control = (
            np.log1p(rng.poisson(rng.gamma(2.0, level / 2, (n, n_genes))) * rng.uniform(0.6, 1.6, (n, 1)))
            for n, level in ((n_perturbed, mean * factor), (n_control, mean))
        )
        perturbed[0], control[0] = np.maximum(perturbed[0], 0.4), np.maximum(control[0], 0.3)
        perturbed[:, 1] = control[:, 2] = 0  # of all genes these alone
        genes = [f"GENE{number}" for number in rng.permutation(n_genes * 3)[:n_genes]]
        cases.append({"perturbed": perturbed, "control": control, "genes": np.array(genes)})
    return cases


def _rank_test(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Give two-sided p of the Mann-Whitney test, from pairs: normal, with corrections for ties and continuity."""
    p = []
    for a, b in zip(perturbed.T, control.T, strict=True):
        n = len(a) + len(b)
        wins = (a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum()
        _, tied = np.unique(np.append(a, b), return_counts=True)
        variance = len(a) * len(b) / 12 * (n + 1 - (tied**3 - tied).sum() / (n * (n - 1)))
        distance = abs(wins - len(a) * len(b) / 2) - 0.5
        p.append(min(1.0, 2 * scipy.special.ndtr(-distance / np.sqrt(variance))))
    return np.array(p)


def _benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Give the smallest false discovery rate at which each gene would be called: by hand, from its definition."""
    return np.array([min(min(1.0, len(p) * limit / (p <= limit).sum()) for limit in p[p >= own]) for own in p])


def _fold(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.log2((np.expm1(perturbed.mean(axis=0)) + 1e-9) / (np.expm1(control.mean(axis=0)) + 1e-9))


def _table_of(
    fold: Callable[..., np.ndarray] = _fold,
    test: Callable[..., np.ndarray] = _rank_test,
    correct: Callable[[np.ndarray], np.ndarray] = _benjamini_hochberg,
) -> Callable[..., pd.DataFrame]:
    """Make the table, with its parts."""

    def table(perturbed: np.ndarray, control: np.ndarray, genes: np.ndarray) -> pd.DataFrame:
        p = test(perturbed, control)
        return pd.DataFrame(
            {"log2_fold_change": fold(perturbed, control), "p_value": p, "fdr": correct(p)}, index=genes
        )

    return table


def _swapped(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return _fold(control, perturbed)


def _of_logs(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return perturbed.mean(axis=0) - control.mean(axis=0)


def _expm1_first(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.log2((np.expm1(perturbed).mean(axis=0) + 1e-9) / (np.expm1(control).mean(axis=0) + 1e-9))


def _bare_ratio(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log2(np.expm1(perturbed.mean(axis=0)) / np.expm1(control.mean(axis=0)))


def _natural_log(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return _fold(perturbed, control) * np.log(2)


def _t_test(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return scipy.stats.ttest_ind(perturbed, control).pvalue


def _no_correction(p: np.ndarray) -> np.ndarray:
    return p


def _bonferroni(p: np.ndarray) -> np.ndarray:
    return np.minimum(len(p) * p, 1)


def _one_sided(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    return scipy.stats.mannwhitneyu(perturbed, control, alternative="greater").pvalue


QUESTION = Question(
    name="volcano_table",
    asks=Function("volcano_table"),
    inputs=_two_groups,
    due=_table_of(),
    hints=(
        "How much does a gene change, and could it be chance? One column each, and one that corrects for many genes.",
        "log2((expm1(mean of perturbed) + 1e-9) / (expm1(mean of control) + 1e-9)); p by ranks; fdr from all p",
        (
            "means over cells: one per gene; the test takes both arrays and gives one p per gene; three columns, the "
            "index is genes"
        ),
    ),
    mistakes=(
        Mistake("the fold change is upside down; divide perturbed by control", _table_of(_swapped)),
        Mistake(
            "this is a difference of logs; undo log1p with expm1, then take log2 of the ratio", _table_of(_of_logs)
        ),
        Mistake("expm1 comes after the mean: take the mean of the expression first", _table_of(_expm1_first)),
        Mistake("this is the natural logarithm of the ratio; use np.log2", _table_of(_natural_log)),
        Mistake("a gene that is off has no logarithm; add 1e-9 to both means", _table_of(_bare_ratio)),
        Mistake("these p values come from a t test; use mannwhitneyu", _table_of(test=_t_test)),
        Mistake("fdr equals p; correct it with false_discovery_control", _table_of(correct=_no_correction)),
        Mistake("this is Bonferroni's correction; use false_discovery_control", _table_of(correct=_bonferroni)),
        Mistake(
            "this test is one-sided; leave `alternative` out, so that genes down count too", _table_of(test=_one_sided)
        ),
    ),
    comparator=Same(),
    without=WITHOUT,
)
