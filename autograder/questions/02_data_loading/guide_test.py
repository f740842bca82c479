"""Question `guide_test`: Welch's t-test of a target's guides against the non-targeting ones."""

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function
from starter.schema import CONTROL

from .shared import WITHOUT


def _guide_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Control guides that scatter less, and guides of another target between them."""
    cases = []
    for n_genes, n_guides, n_controls in ((6, 3, 7), (9, 4, 5), (4, 3, 9)):
        targets = np.array(["GENEA"] * n_guides + [CONTROL] * n_controls + ["GENEB"] * 3)
        scatter = np.where(targets == CONTROL, 0.08, 0.3)
        profiles = rng.gamma(2.0, 0.5, n_genes) + scatter[:, None] * rng.standard_normal((len(targets), n_genes))
        profiles += 0.7 * (targets == "GENEA")[:, None] * rng.standard_normal(n_genes)
        order = rng.permutation(len(targets))
        cases.append({"profiles": profiles[order], "target_of_guide": targets[order], "target": "GENEA"})
    return cases


def _welch(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Welch (1947), Biometrika 34:28, written out."""
    errors = [group.var(axis=0, ddof=1) / len(group) for group in (mine, other)]
    t = (mine.mean(axis=0) - other.mean(axis=0)) / np.sqrt(sum(errors))
    df = sum(errors) ** 2 / sum(error**2 / (len(group) - 1) for error, group in zip(errors, (mine, other), strict=True))
    return 2 * scipy.stats.t.sf(np.abs(t), df)


def _guide_test(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    return _welch(profiles[target_of_guide == target], profiles[target_of_guide == CONTROL])


def _students_t(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.ttest_ind(mine, control).pvalue


def _against_all(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    return _welch(profiles[target_of_guide == target], profiles[target_of_guide != target])


def _t_not_p(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.ttest_ind(mine, control, equal_var=False).statistic


def _rank_sum_of_guides(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.mannwhitneyu(mine, control).pvalue


def _one_sided(profiles: np.ndarray, target_of_guide: np.ndarray, target: str) -> np.ndarray:
    mine, control = profiles[target_of_guide == target], profiles[target_of_guide == CONTROL]
    return scipy.stats.ttest_ind(mine, control, equal_var=False, alternative="greater").pvalue


QUESTION = Question(
    name="guide_test",
    asks=Function("guide_test"),
    inputs=_guide_cases,
    due=_guide_test,
    hints=(
        "Guides are the replicates: compare a target's guides with the non-targeting ones, gene by gene.",
        "Welch's t-test, which lets both groups vary differently; its p-value",
        "two arrays, guides x genes each, chosen by the target of each row; the test gives one p per gene",
    ),
    mistakes=(
        Mistake("this is Student's test, which takes both variances for equal; use equal_var=False", _students_t),
        Mistake("the other targets' guides count as controls; compare with the non-targeting ones only", _against_all),
        Mistake("these are the t statistics; the p-values are in .pvalue", _t_not_p),
        Mistake("this is a rank-sum test; a t-test is asked for", _rank_sum_of_guides),
        Mistake("this test is one-sided; leave `alternative` out, so that genes down count too", _one_sided),
    ),
    without=WITHOUT,
)
