"""A simulated screen with known truth, in which the train mean is hard to beat and prior knowledge helps.

Targets signal to one another through a graph; signalling drives programmes of genes; a perturbation takes its target
out. Part of every effect is shared by all perturbations (which is what the train mean predicts), part follows the
programmes (which a graph or gene features can predict for an unseen target), part is the target's own. The
parameters of expression and noise follow a real screen (Papalexi et al. 2021, Nature Genetics 53:322).

Base expression, strengths and changed genes are drawn in strata (of quantiles, of expression), so that screens of
different seeds are alike in how hard they are.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special

from starter import dataset, progress, simulated_priors
from starter.blocks import check_room
from starter.graphs import EDGE
from starter.preprocess import log_expression
from starter.pseudobulk import group_means
from starter.schema import BATCH, CONTEXT, CONTROL, GUIDE, N_UMIS, PERCENT_MITO, PERTURBATION, TARGET_GENE, InputError

CELLS_PER_BLOCK, VALUES_PER_BLOCK = 2048, 1 << 22
"""Limits of a block of cells, the second on cells x genes. Each block has its own random stream."""
MAX_THREADS = 8
"""Each holds a block in memory."""
BYTES_PER_VALUE = {None: 8, "gzip": 3}
"""What a stored count takes on disk, with its column, by compression."""
FEATURES, NOISE_FEATURES = 24, 8
GENES_PER_LEVEL = 50
"""Genes of similar expression among which those that change are drawn."""
EFFECT_LIMIT = 2.5
"""Largest log fold change (natural logarithm) of a gene that is not the target."""
GUIDES, CONTROL_GUIDES = 3, 9
"""Guides of a target, and non-targeting guides."""
MOST_ESCAPED = 0.9
"""A guide lets at most this share of its cells escape."""
OFF_TARGET, SHARED_PROMOTER = 0.1, 0.15
"""Shares of the targets: one guide silences another gene too, or all guides silence the gene's neighbour."""
VISIBLE = 0.5
"""Expression, in CP10k, from which such a gene is chosen."""
OTHER_TARGETS, OTHER_CELLS, OTHER_CONTROLS = 0.5, 20, 500
"""Share of the targets that were also measured in another context, with how many cells each and how many controls."""


@dataclass(frozen=True)
class Preset:
    """How hard a simulated screen is."""

    blocks: int
    """Programmes, and blocks of targets (K)."""
    near_dead: float
    """Share of targets whose knock-down does almost nothing."""
    idiosyncratic: float
    """Share of an effect's specific variance that no prior knows."""
    shared: float
    """Share of an effect's variance that all perturbations have in common."""
    graph_noise: float
    """Share of the graph's edges that students do not get; as many false ones are added."""


PRESETS = {
    "default": Preset(blocks=8, near_dead=0.15, idiosyncratic=0.15, shared=0.4, graph_noise=0.2),
    "hard": Preset(blocks=10, near_dead=0.35, idiosyncratic=0.35, shared=0.5, graph_noise=0.3),
}


@dataclass(frozen=True)
class Size:
    """How large a simulated screen is."""

    targets: int = 240
    genes: int = 1_000
    controls: int = 2_000
    """Control cells in each context."""
    min_cells: int = 60
    """Fewest cells of a perturbation in each context."""
    contexts: int = 1
    batches: int = 3
    depth: float = 11_850
    """Median library size of a cell, in UMIs over the whole transcriptome."""
    extra_cells: float = 0.125
    """Cells of a perturbation beyond the fewest, as a share of these on average; with 0 all have equally many."""
    base_sd: float = 1.85
    """Standard deviation of the genes' log base expression. A smaller one leaves fewer zeros at the same depth."""
    damaged: float = 0.02
    """Share of cells that lost most of their UMIs, though not those of the mitochondria."""


SIZES = {
    "course": Size(),
    "vcc2025": Size(targets=50, genes=18_080, controls=38_176, min_cells=1_080, depth=61_500, base_sd=1.74, damaged=0),
    "vcc2026": Size(
        targets=300,
        genes=18_533,
        controls=18_400,
        min_cells=400,
        contexts=3,
        depth=22_000,
        extra_cells=0,
        base_sd=1.53,
        damaged=0,
    ),
}
"""Sizes by name. Those of the challenges have as many cells, genes, UMIs and zeros: 2025 as in validation (60,750 cells
beside the controls, density .43), 2026 as in its three contexts (20,000 UMIs and 5,970 genes seen in a cell)."""


