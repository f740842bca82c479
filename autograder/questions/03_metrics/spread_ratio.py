"""Question `spread_ratio`: how much predicted cells vary, compared with measured ones."""

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give cells of several perturbations, predicted ones more cells, and less or more varied."""
    cases = []
    for n_genes, width in ((5, 0.4), (8, 1.7), (3, 0.9)):
        n_cells = rng.integers((3, 7), (6, 10), (4, 2)).T
        level = rng.gamma(2.0, 0.5, (4, n_genes))
        measured = [mean + rng.normal(0, 0.6, (n, n_genes)) for mean, n in zip(level, n_cells[0], strict=True)]
        predicted = [mean + rng.normal(0, 0.6 * width, (n, n_genes)) for mean, n in zip(level, n_cells[1], strict=True)]
        cases.append({"measured": measured, "predicted": predicted})
    return cases


def _spreads(side: list[np.ndarray]) -> np.ndarray:
    return np.array([pd.DataFrame(cells).var().mean() for cells in side])


def _spread_ratio(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return float(np.median(_spreads(predicted) / _spreads(measured)))


def _ratio_upside_down(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return _spread_ratio(predicted, measured)


def _deviation_ratio(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return float(np.median(np.sqrt(_spreads(predicted) / _spreads(measured))))


def _over_n(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    sides = [np.array([cells.var(axis=0).mean() for cells in side]) for side in (predicted, measured)]
    return float(np.median(sides[0] / sides[1]))


def _over_everything(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    sides = [np.array([cells.var(ddof=1) for cells in side]) for side in (predicted, measured)]
    return float(np.median(sides[0] / sides[1]))


def _mean_ratio(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return float(np.mean(_spreads(predicted) / _spreads(measured)))


def _mean_deviations(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    sides = [np.array([cells.std(axis=0, ddof=1).mean() for cells in side]) for side in (predicted, measured)]
    return float(np.median(sides[0] / sides[1]))


def _among_genes(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    sides = [np.array([cells.var(axis=1, ddof=1).mean() for cells in side]) for side in (predicted, measured)]
    return float(np.median(sides[0] / sides[1]))


QUESTION = Question(
    name="spread_ratio",
    asks=Function("spread_ratio"),
    inputs=_cells,
    due=_spread_ratio,
    hints=(
        "Predicted cells that all look alike are no cells. Compare how much they vary with how much real ones do.",
        "variance over the cells (ddof=1) of each gene, averaged over genes; predicted / measured; the median",
        (
            "for each perturbation an array cells x genes: a variance per gene, then one number; ratios: one per "
            "perturbation"
        ),
    ),
    mistakes=(
        Mistake("the ratio is upside down; divide predicted by measured variance", _ratio_upside_down),
        Mistake("this compares standard deviations; take variances", _deviation_ratio),
        Mistake("the variance divides by n here; divide by n - 1 (ddof=1)", _over_n),
        Mistake("differences between genes are in the variance; take it over the cells (axis=0)", _over_everything),
        Mistake("this is the mean over perturbations; take the median", _mean_ratio),
        Mistake("these are standard deviations; take variances (block.var)", _mean_deviations),
        Mistake("the variance is among the genes of each cell; take it among the cells (axis=0)", _among_genes),
    ),
    without=WITHOUT,
)
