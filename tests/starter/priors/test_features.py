"""Gene features, against linear algebra by hand and scipy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

from starter.errors import InputError
from starter.priors import features
from starter.priors.tables import read_annotations, read_features, read_other_context, read_pathways, read_regulons
from starter.schema import CONTROL

RNG = np.random.default_rng(5)


def gram(table: pd.DataFrame) -> np.ndarray:
    """Dot products of all rows: the same whatever the signs of components."""
    return table.to_numpy() @ table.to_numpy().T


def best_gram(matrix: np.ndarray, n: int) -> np.ndarray:
    """Dot products of rows in the best approximation of rank n (Eckart and Young)."""
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    return (u[:, :n] * s[:n] ** 2) @ u[:, :n].T


def test_files_of_pairs_are_read_once_each(tmp_path: Path):
    path = tmp_path / "x.tsv"
    path.write_text("term\tgene\textra\nT1\tNA\t1\nT1\tNA\t2\nT2\tB\t3\n")
    assert read_annotations(path).to_numpy().tolist() == [["NA", "T1"], ["B", "T2"]]
    path.write_text("pathway\tgene\nP\tA\nP\tB\n")
    assert read_pathways(path)["gene"].tolist() == ["A", "B"]
    path.write_text("regulator\ttarget\tsign\nR\tA\t1\nR\tB\t-1.0\n")
    assert read_regulons(path)["sign"].tolist() == [1, -1]


@pytest.mark.parametrize(
    ("read", "content", "said"),
    [
        (read_annotations, "gene,term\nA,T\n", "is not an annotation file with the .* columns gene, term"),
        (read_annotations, "", "is not an annotation file .*No columns"),
        (read_annotations, "gene\tterm\n", "lists nothing; it is an annotation file"),
        (read_annotations, "gene\tterm\nA\t\nB\tT\n", "rows with an empty gene or term: 1"),
        (read_pathways, "path\tgene\nP\tA\n", "is not a pathway file .*pathway, gene"),
        (read_regulons, "regulator\ttarget\nR\tA\n", "is not a regulon file .*regulator, target, sign"),
        (read_regulons, "regulator\ttarget\tsign\nR\tA\t0\nR\tB\tup\n", "sign is not 1 or -1: 2"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, read: Callable, content: str, said: str):
    (tmp_path / "x.tsv").write_text(content)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "x.tsv")


@pytest.mark.parametrize("read", [read_pathways, read_features, read_other_context])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, read: Callable):
    with pytest.raises(InputError, match=r"none\.here is not a"):
        read(tmp_path / "none.here")


def table(values: object = ((0.5, 1.0), (2.0, 0.0)), index: tuple = ("A", CONTROL)) -> pd.DataFrame:
    return pd.DataFrame(np.array(values), index=list(index), columns=["G", "H"])


def test_tables_are_read(tmp_path: Path):
    table().to_parquet(tmp_path / "t.parquet")
    assert read_features(tmp_path / "t.parquet").index.name == "gene"
    read = read_other_context(tmp_path / "t.parquet")
    assert read.index.name == "perturbation"
    assert read.loc["A"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (table(index=(0, 1)), "a table of 2 x 2 that is empty or whose index holds no names"),
        (table(index=("A", "A")), "names that come twice: A;"),
        (table(((np.nan, 1.0), (np.inf, 0.0))), "NaN or infinite values: 2"),
        (table().assign(H=["x", "y"]), "columns that hold no numbers: H;"),
        (table().iloc[:0], "a table of 0 x 2 that is empty"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path: Path, bad: pd.DataFrame, said: str):
    bad.to_parquet(tmp_path / "t.parquet")
    for read in (read_features, read_other_context):
        with pytest.raises(InputError, match=said):
            read(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (table(index=("A", "B")), "has no row 'non-targeting'"),
        (table(((0.5, -1.0), (2.0, 0.0))), "negative values: 1; give profiles"),
    ],
)
def test_profiles_of_another_context_need_a_control_and_expression(tmp_path: Path, bad: pd.DataFrame, said: str):
    bad.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=said):
        read_other_context(tmp_path / "t.parquet")


def test_annotations_become_principal_components():
    matrix = RNG.random((9, 14)) < 0.4
    matrix[np.arange(9), np.arange(9)] = True  # every gene has a term
    gene, term = np.nonzero(matrix)
    pairs = pd.DataFrame({"gene": [f"G{i}" for i in gene], "term": [f"T{i:02d}" for i in term]})
    shuffled = pairs.sample(frac=1, random_state=0)
    centred = matrix - matrix.mean(axis=0)
    for n in (3, 256):
        found = features.annotation_features(shuffled, n)
        assert found.shape == (9, min(n, 8))
        assert list(found.index) == [f"G{i}" for i in range(9)]
        np.testing.assert_allclose(gram(found), best_gram(centred, n), atol=1e-9)


def test_graphs_become_singular_vectors():
    edges = pd.DataFrame({"gene_a": list("AAABCDE"), "gene_b": list("BCDCDEF")})
    adjacency = np.zeros((6, 6))
    for a, b in edges.to_numpy():
        adjacency["ABCDEF".index(a), "ABCDEF".index(b)] = adjacency["ABCDEF".index(b), "ABCDEF".index(a)] = 1
    found = features.graph_features(edges, 3)
    np.testing.assert_allclose(gram(found), best_gram(adjacency, 3), atol=1e-9)


def test_genes_of_which_nothing_is_left_are_unknown():
    """With one singular vector, a pair beside a larger component has a row of zeros."""
    edges = pd.DataFrame({"gene_a": list("AAAX"), "gene_b": list("BCDY")})
    found = features.graph_features(edges, 1)
    assert list(found.index) == list("ABCD")
    assert features.unknown(found, ["A", "X", "Y"]) == ["X", "Y"]


@pytest.mark.parametrize("sparse", [True, False])
def test_the_dot_product_of_coexpression_rows_is_the_correlation(sparse: bool):
    cells = RNG.gamma(1.0, size=(50, 6))
    cells[:, 1] += cells[:, 0]
    cells[:, 4] = cells[:, 0] + 2 * cells[:, 2]  # rank 5, so that five components hold everything
    with_silent = np.insert(cells, 2, 0.0, axis=1)
    given = scipy.sparse.csr_matrix(with_silent) if sparse else with_silent
    found = features.coexpression_features(given, list("ABXCDEF"))
    assert list(found.index) == list("ABCDEF")  # X does not vary
    np.testing.assert_allclose(gram(found) * 49 / 50, np.corrcoef(cells.T), atol=1e-9)


def test_effects_elsewhere_become_principal_components():
    profiles = pd.DataFrame(RNG.gamma(1.0, size=(6, 11)), index=[*"ABCDE", CONTROL])
    found = features.effect_features(profiles, 2)
    effects = profiles.loc[list("ABCDE")].to_numpy() - profiles.loc[CONTROL].to_numpy()
    np.testing.assert_allclose(gram(found), best_gram(effects - effects.mean(axis=0), 2), atol=1e-9)
    assert list(found.index) == list("ABCDE")


def test_too_little_to_reduce_is_refused():
    with pytest.raises(InputError, match="annotations: a matrix of 1 x 2 has nothing to reduce"):
        features.annotation_features(pd.DataFrame({"gene": ["A", "A"], "term": ["T", "U"]}))


def test_doubles_have_the_sum_and_unknown_targets_are_listed():
    known = pd.DataFrame([[1.0, 2.0], [10.0, 30.0]], index=["A", "B"])
    targets = ["B", "A+B", "A+X", "X", "A"]
    found = features.of_targets(known, targets)
    assert found.to_dict("split")["data"] == [[10.0, 30.0], [11.0, 32.0], [1.0, 2.0]]
    assert list(found.index) == ["B", "A+B", "A"]
    assert features.unknown(known, targets) == ["A+X", "X"]
    assert features.of_targets(known, ["X"]).shape == (0, 2)


def test_gene_sets_by_hand():
    pathways = pd.DataFrame({"pathway": ["P", "Q", "P"], "gene": ["A", "B", "C"]})
    assert features.gene_sets(pathways) == {"P": ["A", "C"], "Q": ["B"]}
    regulons = pd.DataFrame({"regulator": ["A", "A"], "target": ["A", "B"], "sign": [1, -1]})
    assert features.gene_sets(regulons) == {"A": ["A", "B"]}


def test_only_features_that_know_enough_are_compared_on_what_all_know():
    sets = {"P": list("ABCD"), "Q": list("DEF")}
    tables = {name: pd.DataFrame(index=list(genes)) for name, genes in {"x": "ABCXY", "y": "FBAZ", "z": "AQ"}.items()}
    assert features.in_common(tables, sets) == (["x", "y"], ["A", "B"])
    assert features.in_common({"z": tables["z"]}, sets) == ([], [])