@dataclass(frozen=True)
class Simulation:
    """The known truth behind a simulated screen: T targets, G genes, K programmes, C contexts."""

    seed: int
    preset: str
    size: Size
    genes: np.ndarray
    targets: np.ndarray
    position: np.ndarray
    """Column of each target among the genes, T."""
    membership: np.ndarray
    """How much each target belongs to each programme, T x K."""
    effects: np.ndarray
    """Natural log fold changes in a cell that is perturbed, C x T x G."""
    escape: np.ndarray
    """Probability that a cell is unperturbed, by target and guide, T x `GUIDES`."""
    off_target: np.ndarray
    """Column of the gene that a guide silences beside its target, or -1, T x `GUIDES`."""
    off_target_effect: np.ndarray
    """Its natural log fold change, T."""
    base: np.ndarray
    """Expression of each gene in an average control cell, CP10k of the whole transcriptome, C x G."""
    dispersion: np.ndarray
    """Negative binomial phi, G."""
    loadings: np.ndarray
    """Programmes x genes in each context, C x K x G: control cells vary along them too."""
    batch_shift: np.ndarray
    """Log expression change of each gene in each batch, B x G."""
    true_graph: pd.DataFrame
    """Edges between targets that carried signals."""
    graph: pd.DataFrame
    """What students get: edges lost and false edges added."""
    features: pd.DataFrame
    """What students get: noisy features of the targets."""


def draw(preset: str = "default", seed: int = 0, size: Size | None = None) -> Simulation:
    """Draw the truth of a screen.

    Parameters
    ----------
    preset
        A key of `PRESETS`.
    seed
        Equal seeds give equal screens.
    size
        Default: `Size()`.

    Raises
    ------
    InputError
        If the preset is unknown or the targets outnumber the genes.
    """
    size = size or Size()
    if preset not in PRESETS:
        msg = f"there is no preset {preset!r}; the presets are {', '.join(PRESETS)}"
        raise InputError(msg)
    if size.targets > size.genes:
        msg = f"{size.targets} targets cannot be drawn from {size.genes} genes"
        raise InputError(msg)
    hardness = PRESETS[preset]
    rng = np.random.default_rng([seed, 0])
    n_genes, n_targets, n_blocks = size.genes, size.targets, hardness.blocks
    genes = np.array([f"SIM{number:05d}" for number in range(1, n_genes + 1)])
    position = np.sort(rng.choice(n_genes, n_targets, replace=False))

    primary = rng.permutation(n_targets) % n_blocks
    membership = _membership(primary, n_blocks, rng)
    adjacency = _signalling_graph(membership, rng)
    activity = _activity(membership, adjacency)
    base, loadings, effects = [], [], []
    for context in range(size.contexts):
        base.append(_base_expression(n_genes, size.base_sd, position, rng))
        own_loadings = _loadings(primary, base[context], position, n_blocks, rng)
        own = _effects(activity, own_loadings, base[context], position, hardness, rng)
        if context:
            # .6 of the first context's effects and .8 of new ones: equal variance, correlation .6
            own = np.clip(0.6 * effects[0] + 0.8 * own, -EFFECT_LIMIT, EFFECT_LIMIT)
            own[np.arange(n_targets), position] = effects[0][np.arange(n_targets), position]
            own_loadings = 0.6 * loadings[0] + 0.8 * own_loadings
        loadings.append(own_loadings)
        effects.append(own)
    log_base = np.log(base[0])
    dispersion = np.exp(-0.95 - 0.26 * log_base + 1.1 * rng.standard_normal(n_genes))
    targets = genes[position]
    escape = rng.uniform(0, 0.4, n_targets)
    of_guides = np.random.default_rng([seed, 3])
    neighbours = _silence_neighbours(position, base[0], of_guides)
    for of_context in effects:
        of_context[:] = np.minimum(of_context, neighbours)
    off_target, off_target_effect = _off_targets(position, base[0], of_guides)
    return Simulation(
        seed=seed,
        preset=preset,
        size=size,
        genes=genes,
        targets=targets,
        position=position,
        membership=membership,
        effects=np.stack(effects),
        escape=_by_guide(escape, of_guides),
        off_target=off_target,
        off_target_effect=off_target_effect,
        base=np.stack(base),
        dispersion=dispersion,
        loadings=np.stack(loadings),
        batch_shift=0.1 * rng.standard_normal((size.batches, n_genes)),
        true_graph=_edges(adjacency, targets),
        graph=_edges(_noisy(adjacency, hardness.graph_noise, rng), targets),
        features=_features(membership, targets, rng),
    )


