"""Which control cell belongs to which perturbed cell: of the same GEM group, alike in UMIs and genes seen."""

import numpy as np
import pandas as pd

from data_scripts.cz_k562.author_file import GEM_GROUP, N_GENES, UMI_COUNT
from starter.data.batches import UNMATCHED
from starter.data.benchmark import CONDITION, CONTROL_MAP_COLUMNS
from starter.data.matching import match_controls
from starter.progress import bar
from starter.schema import CONTROL

FEWEST_CELLS = 10
"""A condition with fewer cells is not matched; as in cz-benchmarks' command."""


def control_map(obs: pd.DataFrame) -> pd.DataFrame:
    """Match the cells of every condition with control cells, one condition after the other.

    The Hungarian assignment of `starter.data.matching.match_controls`. No control cell serves two cells of one
    condition; it may serve cells of several. Perturbed cells beyond the controls of their GEM group get none.

    Parameters
    ----------
    obs
        The benchmark's, with condition, GEM group, UMIs and genes seen of every cell.

    Returns
    -------
    A row a pair: condition, treated and control barcode; conditions in the order in which they first stand in `obs`,
    their cells by GEM group.
    """
    features = obs[[UMI_COUNT, N_GENES]].to_numpy(float)
    group, condition = obs[GEM_GROUP].to_numpy(), obs[CONDITION].to_numpy()
    is_control = condition == CONTROL
    cells_of = obs.groupby(CONDITION, observed=True, sort=False).indices
    wanted = [name for name in pd.unique(condition) if name != CONTROL and len(cells_of[name]) >= FEWEST_CELLS]
    found = []
    with bar("matching controls", len(wanted)) as advance:
        for name in wanted:
            cells = np.concatenate([cells_of[name], np.flatnonzero(is_control)])
            matched = match_controls(features[cells], group[cells], ~is_control[cells])[: len(cells_of[name])]
            treated = np.flatnonzero(matched != UNMATCHED)
            treated = treated[np.argsort(group[cells[treated]], kind="stable")]
            pairs = pd.DataFrame({"treated": cells[treated], "control": cells[matched[treated]]})
            found.append(pairs.assign(**{CONDITION: name}))
            advance()
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=CONTROL_MAP_COLUMNS, dtype=int)
    for column in ("treated", "control"):
        table[column] = obs.index.to_numpy()[table[column]]
    return table[list(CONTROL_MAP_COLUMNS)]
