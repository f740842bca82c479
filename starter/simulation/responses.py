"""How the genes of each cell line are expressed, and how they respond to a perturbation.

The first context is what a screen of one context is. In every other one, a gene's wiring (which programmes and states
it follows, and how it answers each target) is either the one that contexts have in common, or the context's own. How
many genes keep the common wiring depends on the target: some effects are much the same in every line, others are not.
So every two contexts are as alike as any other two, and an effect is as sparse in each.
"""

from typing import NamedTuple

import numpy as np
import scipy.special

from starter.simulation.genes import Genes
from starter.simulation.setup import Preset, Size

STATES = 2
"""Ways in which cells differ that no target drives, such as the cell cycle and stress."""
GENES_PER_LEVEL = 50
"""Genes of similar expression among which those that change are drawn."""
EFFECT_LIMIT = 2.5
"""Largest log fold change (natural logarithm) of a gene that is not the target."""
STATE_LOADING = 0.5
"""Root mean square loading of a state."""
PATHWAY_HEARD, REGULON_HOLDS = 0.4, 0.6
"""Shares of a pathway's genes that vary with the programme, and of what a regulator is known to drive that it does."""
QUIET = 0.4
"""Of a whole transcriptome, genes beyond the human ones that are shipped respond less, by this factor."""
CONTEXT_SHIFT = 0.8
"""Standard deviation of the genes' log expression between two contexts."""
UNEXPRESSED = -7.0
"""Natural log CP10k of genes that are hardly ever expressed, on average; their standard deviation is 1."""
TARGET_EXPRESSION = 0.8
"""Least expression of a target, CP10k."""
CONSERVATION = 4.0
"""How evenly conserved the targets' effects are: the concentration of a Beta distribution of their correlations."""


