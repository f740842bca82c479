"""A simulated screen with known truth, in which the train mean is hard to beat and prior knowledge helps.

Targets signal to one another through a graph; signalling drives programmes of genes; a perturbation takes its target
out. Part of every effect is shared by all perturbations (which is what the train mean predicts) and lies mostly along
states in which control cells differ, too; part follows the programmes (which a graph or gene features can predict for
an unseen target); part is the target's own. Some targets do nothing, and some do what nothing that is known of them
tells. How far the result resembles real screens is in `benchmarks/RESULTS.md`, by `benchmarks.simulator`.

Base expression, strengths and changed genes are drawn in strata (of quantiles, of expression), so that screens of
different seeds are alike in how hard they are.
"""

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special

from starter.errors import InputError
from starter.priors.graphs import EDGE
from starter.simulation.genes import Genes, draw_genes
from starter.simulation.setup import GUIDES, PRESETS, VARIATION, Preset, Simulation, Size

FEATURES, NOISE_FEATURES = 24, 8
STATES = 2
"""Ways in which cells differ that no target drives, such as the cell cycle and stress."""
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
LETHAL = 0.12
"""Share of the targets that cells need to live."""
BATCH_SHIFT = 0.1
"""Standard deviation of the genes' log expression between batches."""
BATCH_EVENNESS = 60
"""How evenly a perturbation's cells spread over the batches: the concentration of a Dirichlet distribution."""
OVERALL_DISPERSION, LEAST_DISPERSION = -1.62, 0.02
"""Log of the dispersion of a gene with 1 CP10k, programmes and batches included; the smallest that noise alone has."""
STATE_LOADING = 0.5
"""Root mean square loading of a state."""
PATHWAY_HEARD, REGULON_HOLDS = 0.4, 0.6
"""Shares of a pathway's genes that vary with the programme, and of what a regulator is known to drive that it does."""
LINKED, UNLINKED = 0.8, 0.25
"""Chance that two targets of one programme signal to one another, if STRING links them, and if not."""
QUIET = 0.4
"""Of a whole transcriptome, genes beyond the human ones that are shipped respond less, by this factor."""
CONTEXT_SHIFT = 0.8
"""Standard deviation of the human genes' log expression between contexts."""
SILENT = 0.1
"""Strength that a silent target has at most, as a share of the preset's."""
SURPRISING = 0.5
"""Share of doubles that do what neither single does."""


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
    base, loadings, effects = [], [], []
    for context in range(size.contexts):
        base.append(_base_expression(known, context, size.base_sd, rng))
        own_loadings = _loadings(known, base[context], rng)
        own = _effects(activity, own_loadings, base[context], known, strength, kind, rng)
        if context:
            # .6 of the first context's effects and .8 of new ones: equal variance, correlation .6
            own = np.clip(0.6 * effects[0] + 0.8 * own, -EFFECT_LIMIT, EFFECT_LIMIT)
            own[np.arange(n_targets), position] = effects[0][np.arange(n_targets), position]
            own_loadings = 0.6 * loadings[0] + 0.8 * own_loadings
        loadings.append(own_loadings)
        effects.append(own)
    batch_shift = BATCH_SHIFT * rng.standard_normal((size.batches, n_genes))
    dispersion = _dispersion(base[0], loadings[0], rng)
    escape = rng.uniform(0, 0.4, n_targets)
    of_guides = np.random.default_rng([seed, 3])
    neighbours = _silence_neighbours(position, base[0], of_guides)
    for of_context in effects:
        of_context[:] = np.minimum(of_context, neighbours)
    of_doubles = np.random.default_rng([seed, 6])
    pairs = _pairs(n_targets, size.doubles, of_doubles)
    all_effects = _with_doubles(np.stack(effects), pairs, position, of_doubles)
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
        effects=all_effects,
        escape=_by_guide(escape, of_guides),
        off_target=np.vstack([off_target, np.full((size.doubles, GUIDES), -1)]),
        off_target_effect=np.append(off_target_effect, np.zeros(size.doubles)),
        **_fitness(lethal, pairs, size.batches, of_fitness),
        base=np.stack(base),
        dispersion=dispersion,
        loadings=np.stack(loadings),
        batch_shift=batch_shift,
        true_graph=_edges(adjacency, targets),
        graph=_edges(_noisy(adjacency, kind.graph_noise, rng), targets),
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
    strength = kind.strength * np.exp(kind.spread * _stratified_normal(n_targets, rng))
    silent = rng.choice(n_targets, round(kind.silent * n_targets), replace=False)
    strength[silent] = SILENT * kind.strength * rng.random(len(silent))
    chance = np.where(essential, 10.0, 1.0)
    chance[silent] = 0
    n_lethal = min(n_targets - len(silent), round(LETHAL * n_targets))
    lethal = np.zeros(n_targets, dtype=bool)
    lethal[rng.choice(n_targets, n_lethal, replace=False, p=chance / chance.sum())] = True
    return strength, lethal


