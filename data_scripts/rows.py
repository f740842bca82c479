"""Rows of a stored matrix, wherever they stand in the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scipy.sparse

from starter.data.h5ad import layout_of, unreadable
from starter.data.zarr_store import is_array

FEWEST_IN_RUN = 8
"""Rows that follow each other in the file, on average, for them to be read as runs."""
Rows = scipy.sparse.csr_matrix | np.ndarray


def row_reader(x: Any, path: str | Path) -> Callable[[np.ndarray], Rows]:
    """Give a function that reads rows of a stored matrix, in the order asked for.

    Parameters
    ----------
    x
        A matrix in an open `.h5ad` or Zarr store, sparse or dense; one stored by genes (CSC) is read whole at once.
    path
        Of the file, for messages.
    """
    if is_array(x):
        stored: Any = x
    else:
        stored = anndata.io.sparse_dataset(x)
        if layout_of(x) == "csc_matrix":
            stored = stored.to_memory().tocsr()  # by genes: only the whole of it has rows

    def read(rows: np.ndarray) -> Rows:
        order = np.argsort(rows, kind="stable")
        due = rows[order]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(due) != 1) + 1])
        try:
            if len(due) < FEWEST_IN_RUN * len(starts) and not is_array(x):
                block = stored[due]
            else:
                ends = np.append(starts[1:], len(due))
                runs = [stored[int(due[a]) : int(due[b - 1]) + 1] for a, b in zip(starts, ends, strict=True)]
                stack = np.concatenate if is_array(x) else lambda parts: scipy.sparse.vstack(parts, format="csr")
                block = runs[0] if len(runs) == 1 else stack(runs)
        except Exception as error:  # whatever is in somebody's file
            raise unreadable(str(path), error) from error
        return block if len(starts) == 1 and (order[:-1] < order[1:]).all() else block[np.argsort(order)]

    return read
