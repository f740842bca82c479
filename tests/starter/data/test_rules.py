import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data.rules import check_screen
from starter.errors import Finding, FindingsError, listed
from starter.schema import CONTROL


def screen(**changes: object) -> anndata.AnnData:
    counts = scipy.sparse.csr_matrix(np.array([[1, 0, 2], [0, 3, 0], [4, 0, 0]], dtype=np.float32))
    obs = pd.DataFrame(
        {"target_gene": pd.Categorical(["STAT1", CONTROL, "JAK2"]), "n_umis": [10, 20, 30]}, index=["a", "b", "c"]
    )
    parts = {"X": counts, "obs": obs, "var": pd.DataFrame(index=["STAT1", "JAK2", "IRF1"])} | changes
    return anndata.AnnData(**parts)


def described(**changes: object) -> dict:
    texts = dict.fromkeys(("name", "title", "organism", "licence", "source", "citation"), "x")
    return texts | {"simulated": True, "target_sum": 1e4} | changes


def whats(adata: anndata.AnnData) -> list[str]:
    return [str(finding) for finding in check_screen(adata)]


def test_a_good_screen_has_no_findings():
    assert whats(screen()) == []


def test_the_challenges_own_layout_passes():
    # no uns["course"], no n_umis, extra columns
    obs = pd.DataFrame(
        {
            "target_gene": pd.Categorical(["STAT1", CONTROL, "JAK2"]),
            "guide_id": ["g1|g2", CONTROL, "g3|g4"],
            "batch": ["Flex_1_01"] * 3,
        },
        index=["a", "b", "c"],
    )
    assert whats(screen(obs=obs)) == []


def with_counts(change: object) -> anndata.AnnData:
    adata = screen()
    change(adata.X)
    return adata


def poison(value: float) -> object:
    def change(x: scipy.sparse.csr_matrix) -> None:
        x.data[1] = value

    return change


@pytest.mark.parametrize(
    ("adata", "said"),
    [
        (screen(X=np.ones((3, 3), dtype=np.float32)), "X is ndarray, not a CSR matrix; store scipy.sparse.csr_matrix"),
        (screen(X=screen().X.tocsc()), "X is csc_matrix, not a CSR matrix"),
        (screen(X=screen().X.astype(np.int64)), "X holds int64, not float32"),
        (with_counts(poison(0)), "zeros stored in X: 1; call X.eliminate_zeros()"),
        (with_counts(poison(np.nan)), "NaN or infinite values in X: 1"),
        (with_counts(poison(-1)), "negative values in X: 1"),
        (with_counts(poison(1.5)), "values in X that are not whole numbers: 1 of 4; store raw UMI counts"),
        (with_counts(poison(900)), "cells whose counts add up to more than n_umis: 1"),
        (screen(var=pd.DataFrame(index=["STAT1", "STAT1", "JAK2"])), "gene symbols that occur twice: 1 (STAT1)"),
        (
            screen(var=pd.DataFrame(index=["ENSG00000115415", "ENSG00000096968", "ENSG00000125347"])),
            "genes are named by Ensembl ids",
        ),
    ],
)
def test_each_broken_rule_is_said_with_the_way_out(adata: anndata.AnnData, said: str):
    findings = whats(adata)
    assert len(findings) == 1
    assert findings[0].startswith(said)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "target_gene",
            pd.Categorical(["STAT1", "ctrl", "JAK2"]),
            "no cell is labelled 'non-targeting'; 'ctrl' (1 cell) looks like the control, whose label is",
        ),
        ("target_gene", ["STAT1", CONTROL, "JAK2"], "obs['target_gene'] is object, not a category"),
        (
            "target_gene",
            pd.Categorical(["STAT1", CONTROL, None]),
            "cells without target_gene: 1; label or remove these cells",
        ),
        ("target_gene", pd.Categorical([" STAT1", CONTROL, "JAK2"]), "odd labels: ' STAT1'"),
        ("n_umis", [10, 0, 30], "cells whose n_umis is not a positive number of UMIs: 1"),
        ("n_umis", ["a", "b", "c"], "cells whose n_umis is not a positive number of UMIs: 3"),
        ("context", pd.Categorical(["K562", None, "K562"]), "cells without context: 1"),
    ],
)
def test_each_broken_column_is_said(column: str, values: object, said: str):
    adata = screen()
    adata.obs[column] = values
    findings = whats(adata)
    assert len(findings) == 1
    assert findings[0].startswith(said)


