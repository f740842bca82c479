"""Draw a simulated screen's cells and their UMI counts."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special

from starter import progress
from starter.data.h5ad import csr_of
from starter.schema import BATCH, CONTEXT, CONTROL, GUIDE, N_UMIS, PERCENT_MITO, TARGET_GENE
from starter.simulation.setup import CONTROL_GUIDES, GUIDES, VARIATION, Simulation

CELLS_PER_BLOCK, VALUES_PER_BLOCK = 2048, 1 << 22
"""Limits of a block of cells, the second on cells x genes. Each block has its own random stream."""
MAX_THREADS = 8
"""Each holds a block in memory."""


def draw_cells(simulation: Simulation) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw each cell's perturbation, context, batch and library size.

    Returns
    -------
    The cells as `obs`, in random order, and for each the row of its label in `simulation.perturbations`, -1 for the
    control.
    """
    size = simulation.size
    rng = np.random.default_rng([simulation.seed, 1])
    codes, contexts = [], []
    for context in range(size.contexts):
        n_cells = size.min_cells + rng.poisson(size.min_cells * size.extra_cells * simulation.growth)
        codes += [np.full(size.controls, -1), np.repeat(np.arange(len(n_cells)), n_cells)]
        contexts.append(np.full(size.controls + n_cells.sum(), context))
    code, context = np.concatenate(codes), np.concatenate(contexts)
    order = rng.permutation(len(code))
    code, context = code[order], context[order]
    labels = np.array([CONTROL, *simulation.perturbations])[code + 1]
    batches = (rng.random((len(code), 1)) > simulation.batches.cumsum(axis=1)[code + 1, :-1]).sum(axis=1)
    depth = np.append(0.0, simulation.depth)[code + 1]
    n_umis = np.rint(size.depth * np.exp(depth + 0.5 * rng.standard_normal(len(code)))).clip(500)
    guide = rng.integers(np.where(code < 0, CONTROL_GUIDES, GUIDES))
    damaged = rng.random(len(code)) < size.damaged
    n_umis[damaged] = np.rint(n_umis[damaged] * rng.uniform(0.05, 0.2, damaged.sum())).clip(100)
    mito = rng.gamma(9, 0.5, len(code))
    mito[damaged] = rng.uniform(20, 70, damaged.sum())
    obs = pd.DataFrame(
        {
            TARGET_GENE: pd.Categorical(labels),
            GUIDE: pd.Categorical([f"{label}_{number + 1}" for label, number in zip(labels, guide, strict=True)]),
            BATCH: pd.Categorical.from_codes(batches, [f"batch_{i + 1}" for i in range(size.batches)]),
            N_UMIS: n_umis,
            PERCENT_MITO: mito.round(2),
        },
        index=[f"cell_{number:07d}" for number in range(len(code))],
    )
    if size.contexts > 1:
        obs[CONTEXT] = pd.Categorical.from_codes(context, [f"context_{i + 1}" for i in range(size.contexts)])
    return obs, code


def draw_counts(
    simulation: Simulation, obs: pd.DataFrame, code: np.ndarray, threads: int | None = None
) -> Iterator[scipy.sparse.csr_matrix]:
    """Draw the counts of cells, a block at a time, and show progress.

    Parameters
    ----------
    simulation
        What `draw` gave.
    obs, code
        The cells, as `draw_cells` gives them. Counts depend on a cell's place: other cells are drawn for another order.
    threads
        How many draw at once; default: as many as there are cores, up to `MAX_THREADS`. The counts are the same.

    Yields
    ------
    Raw counts (cells x genes, float32) in the order of `obs`.
    """
    threads = threads or min(os.cpu_count() or 1, MAX_THREADS)
    context = obs[CONTEXT].cat.codes.to_numpy() if CONTEXT in obs else np.zeros(len(obs), dtype=int)
    batch = obs[BATCH].cat.codes.to_numpy()
    n_umis = obs[N_UMIS].to_numpy()
    guide = obs[GUIDE].astype(str).str.rpartition("_")[2].to_numpy(int) - 1
    loadings = VARIATION * simulation.loadings
    log_base = np.log(simulation.base / 1e4) - 0.5 * (loadings**2).sum(axis=1)
    cells_per_block = min(CELLS_PER_BLOCK, max(1, VALUES_PER_BLOCK // len(simulation.genes)))

    def block(number: int) -> scipy.sparse.csr_matrix:
        rng = np.random.default_rng([simulation.seed, 2, number])
        start = number * cells_per_block
        cells = slice(start, start + cells_per_block)
        target = code[cells]
        log_rate = log_base[context[cells]] + simulation.batch_shift[batch[cells]]
        activity = rng.standard_normal((len(target), loadings.shape[1]))
        for number_of_context, of_context in enumerate(loadings):
            here = context[cells] == number_of_context
            log_rate[here] += activity[here] @ of_context
        chance = rng.random(len(target))
        perturbed = np.flatnonzero(target >= 0)
        of_guide = target[perturbed], guide[cells][perturbed]
        kept = chance[perturbed] >= simulation.escape[of_guide]
        log_rate[perturbed[kept]] += simulation.effects[context[cells][perturbed[kept]], target[perturbed[kept]]]
        gene = simulation.off_target[of_guide]
        hit = kept & (gene >= 0)
        log_rate[perturbed[hit], gene[hit]] += simulation.off_target_effect[target[perturbed[hit]]]
        mean = n_umis[cells, None] * np.exp(log_rate)
        counts = rng.poisson(mean * rng.gamma(1 / simulation.dispersion, simulation.dispersion, size=mean.shape))
        # the genes of the screen are part of the transcriptome: their counts stay within the cell's total
        total = counts.sum(axis=1)
        for row in np.flatnonzero(total > n_umis[cells]):
            counts[row] = rng.multivariate_hypergeometric(counts[row], int(n_umis[start + row]), method="marginals")
        return csr_of(counts.astype(np.float32))

    n_blocks = -(-len(obs) // cells_per_block)
    waiting = deque()
    with progress.bar("simulate cells", n_blocks) as advance, ThreadPoolExecutor(threads) as pool:
        for number in range(n_blocks + threads):
            if number < n_blocks:
                waiting.append(pool.submit(block, number))
            if number >= threads and waiting:
                yield waiting.popleft().result()
                advance()


def expected_values(simulation: Simulation, obs: pd.DataFrame) -> int:
    """Estimate how many counts of cells are not 0, without drawing them.

    It is a few per cent too high: that a gene's expression varies along the programmes adds zeros.

    Parameters
    ----------
    simulation
        What `draw` gave.
    obs
        The cells, as `draw_cells` gives them.
    """
    depths = np.quantile(obs[N_UMIS], (np.arange(20) + 0.5) / 20)
    mean = depths[:, None, None] * simulation.base / 1e4
    zeros = (1 + simulation.dispersion * mean) ** (-1 / simulation.dispersion)
    return int((1 - zeros).mean() * len(obs) * len(simulation.genes))
