"""What the matrices of a file hold: counts, logs of them that can be undone, or something else."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from data_scripts.adoption.cells import text_of
from data_scripts.adoption.columns import CONTEXTS, named
from data_scripts.adoption.counts import AWAY, list_matrices, read_kept
from data_scripts.adoption.logs import FEW, find_units
from starter.data.h5ad import CELLS_PER_BLOCK
from starter.data.scale import LOG_LIMIT
from starter.errors import InputError

BLOCKS = 8
"""At most so many blocks of cells, from all over the file, are looked at."""
TELLING = 20
"""A column that tells cells apart which come out as counts has at most so many values."""
NAMES = ("count", "raw", "umi")
"""Of several layers with counts, one with such a name is meant."""


class Matrix(NamedTuple):
    """What was seen of a matrix."""

    name: str
    kind: Literal["counts", "logs", "other"]
    what: str
    """What it holds, in a few words."""
    sums: np.ndarray | None
    """Counts of each cell that was looked at; None if it holds no counts."""
    comes_out: np.ndarray
    """Which of these cells have counts, or logs that can be undone; boolean."""
    agrees: str | None = None
    """The column of totals with which its logs agree best."""


def looked_at(keep: np.ndarray) -> np.ndarray:
    """Mark those of some cells that are looked at: the ones in a few blocks, evenly over the file."""
    of_cell = np.arange(len(keep)) // CELLS_PER_BLOCK
    blocks = np.unique(of_cell[keep])
    chosen = blocks[np.unique(np.linspace(0, max(len(blocks) - 1, 0), min(BLOCKS, len(blocks))).round().astype(int))]
    return keep & np.isin(of_cell, chosen)


def judge(name: str, x: Any, seen: np.ndarray, totals: Mapping[str, np.ndarray]) -> Matrix:
    """Look at some cells of a matrix.

    Parameters
    ----------
    name, x
        The matrix.
    seen
        Which cells to look at, boolean.
    totals
        Columns that may hold each cell's total of UMIs; logs must agree with one of them, if there are any.
    """
    sums, kept = np.zeros(len(seen)), []
    lowest = highest = fraction = 0.0
    n_odd = 0
    for here, block in read_kept(x, seen, f"look at {name}"):
        values = block.data.astype(np.float64)
        finite = values[np.isfinite(values)]
        n_odd += len(values) - len(finite)
        lowest, highest = min(lowest, finite.min(initial=0)), max(highest, finite.max(initial=0))
        fraction = max(fraction, float(np.abs(finite - np.rint(finite)).max(initial=0)))
        sums[here] = np.asarray(block.sum(axis=1)).ravel()
        kept.append((here, block))
    everywhere, nowhere = np.ones(int(seen.sum()), bool), np.zeros(int(seen.sum()), bool)
    if n_odd or lowest < 0:
        what = f"NaN or infinite values: {n_odd:,}" if n_odd else f"negative values, down to {lowest:.4g}"
        return Matrix(name, "other", what, None, nowhere)
    if fraction <= AWAY and highest <= 1:
        return Matrix(name, "other", "no value but 0 and 1", None, nowhere)
    if fraction <= AWAY:
        return Matrix(name, "counts", f"whole numbers up to {highest:,.0f}", sums[seen], everywhere)
    what = f"fractions up to {highest:.4g}"
    if highest >= LOG_LIMIT:
        return Matrix(name, "other", what, None, nowhere)
    comes_out, agrees = nowhere, None
    for total, values in totals.items() or ((None, None),):
        found = np.isfinite(find_units(iter(kept), len(seen), values)[seen])
        if agrees is None or found.sum() > comes_out.sum():
            comes_out, agrees = found, total
    share = float(comes_out.mean())
    with_what = f" and agree with {agrees}" if agrees else ""
    what += f"; undone, they are counts{with_what} in {100 * share:.4g} % of the cells"
    return Matrix(name, "logs" if share >= 1 - FEW else "other", what, None, comes_out, agrees)


def choose_matrix(
    file: Any, seen: np.ndarray, wanted: str | None, totals: Mapping[str, np.ndarray], obs: pd.DataFrame
) -> Matrix:
    """Find where counts are: in X, in raw, in a layer, or in logs that can be undone.

    Parameters
    ----------
    file
        An open `.h5ad` or Zarr store.
    seen
        Which cells to look at, boolean.
    wanted
        The matrix that was named, if one was.
    totals
        As for `judge`.
    obs
        What describes the cells; it may tell in which of them counts come out.

    Raises
    ------
    InputError
        If none has counts, or several layers may.
    """
    matrices = list_matrices(file)
    if wanted is not None and wanted not in matrices:
        msg = f"the file has no matrix {wanted!r}; --counts is one of {', '.join(matrices)}"
        raise InputError(msg)
    found: list[Matrix] = []
    for name in [wanted] if wanted else matrices:
        matrix = judge(name, matrices[name], seen, totals)
        if matrix.kind == "counts" and not name.startswith("layers/"):
            return matrix
        found.append(matrix)
    with_counts = [matrix for matrix in found if matrix.kind == "counts"]
    usual = [matrix for matrix in with_counts if any(name in matrix.name.casefold() for name in NAMES)]
    if len(with_counts) == 1 or len(usual) == 1:
        return (usual if len(usual) == 1 else with_counts)[0]
    if with_counts:
        msg = f"several layers hold whole numbers; name one: {_options([matrix.name for matrix in with_counts])}"
        raise InputError(msg)
    if logs := [matrix for matrix in found if matrix.kind == "logs"]:
        return logs[0]
    there = "; ".join(f"{matrix.name}: {matrix.what}" for matrix in found)
    hint = next((hint for matrix in found if (hint := _where_they_come_out(matrix, obs[seen]))), None)
    way_out = hint or "take the raw file, or name a matrix with --counts"
    msg = f"no matrix holds counts, or logs that can be undone ({there}); {way_out}"
    raise InputError(msg)


def _options(names: Sequence[str]) -> str:
    return ", ".join(f"--counts {name}" for name in names)


def _where_they_come_out(matrix: Matrix, obs: pd.DataFrame) -> str | None:
    """Say which cells come out as counts, if a value of a column tells them."""
    if not matrix.comes_out.any():
        return None
    best: tuple[int, str] | None = None
    for name in dict.fromkeys([*named(obs, CONTEXTS), *map(str, obs.columns)]):
        if obs[name].dtype.kind in "fc" or obs[name].nunique() > TELLING:
            continue
        text = text_of(obs[name])
        lost = pd.Series(~matrix.comes_out).groupby(text.to_numpy()).agg(["mean", "size"])
        for value, (share, n) in lost.iterrows():
            if share <= FEW and value and (best is None or n > best[0]):
                best = int(n), f"--keep {name}={value}"
    return f"cells of {best[1].removeprefix('--keep ')} come out: {best[1]}" if best else None
