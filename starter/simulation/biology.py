"""A simulated screen with known truth, in which the train mean is hard to beat and prior knowledge helps.

Targets signal to one another through a graph; signalling drives programmes of genes; a perturbation takes its target
out. Part of every effect is shared by all perturbations (which is what the train mean predicts), part follows the
programmes (which a graph or gene features can predict for an unseen target), part is the target's own. The
parameters of expression and noise follow a real screen (Papalexi et al. 2021, Nature Genetics 53:322).

Base expression, strengths and changed genes are drawn in strata (of quantiles, of expression), so that screens of
different seeds are alike in how hard they are.
"""

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special

from starter.errors import InputError
from starter.priors.graphs import EDGE
from starter.simulation.setup import GUIDES, PRESETS, Preset, Simulation, Size

FEATURES, NOISE_FEATURES = 24, 8
GENES_PER_LEVEL = 50
"""Genes of similar expression among which those that change are drawn."""
EFFECT_LIMIT = 2.5
"""Largest log fold change (natural logarithm) of a gene that is not the target."""
MOST_ESCAPED = 0.9
"""A guide lets at most this share of its cells escape."""
OFF_TARGET, SHARED_PROMOTER = 0.1, 0.15
"""Shares of the targets: one guide silences another gene too, or all guides silence the gene's neighbour."""
VISIBLE = 0.5
"""Expression, in CP10k, from which such a gene is chosen."""


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
    # targets share the lowest expression they may have; stable, for processors order equal values differently
    order = np.argsort(base, kind="stable")
    for genes in np.array_split(order, max(1, len(base) // GENES_PER_LEVEL)):
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
