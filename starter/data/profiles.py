"""The profiles of a screen on disk, of any size: two readings of it, and memory for a block and the sums."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from starter.data.dataset import PAIR
from starter.data.logs_of_counts import log_sums
from starter.data.preprocess import unit_of
from starter.data.stored import open_stored
from starter.errors import InputError
from starter.schema import CONTROL, PERTURBATION


@dataclass(frozen=True)
class Profiles:
    """What a screen's cells are like on average, pair by pair. The rows of all tables are the same."""

    table: pd.DataFrame
    """The profile table: mean log1p expression, index context and perturbation (sorted, controls among them), columns
    genes, float64."""
    deviations: pd.DataFrame
    """Standard deviation among the cells of a pair, in the same units; that of a mean is it / sqrt(n_cells)."""
    n_cells: pd.Series
    """Cells of each pair."""
    target_sum: float
    """UMIs to which cells were scaled."""

    @property
    def controls(self) -> pd.DataFrame:
        """Profiles of the control cells, contexts x genes."""
        return self.table.xs(CONTROL, level=PERTURBATION)


def read_profiles(
    path: str | Path,
    keep: Callable[[pd.DataFrame], np.ndarray] | None = None,
    target_sum: float | None = None,
) -> Profiles:
    """Read the profiles of a course data set or of the challenge's training file, block by block.

    The values are those of `starter.data.pseudobulk.profiles` of the screen in memory. Where the file does not state
    its target_sum, the control cells are read first: it is their median library size.

    Parameters
    ----------
    path
        `.h5ad` or Zarr store of raw counts.
    keep
        Gives the cells to take of the table `obs`, boolean, such as ``lambda obs: split.select(obs, "train")``.
        Default: all. The target_sum is that of all control cells, whichever are taken.
    target_sum
        UMIs to which cells are scaled, if not the screen's own: that of another screen, to which it is compared.

    Returns
    -------
    Profiles, deviations, numbers of cells, target_sum.

    Raises
    ------
    FindingsError
        If labels or genes break the rules of a course data set.
    InputError
        If the file cannot be read, does not hold counts, or no cell is to be taken.
    """
    with open_stored(path) as screen:
        kept = np.ones(len(screen.obs), bool) if keep is None else np.asarray(keep(screen.obs), dtype=bool)
        if not kept.any():
            msg = f"no cell of {path} is to be taken; see which pairs it has"
            raise InputError(msg)
        target = screen.target_sum() if target_sum is None else target_sum
        codes, index = screen.pairs[kept].factorize(sort=True)
        groups = np.full(len(kept), -1)
        groups[kept] = codes
        blocks = (
            (counts, groups[cells], unit_of(target, sizes))
            for cells, counts, sizes in screen.counts(kept, "read profiles")
        )
        sums, squares = log_sums(blocks, (len(index), len(screen.var)))
    n_cells = np.bincount(codes)[:, None]
    sums /= n_cells  # in place: a genome-wide screen has 10,000 rows
    squares /= n_cells
    squares -= sums**2
    np.sqrt(np.maximum(squares, 0, out=squares), out=squares)  # rounding can fall below 0
    index = index.set_names(PAIR)
    table, deviations = (pd.DataFrame(values, index, list(screen.genes)) for values in (sums, squares))
    return Profiles(table, deviations, pd.Series(n_cells[:, 0], index, name="n_cells"), target)
