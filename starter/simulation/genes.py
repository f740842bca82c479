"""Which genes a simulated screen has, which of them are targets, and what real biology says of them.

A screen of `FEWEST_HUMAN` genes or more is built on human genes (`starter.simulation.human_genes`), so that what is
published of them helps: a programme follows a real pathway in part, and the rest of it is drawn. Smaller screens, and
genes beyond the human ones, have numbers for names.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.simulation.human_genes import HumanGenes, read_human_genes
from starter.simulation.setup import FEWEST_HUMAN

VCC_DATA, VCC_GENES = "VCC_DATA", "vcc2025/gene_names.csv"
"""Where the challenge's genes are, if at all: a folder that the environment names, and a file in it."""
EXPRESSED = 0.5
"""Expression, in CP10k, from which a human gene is chosen as a target."""
FROM_PATHWAY = 0.8
"""Share of a programme's targets that belong to its pathway; the others are drawn among all genes."""
OVERLAP = 0.15
"""Largest share of a pathway's genes that lie in another programme's pathway, where enough pathways can be had."""


@dataclass(frozen=True)
class Genes:
    """The genes of a screen and what is known of them: T targets, G genes, K programmes."""

    names: np.ndarray
    """G."""
    ln_expression: np.ndarray
    """Natural log CP10k that was measured in real cells, NaN where the gene is not one of the human ones, G."""
    quiet: np.ndarray
    """Whether a gene is one of those beside the human ones, G; none is in a screen that has no human genes."""
    position: np.ndarray
    """Columns of the targets, ascending, T."""
    primary: np.ndarray
    """The programme that each target belongs to, T."""
    linked: np.ndarray
    """Whether STRING links two targets, T x T."""
    in_pathway: np.ndarray
    """Whether a gene belongs to the pathway that a programme follows, K x G."""
    regulated: np.ndarray
    """1 where a target is known to activate a gene, -1 where to repress it, else 0, T x G."""
    essential: np.ndarray
    """Whether a target is core-essential, T."""


def draw_genes(n_genes: int, n_targets: int, n_programmes: int, rng: np.random.Generator) -> Genes:
    """Choose a screen's genes, its targets and the pathways that its programmes follow.

    Parameters
    ----------
    n_genes, n_targets, n_programmes
        How many.
    rng
        Decides about targets and pathways. The genes are the same for every draw.
    """
    if n_genes >= FEWEST_HUMAN:
        return _human(read_human_genes(), n_genes, n_targets, n_programmes, rng)
    return Genes(
        names=_numbered(n_genes),
        ln_expression=np.full(n_genes, np.nan),
        quiet=np.zeros(n_genes, dtype=bool),
        position=np.sort(rng.choice(n_genes, n_targets, replace=False)),
        primary=rng.permutation(n_targets) % n_programmes,
        linked=np.zeros((n_targets, n_targets), dtype=bool),
        in_pathway=np.zeros((n_programmes, n_genes), dtype=bool),
        regulated=np.zeros((n_targets, n_genes), dtype=np.int8),
        essential=np.zeros(n_targets, dtype=bool),
    )


def _numbered(n: int) -> np.ndarray:
    return np.array([f"SIM{number:05d}" for number in range(1, n + 1)])


def _human(human: HumanGenes, n_genes: int, n_targets: int, n_programmes: int, rng: np.random.Generator) -> Genes:
    kept = np.sort(np.argsort(-human.ln_expression, kind="stable")[:n_genes])
    column = np.full(len(human.symbols), -1)
    column[kept] = np.arange(len(kept))
    names = [*human.symbols[kept]]
    if n_genes > len(names):
        names += [name for name in _challenge_genes() if name not in set(names)]
        names = [*names, *_numbered(n_genes)][:n_genes]
    expression = np.full(n_genes, np.nan)
    expression[: len(kept)] = human.ln_expression[kept]

    expressed = expression[: len(kept)] >= np.log(EXPRESSED)
    candidates = np.flatnonzero(expressed) if expressed.sum() >= n_targets else np.arange(len(kept))
    sets = [column[genes] for genes in (*human.pathways.values(), *human.go_terms.values())]
    sets = [genes[genes >= 0] for genes in sets]
    quota = np.bincount(np.arange(n_targets) % n_programmes, minlength=n_programmes)
    pathways = _pathways(sets, candidates, FROM_PATHWAY * quota.max(), n_programmes, rng)
    primary_of = np.full(n_genes, -1)
    for programme, wanted in enumerate(quota):
        free = np.intersect1d(pathways[programme], candidates)
        free = free[primary_of[free] < 0]
        chosen = rng.choice(free, min(len(free), round(FROM_PATHWAY * wanted)), replace=False)
        primary_of[chosen] = programme
    for programme, wanted in enumerate(quota):
        free = candidates[primary_of[candidates] < 0]
        missing = wanted - (primary_of == programme).sum()
        primary_of[rng.choice(free, missing, replace=False)] = programme

    position = np.flatnonzero(primary_of >= 0)
    row = np.full(n_genes, -1)
    row[position] = np.arange(n_targets)
    linked = np.zeros((n_targets, n_targets), dtype=bool)
    a, b = (np.where(column[side] >= 0, row[column[side]], -1) for side in human.links.T)
    both = (a >= 0) & (b >= 0)
    linked[a[both], b[both]] = linked[b[both], a[both]] = True
    regulated = np.zeros((n_targets, n_genes), dtype=np.int8)
    for regulator, target, sign in human.regulons:
        if column[regulator] >= 0 and column[target] >= 0 and row[column[regulator]] >= 0:
            regulated[row[column[regulator]], column[target]] = sign
    in_pathway = np.zeros((n_programmes, n_genes), dtype=bool)
    for programme, genes in enumerate(pathways):
        in_pathway[programme, genes] = True
    return Genes(
        names=np.array(names),
        ln_expression=expression,
        quiet=np.isnan(expression),
        position=position,
        primary=primary_of[position],
        linked=linked,
        in_pathway=in_pathway,
        regulated=regulated,
        essential=human.is_essential[kept][position],
    )


def _pathways(
    sets: list[np.ndarray], candidates: np.ndarray, fewest: float, n_programmes: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Choose pathways with enough possible targets that have few genes in common."""
    large = [genes for genes in sets if np.isin(genes, candidates).sum() >= fewest]
    if len(large) < n_programmes:
        large = sorted(sets, key=len)[-4 * n_programmes :]
    chosen: list[np.ndarray] = []
    order = [large[number] for number in rng.permutation(len(large))]
    for most in (OVERLAP, 0.5, 1.0):
        for genes in order:
            apart = all(len(np.intersect1d(genes, other)) <= most * min(len(genes), len(other)) for other in chosen)
            if len(chosen) < n_programmes and apart:
                chosen.append(genes)
    return chosen


def _challenge_genes() -> list[str]:
    """Read the challenge's genes, where they are at hand."""
    path = Path(os.environ.get(VCC_DATA, "")) / VCC_GENES
    return path.read_text(encoding="utf-8").split() if os.environ.get(VCC_DATA) and path.is_file() else []
