"""Question `qc_mask`: which cells pass quality control by depth and mitochondrial share."""

from collections.abc import Callable

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sets of cells with odd ones of every kind, between the limits of usual mistakes and the right ones.

    Torn cells are so many that they pull the means of depth and of mitochondrial share far from the medians.
    """
    cases = []
    for n in (83, 140, 57):
        normal = scipy.stats.norm.ppf((np.arange(n) + 0.5) / n)
        log_umis = rng.uniform(8.5, 9.5) + rng.uniform(0.3, 0.5) * normal
        mito = 4.8 + 0.6 * rng.permutation(normal)
        mito[:4] = 0.0  # healthy cells without mitochondrial RNA, far below the rest
        torn = np.column_stack([rng.uniform(-8, -5, n // 6), rng.uniform(7, 14, n // 6)])
        # (depth, mitochondrial) in MADs: too deep, too shallow, too high a share, and cells that are no fault
        odd = [(4.1, 0.2), (3.3, -0.4), (-5.2, 0.1), (-3.9, 0.5), (-3.3, 0.4), (0.3, 6.3), (0.4, 5.3), (0.5, 12)]
        odd += [(2.4, 0.4), (2.7, 0.3), (-2.5, -0.3), (0.2, 4.2), (1.1, 3.6), (-0.3, 4.7)]
        shift, mito_shift = np.vstack([odd, torn]).T
        order = rng.permutation(n + len(shift))
        n_umis = np.exp(_with_odd(log_umis, shift)).round()
        cases.append({"n_umis": n_umis[order], "percent_mito": _with_odd(mito, mito_shift)[order]})
    return cases


def _with_odd(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Add values that lie so many MADs from the median, both taken of all, themselves included."""
    together = values
    for _ in range(5):
        together = np.append(values, np.median(together) + shift * _mad(together))
    return together


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


def _as_numbers(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return _qc_mask(n_umis, percent_mito).astype(int)


def _mask_of(
    depth: Callable[[np.ndarray], np.ndarray] = np.log,
    spread: Callable[[np.ndarray], float] = _mad,
    centre: Callable[[np.ndarray], float] = np.median,
    *,
    upper: bool = True,
    lower_mito: float = -np.inf,
) -> Callable[..., np.ndarray]:
    """Make a mask with another scale, spread or centre, without the upper tail of depth or with a lower one of mito."""

    def mask(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
        z = (depth(n_umis) - centre(depth(n_umis))) / spread(depth(n_umis))
        z_mito = (percent_mito - centre(percent_mito)) / spread(percent_mito)
        return (z >= -3) & ((z <= 3) | (not upper)) & (z_mito <= 5) & (z_mito >= lower_mito)

    return mask


def _plain_mad(values: np.ndarray) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _mean_deviation(values: np.ndarray) -> float:
    return 1.482602218505602 * float(np.mean(np.abs(values - np.median(values))))


def _either(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    depth = np.log(n_umis)
    in_depth = np.abs(depth - np.median(depth)) <= 3 * _mad(depth)
    return in_depth | (percent_mito <= np.median(percent_mito) + 5 * _mad(percent_mito))


def _mito_alone(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return _qc_mask(np.ones_like(n_umis), percent_mito)


def _depth_alone(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return _qc_mask(n_umis, np.zeros_like(percent_mito))


def _three_of_both(n_umis: np.ndarray, percent_mito: np.ndarray) -> np.ndarray:
    return _qc_mask(n_umis, percent_mito) & (percent_mito <= np.median(percent_mito) + 3 * _mad(percent_mito))


QUESTION = Question(
    name="qc_mask",
    asks=Function("qc_mask"),
    inputs=_cells,
    due=_qc_mask,
    hints=(
        "Compare each cell with the middle of all cells, in units that odd cells cannot stretch: MADs.",
        "|log depth - median| <= 3 MAD, and percent_mito <= median + 5 MAD; both must hold",
        (
            "log depth: one per cell; its distance from one median: one per cell; two masks, one per cell each, "
            "joined by &"
        ),
    ),
    mistakes=(
        Mistake("this is True for the cells to remove; give True to those that pass", _removed),
        Mistake("depth is compared on the log scale; take np.log(n_umis) first", _mask_of(np.asarray)),
        Mistake('the MAD is not scaled; use median_abs_deviation(values, scale="normal")', _mask_of(spread=_plain_mad)),
        Mistake("odd cells widen a standard deviation; use the scaled MAD instead", _mask_of(spread=np.std)),
        Mistake("odd cells pull the mean; measure distances from the median", _mask_of(centre=np.mean)),
        Mistake(
            "this is the mean of the absolute deviations, which odd cells widen; take their median",
            _mask_of(spread=_mean_deviation),
        ),
        Mistake("very deep cells pass; check log(n_umis) on both sides of the median", _mask_of(upper=False)),
        Mistake("a low percent_mito is no fault; check percent_mito on its upper side only", _mask_of(lower_mito=-5)),
        Mistake("a cell must pass both rules, not one of them; use & and not |", _either),
        Mistake("these are numbers, which choose cells by place; give True or False", _as_numbers),
        Mistake("depth is not looked at; log(n_umis) must lie within 3 MADs of its median, too", _mito_alone),
        Mistake("percent_mito is not looked at; it must be at most 5 MADs above its median, too", _depth_alone),
        Mistake("the limit is 5 MADs of percent_mito, and 3 of depth", _three_of_both),
    ),
    comparator=Same(),
    without=WITHOUT,
)
