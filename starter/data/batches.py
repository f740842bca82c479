"""Which cells were measured together, so that a control cell may stand beside a perturbed one."""

import numpy as np
import pandas as pd

from starter.schema import BATCH, CONTEXT

UNMATCHED = -1
"""Stands for the control of a cell that has none."""


def comparable(obs: pd.DataFrame) -> np.ndarray:
    """Group the cells that were measured together: of one context and, where the screen says it, one batch.

    Returns
    -------
    The number of each cell's group.
    """
    columns = [column for column in (CONTEXT, BATCH) if column in obs]
    if not columns:
        return np.zeros(len(obs), dtype=int)
    return obs.groupby(columns, observed=True, dropna=False).ngroup().to_numpy()