def write(
    simulation: Simulation, folder: str | Path, compression: str | None = "gzip", threads: int | None = None
) -> Path:
    """Write a simulated screen and what students get beside it.

    Parameters
    ----------
    simulation
        What `draw` gave.
    folder
        Receives `simulated_<preset>.h5ad` (a course data set) and `priors/`: graph, features, the tables of
        `starter.simulated_priors`, and of a screen of one context profiles of some targets in another context. Cells
        are made in blocks, so that memory does not grow with their number.
    compression
        A key of `BYTES_PER_VALUE`. A file of full challenge size is written and read much faster without.
    threads
        See `draw_counts`.

    Returns
    -------
    The path of the `.h5ad`.

    Raises
    ------
    InputError
        If the disk has no room for it.
    """
    folder = Path(folder)
    path = folder / f"simulated_{simulation.preset}.h5ad"
    obs, code = draw_cells(simulation)
    check_room(folder, BYTES_PER_VALUE[compression] * expected_values(simulation, obs))
    target = float(np.median(obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS]))
    course = {
        "name": path.stem,
        # never the seed: whoever has it can make the hidden cells
        "title": f"Simulated screen ({simulation.preset} preset)",
        "organism": "none (simulated)",
        "licence": "CC0-1.0",
        "source": f"starter.simulate, preset {simulation.preset}",
        "citation": "simulated; cite the course kit",
        "simulated": True,
        "target_sum": target,
    }
    blocks = draw_counts(simulation, obs, code, threads)
    dataset.write_screen(path, blocks, obs, pd.DataFrame(index=simulation.genes), course, compression)
    priors = folder / "priors"
    priors.mkdir(exist_ok=True)
    simulation.graph.to_csv(priors / "simulated_graph.tsv", sep="\t", index=False)
    simulation.features.to_parquet(priors / "simulated_features.parquet")
    for name, table in simulated_priors.tables(simulation).items():
        table.to_csv(priors / f"simulated_{name}.tsv", sep="\t", index=False)
    if simulation.size.contexts == 1:
        other_context(simulation).to_parquet(priors / "simulated_other_context.parquet")
    return path


def other_context(simulation: Simulation) -> pd.DataFrame:
    """Measure some of the targets in another context, as if by an earlier, smaller screen in another cell line.

    Parameters
    ----------
    simulation
        A screen of one context. In the other one, effects correlate with its effects by .6.

    Returns
    -------
    Profiles, mean log1p expression: index perturbation with the control, columns genes.
    """
    size = replace(simulation.size, contexts=2, controls=OTHER_CONTROLS, min_cells=OTHER_CELLS, extra_cells=0)
    # the first context is drawn as that of `simulation` was; only cells of the second are needed
    both = draw(simulation.preset, simulation.seed, size)
    rng = np.random.default_rng([simulation.seed, 5])
    second = replace(
        both,
        seed=int(rng.integers(2**31)),  # cells of its own
        size=replace(size, contexts=1),
        effects=both.effects[1:],
        base=both.base[1:],
        loadings=both.loadings[1:],
    )
    n_targets = len(simulation.targets)
    measured = np.sort(rng.choice(n_targets, round(OTHER_TARGETS * n_targets), replace=False))
    obs, code = draw_cells(second)
    blocks = draw_counts(second, obs, code)
    n_umis = obs[N_UMIS].to_numpy()
    logs = log_expression(scipy.sparse.vstack(list(blocks)), n_umis, float(np.median(n_umis[code < 0])))
    row = np.full(n_targets + 1, -1)
    row[measured] = np.arange(1, len(measured) + 1)
    row[-1] = 0  # of the control, whose code is -1
    labels = pd.Index([CONTROL, *simulation.targets[measured]], name=PERTURBATION)
    return pd.DataFrame(group_means(logs, row[code], len(labels)), index=labels, columns=simulation.genes)


