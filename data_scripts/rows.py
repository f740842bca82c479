"""Rows of a stored matrix, wherever they stand in the file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from starter.data.h5ad import layout_of, read_blocks, shape_of, unreadable
from starter.data.zarr_store import is_array
from starter.errors import InputError

Rows = scipy.sparse.csr_matrix | np.ndarray
GAP = 1 << 16
"""Values that are read along rather than in two readings."""
SPAN = 1 << 22
"""Values that are read at once where some of them are not needed: 32 MB with their columns."""


def row_reader(x: Any, path: str | Path) -> Callable[[np.ndarray], Rows]:
    """Give a function that reads rows of a stored matrix, in the order asked for; neighbours are read together.

    Parameters
    ----------
    x
        A matrix in an open `.h5ad` or Zarr store, sparse or dense; one stored by genes (CSC) is read whole at once.
    path
        Of the file, for messages.

    Raises
    ------
    InputError
        If it is damaged; so does the function.
    """
    if is_array(x):
        take: Callable = lambda runs: np.concatenate([x[start:stop] for start, stop in runs])  # noqa: E731
    elif layout_of(x) == "csr_matrix":
        take = _csr_taker(x, path)
    else:
        whole = scipy.sparse.vstack(list(read_blocks(x)), format="csr")
        take = lambda runs: scipy.sparse.vstack([whole[start:stop] for start, stop in runs], format="csr")  # noqa: E731

    def read(rows: np.ndarray) -> Rows:
        order = np.argsort(rows, kind="stable")
        due = rows[order]
        ends = np.append(np.flatnonzero(np.diff(due) != 1) + 1, len(due))
        starts = np.append(0, ends[:-1])
        try:
            block = take([(int(due[a]), int(due[b - 1]) + 1) for a, b in zip(starts, ends, strict=True)])
        except InputError:
            raise
        except Exception as error:  # whatever is in somebody's file
            raise unreadable(str(path), error) from error
        return block if (order[:-1] < order[1:]).all() else block[np.argsort(order)]

    return read


def _csr_taker(x: Any, path: str | Path) -> Callable[[list[tuple[int, int]]], scipy.sparse.csr_matrix]:
    data, indices = x["data"], x["indices"]
    n_rows, n_columns = shape_of(x)
    pointers = np.asarray(x["indptr"][:]).astype(np.int64)
    fits = len(pointers) == n_rows + 1 and pointers[0] == 0 and pointers[-1] <= min(data.shape[0], indices.shape[0])
    if not fits or (np.diff(pointers) < 0).any():
        msg = f"{path}: X is damaged (its pointers do not fit its {n_rows:,} rows); write it again"
        raise InputError(msg)

    def take(runs: list[tuple[int, int]]) -> scipy.sparse.csr_matrix:
        sizes = np.concatenate([np.diff(pointers[start : stop + 1]) for start, stop in runs])
        local = np.concatenate([[0], np.cumsum(sizes)])
        values, columns = np.empty(local[-1], data.dtype), np.empty(local[-1], indices.dtype)
        at = 0
        for span in _near([(int(pointers[start]), int(pointers[stop])) for start, stop in runs]):
            first, end = span[0][0], span[-1][1]
            read, read_columns = data[first:end], indices[first:end]
            for start, stop in span:
                to = slice(at, at + stop - start)
                values[to], columns[to] = read[start - first : stop - first], read_columns[start - first : stop - first]
                at = to.stop
        if len(columns) and (columns.min() < 0 or columns.max() >= n_columns):
            msg = f"{path}: X is damaged (a column index lies beyond its {n_columns:,} genes); write it again"
            raise InputError(msg)
        return scipy.sparse.csr_matrix((values, columns, local), shape=(len(sizes), n_columns))

    return take


def _near(runs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Group runs of values that lie so near that what is between them is read along: chunks are read whole anyway."""
    span: list[tuple[int, int]] = []
    for run in runs:
        if span and (run[0] - span[-1][1] > GAP or run[1] - span[0][0] > SPAN):
            yield span
            span = []
        span.append(run)
    if span:
        yield span
