import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_scripts import string_db
from starter.graphs import read_graph
from starter.schema import InputError

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
    kept = {tuple(edge) for edge in string_db.strong_edges(table).to_numpy()}
    # A's best three of the weak are B5, B4, B3; the others are kept as the only edge of B0, B1, B2
    assert kept == {("A", "S"), *(("A", f"B{i}") for i in range(6))}
    crowd = pd.DataFrame(
        [(f"C{i}", f"D{j}", 400 + 10 * i + j) for i in range(5) for j in range(5)], columns=table.columns
    )
    degrees = pd.Series(string_db.strong_edges(crowd).to_numpy().ravel()).value_counts()
    assert degrees["C0"] == 3
    assert degrees["C4"] == 5


def test_another_layout_is_refused(tmp_path: Path):
    links, info = publishers_files(tmp_path)
    links.write_bytes(gzip.compress(b"a b c\n1 2 3\n"))
    with pytest.raises(InputError, match="has not STRING's layout"):
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


def test_the_publishers_files_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VCC_DATA", raising=False)
    files = dict(
        zip(
            ("9606.protein.links.detailed.v12.0.txt.gz", "9606.protein.info.v12.0.txt.gz"),
            publishers_files(tmp_path),
            strict=True,
        )
    )
    real = string_db.fetch
    monkeypatch.setattr(
        string_db, "fetch", lambda file, folder: files[file.name] if file.name in files else real(file, folder)
    )
    path = string_db.build(["STAT1", "JAK2", "IRF1"], tmp_path / "priors", tmp_path / "downloads")
    assert read_graph(path).to_numpy().tolist() == [["JAK2", "STAT1"], ["IRF1", "STAT1"]]