def stratified_normal(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one standard normal value from each of n equally likely strata, in random order.

    Screens of different seeds are then alike in their extremes, and so in how hard they are.
    """
    return scipy.special.ndtri((rng.permutation(n) + rng.random(n)) / n)


def rms(x: np.ndarray) -> np.ndarray:
    """Scale each row to a root mean square of 1."""
    size = np.sqrt((x**2).mean(axis=-1, keepdims=True))
    return np.divide(x, size, out=np.zeros_like(x), where=size > 0)


class Responses(NamedTuple):
    """What contexts differ in: C contexts, T targets, G genes, K programmes, S states."""

    base: np.ndarray
    """Expression of each gene in an average control cell, CP10k, C x G."""
    loadings: np.ndarray
    """Programmes, then states, C x (K + S) x G."""
    effects: np.ndarray
    """Natural log fold changes, C x T x G."""


def draw_responses(
    known: Genes,
    activity: np.ndarray,
    strength: np.ndarray,
    kind: Preset,
    size: Size,
    seed: int,
    rng: np.random.Generator,
) -> Responses:
    """Draw expression, programmes and effects in every context.

    Parameters
    ----------
    known
        The genes.
    activity
        How each target's loss changes each programme, T x K.
    strength
        Root mean square of each target's effect, T.
    kind, size
        Of the screen.
    seed
        Of the screen. Each further context has random streams of its own, so that it is the same in a screen of more.
    rng
        Decides about the first context.
    """
    base = _base_expression(known, size, seed, rng)
    first = _wiring(activity, base, known, strength, kind, rng)
    if size.contexts == 1:
        return Responses(*(values[None] for values in first))
    of_all = np.random.default_rng([seed, 8])
    kept = _kept(len(strength), size.correlation, of_all)
    shift = of_all.standard_normal(len(base))
    rank = of_all.permutation(len(base)) / len(base)
    common = _wiring(activity, base, known, strength, kind, of_all)
    common = _mixed(first, common, rank, kept)  # the first context is one like the others
    contexts, targets = [first], np.arange(len(strength))
    for context in range(1, size.contexts):
        of_context = np.random.default_rng([seed, 8, context])
        of_base = _elsewhere(base, shift, known.position, of_context)
        rank = of_context.permutation(len(base)) / len(base)
        own = _wiring(activity, of_base, known, strength, kind, of_context)
        mixed = _mixed(common, own, rank, kept)
        mixed.effects[targets, known.position] = first.effects[targets, known.position]
        contexts.append(mixed)
    return Responses(*(np.stack(values) for values in zip(*contexts, strict=True)))


def _wiring(
    activity: np.ndarray,
    base: np.ndarray,
    known: Genes,
    strength: np.ndarray,
    kind: Preset,
    rng: np.random.Generator,
) -> Responses:
    loadings = _loadings(known, base, rng)
    return Responses(base, loadings, _effects(activity, loadings, base, known, strength, kind, rng))


def _kept(n_targets: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which share of the genes a context takes from the common wiring, by target, T.

    Where two contexts each keep a share s, s^2 of the genes are the same in both, and so the effects correlate by s^2.
    """
    if correlation in (0, 1):
        return np.full(n_targets, float(correlation))
    quantiles = (rng.permutation(n_targets) + 0.5) / n_targets
    a, b = CONSERVATION * correlation, CONSERVATION * (1 - correlation)
    return np.sqrt(scipy.special.betaincinv(a, b, quantiles))


def _mixed(common: Responses, own: Responses, rank: np.ndarray, kept: np.ndarray) -> Responses:
    """Take the common wiring of the genes of low rank, another one's of the rest."""
    return Responses(
        own.base,
        np.where(rank < kept.mean(), common.loadings, own.loadings),
        np.where(rank < kept[:, None], common.effects, own.effects),
    )


def _base_expression(known: Genes, size: Size, seed: int, rng: np.random.Generator) -> np.ndarray:
    """Give each gene's expression: as measured in real cells, where it was."""
    # the mean over the genes is the same whatever their spread
    drawn = -2.28 + (1.85**2 - size.base_sd**2) / 2 + size.base_sd * stratified_normal(len(known.names), rng)
    of_silence = np.random.default_rng([seed, 9])
    silent = of_silence.random(len(drawn)) < size.unexpressed
    drawn[silent] = UNEXPRESSED + of_silence.standard_normal(silent.sum())
    return _scaled(np.where(np.isnan(known.ln_expression), drawn, known.ln_expression), known.position)


def _elsewhere(base: np.ndarray, shift: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each gene's expression in another context: as far from the first one's as from every other one's."""
    moved = CONTEXT_SHIFT * (shift + rng.standard_normal(len(base))) / np.sqrt(2)
    return _scaled(np.log(base) + moved - CONTEXT_SHIFT**2 / 2, position)


def _scaled(ln_base: np.ndarray, position: np.ndarray) -> np.ndarray:
    base = np.exp(ln_base)
    base[position] = np.maximum(base[position], TARGET_EXPRESSION)
    # a drawn transcriptome must not exceed the whole
    return base * min(1.0, 9_000 / base.sum())


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
    return np.vstack([loadings, STATE_LOADING * rms(_changes(STATES, 0.3, base, rng))])


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
    states = rms(rng.choice([-1.0, 1.0], STATES) @ loadings[n_blocks:])
    common = np.sqrt(kind.state) * states + np.sqrt(1 - kind.state) * rms(_changes(1, 0.2, base, rng))
    own = _changes(n_targets, 0.06, base, rng)
    # without its regulator, what it activates falls; of a regulon a part holds here
    holds = (known.regulated != 0) & (rng.random(own.shape) < REGULON_HOLDS)
    own = rms(np.where(holds, -2.0 * known.regulated, own))
    programmes = rms(-activity @ loadings[:n_blocks])
    specific = np.sqrt(1 - kind.idiosyncratic) * programmes + np.sqrt(kind.idiosyncratic) * own
    effects = np.sqrt(kind.shared) * common * (0.5 + rng.random((n_targets, 1)))
    effects = strength[:, None] * (effects + np.sqrt(1 - kind.shared) * specific)
    effects[:, known.quiet] *= QUIET
    effects = np.clip(effects, -EFFECT_LIMIT, EFFECT_LIMIT)
    effects[np.arange(n_targets), known.position] = np.log(rng.uniform(0.05, 0.3, n_targets))
    return effects


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
            row[rng.choice(genes, n_changed, replace=False)] = stratified_normal(n_changed, rng)
    return changes