def draw_cells(simulation: Simulation) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw each cell's perturbation, context, batch and library size.

    Returns
    -------
    The cells as `obs`, in random order, and for each the row of its target in `simulation.targets`, -1 for control.
    """
    size = simulation.size
    rng = np.random.default_rng([simulation.seed, 1])
    codes, contexts = [], []
    for context in range(size.contexts):
        n_cells = size.min_cells + rng.poisson(size.min_cells * size.extra_cells, size=size.targets)
        codes += [np.full(size.controls, -1), np.repeat(np.arange(size.targets), n_cells)]
        contexts.append(np.full(size.controls + n_cells.sum(), context))
    code, context = np.concatenate(codes), np.concatenate(contexts)
    order = rng.permutation(len(code))
    code, context = code[order], context[order]
    labels = np.array([CONTROL, *simulation.targets])[code + 1]
    batches = rng.integers(size.batches, size=len(code))
    n_umis = np.rint(size.depth * np.exp(0.5 * rng.standard_normal(len(code)))).clip(500)
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
    loadings = 0.5 * simulation.loadings
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
        return scipy.sparse.csr_matrix(counts, dtype=np.float32)

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


def _stratified_normal(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one standard normal value from each of n equally likely strata, in random order.

    Screens of different seeds are then alike in their extremes, and so in how hard they are.
    """
    return scipy.special.ndtri((rng.permutation(n) + rng.random(n)) / n)


def _rms(x: np.ndarray) -> np.ndarray:
    """Scale each row to a root mean square of 1."""
    size = np.sqrt((x**2).mean(axis=-1, keepdims=True))
    return np.divide(x, size, out=np.zeros_like(x), where=size > 0)


def _membership(primary: np.ndarray, n_blocks: int, rng: np.random.Generator) -> np.ndarray:
    targets = np.arange(len(primary))
    membership = np.zeros((len(primary), n_blocks))
    membership[targets, primary] = 0.7
    elsewhere = rng.random(len(primary)) < 1 / 3
    secondary = np.where(elsewhere, (primary + rng.integers(1, n_blocks, size=len(primary))) % n_blocks, primary)
    membership[targets, secondary] += 0.3
    return membership


