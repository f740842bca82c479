from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_scripts.adoption.genes import harmonise_genes, names_at_hand
from data_scripts.adoption.layout import Layout
from data_scripts.priors.gene_symbols import GeneSymbols
from starter.errors import InputError

TBCE = ["ENSG00000284770", "ENSG00000285053"]


def test_the_first_gene_of_a_symbol_keeps_it_and_others_carry_their_id():
    var = pd.DataFrame({"gene_name": ["TBCE", "STAT1", "TBCE"]}, index=[TBCE[0], "ENSG00000115415", TBCE[1]])
    genes = harmonise_genes(var, Layout(symbols="gene_name", ensembl="index"))
    assert genes.symbols.tolist() == ["TBCE", "STAT1", "TBCE_ENSG00000285053"]
    assert genes.ensembl.tolist() == [TBCE[0], "ENSG00000115415", TBCE[1]]
    assert genes.renamed == {"TBCE": "TBCE_ENSG00000285053"}
    assert [genes.measured(name) for name in ("TBCE", *TBCE)] == ["TBCE", "TBCE", "TBCE_ENSG00000285053"]


def test_without_ids_they_are_numbered_and_meet_no_other_name():
    genes = harmonise_genes(pd.DataFrame(index=["TBCE", "TBCE-1", "TBCE", "TBCE", "STAT1"]), Layout())
    assert genes.symbols.tolist() == ["TBCE", "TBCE-1", "TBCE-2", "TBCE-3", "STAT1"]
    assert genes.ensembl is None


def test_ids_lose_their_version_and_what_is_none_is_left_empty():
    var = pd.DataFrame({"id": ["ENSG00000115415.12", np.nan, "GRCh38_x"]}, index=["STAT1", "KLF1", "SPI1"])
    genes = harmonise_genes(var, Layout(ensembl="id"))
    assert genes.ensembl.tolist() == ["ENSG00000115415", "", ""]
    assert genes.symbols.tolist() == ["STAT1", "KLF1", "SPI1"]


def test_a_gene_without_a_symbol_is_called_by_its_id():
    var = pd.DataFrame({"symbol": ["STAT1", np.nan, ""]}, index=["ENSG00000115415", "ENSG00000105610.3", TBCE[0]])
    genes = harmonise_genes(var, Layout(symbols="symbol", ensembl="index"))
    assert genes.symbols.tolist() == ["STAT1", "ENSG00000105610", TBCE[0]]
    assert genes.unresolved == ("ENSG00000105610", TBCE[0])


def test_ids_alone_get_symbols_from_a_table_of_names():
    table = pd.DataFrame({"gene_name": ["STAT1", "KLF1", "EKLF", "OLD", "OLDER"],
                          "ensembl_id": ["ENSG00000115415", *["ENSG00000105610"] * 2, *TBCE[:1] * 2]})  # fmt: skip
    var = pd.DataFrame(index=["ENSG00000105610.7", "ENSG00000115415", TBCE[0]])
    genes = harmonise_genes(var, Layout(symbols=None, ensembl="index"), GeneSymbols(table, ["KLF1"], ["STAT1"]))
    assert genes.symbols.tolist() == ["KLF1", "STAT1", TBCE[0]]
    assert genes.unresolved == (TBCE[0],)  # two names, and none is said to be today's
    assert genes.measured("EKLF") == "KLF1"


def test_a_measured_gene_keeps_the_name_that_the_file_gives_it():
    table = pd.DataFrame({"gene_name": ["MARCHF8", "MARCH8"], "ensembl_id": ["ENSG00000165406"] * 2})
    genes = harmonise_genes(pd.DataFrame(index=["MARCHF8"]), Layout(), GeneSymbols(table, ["MARCH8"], ()))
    assert genes.symbols.tolist() == ["MARCHF8"]
    assert genes.measured("MARCH8") == "MARCHF8"
    assert genes.renamed == {}


@pytest.mark.parametrize(
    ("var", "layout", "message"),
    [
        (pd.DataFrame({"a": ["x"]}, index=["STAT1"]), Layout(symbols="name"),
         "var has no column 'name'; its columns are a, and 'index' is its index"),
        (pd.DataFrame(index=["STAT1", "KLF1"]), Layout(ensembl="index"), "no Ensembl ids but STAT1, KLF1; name the"),
        (pd.DataFrame(index=["STAT1"]), Layout(symbols=None), "neither symbols nor Ensembl ids of the genes are known"),
        (pd.DataFrame({"s": ["STAT1", ""]}, index=["1", "2"]), Layout(symbols="s"), "1 of 2 genes have no name in 's'"),
    ],
)  # fmt: skip
def test_what_names_no_genes_is_refused(var: pd.DataFrame, layout: Layout, message: str):
    with pytest.raises(InputError, match=message):
        harmonise_genes(var, layout)


def test_no_table_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VCC_DATA", raising=False)
    names, files = names_at_hand(tmp_path)
    assert files == []
    assert names.one("STAT1") is None


def test_the_real_table_knows_old_names(vcc_data: Path, tmp_path: Path):
    names, files = names_at_hand(tmp_path)
    assert len(files) == 2
    assert names.of_id("ENSG00000284770") == "TBCE"
    assert names.one("MARCHF8") == names.one("MARCH8")
    assert names.one("SEPT7") == names.one("SEPTIN7")
    assert names.one("NT") is None
