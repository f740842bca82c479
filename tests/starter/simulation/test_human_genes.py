"""The human genes that are shipped: what a textbook says of them."""

import time

import numpy as np
import pytest

from starter.simulation import human_genes
from starter.simulation.human_genes import HumanGenes, read_human_genes


@pytest.fixture(scope="module")
def human() -> HumanGenes:
    return read_human_genes()


def at(human: HumanGenes, symbol: str) -> int:
    (place,) = np.flatnonzero(human.symbols == symbol)
    return int(place)


def test_sizes(human: HumanGenes):
    n_genes = len(human.symbols)
    assert 1500 <= n_genes <= 1600
    assert list(human.symbols) == sorted(set(human.symbols))
    for values in (human.ln_expression, human.is_measured, human.is_tf, human.is_essential):
        assert values.shape == (n_genes,)
    assert np.isfinite(human.ln_expression).all()
    assert np.exp(human.ln_expression).sum() < 10_000
    assert human.links.shape == (len(human.link_scores), 2)
    assert (human.links[:, 0] < human.links[:, 1]).all()
    assert len(np.unique(human.links, axis=0)) == len(human.links)
    assert 0.4 <= human.link_scores.min() <= human.link_scores.max() <= 1
    assert set(np.unique(human.regulons[:, 2])) == {-1, 1}
    for sets in (human.go_terms, human.pathways):
        assert len(sets) > 1000
        assert set(sets) <= set(human.names)
        for genes in sets.values():
            assert 5 <= len(genes) <= 300
            assert (np.diff(genes) > 0).all()
            assert 0 <= genes[0] <= genes[-1] < n_genes


def test_jak2_and_stat1_are_linked(human: HumanGenes):
    pair = sorted([at(human, "JAK2"), at(human, "STAT1")])
    (place,) = np.flatnonzero((human.links == pair).all(axis=1))
    assert human.link_scores[place] > 0.9


def test_the_ribosome_elongates_peptides(human: HumanGenes):
    (elongation,) = (identifier for identifier, name in human.names.items() if name == "Peptide chain elongation")
    assert elongation == "R-HSA-156902"
    of_pathway = set(human.symbols[human.pathways[elongation]])
    assert {"RPL3", "RPL5", "RPL11", "RPS3", "RPS6", "RPS19", "EEF2"} <= of_pathway
    strong = [at(human, gene) for gene in ("RPL3", "RPL5", "RPL11", "RPS3", "RPS6", "RPS19")]
    assert human.ln_expression[strong].min() > np.quantile(human.ln_expression, 0.9)


def test_factors_and_essential_genes(human: HumanGenes):
    factors = {"STAT1", "MYC", "IRF1", "TP53", "SREBF2", "GATA1", "E2F1"}
    others = {"JAK2", "IFNGR1", "RPL3", "POLR2A", "PSMA7", "HMGCR"}
    assert factors <= set(human.symbols[human.is_tf])
    assert not others & set(human.symbols[human.is_tf])
    assert {"POLR2A", "PSMA7", "RPL3", "PLK1"} <= set(human.symbols[human.is_essential])
    assert not {"JAK2", "STAT1", "IFNGR1", "CAV1"} & set(human.symbols[human.is_essential])


def test_regulons(human: HumanGenes):
    named = {(human.symbols[a], human.symbols[b], int(sign)) for a, b, sign in human.regulons}
    assert {("STAT1", "IRF1", 1), ("SREBF2", "HMGCR", 1), ("TP53", "CDK1", -1), ("ATF6", "HSPA5", 1)} <= named
    assert set(human.symbols[human.regulons[:, 0]]) <= set(human.symbols[human.is_tf])
    assert len(np.unique(human.regulons[:, :2], axis=0)) == len(human.regulons)


def test_targets_of_real_screens_are_there(human: HumanGenes):
    papalexi = "ATF2 BRD4 CAV1 CD86 CMTM6 CUL3 ETV7 IFNGR1 IFNGR2 IRF1 IRF7 JAK2 MYC NFKBIA PDCD1LG2 POU2F2 SMAD4 SPI1"
    challenge = "SMARCB1 HDAC3 EHMT1 MAX DOT1L HMGCR CSK UQCRB SLIRP COX4I1 IGF1R TCF7L2 KLHDC2 ZNF598"
    assert {*papalexi.split(), *challenge.split()} <= set(human.symbols)


def test_it_is_small_and_fast(human: HumanGenes):
    folder = human_genes.resources.files("starter.simulation").joinpath(human_genes.FOLDER)
    files = {file.name: len(file.read_bytes()) for file in folder.iterdir()}
    assert set(files) == {*human_genes.FILES, "SOURCES.md"}
    assert sum(files.values()) <= 300_000
    start = time.process_time()
    again = read_human_genes()
    assert time.process_time() - start < 0.5  # a tenth of a second, on a machine that does nothing else
    assert (again.symbols == human.symbols).all()


def test_sources_are_said():
    text = human_genes.resources.files("starter.simulation").joinpath("human/SOURCES.md").read_text(encoding="utf-8")
    for word in ("STRING", "Gene Ontology", "Reactome", "CC BY 4.0", "CC0", "filled in", "Lambert", "DoRothEA"):
        assert word in text
