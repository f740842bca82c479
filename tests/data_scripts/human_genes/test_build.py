"""The table of human genes: built of the real sources it comes out as it is shipped."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_scripts.human_genes import build as human_genes
from data_scripts.human_genes.build import GeneSet, Knowledge, choose, describe
from starter.errors import InputError


@pytest.mark.slow
def test_it_comes_out_as_it_is_shipped(vcc_data: Path, tmp_path: Path):
    folder = human_genes.build(tmp_path / "downloads", tmp_path / "human")
    shipped = {path.name: path.read_bytes() for path in human_genes.FOLDER.iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == shipped


def test_without_its_sources_it_says_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    monkeypatch.setattr(human_genes, "SOURCES", ("gene_names",))
    with pytest.raises(InputError, match="gene_name_to_ensembl_gc95M.csv has no address; set VCC_DATA to a folder"):
        human_genes.build(tmp_path / "downloads", tmp_path / "human")
    assert not (tmp_path / "human").exists()


GENES = [f"GENE{number:03d}" for number in range(300)]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Knowledge:
    """A small world: 300 genes, of which the first ones have most links."""
    rng = np.random.default_rng(0)
    pairs = {(a, b) for a, b in rng.integers(0, 300, (6_000, 2)) ** 2 // 300 if a < b}
    links = pd.DataFrame([(GENES[a], GENES[b], 900) for a, b in sorted(pairs)], columns=["gene_a", "gene_b", "score"])
    levels = pd.DataFrame(np.nan, index=GENES, columns=["THP-1", "K562", "PBMC"])
    levels.loc[GENES[:250:2], "THP-1"] = np.exp(rng.standard_normal(125))
    levels.loc["GENE000", ["K562", "PBMC"]] = 5.0
    levels.loc["GENE001", ["K562", "PBMC"]] = [7.0, 3.0]
    levels.loc["GENE003", ["K562", "PBMC"]] = [0.01, 3.0]
    monkeypatch.setattr(human_genes, "THEMES", {"R-HSA-1": 5})
    monkeypatch.setattr(human_genes, "N_GENES", 60)
    monkeypatch.setattr(human_genes, "N_FACTORS", 12)
    monkeypatch.setattr(human_genes, "FACTORS", "GENE299")
    monkeypatch.setattr(human_genes, "WANTED", "GENE298 NOBODY")
    ribosome = GeneSet("Peptide chain elongation", {"RPL3", "RPS6", "GENE010"})
    return Knowledge(
        proteins={*GENES, "RPL3", "RPS6"},
        levels=levels,
        targets={"GENE297", "RNA001"},
        responses=pd.DataFrame({"times raised in K562": rng.random(202)}, index=[*GENES[:200], "RPL3", "RPS6"]),
        links=links,
        processes={"GO:1": GeneSet("a process", set(GENES[:40]))},
        pathways={"R-HSA-1": GeneSet("a pathway", set(GENES[180:230])), human_genes.RIBOSOME: ribosome},
        factors=set(GENES[100:160]) | {"GENE299"},
        abundant=set(GENES[:50]),
        essential={"GENE002"},
        regulons=pd.DataFrame(
            [("GENE299", "GENE170", 1), ("GENE299", "GENE290", 1)], columns=["regulator", "target", "sign"]
        ),
    )


def test_genes_are_chosen_by_what_is_known_of_them(known: Knowledge):
    chosen = choose(known)
    assert chosen == sorted(chosen)
    assert len(chosen) == 60
    # a target, a gene that is looked for, a factor with its target; not what codes for no protein
    assert {"GENE297", "GENE298", "GENE299", "GENE170"} <= set(chosen)
    # not expressed, or not a protein, or no gene
    assert not {"GENE290", "RNA001", "NOBODY"} & set(chosen)
    assert len(set(chosen) & known.factors) == 12
    assert len(set(chosen) & known.pathways["R-HSA-1"].genes) >= 5
    # of genes with as many links, one that was measured is preferred
    assert set(GENES[:10:2]) <= set(chosen)


def test_levels_are_those_of_the_first_cells_that_express_a_gene(known: Knowledge):
    genes = ["GENE000", "GENE001", "GENE002", "GENE003", "GENE299", "RPL3", "RPS6"]
    table, fit = describe(genes, known)
    table = table.set_index("symbol")
    assert list(table["measured_in"]) == ["THP-1", "K562", "THP-1", "PBMC", "filled", "filled", "filled"]
    assert table.loc["GENE001", "ln_expression"] == 1.95  # ln 7
    assert table.loc["GENE003", "ln_expression"] == 1.1  # ln 3
    assert list(table["core_essential"]) == [0, 0, 1, 0, 0, 0, 0]
    assert list(table["transcription_factor"]) == [0, 0, 0, 0, 1, 0, 0]
    # a quarter of 10,000
    assert np.exp(table.loc[["RPL3", "RPS6"], "ln_expression"]).sum() == pytest.approx(2_500, rel=0.01)
    assert (fit.n_genes, fit.n_ribosomal) == (125, 2)


def test_a_factor_binds_dna_and_is_no_partner():
    terms = (*human_genes.CERTAIN_FACTOR, *human_genes.LIKELY_FACTOR, *human_genes.BINDS_DNA, *human_genes.PARTNER)
    genes_of = {term: ["OTHER"] for term in terms}
    genes_of["GO:0000981"] = ["CERTAIN", "CERTAIN_PARTNER"]
    genes_of["GO:0000977"] = ["LIKELY", "LIKELY_PARTNER"]
    genes_of["GO:0003700"] = ["BINDS", "BINDS_NOT"]
    genes_of["GO:0003677"] = ["BINDS", "POLYMERASE"]
    genes_of["GO:0003713"] = ["CERTAIN_PARTNER", "LIKELY_PARTNER"]
    found = human_genes._factors(pd.Series(genes_of)) - {"OTHER"}
    assert found == {"CERTAIN", "CERTAIN_PARTNER", "LIKELY", "BINDS"}


@pytest.mark.slow
def test_four_of_five_factors_are_on_the_list_of_lambert(vcc_data: Path):
    """That list is not shipped, for no licence is stated; it tells how good GO's is."""
    table = pd.read_csv(human_genes.FOLDER / "genes.tsv", sep="\t", na_filter=False)
    factors = set(table["symbol"][table["transcription_factor"] == 1])
    theirs = pd.read_csv(vcc_data / "priors" / "Lambert_2018_HumanTF.csv", encoding="utf-8-sig", na_filter=False)
    theirs = set(theirs["Name"][theirs["is_TF"] == "Yes"])
    assert len(factors & theirs) / len(factors) >= 0.8
    assert len(factors & theirs) / len(theirs & set(table["symbol"])) >= 0.85
