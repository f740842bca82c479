"""Question `residual_expression`: the share of a target's RNA that each of its guides leaves."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function
from starter.schema import CONTROL

from .shared import WITHOUT


def _knocked(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three targets: guides of different strength and size, deep and shallow cells, unlike control guides.

    The last guide comes first, so that guides as they appear are not sorted.
    """
    cases = []
    for target, n_guides in (("GENEA", 3), ("GENEB", 4), ("GENEC", 2)):
        groups = [(f"{CONTROL}_{i}", CONTROL, left, n) for i, left, n in ((1, 0.6, 17), (2, 1.0, 9), (3, 1.5, 5))]
        for i in range(1, n_guides + 1):
            groups.append((f"{target}_{i}", target, rng.uniform(0.1, 0.9), int(rng.integers(5, 15))))
        cells = []
        for guide, label, left, n in groups:
            depth = np.rint(rng.lognormal(np.log(rng.uniform(800, 2_000)), 0.5, n)) + 100
            cells += [(int(rng.poisson(4e-3 * left * umis)) + 1, umis, guide, label) for umis in depth]
        cells = [cells[-1], *(cells[i] for i in rng.permutation(len(cells) - 1))]
        umis, n_umis, guide, label = zip(*cells, strict=True)
        cases.append(
            {
                "umis": np.array(umis, float),
                "n_umis": np.array(n_umis),
                "guide": np.array(guide),
                "target_gene": np.array(label),
            }
        )
    return cases


def _residuals_of(
    rate: Callable[[np.ndarray, np.ndarray], float], *, all_cells: bool = False, controls: bool = False
) -> Callable[..., pd.DataFrame]:
    """Make the table with a group's rate from its UMIs and depths; compared with all cells; with control guides."""

    def table(umis: np.ndarray, n_umis: np.ndarray, guide: np.ndarray, target_gene: np.ndarray) -> pd.DataFrame:
        is_control = target_gene == CONTROL
        base = rate(umis, n_umis) if all_cells else rate(umis[is_control], n_umis[is_control])
        rows = {
            str(name): (int((guide == name).sum()), rate(umis[guide == name], n_umis[guide == name]) / base)
            for name in np.unique(guide if controls else guide[~is_control])
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["n_cells", "residual"])

    return table


def _pooled(umis: np.ndarray, n_umis: np.ndarray) -> float:
    return float(umis.sum() / n_umis.sum())


def _mean_of_ratios(umis: np.ndarray, n_umis: np.ndarray) -> float:
    return float((umis / n_umis).mean())


def _mean_count(umis: np.ndarray, n_umis: np.ndarray) -> float:
    del n_umis
    return float(umis.mean())


def _of_mean_control_guide(
    umis: np.ndarray, n_umis: np.ndarray, guide: np.ndarray, target_gene: np.ndarray
) -> pd.DataFrame:
    """Give every control guide the same weight, however many cells it has."""
    table = _residuals_of(_pooled, controls=True)(umis, n_umis, guide, target_gene)
    is_control = table.index.isin(guide[target_gene == CONTROL])
    return table[~is_control].assign(residual=lambda rows: rows["residual"] / table["residual"][is_control].mean())


def _fall(umis: np.ndarray, n_umis: np.ndarray, guide: np.ndarray, target_gene: np.ndarray) -> pd.DataFrame:
    table = _residuals_of(_pooled)(umis, n_umis, guide, target_gene)
    return table.assign(residual=1 - table["residual"])


QUESTION = Question(
    name="residual_expression",
    asks=Function("residual_expression"),
    inputs=_knocked,
    due=_residuals_of(_pooled),
    hints=(
        "A guide that works leaves less RNA of its target. Compare rates, since cells differ in depth.",
        "rate of a group = sum of umis / sum of n_umis; residual = rate of the guide / rate of all control cells",
        (
            "one number for the controls; of the target's cells a group per guide: sums of umis and n_umis, sizes, "
            "then their ratio"
        ),
    ),
    mistakes=(
        Mistake(
            "this averages each cell's ratio; divide the sum of umis by the sum of n_umis",
            _residuals_of(_mean_of_ratios),
        ),
        Mistake("depth plays no part here; a rate is divided by the sum of n_umis", _residuals_of(_mean_count)),
        Mistake(
            "this compares with all cells; compare with the control cells",
            _residuals_of(_pooled, all_cells=True),
        ),
        Mistake(
            "this compares with the mean of the control guides' rates; take all control cells as one group",
            _of_mean_control_guide,
        ),
        Mistake(
            "the control guides have rows too; give rows to the target's guides only",
            _residuals_of(_pooled, controls=True),
            credit=0.5,
        ),
        Mistake("this is the share that is lost; the residual is what is left", _fall),
    ),
    comparator=Same(),
    without=WITHOUT,
)
