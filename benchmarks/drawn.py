"""Simulated screens of any number of cells, for benchmarks: a range of cells is made when it is asked for."""

import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.pieces.source import Source
from starter.schema import BATCH, CONTROL, N_UMIS, TARGET_GENE
from starter.simulation import biology
from starter.simulation.counts import draw_cells, draw_counts
from starter.simulation.setup import Simulation, Size

POOL = 20_000
"""Cells that are simulated; a screen of millions draws its cells of them."""
TARGETS = 150
BATCHES = 20
PART = 4_096
"""Cells that are drawn at once, from a seed of their own."""
COURSE = {
    "name": "simulated_pieces", "title": "Simulated screen for benchmarks", "organism": "none (simulated)",
    "licence": "CC0-1.0", "source": "starter.simulation", "citation": "simulated; cite the kit", "simulated": True,
}  # fmt: skip


def simulated(n_cells: int, n_genes: int) -> tuple[Simulation, pd.DataFrame, np.ndarray]:
    """Draw a screen, a fifth of it control cells: the simulation, `obs`, and the number of each cell's target."""
    targets = min(TARGETS, n_cells // 20)
    of_a_target = n_cells * 4 // 5 // targets
    size = Size(targets, n_genes, n_cells - targets * of_a_target, of_a_target, extra_cells=0)
    simulation = biology.draw(seed=1, size=size)
    return simulation, *draw_cells(simulation)


class Drawn:
    """A screen of so many cells, each a copy of one of `POOL` simulated ones, chosen at random."""

    def __init__(self, n_cells: int, n_genes: int) -> None:
        self.n_cells = n_cells
        simulation, self._obs, code = simulated(POOL, n_genes)
        self._pool = scipy.sparse.vstack(list(draw_counts(simulation, self._obs, code)), format="csr")
        self.genes = pd.Index(simulation.genes)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        parts = range(start // PART, (stop - 1) // PART + 1)
        rows = [np.random.default_rng((7, part)).integers(POOL, size=PART) for part in parts]
        return np.concatenate(rows)[start - parts[0] * PART : stop - parts[0] * PART]

    def obs(self, start: int, stop: int) -> pd.DataFrame:
        """Describe the cells from `start` up to `stop`."""
        rows = self._obs.iloc[self._rows(start, stop)]
        batch = pd.Categorical.from_codes(np.arange(start, stop) % BATCHES, [f"batch_{n}" for n in range(BATCHES)])
        table = pd.DataFrame({TARGET_GENE: rows[TARGET_GENE].array, BATCH: batch, N_UMIS: rows[N_UMIS].to_numpy()})
        return table.set_axis([f"cell_{number}" for number in range(start, stop)], axis=0)

    def counts(self, start: int, stop: int) -> scipy.sparse.csr_matrix:
        """Give their counts."""
        return self._pool[self._rows(start, stop)]

    def source(self) -> Source:
        """Give it as pieces are cut of."""
        target_sum = float(self._obs.loc[self._obs[TARGET_GENE] == CONTROL, N_UMIS].median())
        var = pd.DataFrame(index=self.genes)
        return Source(self.n_cells, self.obs, self.counts, var, {**COURSE, "target_sum": target_sum})
