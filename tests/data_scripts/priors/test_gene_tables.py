"""Further tables of genes, in the layouts in which their publishers send them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_scripts.catalogue import DataSet
from data_scripts.priors import gene_tables, hgnc
from starter.errors import InputError
from starter.priors.tables import read_pathways, read_regulons

GENES = {"TNF", "STAT1", "IRF1", "KLF1", "MYC"}
HGNC = """hgnc_id\tsymbol\tname\tstatus\talias_symbol\tprev_symbol\tensembl_gene_id
HGNC:1\tDARS1\taspartyl\tApproved\tASPRS|HBSL\tDARS\tENSG00000115866
HGNC:2\tBBLN\tbublin\tApproved\t\tC9orf16\tENSG00000171159
HGNC:3\tTAFAZZIN\ttafazzin\tApproved\t\tTAZ\tENSG00000102125
HGNC:4\tWWTR1\tWW domain\tApproved\tTAZ|DARS1\t\tENSG00000018408
HGNC:5\tGONE\twithdrawn\tEntry Withdrawn\t\t\tENSG00000000001
HGNC:6\tNOID\tno id\tApproved\tX1\t\t
"""


@pytest.fixture
def build(publish: Callable[..., DataSet], tmp_path: Path) -> Callable:
    def make(name: str, *contents: str) -> pd.DataFrame:
        publish(name, *(content.encode() for content in contents))
        return gene_tables.build(name, GENES, tmp_path / "priors", tmp_path / "downloads")[1]

    return make


def test_collectri(build: Callable, tmp_path: Path):
    content = (
        "source,target,weight,PMID,resources\nSTAT1,IRF1,1,7,x\nMYC,KLF1,-1,8,y\nMYC,TNF,1,9,y\nMYC,TNF,-1,9,z\n"
        "AP1,TNF,1,3,z\nSTAT1,IRF1,1,8,z\n"
    )
    table = build("collectri", content)
    assert table.values.tolist() == [["STAT1", "IRF1", 1], ["MYC", "KLF1", -1]]
    assert read_regulons(tmp_path / "priors" / "collectri_regulons.tsv").equals(table)
    with pytest.raises(InputError, match="weights beside -1 and 1"):
        gene_tables.read_collectri([_written(tmp_path, "source,target,weight\nA,B,0.5\n")])


def test_kegg(build: Callable, tmp_path: Path):
    links = "hsa:7124\tpath:hsa04668\nhsa:7124\tpath:hsa04010\nhsa:6772\tpath:hsa04062\nhsa:999\tpath:hsa00001\n"
    genes = (
        "hsa:7124\tCDS\t6p21.33\tTNF, DIF, TNFA; tumor necrosis factor\nhsa:6772\tCDS\t2q32\tSTAT1; signal\n"
        "hsa:1\tCDS\tx\tA1BG; a\n"
    )
    table = build("kegg", links, genes)
    assert table.values.tolist() == [["hsa04010", "TNF"], ["hsa04062", "STAT1"], ["hsa04668", "TNF"]]
    assert read_pathways(tmp_path / "priors" / "kegg_pathways.tsv").equals(table)


def test_lists_of_genes(build: Callable):
    tfs = (
        ",Ensembl ID,HGNC symbol,DBD,Is TF?\n0,E1,STAT1,STAT,Yes\n1,E2,TNF,none,No\n2,E3,MYC,bHLH,Yes\n3,E4,ZZZ,x,Yes\n"
    )
    assert build("human_tfs", tfs)["gene"].tolist() == ["MYC", "STAT1"]
    assert build("core_essential", "GENE\tHGNC_ID\tENTREZ_ID\nMYC\tHGNC:1\t1\nAARS\tHGNC:2\t2\n")["gene"].tolist() == [
        "MYC"
    ]


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("collectri", ["a,b\n1,2\n"], "has another layout than collectri should .KeyError: 'weight'"),
        ("human_tfs", ["<html>"], "has another layout than human_tfs should .KeyError: 'Is TF"),
        ("non_essential", ["GENE\nOTHER\n"], "non_essential knows none of 5 genes .IRF1, KLF1, MYC, STAT1, TNF."),
    ],
)
def test_other_content_is_refused(build: Callable, tmp_path: Path, name: str, contents: list[str], said: str):
    with pytest.raises(InputError, match=said):
        build(name, *contents)
    assert not (tmp_path / "priors").exists()


def test_what_priors_builds_is_said(tmp_path: Path):
    with pytest.raises(
        InputError, match="no table is made of go alone; of collectri, kegg, .* priors makes the others"
    ):
        gene_tables.build("go", GENES, tmp_path, tmp_path)


def test_every_name_of_hgnc_is_of_one_gene(tmp_path: Path):
    names, symbols = hgnc.read_names(_written(tmp_path, HGNC))
    assert symbols == ["BBLN", "DARS1", "TAFAZZIN", "WWTR1"]
    of_name = names.groupby("gene_name")["ensembl_id"].agg(list).to_dict()
    assert of_name == {
        "ASPRS": ["ENSG00000115866"],
        "BBLN": ["ENSG00000171159"],
        "C9orf16": ["ENSG00000171159"],
        "DARS": ["ENSG00000115866"],
        "DARS1": ["ENSG00000115866"],  # and no alias of WWTR1
        "HBSL": ["ENSG00000115866"],
        "TAFAZZIN": ["ENSG00000102125"],
        "TAZ": ["ENSG00000102125"],  # its former symbol, before the alias of WWTR1
        "WWTR1": ["ENSG00000018408"],
    }
    with pytest.raises(InputError, match="is not HGNC's complete set"):
        hgnc.read_names(_written(tmp_path, "symbol\tname\nA\tB\n"))


def _written(folder: Path, content: str) -> Path:
    path = folder / "written.txt"
    path.write_text(content)
    return path
