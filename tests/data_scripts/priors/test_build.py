"""All prior knowledge of a screen at once: on real files, in the publishers' formats, and with something missing."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import rdata
import scipy.sparse
from typer.testing import CliRunner

from data_scripts.__main__ import app
from data_scripts.priors import build as priors
from data_scripts.screens.papalexi import NAME
from starter.errors import InputError

GAF = (
    "!gaf-version: 2.2\n"
    "UniProtKB\tP42224\tSTAT1\tenables\tGO:0003700\tPMID:1\tIDA\t\tF\tname\t\tprotein\ttaxon:9606\t20260101\tUniProt\t\t\n"
)
GMT = "Interferon gamma signaling\tR-HSA-877300\tJAK2\tSTAT1\n"
LINKS = (
    "protein1 protein2 neighborhood fusion cooccurence coexpression experimental database textmining combined_score\n"
    "9606.P1 9606.P2 0 0 0 0 900 0 999 999\n"
)
INFO = "#string_protein_id\tpreferred_name\n9606.P1\tSTAT1\n9606.P2\tJAK2\n"
TABLES = ["dorothea_regulons.tsv", "go_annotations.tsv", "reactome_pathways.tsv", "string_graph.tsv"]


@pytest.fixture
def published(publish: Callable, tmp_path: Path) -> Callable:
    """Small files in the publishers' formats, all four."""
    edges = pd.DataFrame({"tf": ["STAT1"], "confidence": ["A"], "target": ["IRF1"], "mor": [1.0]})
    rdata.write_rda(tmp_path / "x.rda", {"dorothea_hs": edges})
    publish("go", gzip.compress(GAF.encode()))
    publish("reactome", GMT.encode())
    publish("dorothea", (tmp_path / "x.rda").read_bytes())
    publish("string_v12", gzip.compress(LINKS.encode()), gzip.compress(INFO.encode()))
    return publish


