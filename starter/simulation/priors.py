"""What is known beforehand of a simulated screen's genes: annotations, pathways, regulons, places on the genome.

All of it follows from the programmes of `starter.simulation.biology`, with errors as real databases have them: what is
known is incomplete, part of it is wrong, and nothing tells of a target's own part of its effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from starter.simulation.setup import Simulation

TERMS, NOISE_TERMS = 12, 60
"""Annotation terms of a programme, and terms that have nothing to do with programmes."""
TERM_SIZE = 12
"""Genes of a term without a programme, about."""
PATHWAYS = 2
"""Pathways of a programme."""
RECALL, FALSE_SHARE = 0.6, 0.1
"""Share of a pathway's genes that are listed in it, and of listed genes that do not belong to it."""
REGULATORS, REGULON = 24, 15
"""Targets whose regulons are known, and genes in one."""
WRONG_SIGNS = 0.2
"""Share of a regulon's genes whose sign is wrong."""
GENES_PER_CHROMOSOME = 100


def tables(simulation: Simulation) -> dict[str, pd.DataFrame]:
    """Make every table of prior knowledge of a simulated screen.

    Parameters
    ----------
    simulation
        What `starter.simulation.biology.draw` gave.

    Returns
    -------
    Name to table: `annotations` (gene, term), `pathways` (pathway, gene), `regulons` (regulator, target, sign) and
    `genome` (gene, chromosome, start in base pairs).
    """
    rng = np.random.default_rng([simulation.seed, 4])
    member = _belonging(simulation)
    return {
        "annotations": _annotations(simulation.genes, member, rng),
        "pathways": _pathways(simulation.genes, member, rng),
        "regulons": _regulons(simulation, rng),
        "genome": _genome(simulation.genes, rng),
    }


def _belonging(simulation: Simulation) -> np.ndarray:
    """How much each gene belongs to each programme, G x K: by membership a target, by loading another gene."""
    size = np.abs(simulation.loadings[0]).T
    strongest = size.argmax(axis=1)
    member = np.zeros_like(size)
    rows = np.arange(len(size))
    member[rows, strongest] = np.minimum(size[rows, strongest], 1)
    member[simulation.position] = simulation.membership
    return member


def _annotations(genes: np.ndarray, member: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    n_genes, n_programmes = member.shape
    parts = []
    for programme in range(n_programmes):
        # a term has its own share of the programme, from a narrow one to nearly all
        chance = member[:, programme, None] * rng.uniform(0.15, 0.6, TERMS) + 0.005
        parts.append(rng.random((n_genes, TERMS)) < chance)
    parts.append(rng.random((n_genes, NOISE_TERMS)) < TERM_SIZE / n_genes)
    of_term = np.hstack(parts)
    # no programme can be read off a term's number
    of_term = of_term[:, rng.permutation(of_term.shape[1])]
    gene, term = np.nonzero(of_term)
    return pd.DataFrame({"gene": genes[gene], "term": [f"SIMGO:{number + 1:04d}" for number in term]})


def _pathways(genes: np.ndarray, member: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    names = rng.permutation(member.shape[1] * PATHWAYS)
    for programme in range(member.shape[1]):
        inside = rng.permutation(np.flatnonzero(member[:, programme] > 0.5))
        for number, part in enumerate(np.array_split(inside, PATHWAYS)):
            listed = part[rng.random(len(part)) < RECALL]
            others = np.setdiff1d(np.arange(len(genes)), inside)
            listed = np.append(listed, rng.choice(others, round(FALSE_SHARE * len(listed)), replace=False))
            name = f"Simulated pathway {names[PATHWAYS * programme + number] + 1}"
            rows += [(name, gene) for gene in genes[np.sort(listed)]]
    return pd.DataFrame(rows, columns=["pathway", "gene"]).sort_values(["pathway", "gene"], ignore_index=True)


def _regulons(simulation: Simulation, rng: np.random.Generator) -> pd.DataFrame:
    targets, loadings = simulation.targets, simulation.loadings[0]
    chosen = np.sort(rng.choice(len(targets), min(REGULATORS, len(targets)), replace=False))
    rows = []
    for target in chosen:
        drive = simulation.membership[target] @ loadings
        drive[simulation.position[target]] = 0
        driven = np.argsort(-np.abs(drive), kind="stable")[:REGULON]
        driven = driven[drive[driven] != 0]
        wrong = rng.random(len(driven)) < WRONG_SIGNS
        signs = np.where(wrong, -1, 1) * np.sign(drive[driven]).astype(int)
        rows += [
            (targets[target], gene, sign) for gene, sign in zip(simulation.genes[driven], signs.tolist(), strict=True)
        ]
    return pd.DataFrame(rows, columns=["regulator", "target", "sign"])


def _genome(genes: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    number = np.arange(len(genes))
    start = 100_000 * (1 + number % GENES_PER_CHROMOSOME) + rng.integers(-30_000, 30_000, len(genes))
    chromosome = [f"chr{1 + i}" for i in number // GENES_PER_CHROMOSOME]
    return pd.DataFrame({"gene": genes, "chromosome": chromosome, "start": start})
