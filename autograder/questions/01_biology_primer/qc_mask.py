"""Question `qc_mask`: which cells pass quality control by depth and mitochondrial share."""

from collections.abc import Callable

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sets of cells with odd ones of every kind, between the limits of usual mistakes and the right ones."""
    cases = []
    for n in (83, 140, 57):
        log_umis, mito = rng.normal(9, 0.4, n), rng.gamma(60, 0.08, n)
        centre, spread = np.median(log_umis), _mad(log_umis)
        mito_centre, mito_spread = np.median(mito), _mad(mito)
        # (depth, mitochondrial) in MADs: too deep, too shallow, torn, and cells that are no fault
        odd = [(4.1, 0.2), (3.7, -0.6), (-5.2, 0.1), (-4.4, 8), (0.3, 6.3), (2.4, 0.4), (-2.5, -0.3), (0.2, 4.2)]
        odd += [(1.1, 3.6), (-3.9, 0.5), (0.7, 12)]
        shift, mito_shift = np.array(odd).T
        log_umis = np.append(log_umis, centre + shift * spread)
        mito = np.append(mito, np.maximum(mito_centre + mito_shift * mito_spread, 0.01))
        mito[:4] = 0.0  # healthy cells without mitochondrial RNA, far below the rest
        order = rng.permutation(len(mito))
        cases.append({"n_umis": np.exp(log_umis)[order].round(), "percent_mito": mito[order]})
    return cases


def _mad(values: np.ndarray) -> float:
    return 1.482602218505602 * float(np.median(np.abs(values - np.median(values))))


def _qc_mask(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    depth, highest = np.log(n_umis), np.median(percent_mito) + 5 * _mad(percent_mito)
    low, high = np.median(depth) - 3 * _mad(depth), np.median(depth) + 3 * _mad(depth)
    return np.array(
        [low <= cell <= high and mito <= highest for cell, mito in zip(depth, percent_mito, strict=True)], dtype=bool
    )


def _removed(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return ~_qc_mask(n_umis, percent_mito)


def _mask_of(
    depth: Callable[[np.ndarray], np.ndarray] = np.log,
    spread: Callable[[np.ndarray], float] = _mad,
    *,
    upper: bool = True,
    lower_mito: float = -np.inf,
) -> Callable[..., np.ndarray]:
    """Make a mask with another scale, another spread, without the upper tail of depth or with a lower one of mito."""

    def mask(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
        z = (depth(n_umis) - np.median(depth(n_umis))) / spread(depth(n_umis))
        z_mito = (percent_mito - np.median(percent_mito)) / spread(percent_mito)
        return (z >= -3) & ((z <= 3) | (not upper)) & (z_mito <= 5) & (z_mito >= lower_mito)

    return mask


def _plain_mad(values: np.ndarray) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _either(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    depth = np.log(n_umis)
    in_depth = np.abs(depth - np.median(depth)) <= 3 * _mad(depth)
    return in_depth | (percent_mito <= np.median(percent_mito) + 5 * _mad(percent_mito))


QUESTION = Question(
    name="qc_mask",
    asks=Function("qc_mask"),
    inputs=_cells,
    due=_qc_mask,
    mistakes=(
        Mistake("this is True for the cells to remove; give True to those that pass", _removed),
        Mistake("depth is compared on the log scale; take np.log(n_umis) first", _mask_of(np.asarray)),
        Mistake('the MAD is not scaled; use median_abs_deviation(values, scale="normal")', _mask_of(spread=_plain_mad)),
        Mistake("odd cells widen a standard deviation; use the scaled MAD instead", _mask_of(spread=np.std)),
        Mistake("very deep cells pass; check log(n_umis) on both sides of the median", _mask_of(upper=False)),
        Mistake("a low percent_mito is no fault; check percent_mito on its upper side only", _mask_of(lower_mito=-5)),
        Mistake("a cell must pass both rules, not one of them; use & and not |", _either),
    ),
    without=WITHOUT,
)
