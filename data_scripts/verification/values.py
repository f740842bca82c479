"""Values here and there: equal, close, different, or on one side only."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_scripts.rows import Rows
from starter import progress

TOLERANCE = 1e-5
"""Values are close if they differ by no more than this share of the larger one: float32 holds seven digits."""
VALUES_PER_BLOCK = 4_000_000
"""Values that are compared at once; all that is needed for them takes some 200 MB."""


@dataclass
class Counts:
    """How many values are what."""

    equal: int = 0
    """Bit by bit, NaN beside NaN too."""
    close: int = 0
    """Within `TOLERANCE`."""
    different: int = 0
    missing: int = 0
    """Values there that have no counterpart here."""
    extra: int = 0
    """Values here that have no counterpart there."""
    not_zero: int = 0
    """Of the compared ones, those that are not 0 on both sides."""
    largest: float = 0.0
    """Largest difference of two finite values."""
    where: str = ""
    """Of the largest difference: cell, gene and both values."""
    whole_here: bool = True
    """Whether all values here are whole numbers, as counts are."""
    whole_there: bool = True


def compare_columns(here: pd.Series, there: pd.Series) -> Counts:
    """Compare two columns of the same cells: numbers within the tolerance, anything else as text."""
    lacks, they_lack = here.isna().to_numpy(), there.isna().to_numpy()
    both = ~lacks & ~they_lack
    if all(pd.api.types.is_numeric_dtype(each) and not pd.api.types.is_bool_dtype(each) for each in (here, there)):
        counts, _ = _count(here[both].to_numpy(float), there[both].to_numpy(float))
    else:
        same = here[both].astype(str).to_numpy() == there[both].astype(str).to_numpy()
        counts = Counts(equal=int(same.sum()), different=int((~same).sum()))
    counts.equal += int((lacks & they_lack).sum())
    counts.missing, counts.extra = int((lacks & ~they_lack).sum()), int((~lacks & they_lack).sum())
    return counts


def compare_matrices(
    readers: tuple[Callable[[np.ndarray], Rows], Callable[[np.ndarray], Rows]],
    rows: tuple[np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray],
    name: str,
) -> tuple[Counts, tuple[int, int, float, float] | None]:
    """Compare two stored matrices, a block of cells at a time.

    Parameters
    ----------
    readers
        What gives rows here and there.
    rows, columns
        The places of the same cells and genes, here and there.
    name
        For the progress bar.

    Returns
    -------
    The counts; and of the largest difference row and column here, the value here and the one there.
    """
    total, where = Counts(), None
    step = max(1, VALUES_PER_BLOCK // len(columns[0]))
    with progress.bar(f"compare {name}", -(-len(rows[0]) // step)) as advance:
        for start in range(0, len(rows[0]), step):
            mine, other = (
                _dense(read(these[start : start + step]), those)
                for read, these, those in zip(readers, rows, columns, strict=True)
            )
            counts, place = _count(mine, other)
            total.whole_here, total.whole_there = total.whole_here and _whole(mine), total.whole_there and _whole(other)
            for key in ("equal", "close", "different", "not_zero"):
                setattr(total, key, getattr(total, key) + getattr(counts, key))
            if counts.largest > total.largest:
                row, column = np.unravel_index(place, mine.shape)
                total.largest = counts.largest
                at = int(rows[0][start + row]), int(columns[0][column])
                where = (*at, float(mine[row, column]), float(other[row, column]))
            advance()
    return total, where


def _dense(block: Rows, columns: np.ndarray) -> np.ndarray:
    in_order = len(columns) == block.shape[1] and (np.diff(columns) == 1).all()
    block = block if in_order else block[:, columns]
    return np.asarray(block) if isinstance(block, np.ndarray) else block.toarray()


def _whole(values: np.ndarray) -> bool:
    return bool((values == np.rint(values)).all())


def _count(here: np.ndarray, there: np.ndarray) -> tuple[Counts, int]:
    """Count the values that are equal, close or different; give the place of the largest difference too."""
    not_zero = int(np.count_nonzero((here != 0) | (there != 0)))
    if np.array_equal(here, there):
        return Counts(equal=here.size, not_zero=not_zero), 0
    equal = (here == there) | (np.isnan(here) & np.isnan(there))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(equal, 0.0, np.abs(here.astype(np.float64) - there))
        close = ~equal & (apart <= TOLERANCE * np.maximum(np.abs(here), np.abs(there))) & np.isfinite(apart)
    apart[~np.isfinite(apart)] = 0
    place = int(apart.argmax())
    n_equal, n_close = int(equal.sum()), int(close.sum())
    different = here.size - n_equal - n_close
    return Counts(n_equal, n_close, different, not_zero=not_zero, largest=float(apart.flat[place])), place
