import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_scripts.priors import string_db
from starter.errors import InputError
from starter.priors.graphs import read_graph

CHANNELS = "neighborhood fusion cooccurence coexpression experimental database textmining combined_score"
LINKS = f"""protein1 protein2 {CHANNELS}
9606.P1 9606.P2 0 0 0 0 900 0 999 999
9606.P2 9606.P1 0 0 0 0 900 0 999 999
9606.P1 9606.P3 0 0 0 500 500 0 0 700
9606.P3 9606.P1 0 0 0 500 500 0 0 700
9606.P2 9606.P3 0 0 0 0 0 0 950 950
9606.P3 9606.P2 0 0 0 0 0 0 950 950
"""
INFO = """#string_protein_id\tpreferred_name\tprotein_size\tannotation
9606.P1\tSTAT1\t1\ta
9606.P2\tJAK2\t1\tb
9606.P3\tIRF1\t1\tc
"""


def publishers_files(folder: Path) -> tuple[Path, Path]:
    links, info = folder / "links.txt.gz", folder / "info.txt.gz"
    links.write_bytes(gzip.compress(LINKS.encode()))
    info.write_bytes(gzip.compress(INFO.encode()))
    return links, info


def test_channels_are_combined_without_text_mining(tmp_path: Path):
    edges = string_db.read_links(*publishers_files(tmp_path)).set_index(["gene_a", "gene_b"])["score"]
    # by hand: (s - .041) / .959 for each channel, 1 - product of the rest, the prior added once
    one = (0.9 - 0.041) / 0.959
    two = 1 - (1 - (0.5 - 0.041) / 0.959) ** 2
    assert edges["STAT1", "JAK2"] == pytest.approx(1000 * (one + 0.041 * (1 - one)))
    assert edges["STAT1", "JAK2"] == pytest.approx(900)
    assert edges["STAT1", "IRF1"] == pytest.approx(1000 * (two + 0.041 * (1 - two)))
    assert edges["JAK2", "IRF1"] == 0
    assert len(edges) == 3


def test_strong_edges_and_each_genes_best_three_are_kept():
    weak = [("A", f"B{i}", 400 + 10 * i) for i in range(6)]
    table = pd.DataFrame([("A", "S", 700), ("A", "X", 399), *weak], columns=["gene_a", "gene_b", "score"])
    edges = string_db.strong_edges(table)
    kept = {tuple(edge) for edge in edges[["gene_a", "gene_b"]].to_numpy()}
    # A's best three of the weak are B5, B4, B3; the others are kept as the only edge of B0, B1, B2
    assert kept == {("A", "S"), *(("A", f"B{i}") for i in range(6))}
    assert edges["score"].tolist() == [400, 410, 420, 430, 440, 450, 700]
    crowd = pd.DataFrame(
        [(f"C{i}", f"D{j}", 400 + 10 * i + j) for i in range(5) for j in range(5)], columns=table.columns
    )
    degrees = pd.Series(string_db.strong_edges(crowd)[["gene_a", "gene_b"]].to_numpy().ravel()).value_counts()
    assert degrees["C0"] == 3
    assert degrees["C4"] == 5


def test_another_layout_is_refused(tmp_path: Path):
    links, info = publishers_files(tmp_path)
    links.write_bytes(gzip.compress(b"a b c\n1 2 3\n"))
    with pytest.raises(InputError, match="has not STRING's layout"):
        string_db.read_links(links, info)
    whole, _ = publishers_files(tmp_path)
    whole.write_bytes(whole.read_bytes()[:40] + bytes(40))
    with pytest.raises(InputError, match="has not STRING's layout .*; download it again"):
        string_db.read_links(links, info)


def test_the_graph_of_the_real_screen(vcc_data: Path, tmp_path: Path):
    genes = ["STAT1", "STAT2", "JAK2", "IFNGR1", "IFNGR2", "IRF1", "CUL3", "NOTAGENE"]
    path = string_db.build(genes, tmp_path / "priors", tmp_path / "downloads")
    edges = {tuple(edge) for edge in read_graph(path).to_numpy()}
    assert ("IFNGR1", "JAK2") in edges
    assert ("STAT1", "STAT2") in edges
    assert set(np.ravel(list(edges))) <= set(genes)
    lineage = json.loads((tmp_path / "priors" / "string_graph.tsv.lineage.json").read_text())
    assert lineage["data_sets"][0]["licence"] == "CC BY 4.0"
    assert lineage["parameters"]["channels"] == list(string_db.CHANNELS)


def test_two_proteins_of_one_symbol_make_one_edge():
    table = pd.DataFrame([("B", "A", 800.4), ("A", "B", 900.6), ("C", "A", 750)], columns=["gene_a", "gene_b", "score"])
    assert string_db.strong_edges(table).to_numpy().tolist() == [["A", "B", 901], ["A", "C", 750]]


def test_the_publishers_files(publish: Callable, tmp_path: Path):
    publish("string_v12", gzip.compress(LINKS.encode()), gzip.compress(INFO.encode()))
    path = string_db.build(["STAT1", "JAK2", "IRF1"], tmp_path / "priors", tmp_path / "downloads")
    # scores as computed by hand above
    assert path.read_text().splitlines() == ["gene_a\tgene_b\tscore", "IRF1\tSTAT1\t739", "JAK2\tSTAT1\t900"]
    assert read_graph(path).to_numpy().tolist() == [["IRF1", "STAT1"], ["JAK2", "STAT1"]]
    lineage = json.loads((tmp_path / "priors" / "string_graph.tsv.lineage.json").read_text())
    assert [file["name"] for file in lineage["inputs"]] == [
        "9606.protein.links.detailed.v12.0.txt.gz", "9606.protein.info.v12.0.txt.gz",
    ]  # fmt: skip


def test_the_file_that_stands_in(publish: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "gene_a\tgene_b\tcoexpression\texperiments\tdatabase\tcombined_score\n"
    content = gzip.compress((text + "STAT1\tJAK2\t0\t0\t900\t900\nNA\tIRF1\t42\t0\t0\t401\n").encode())
    publish("string_v12", None, None)
    publish("string_v12_symbols", content)
    (tmp_path / "priors").mkdir()
    (tmp_path / "priors" / "string_v12_human_ntm_symbols.tsv.gz").write_bytes(content)
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    path = string_db.build(["STAT1", "JAK2", "IRF1", "NA"], tmp_path / "out", tmp_path / "downloads")
    assert path.read_text().splitlines() == ["gene_a\tgene_b\tscore", "IRF1\tNA\t401", "JAK2\tSTAT1\t900"]
    (tmp_path / "x.tsv").write_text("a b\n1 2\n")
    with pytest.raises(InputError, match="x.tsv has not the layout of a gene graph .*; get it again"):
        string_db.read_edges(tmp_path / "x.tsv")
