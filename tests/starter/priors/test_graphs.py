from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.spatial.distance import cdist

from starter.errors import InputError
from starter.priors import graphs
from starter.schema import CONTROL

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


def test_annotations_link_genes_by_jaccard_similarity():
    """Against SciPy's Jaccard distance of the boolean rows, pair by pair."""
    rng = np.random.default_rng(0)
    has = rng.random((12, 9)) < 0.4
    has[:, 0] |= ~has.any(axis=1)
    genes = np.array([f"G{number:02d}" for number in range(12)])
    row, term = np.nonzero(has)
    order = rng.permutation(len(row))
    annotations = pd.DataFrame({"gene": genes[row], "term": [f"T{t}" for t in term]}).iloc[order]
    similarity = 1 - cdist(has, has, "jaccard")
    due = {(genes[i], genes[j]) for i, j in combinations(range(12), 2) if similarity[i, j] > 0.3}
    edges = graphs.annotation_graph(annotations, threshold=0.3, most=11)
    assert set(edges.itertuples(index=False, name=None)) == due
    assert 5 < len(due) < 60
    assert graphs.strongest(similarity, genes, 0.3, 11).equals(edges)


def test_co_expression_links_genes_by_absolute_correlation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(graphs, "BLOCK", 4)  # several blocks
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=(60, 2)) @ rng.normal(size=(2, 10)) + rng.normal(size=(60, 10)), 0)
    values[:, 3] = 2.5  # does not vary
    genes = [f"G{number}" for number in range(10)]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.abs(np.corrcoef(values.T)))
    due = {(genes[i], genes[j]) for i, j in combinations(range(10), 2) if correlation[i, j] > 0.4}
    for given in (values, scipy.sparse.csr_matrix(values)):
        edges = graphs.coexpression_graph(given, genes, threshold=0.4, most=9)
        assert set(edges.itertuples(index=False, name=None)) == due
    assert 3 < len(due) < 40
    assert "G3" not in edges.to_numpy()


def test_a_gene_chooses_its_strongest_links():
    similarity = np.array([[1.0, 0.9, 0.5, 0.2], [0.9, 1.0, 0.6, 0.3], [0.5, 0.6, 1.0, 0.05], [0.2, 0.3, 0.05, 1.0]])
    edges = graphs.strongest(similarity, list("DCBA"), threshold=0.1, most=1)
    # D and C choose each other, B chooses C, and so does A
    assert edges.to_numpy().tolist() == [["C", "D"], ["B", "C"], ["A", "C"]]
    assert len(graphs.strongest(similarity, list("DCBA"), threshold=0.25, most=1)) == 3
    assert graphs.strongest(similarity, list("DCBA"), threshold=0.95).empty
    assert graphs.adjacency(graphs.strongest(similarity, list("DCBA"), threshold=0.95))[0].shape == (0, 0)


def test_names_that_do_not_fit_a_similarity_are_refused():
    with pytest.raises(InputError, match=r"the similarity of 3 genes is a square of that size, not \(4, 4\)"):
        graphs.strongest(np.eye(4), list("ABC"))
    with pytest.raises(InputError, match=r"co-expression of 3 genes needs two or more cells of each, not a table"):
        graphs.coexpression_graph(np.eye(4), list("ABC"))


def test_regulons_link_regulators_with_their_genes():
    regulons = pd.DataFrame({"regulator": ["R", "R", "G"], "target": ["G", "R", "R"], "sign": [1, 1, -1]})
    assert graphs.regulon_graph(regulons).to_numpy().tolist() == [["G", "R"]]


def test_how_alike_neighbours_are_by_hand():
    rng = np.random.default_rng(0)
    effects = pd.DataFrame(rng.normal(size=(4, 6)), index=list("ABCX"))
    rest = effects - effects.mean()
    likeness = graphs.neighbour_likeness(effects, EDGES)

    def alike(a: str, b: str) -> float:
        return np.corrcoef(rest.loc[a], rest.loc[b])[0, 1]

    due = {"A": (alike("A", "B") + alike("A", "C")) / 2, "B": alike("A", "B"), "C": alike("A", "C")}
    assert likeness.to_dict() == pytest.approx(due)  # X is in no edge, D was not measured
