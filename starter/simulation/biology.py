"""A simulated screen with known truth, in which the train mean is hard to beat and prior knowledge helps.

Targets signal to one another through a graph; signalling drives programmes of genes; a perturbation takes its target
out. Part of every effect is shared by all perturbations (which is what the train mean predicts) and lies mostly along
states in which control cells differ, too; part follows the programmes (which a graph or gene features can predict for
an unseen target); part is the target's own. Some targets do nothing, and some do what nothing that is known of them
tells. Cell lines have their own expression and, in part, responses of their own (`starter.simulation.responses`). How
far the result resembles real screens is in `benchmarks/RESULTS.md`, by `benchmarks.simulator`.

Base expression, strengths and changed genes are drawn in strata (of quantiles, of expression), so that screens of
different seeds are alike in how hard they are.
"""

import numpy as np
import pandas as pd

from starter.errors import InputError
from starter.priors.graphs import EDGE
from starter.simulation.doubles import draw_doubles, draw_pairs
from starter.simulation.genes import draw_genes
from starter.simulation.responses import draw_responses, rms, stratified_normal
from starter.simulation.setup import GUIDES, PRESETS, VARIATION, Preset, Simulation, Size

FEATURES, NOISE_FEATURES = 24, 8
MOST_ESCAPED = 0.9
"""A guide lets at most this share of its cells escape."""
OFF_TARGET, SHARED_PROMOTER = 0.1, 0.15
"""Shares of the targets: one guide silences another gene too, or all guides silence the gene's neighbour."""
VISIBLE = 0.5
"""Expression, in CP10k, from which such a gene is chosen."""
LETHAL = 0.12
"""Share of the targets that cells need to live."""
BATCH_SHIFT = 0.1
"""Standard deviation of the genes' log expression between batches."""
BATCH_EVENNESS = 60
"""How evenly a perturbation's cells spread over the batches: the concentration of a Dirichlet distribution."""
OVERALL_DISPERSION, LEAST_DISPERSION = -1.62, 0.02
"""Log of the dispersion of a gene with 1 CP10k, programmes and batches included; the smallest that noise alone has."""
LINKED, UNLINKED = 0.8, 0.25
"""Chance that two targets of one programme signal to one another, if STRING links them, and if not."""
SILENT = 0.1
"""Strength that a silent target has at most, as a share of the preset's."""


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
        If the preset is unknown, the targets outnumber the genes, or the doubles the pairs of targets.
    """
    size = size or Size()
    if preset not in PRESETS:
        msg = f"there is no preset {preset!r}; the presets are {', '.join(PRESETS)}"
        raise InputError(msg)
    if size.targets > size.genes:
        msg = f"{size.targets} targets cannot be drawn from {size.genes} genes"
        raise InputError(msg)
    if size.doubles > (n_pairs := size.targets * (size.targets - 1) // 2):
        msg = f"{size.doubles} doubles cannot be drawn from the {n_pairs} pairs of {size.targets} targets"
        raise InputError(msg)
    kind = PRESETS[preset]
    rng = np.random.default_rng([seed, 0])
    n_genes, n_targets, n_blocks = size.genes, size.targets, kind.blocks
    known = draw_genes(n_genes, n_targets, n_blocks, rng)
    genes, position, primary = known.names, known.position, known.primary
    targets = genes[position]

    membership = _membership(primary, n_blocks, rng)
    adjacency = _signalling_graph(membership, known.linked, rng)
    activity = _act_elsewhere(_activity(membership, adjacency), kind.elsewhere, rng)
    strength, lethal = _strengths(known.essential, kind, rng)
    base, loadings, effects = draw_responses(known, activity, strength, kind, size, seed, rng)
    batch_shift = BATCH_SHIFT * rng.standard_normal((size.batches, n_genes))
    dispersion = _dispersion(base[0], loadings[0], rng)
    escape = rng.uniform(0, 0.4, n_targets)
    of_guides = np.random.default_rng([seed, 3])
    neighbours = _silence_neighbours(position, base[0], of_guides)
    effects = np.minimum(effects, neighbours)
    of_doubles = np.random.default_rng([seed, 6])
    pairs = draw_pairs(n_targets, size.doubles, of_doubles)
    doubles, interactions = draw_doubles(effects, pairs, position, of_doubles)
    escape = np.append(escape, of_doubles.uniform(0, 0.4, size.doubles))
    off_target, off_target_effect = _off_targets(position, base[0], of_guides)
    of_fitness = np.random.default_rng([seed, 7])
    return Simulation(
        seed=seed,
        preset=preset,
        size=size,
        genes=genes,
        targets=targets,
        pairs=pairs,
        position=position,
        membership=membership,
        effects=np.concatenate([effects, doubles], axis=1),
        interactions=interactions,
        escape=_by_guide(escape, of_guides),
        off_target=np.vstack([off_target, np.full((size.doubles, GUIDES), -1)]),
        off_target_effect=np.append(off_target_effect, np.zeros(size.doubles)),
        **_fitness(lethal, pairs, size.batches, of_fitness),
        base=base,
        dispersion=dispersion,
        loadings=loadings,
        batch_shift=batch_shift,
        true_graph=_edges(adjacency, targets),
        graph=_edges(_noisy(adjacency, kind.graph_noise, rng), targets),
        features=_features(membership, targets, rng),
    )


def _membership(primary: np.ndarray, n_blocks: int, rng: np.random.Generator) -> np.ndarray:
    targets = np.arange(len(primary))
    membership = np.zeros((len(primary), n_blocks))
    membership[targets, primary] = 0.7
    elsewhere = rng.random(len(primary)) < 1 / 3
    secondary = np.where(elsewhere, (primary + rng.integers(1, n_blocks, size=len(primary))) % n_blocks, primary)
    membership[targets, secondary] += 0.3
    return membership


def _signalling_graph(membership: np.ndarray, linked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw who signals to whom: targets of a programme, above all those that STRING links."""
    inside = np.clip(membership @ membership.T, 0, 1)
    probability = inside * np.where(linked, LINKED, UNLINKED if linked.any() else 0.35) + 0.004
    upper = np.triu(rng.random(probability.shape) < probability, 1)
    return (upper | upper.T).astype(float)


