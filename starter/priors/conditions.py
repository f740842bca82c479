"""Conditions: what a network is told of a perturbation, all kinds of features side by side."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from starter.priors.features import of_targets
from starter.priors.tables import GENE
from starter.schema import CONTROL, PERTURBATION

PERTURBED = "perturbed"
"""The first column of a condition: a constant for perturbed cells, 0 for control cells."""
CONSTANT = 4.0
"""That constant. Large, so that what all perturbations share is learned first."""
LENGTH = 4.0
"""Root mean square length of each kind of features; the shorter, the more weight decay makes of them."""


def conditions(tables: Mapping[str, pd.DataFrame], learned: Sequence[str], targets: Sequence[str]) -> pd.DataFrame:
    """Describe perturbations by all features at once.

    Parameters
    ----------
    tables
        Feature tables by name. In each, rows get length 1, lose the mean of the learned perturbations, and are scaled
        to `LENGTH`, so that no table outweighs another.
    learned, targets
        Perturbations that the model trains on, and those to predict; the first give mean and scale.

    Returns
    -------
    One row a perturbation that some table knows, the control's row of zeros first; columns `PERTURBED`, then features.
    Where one table does not know a target that another knows, its features are 0, the mean.
    """
    names = list(dict.fromkeys([*learned, *targets]))
    rows = {kind: of_targets(table, names) for kind, table in tables.items()}
    # a table that knows no learned perturbation has neither mean nor scale
    rows = {kind: found for kind, found in rows.items() if found.index.isin(learned).any()}
    ones = [
        pd.DataFrame(normalize(found), found.index, found.columns).add_prefix(f"{kind}: ")
        for kind, found in rows.items()
    ]
    joined = side_by_side(ones, LENGTH, learned) if ones else pd.DataFrame()
    joined = joined.loc[[name for name in names if name in joined.index]]
    joined.insert(0, PERTURBED, CONSTANT)
    control = pd.DataFrame(0.0, [CONTROL], joined.columns)
    return pd.concat([control, joined]).astype(np.float32).rename_axis(PERTURBATION)


def side_by_side(
    tables: Sequence[pd.DataFrame], length: float = 8.0, reference: Collection[str] | None = None
) -> pd.DataFrame:
    """Join feature tables, of the genes that any table knows.

    Parameters
    ----------
    tables
        Feature tables.
    length
        Each table is centred and scaled to rows of this length (root mean square), so that all weigh the same, whatever
        their numbers of columns. A gene that only some tables know has the mean of the others, which is 0.
    reference
        Rows by which is centred and scaled, some in every table; default: all.
    """
    scaled = []
    for table in tables:
        those = table if reference is None else table[table.index.isin(list(reference))]
        centred, spread = table - those.mean(), np.sqrt(((those - those.mean()) ** 2).sum(axis=1).mean())
        scaled.append(centred * length / spread if spread > 0 else centred * 0.0)
    return pd.concat(scaled, axis=1, join="outer").fillna(0.0).sort_index().rename_axis(GENE)