def tables(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.tsv"))


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "VCC_DATA"} | variables
    command = [sys.executable, "-m", "data_scripts", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_real_coverage_of_the_challenges_genes_is_the_published_one(vcc_data: Path, tmp_path: Path):
    """The README of the files says 92 % (GO), 55 % (Reactome) and 88 % (STRING)."""
    genes = priors.read_genes(vcc_data / "vcc2025" / "gene_names.csv")
    assert len(genes) == 18_080
    known = priors.build(genes, tmp_path / "priors", tmp_path / "downloads")
    assert known == {"go": 16_573, "reactome": 9_973, "regulons": 5_112, "string_db": 15_786}
    assert round(100 * known["go"] / len(genes)) == 92
    assert round(100 * known["reactome"] / len(genes)) == 55
    # 88 % are in the network at all; a few of them have no edge to another gene of the list
    assert round(100 * known["string_db"] / len(genes)) == 87
    network = pd.read_csv(vcc_data / "priors" / "string_v12_human_ntm_symbols.tsv.gz", sep="\t", na_filter=False)
    assert round(100 * len(genes & {*network["gene_a"], *network["gene_b"]}) / len(genes)) == 88
    sizes = {name: len((tmp_path / "priors" / name).read_text().splitlines()) - 1 for name in TABLES}
    assert sizes["string_graph.tsv"] == 124_479
    assert sizes["dorothea_regulons.tsv"] == 12_643
    targets = set(pd.read_csv(vcc_data / "vcc2025" / "pert_counts_Validation.csv")["target_gene"])
    covered = priors.coverage(targets, tmp_path / "priors")
    assert (covered["go"], covered["reactome"], covered["string_db"]) == (50, 36, 50)


def test_what_is_known_of_the_real_screen(papalexi: Path, vcc_data: Path):
    genes = priors.read_genes(papalexi / f"{NAME}.h5ad")
    assert len(genes) == 314  # 299 measured genes and 24 targets, 9 of which are among them
    known = priors.coverage(genes, papalexi / "priors")
    assert known == {"go": 263, "reactome": 165, "regulons": 27, "string_db": 61}
    rows = {name: set(map(tuple, pd.read_csv(papalexi / "priors" / name, sep="\t").to_numpy())) for name in TABLES}
    # textbook: STAT1 and JAK2 carry the signal of interferon gamma, and STAT1 switches IRF1 on
    assert ("STAT1", "GO:0060333") in rows["go_annotations.tsv"]
    assert {("Interferon gamma signaling", gene) for gene in ("IFNGR1", "IFNGR2", "JAK2", "STAT1")} <= rows[
        "reactome_pathways.tsv"
    ]
    assert ("STAT1", "IRF1", 1) in rows["dorothea_regulons.tsv"]
    assert {(a, b) for a, b, _ in rows["string_graph.tsv"]} >= {("IFNGR1", "JAK2"), ("STAT1", "STAT2")}
    for name in TABLES:
        text = pd.read_csv(papalexi / "priors" / name, sep="\t")
        columns = [column for column in text.columns if column in priors.GENE_COLUMNS]
        assert set(text[columns].to_numpy().ravel()) <= genes
        assert not text.duplicated().any()
        assert (papalexi / "priors" / f"{name}.lineage.json").is_file()


def test_from_the_publishers_files(published: Callable, tmp_path: Path):
    genes = ["STAT1", "JAK2", "IRF1", "BRD4"]
    known = priors.build(genes, tmp_path / "priors", tmp_path / "downloads")
    assert known == {"go": 1, "reactome": 2, "regulons": 2, "string_db": 2}
    assert tables(tmp_path / "priors") == TABLES
    packed = (path for path in (tmp_path / "downloads").iterdir() if path.suffix in (".gz", ".zip", ".rda"))
    assert sorted(path.name for path in packed) == [
        "9606.protein.info.v12.0.txt.gz", "9606.protein.links.detailed.v12.0.txt.gz", "HUMAN-uniprot.gaf.gz",
        "ReactomePathways.gmt.zip", "dorothea_hs.rda",
    ]  # fmt: skip


def test_what_cannot_be_had_is_named_and_the_rest_complete(published: Callable, tmp_path: Path):
    published("reactome", None)
    published("string_v12", gzip.compress(LINKS.encode()), gzip.compress(b"another\tlayout\n"))
    with pytest.raises(InputError) as caught:
        priors.build(["STAT1", "JAK2", "IRF1"], tmp_path / "priors", tmp_path / "downloads")
    first, *missing = str(caught.value).splitlines()
    assert first == (
        f"not everything could be had; complete in {tmp_path / 'priors'}: go_annotations.tsv, dorothea_regulons.tsv; "
        "missing:"
    )
    assert len(missing) == 2
    assert "- reactome_pathways.tsv: ReactomePathways.gmt.zip could not be downloaded" in missing[0]
    way_out = f"put the file into {tmp_path / 'downloads'}, or set VCC_DATA to a folder that has "
    assert missing[0].endswith(way_out + "priors/ReactomePathways.gmt.zip")
    assert "- string_graph.tsv: " in missing[1]
    assert "has not STRING's layout" in missing[1]
    assert tables(tmp_path / "priors") == TABLES[:2]
    # put where the message says, it is found
    published("reactome", GMT.encode())
    (tmp_path / "downloads" / "ReactomePathways.gmt.zip").write_text(GMT)
    published("string_v12", gzip.compress(LINKS.encode()), gzip.compress(INFO.encode()))
    assert priors.build(["STAT1", "JAK2", "IRF1"], tmp_path / "priors", tmp_path / "downloads")["reactome"] == 2
    assert tables(tmp_path / "priors") == TABLES


def test_a_failed_run_leaves_an_earlier_table_as_it_was(published: Callable, tmp_path: Path):
    priors.build(["STAT1", "JAK2", "IRF1"], tmp_path / "priors", tmp_path / "downloads")
    before = (tmp_path / "priors" / "go_annotations.tsv").read_text()
    published("go", b"!gaf-version: 2.2\nnonsense\n")
    with pytest.raises(InputError, match="go_annotations.tsv: .*line 2: 'nonsense' is not a line of a GAF 2"):
        priors.build(["STAT1", "JAK2", "IRF1"], tmp_path / "priors", tmp_path / "downloads")
    assert (tmp_path / "priors" / "go_annotations.tsv").read_text() == before
    assert not list((tmp_path / "priors").glob("*.part"))


def test_genes_that_nobody_knows_are_refused(published: Callable, tmp_path: Path):
    with pytest.raises(InputError, match="no source knows any of 2 genes .Jak2, Stat1.; give human gene symbols"):
        priors.build(["Stat1", "Jak2"], tmp_path / "priors", tmp_path / "downloads")


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_downloaded(published: Callable, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to .*file/priors: Not a directory; choose another folder"):
        priors.build(["STAT1"], tmp_path / "file" / "priors", tmp_path / "downloads")
    assert not (tmp_path / "downloads").exists()
    (tmp_path / "priors" / "string_graph.tsv.part").mkdir(parents=True)
    with pytest.raises(
        InputError, match="string_graph.tsv: cannot write .*string_graph.tsv: Is a directory; choose an"
    ):
        priors.build(["STAT1"], tmp_path / "priors", tmp_path / "downloads")


def test_a_gene_list(tmp_path: Path):
    path = tmp_path / "genes.txt"
    path.write_bytes("\ufeffSTAT1\r\n\r\nJAK2 \nSTAT1\nHLA-A\nnon-targeting\n".encode())
    assert priors.read_genes(path) == {"STAT1", "JAK2", "HLA-A"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"STAT1\nJAK2,CUL3\n", "line 2: 'JAK2,CUL3' is not one gene symbol; write one a line"),
        (b"gene\tn\n", "line 1: .* is not one gene symbol"),
        (b"\n\n", "genes.txt names no gene"),
        (b"\x89HDF\xff", "genes.txt is not a text file; write one gene symbol a line"),
    ],
)
def test_another_gene_list_is_refused(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "genes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        priors.read_genes(path)
    with pytest.raises(InputError, match="cannot read .*nothing.txt: No such file"):
        priors.read_genes(tmp_path / "nothing.txt")


def test_the_genes_of_a_screen(tmp_path: Path):
    obs = pd.DataFrame({"target_gene": pd.Categorical(["STAT1", "JAK2+CUL3", "non-targeting"])}, index=["a", "b", "c"])
    screen = anndata.AnnData(
        scipy.sparse.csr_matrix(np.ones((3, 2), np.float32)), obs, pd.DataFrame(index=["IRF1", "STAT1"])
    )
    path = tmp_path / "screen.h5ad"
    screen.write_h5ad(path)
    assert priors.read_genes(path) == {"STAT1", "JAK2", "CUL3", "IRF1"}
    del screen.obs["target_gene"]
    screen.write_h5ad(path)
    with pytest.raises(InputError, match="screen.h5ad is not a course data set with obs.'target_gene'"):
        priors.read_genes(path)
    path.write_text("STAT1\n")
    with pytest.raises(InputError, match="screen.h5ad is not a course data set"):
        priors.read_genes(path)


def test_the_command(vcc_data: Path, tmp_path: Path):
    (tmp_path / "genes.txt").write_text("STAT1\nJAK2\nIRF1\nNOTAGENE\n")
    arguments = ("--genes", tmp_path / "genes.txt", "--out", tmp_path / "priors", "--downloads", tmp_path / "downloads")
    done = run("priors", *arguments, VCC_DATA=str(vcc_data))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == [
        "go: 3 of 4 genes", "reactome: 3 of 4 genes", "regulons: 3 of 4 genes", "string_db: 3 of 4 genes",
    ]  # fmt: skip
    assert tables(tmp_path / "priors") == TABLES
    assert not (tmp_path / "downloads").exists()


def test_the_command_says_what_is_wrong_in_one_sentence(tmp_path: Path):
    done = run("priors", "--genes", tmp_path / "nothing.txt")
    assert done.returncode == 2
    assert done.stderr == f"error: cannot read {tmp_path / 'nothing.txt'}: No such file or directory\n"
    page = " ".join(CliRunner().invoke(app, ["priors", "--help"]).output.split())
    assert "Example: python -m data_scripts priors --genes my_screen.h5ad --out priors" in page


def test_info_says_what_stands_in_for_a_source():
    page = CliRunner().invoke(app, ["info", "go"]).output
    assert "go_terms stands in for it where VCC_DATA has that alone" in page
    assert "priors/GO_annotations-9606-direct-allev.tsv" in CliRunner().invoke(app, ["info", "go_terms"]).output