def _activity(membership: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    degree = adjacency.sum(axis=1, keepdims=True)
    steps = np.divide(adjacency, degree, out=np.zeros_like(adjacency), where=degree > 0)
    activity = 0.25 * np.linalg.solve(np.eye(len(adjacency)) - 0.75 * steps, membership)
    spread = activity.std(axis=0)
    # with fewer targets than blocks, a block may have none
    return np.divide(activity - activity.mean(axis=0), spread, out=np.zeros_like(activity), where=spread > 0)


def _act_elsewhere(activity: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Give a share of the targets the activity of another one of them.

    Nothing that is known of such a target, nor of its neighbours, tells what its knock-down does.
    """
    moved = rng.choice(len(activity), round(share * len(activity)), replace=False)
    activity = activity.copy()
    activity[moved] = activity[np.roll(moved, 1)]
    return activity


def _strengths(essential: np.ndarray, kind: Preset, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw how strong each target's effect is, and whether cells need the target to live."""
    n_targets = len(essential)
    strength = kind.strength * np.exp(kind.spread * stratified_normal(n_targets, rng))
    silent = rng.choice(n_targets, round(kind.silent * n_targets), replace=False)
    strength[silent] = SILENT * kind.strength * rng.random(len(silent))
    chance = np.where(essential, 10.0, 1.0)
    chance[silent] = 0
    n_lethal = min(n_targets - len(silent), round(LETHAL * n_targets))
    lethal = np.zeros(n_targets, dtype=bool)
    lethal[rng.choice(n_targets, n_lethal, replace=False, p=chance / chance.sum())] = True
    return strength, lethal


def _dispersion(base: np.ndarray, loadings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw each gene's dispersion, net of what varies along programmes and between batches, G.

    A gene whose rate is log-normal with variance v beside a dispersion phi has the dispersion
    (1 + phi) exp(v) - 1 in all. That is what is seen in real cells, so phi is drawn backwards from it.
    """
    overall = np.exp(OVERALL_DISPERSION - 0.26 * np.log(base) + 0.7 * stratified_normal(len(base), rng))
    varies = VARIATION**2 * (loadings**2).sum(axis=0) + BATCH_SHIFT**2
    return np.maximum((1 + overall) / np.exp(varies) - 1, LEAST_DISPERSION)


def _fitness(lethal: np.ndarray, pairs: np.ndarray, n_batches: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw how many cells of each perturbation are left, how deep they are, and in which batches they stand."""
    lethal = np.append(lethal, lethal[pairs].any(axis=1))
    growth = np.where(lethal, 0.0, rng.gamma(2, 0.5, len(lethal)))
    depth = np.where(lethal, -0.25, 0.0) + 0.06 * rng.standard_normal(len(lethal))
    batches = rng.dirichlet(np.full(n_batches, 8.0))
    return {
        "growth": growth / growth.mean() if growth.any() else growth,
        "depth": depth,
        "batches": np.vstack([batches, rng.dirichlet(BATCH_EVENNESS * batches, len(lethal))]),
    }


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
    signal = rms(membership @ rng.standard_normal((membership.shape[1], FEATURES)))
    signal = signal + rng.standard_normal(signal.shape)
    values = np.hstack([signal, rng.standard_normal((len(targets), NOISE_FEATURES))])
    columns = [f"feature_{i + 1}" for i in range(values.shape[1])]
    return pd.DataFrame(values, index=pd.Index(targets, name="gene"), columns=columns)
