"""What is known beforehand of a simulated screen's genes: annotations, pathways, regulons, places on the genome.

What `tables` makes follows from the programmes of `starter.simulation.biology`, with errors as real databases have
them: what is known is incomplete, part of it is wrong, and nothing tells of a target's own part of its effect. What
`published` gives are the real databases' own entries for human genes, which the programmes follow in part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from starter.priors.graphs import EDGE
from starter.simulation.human_genes import HumanGenes, read_human_genes

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
GENE_COLUMNS = {"gene", *EDGE, "regulator", "target"}


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


def published(simulation: Simulation) -> dict[str, pd.DataFrame]:
    """Give what real databases say of a screen's human genes.

    Parameters
    ----------
    simulation
        What `starter.simulation.biology.draw` gave.

    Returns
    -------
    Name to table: `string_links` (gene_a, gene_b, score), `go_processes` and `reactome_members` (gene, term),
    `term_names` (term, name) and `reactome_regulators` (regulator, target, sign); nothing if the genes have numbers
    for names.
    """
    if not simulation.is_human:
        return {}
    human = read_human_genes()
    symbols = pd.Series(human.symbols)
    here = set(simulation.genes)
    a, b = (symbols[side].to_numpy() for side in human.links.T)
    links = pd.DataFrame({EDGE[0]: a, EDGE[1]: b, "score": human.link_scores})
    regulators, targets, signs = human.regulons.T
    regulated = pd.DataFrame({"regulator": human.symbols[regulators], "target": human.symbols[targets], "sign": signs})
    found = {
        "string_links": links,
        "go_processes": _members(human, human.go_terms),
        "reactome_members": _members(human, human.pathways),
        "reactome_regulators": regulated,
        "term_names": pd.DataFrame({"term": human.names.keys(), "name": human.names.values()}),
    }
    for name, table in found.items():
        of_genes = [column for column in table.columns if column in GENE_COLUMNS]
        found[name] = table[table[of_genes].isin(here).all(axis=1)].reset_index(drop=True)
    return found


def _members(human: HumanGenes, sets: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = [(human.symbols[gene], term) for term, genes in sets.items() for gene in genes]
    return pd.DataFrame(rows, columns=["gene", "term"])


def _belonging(simulation: Simulation) -> np.ndarray:
    """How much each gene belongs to each programme, G x K: by membership a target, by loading another gene."""
    programmes = simulation.membership.shape[1]  # states follow, of which nothing is known
    size = np.abs(simulation.loadings[0, :programmes]).T
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
    targets = simulation.targets
    loadings = simulation.loadings[0, : simulation.membership.shape[1]]
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