def _signalling_graph(membership: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    probability = 0.35 * np.clip(membership @ membership.T, 0, 1) + 0.004
    upper = np.triu(rng.random(probability.shape) < probability, 1)
    return (upper | upper.T).astype(float)


def _activity(membership: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    degree = adjacency.sum(axis=1, keepdims=True)
    steps = np.divide(adjacency, degree, out=np.zeros_like(adjacency), where=degree > 0)
    activity = 0.25 * np.linalg.solve(np.eye(len(adjacency)) - 0.75 * steps, membership)
    spread = activity.std(axis=0)
    # with fewer targets than blocks, a block may have none
    return np.divide(activity - activity.mean(axis=0), spread, out=np.zeros_like(activity), where=spread > 0)


def _loadings(
    primary: np.ndarray, base: np.ndarray, position: np.ndarray, n_blocks: int, rng: np.random.Generator
) -> np.ndarray:
    loadings = _changes(n_blocks, 0.12, base, rng)
    loadings[:, position] *= 0.3
    loadings[primary, position] += np.where(rng.random(len(primary)) < 0.75, 0.8, -0.8)
    return loadings


def _effects(
    activity: np.ndarray,
    loadings: np.ndarray,
    base: np.ndarray,
    position: np.ndarray,
    hardness: Preset,
    rng: np.random.Generator,
) -> np.ndarray:
    n_targets = len(activity)
    common = _rms(_changes(1, 0.2, base, rng))
    own = _rms(_changes(n_targets, 0.06, base, rng))
    specific = np.sqrt(1 - hardness.idiosyncratic) * _rms(-activity @ loadings) + np.sqrt(hardness.idiosyncratic) * own
    effects = np.sqrt(hardness.shared) * common * (0.5 + rng.random((n_targets, 1)))
    effects = effects + np.sqrt(1 - hardness.shared) * specific
    strength = np.exp(-0.2 + 0.5 * _stratified_normal(n_targets, rng))
    dead = rng.choice(n_targets, round(hardness.near_dead * n_targets), replace=False)
    strength[dead] = 0.05 * rng.random(len(dead))
    effects = np.clip(0.55 * strength[:, None] * effects, -EFFECT_LIMIT, EFFECT_LIMIT)
    effects[np.arange(n_targets), position] = np.log(rng.uniform(0.05, 0.3, n_targets))
    return effects


def _by_guide(escape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how many cells escape each guide of a target, on average as many as escape the target, T x guides."""
    weight = GUIDES * rng.dirichlet(np.full(GUIDES, 2.0), len(escape))
    return np.minimum(escape[:, None] * weight, MOST_ESCAPED)


def _silence_neighbours(position: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let some targets silence the gene beside them, with which they share a promoter.

    Returns
    -------
    Largest log fold change that a gene can have, T x G: infinite but for these neighbours.
    """
    limit = np.full((len(position), len(base)), np.inf)
    beside = position + 1
    possible = np.flatnonzero((beside < len(base)) & (base[np.minimum(beside, len(base) - 1)] >= VISIBLE))
    n_silenced = min(len(possible), round(SHARED_PROMOTER * len(position)))
    silenced = rng.choice(possible, n_silenced, replace=False)
    limit[silenced, beside[silenced]] = np.log(rng.uniform(0.1, 0.4, n_silenced))
    return limit


def _off_targets(position: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Let one guide of some targets silence another expressed gene: its column, or -1, and by how much."""
    n_targets = len(position)
    gene = np.full((n_targets, GUIDES), -1)
    expressed = np.setdiff1d(np.flatnonzero(base >= VISIBLE), position)
    missed = rng.choice(n_targets, round(OFF_TARGET * n_targets), replace=False)
    if len(expressed):
        gene[missed, rng.integers(GUIDES, size=len(missed))] = rng.choice(expressed, len(missed))
    return gene, np.log(rng.uniform(0.1, 0.4, n_targets))


def _changes(n: int, share: float, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw n times a share of the genes, the same share at every level of expression, with normal changes.

    Returns
    -------
    n x genes; 0 for genes that do not change.
    """
    changes = np.zeros((n, len(base)))
    for genes in np.array_split(np.argsort(base), max(1, len(base) // GENES_PER_LEVEL)):
        n_changed = max(1, round(share * len(genes)))
        for row in changes:
            row[rng.choice(genes, n_changed, replace=False)] = _stratified_normal(n_changed, rng)
    return changes


def _base_expression(n_genes: int, sd: float, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # the mean over the genes is the same whatever their spread
    base = np.exp(-2.28 + (1.85**2 - sd**2) / 2 + sd * _stratified_normal(n_genes, rng))
    base[position] = np.maximum(base[position], 0.8)
    # a drawn transcriptome must not exceed the whole
    return base * min(1.0, 9_000 / base.sum())


def _noisy(adjacency: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    upper = np.triu(np.ones_like(adjacency, dtype=bool), 1)
    true, absent = np.flatnonzero(upper & (adjacency > 0)), np.flatnonzero(upper & (adjacency == 0))
    n_changed = round(share * len(true))
    noisy = adjacency.copy().ravel()
    noisy[rng.choice(true, n_changed, replace=False)] = 0
    noisy[rng.choice(absent, n_changed, replace=False)] = 1
    noisy = np.triu(noisy.reshape(adjacency.shape), 1)
    return noisy + noisy.T


def _edges(adjacency: np.ndarray, targets: np.ndarray) -> pd.DataFrame:
    a, b = np.nonzero(np.triu(adjacency, 1))
    return pd.DataFrame({EDGE[0]: targets[a], EDGE[1]: targets[b]})


def _features(membership: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    signal = _rms(membership @ rng.standard_normal((membership.shape[1], FEATURES)))
    signal = signal + rng.standard_normal(signal.shape)
    values = np.hstack([signal, rng.standard_normal((len(targets), NOISE_FEATURES))])
    columns = [f"feature_{i + 1}" for i in range(values.shape[1])]
    return pd.DataFrame(values, index=pd.Index(targets, name="gene"), columns=columns)