def test_unsorted_indices_are_said():
    adata = screen()
    adata.X = scipy.sparse.csr_matrix(
        (np.array([2, 1, 3], dtype=np.float32), np.array([2, 0, 1]), np.array([0, 2, 3, 3])), shape=(3, 3)
    )
    assert whats(adata) == ["the column indices of X are not sorted; call X.sort_indices()"]


def test_entries_that_are_stored_twice_are_said():
    adata = screen()
    adata.X = scipy.sparse.csr_matrix(
        (np.array([2, 1, 3], dtype=np.float32), np.array([1, 1, 2]), np.array([0, 2, 3, 3])), shape=(3, 3)
    )
    assert whats(adata) == ["X stores entries of one cell and gene twice; call X.sum_duplicates()"]


def test_cell_names_that_occur_twice_are_said():
    adata = screen()
    adata.obs_names = ["a", "a", "b"]
    assert whats(adata) == ["cell names occur twice: a; call adata.obs_names_make_unique()"]


def test_a_missing_column_names_those_that_are_there():
    adata = screen(obs=pd.DataFrame({"gene": ["A", "B", "C"]}, index=["a", "b", "c"]))
    assert whats(adata) == [
        "obs has no column 'target_gene'; its columns are gene; rename the column that holds the perturbation to "
        "'target_gene'"
    ]


@pytest.mark.parametrize(
    ("course", "said"),
    [
        ({"name": "x"}, "uns['course'] lacks title, organism, licence, source, citation, simulated, target_sum"),
        (
            described(target_sum="many"),
            "uns['course']['target_sum'] is 'many', not a positive number",
        ),
        (described(target_sum=float("inf")), "uns['course']['target_sum'] is inf, not a positive number"),
        (described(simulated="no"), "uns['course']['simulated'] is 'no', not a bool"),
        (described(perturbation_kind="compound"), "a compound screen without obs['dose']"),
        (3, "uns['course'] is int, not a dictionary"),
    ],
)
def test_a_broken_description_is_said(course: dict, said: str):
    adata = screen()
    adata.uns["course"] = course
    assert [finding.split(";")[0] for finding in whats(adata)] == [said]


def test_one_message_lists_every_fault():
    adata = screen(var=pd.DataFrame(index=["A", "A", "B"]))
    adata.X.data[0] = np.nan
    adata.obs["target_gene"] = pd.Categorical(["A", "B", "A"])
    error = FindingsError("bad.h5ad", check_screen(adata))
    lines = str(error).splitlines()
    assert lines[0] == "bad.h5ad has 3 faults:"
    assert len(lines) == 4


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_all_faults_of_the_values_are_listed_in_any_form(form: str):
    adata = screen()
    x = adata.X.toarray()
    x[0, 0], x[1, 1], x[2, 0] = np.nan, -1, 0.5
    stored = x if form == "dense" else scipy.sparse.csr_matrix(x).asformat(form)
    found = [finding.split(";")[0] for finding in whats(screen(X=stored))]
    values = [
        "NaN or infinite values in X: 1",
        "negative values in X: 1",
        f"values in X that are not whole numbers: 1 of {9 if form == 'dense' else 4}",
    ]
    name = {"csc": "csc_matrix", "dense": "ndarray"}.get(form)
    assert found == ([f"X is {name}, not a CSR matrix"] if name else []) + values


def test_notes_are_not_counted_as_faults():
    error = FindingsError("f", [Finding("note", "a"), Finding("error", "b", "c")])
    assert str(error) == "f has 1 fault:\n  - b; c"


def test_long_lists_are_cut():
    assert listed(list("ABCDE")) == "A, B, C, D, E"
    assert listed(list("ABCDEFG")) == "A, B, C, D, E and 2 more"
