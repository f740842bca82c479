from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from starter import graphs
from starter.schema import CONTROL, InputError

EDGES = pd.DataFrame({"gene_a": ["A", "A", "B"], "gene_b": ["B", "C", "D"]})
PROFILES = pd.DataFrame(
    [[1.0, 2.0], [3.0, 6.0], [8.0, 1.0], [100.0, 100.0]], index=["B", "C", "E", CONTROL], columns=["G", "H"]
)


def test_edges_are_read_once_and_without_loops(tmp_path: Path):
    (tmp_path / "g.tsv").write_text("gene_b\tgene_a\tweight\nA\tB\t1\nB\tA\t2\nC\tC\t3\nNA\tB\t1\n")
    assert graphs.read_graph(tmp_path / "g.tsv").to_numpy().tolist() == [["A", "B"], ["B", "NA"]]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", ""])
def test_what_is_no_graph_is_refused(tmp_path: Path, content: str):
    (tmp_path / "g.tsv").write_text(content)
    with pytest.raises(InputError, match="is not a gene graph with the columns gene_a and gene_b"):
        graphs.read_graph(tmp_path / "g.tsv")


def test_a_graph_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.tsv is not a gene graph .*No such file"):
        graphs.read_graph(tmp_path / "none.tsv")


def test_the_adjacency_matrix_by_hand():
    matrix, genes = graphs.adjacency(EDGES)
    assert genes.tolist() == ["A", "B", "C", "D"]
    assert matrix.toarray().tolist() == [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]


def test_the_neighbour_mean_by_hand():
    predicted = graphs.neighbour_mean(PROFILES, EDGES, ["A", "D", "X"])
    assert predicted.loc["A"].tolist() == [2.0, 4.0]  # B and C
    assert predicted.loc["D"].tolist() == [1.0, 2.0]  # B
    assert predicted.loc["X"].tolist() == [4.0, 3.0]  # no neighbour: the mean of B, C, E, without the control
    assert list(predicted.columns) == ["G", "H"]


def test_who_has_no_measured_neighbour_is_listed():
    assert graphs.without_neighbour(PROFILES, EDGES, ["A", "D", "X", "B"]) == ["X", "B"]
    control = pd.DataFrame({"gene_a": ["A"], "gene_b": [CONTROL]})
    assert graphs.without_neighbour(PROFILES, control, ["A"]) == ["A"]


def test_a_target_is_no_neighbour_of_itself():
    predicted = graphs.neighbour_mean(PROFILES, EDGES, ["B"])
    assert predicted.loc["B"].tolist() == [4.0, 3.0]  # its neighbours A and D were not measured


def test_shuffling_keeps_the_graphs_shape():
    edges = pd.DataFrame({"gene_a": list("AAABCD"), "gene_b": list("BCDCDE")})
    shuffled = graphs.shuffle_graph(edges, np.random.default_rng(0))

    def degrees(graph: pd.DataFrame) -> list[int]:
        return sorted(len(near) for near in graphs.neighbours(graph).values())

    assert degrees(shuffled) == degrees(edges)
    assert set(shuffled.to_numpy().ravel()) == set("ABCDE")
    assert not shuffled.equals(edges)