def _loadings(known: Genes, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the loadings of programmes, then of states, (K + `STATES`) x G.

    Most of a programme's targets, and many genes of the pathway that it follows, vary with it; the other genes that do
    are drawn.
    """
    primary, position = known.primary, known.position
    loadings = _changes(len(known.in_pathway), 0.12, base, rng)
    loadings[:, position] *= 0.3
    loadings[primary, position] += np.where(rng.random(len(primary)) < 0.75, 0.8, -0.8)
    programme, gene = np.nonzero(known.in_pathway)
    heard = (rng.random(len(gene)) < PATHWAY_HEARD) & ~np.isin(gene, position)
    signs = np.where(rng.random(len(gene)) < 0.75, 0.8, -0.8)
    loadings[programme[heard], gene[heard]] += signs[heard]
    return np.vstack([loadings, STATE_LOADING * _rms(_changes(STATES, 0.3, base, rng))])


def _effects(
    activity: np.ndarray,
    loadings: np.ndarray,
    base: np.ndarray,
    known: Genes,
    strength: np.ndarray,
    kind: Preset,
    rng: np.random.Generator,
) -> np.ndarray:
    n_targets, n_blocks = activity.shape
    states = _rms(rng.choice([-1.0, 1.0], STATES) @ loadings[n_blocks:])
    common = np.sqrt(kind.state) * states + np.sqrt(1 - kind.state) * _rms(_changes(1, 0.2, base, rng))
    own = _changes(n_targets, 0.06, base, rng)
    # without its regulator, what it activates falls; of a regulon a part holds here
    holds = (known.regulated != 0) & (rng.random(own.shape) < REGULON_HOLDS)
    own = _rms(np.where(holds, -2.0 * known.regulated, own))
    programmes = _rms(-activity @ loadings[:n_blocks])
    specific = np.sqrt(1 - kind.idiosyncratic) * programmes + np.sqrt(kind.idiosyncratic) * own
    effects = np.sqrt(kind.shared) * common * (0.5 + rng.random((n_targets, 1)))
    effects = strength[:, None] * (effects + np.sqrt(1 - kind.shared) * specific)
    effects[:, known.quiet] *= QUIET
    effects = np.clip(effects, -EFFECT_LIMIT, EFFECT_LIMIT)
    effects[np.arange(n_targets), known.position] = np.log(rng.uniform(0.05, 0.3, n_targets))
    return effects


def _dispersion(base: np.ndarray, loadings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw each gene's dispersion, net of what varies along programmes and between batches, G.

    A gene whose rate is log-normal with variance v beside a dispersion phi has the dispersion
    (1 + phi) exp(v) - 1 in all. That is what is seen in real cells, so phi is drawn backwards from it.
    """
    overall = np.exp(OVERALL_DISPERSION - 0.26 * np.log(base) + 0.7 * _stratified_normal(len(base), rng))
    varies = VARIATION**2 * (loadings**2).sum(axis=0) + BATCH_SHIFT**2
    return np.maximum((1 + overall) / np.exp(varies) - 1, LEAST_DISPERSION)


def _pairs(n_targets: int, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Choose pairs of targets, n x 2, the first before the second."""
    first, second = np.triu_indices(n_targets, 1)
    chosen = np.sort(rng.choice(len(first), n_pairs, replace=False)) if n_pairs else np.arange(0)
    return np.stack([first[chosen], second[chosen]], axis=1)


def _with_doubles(effects: np.ndarray, pairs: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Append the effects of doubles, C x (T + D) x G: mostly less than the sum of the singles', some with a surprise.

    As in Norman et al. (2019), effects of pairs are near the sum, each single's weight being its own, and some pairs do
    what neither single does.
    """
    n_pairs = len(pairs)
    weight = np.clip(rng.normal(0.75, 0.35, (n_pairs, 2, 1)), 0, 1.5)
    surprising = rng.random((n_pairs, 1)) < SURPRISING
    doubles = []
    for of_context in effects:
        singles = of_context[pairs]
        summed = (weight * singles).sum(axis=1)
        new = _rms(rng.standard_normal(summed.shape) * (rng.random(summed.shape) < 0.06))
        size = np.sqrt((summed**2).mean(axis=1, keepdims=True))
        double = np.clip(summed + surprising * 0.8 * size * new, -EFFECT_LIMIT, EFFECT_LIMIT)
        for side in (0, 1):
            own = position[pairs[:, side]]
            double[np.arange(n_pairs), own] = of_context[pairs[:, side], own]
        doubles.append(double)
    return np.concatenate([effects, np.stack(doubles)], axis=1)


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


def _base_expression(known: Genes, context: int, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Give each gene's expression: as measured in real cells, where it was; another context differs from them."""
    measured = known.ln_expression + (CONTEXT_SHIFT * rng.standard_normal(len(known.names)) if context else 0)
    # the mean over the genes is the same whatever their spread
    drawn = -2.28 + (1.85**2 - sd**2) / 2 + sd * _stratified_normal(len(known.names), rng)
    base = np.exp(np.where(np.isnan(measured), drawn, measured))
    base[known.position] = np.maximum(base[known.position], 0.8)
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
