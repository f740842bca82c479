"""A simulated screen in memory, for a notebook that makes its own: several cell lines, doubles."""

import anndata
import pandas as pd
import scipy.sparse

from starter.schema import COURSE
from starter.simulation.counts import draw_cells, draw_counts
from starter.simulation.setup import Simulation
from starter.simulation.write import about


def simulated_screen(simulation: Simulation) -> anndata.AnnData:
    """Draw the cells of a screen.

    Parameters
    ----------
    simulation
        What `starter.simulation.biology.draw` gave. With a seed that all know, nothing of it can be hidden.

    Returns
    -------
    A course data set (raw counts) in memory, as `starter.simulation.write.write` puts it into a file.
    """
    obs, code = draw_cells(simulation)
    counts = scipy.sparse.vstack(list(draw_counts(simulation, obs, code)), format="csr")
    uns = {COURSE: about(simulation, obs)}
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=simulation.genes), uns=uns)
