"""PerturBench's preprocess, against the same steps done by hand and by scanpy."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse
import scipy.stats
from simulated_perturbench import labelled, simulated_counts

from data_scripts.perturbench import preprocess as module
from data_scripts.perturbench.preprocess import changed_genes, merged, preprocess
from starter.errors import InputError

GENES = [f"G{number}" for number in range(298)] + ["AAA", "BBB"]
COVARIATES = ("line", "drug")


@pytest.fixture
def cells() -> anndata.AnnData:
    groups = {}
    for line in "yx":
        for drug in ("none", "d"):
            groups |= {("control", line, drug): 60, ("AAA+BBB", line, drug): 24, ("AAA", line, drug): 17}
    groups |= {("G3", "x", "none"): 21, ("G5", "x", "d"): 1}
    made = simulated_counts(labelled(groups, ["condition", *COVARIATES], 3), ["condition", *COVARIATES], GENES, 5)
    counts = made.X.toarray()
    counts[:, [7, 299]] = 0  # BBB is seen in 9 cells, too few though it is perturbed
    counts[:9, 299] = 4
    made.X = scipy.sparse.csr_matrix(counts)
    return made


def by_hand(cells: anndata.AnnData, n_variable: int, n_changed: int) -> tuple[np.ndarray, set[str]]:
    """Median-normalised logs of the genes in 10 cells or more, and the genes that are kept."""
    x = cells.X.toarray().astype(float)
    seen = (x > 0).sum(axis=0) >= 10
    x, names = x[:, seen], cells.var_names[seen]
    logs = np.log1p(x / x.sum(axis=1, keepdims=True) * np.median(x.sum(axis=1)))
    counts = anndata.AnnData(x, cells.obs.copy(), pd.DataFrame(index=names))
    counts.obs["both"] = (cells.obs["line"] + "_" + cells.obs["drug"]).astype("category")
    variable = sc.pp.highly_variable_genes(
        counts, flavor="seurat_v3", batch_key="both", n_top_genes=n_variable, inplace=False
    )["highly_variable"].to_numpy()
    kept = set(names[variable]) | ({"AAA", "G3", "G5"} & set(names))
    for pair in counts.obs["both"].unique():
        here = (counts.obs["both"] == pair).to_numpy()
        control = logs[here & (cells.obs["condition"] == "control").to_numpy()]
        for name in cells.obs["condition"][here].unique():
            group = logs[here & (cells.obs["condition"] == name).to_numpy()]
            if name != "control" and len(group) > 1:
                t = np.nan_to_num(scipy.stats.ttest_ind(group, control, equal_var=False).statistic)
                kept |= set(names[np.argsort(-np.abs(t))[:n_changed]])
    return logs, kept


def test_values_and_genes(cells: anndata.AnnData, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "HIGHLY_VARIABLE", 30)
    monkeypatch.setattr(module, "DE_GENES", 4)
    logs, kept = by_hand(cells, 30, 4)
    counts = cells.copy()
    made = preprocess(cells, "condition", COVARIATES)
    assert 40 < len(kept) < 120
    assert list(made.var_names) == [name for name in GENES if name in kept]
    assert "BBB" not in made.var_names
    names = list(counts.var_names[(counts.X.toarray() > 0).sum(axis=0) >= 10])
    np.testing.assert_allclose(made.X.toarray(), logs[:, [names.index(name) for name in made.var_names]], rtol=2e-6)
    assert (made.layers["counts"] != counts[:, made.var_names].X).nnz == 0
    assert list(made.obs["cov_merged"]) == list(counts.obs["line"] + "_" + counts.obs["drug"])
    totals = counts[:, names].X.toarray().sum(axis=1)
    np.testing.assert_allclose(made.obs["total_counts"], totals)


def test_the_most_changed_genes_are_named_by_covariate_and_perturbation(cells: anndata.AnnData):
    sc.pp.log1p(cells)
    cells.obs["cov_merged"] = merged(cells.obs, COVARIATES)
    changed = changed_genes(cells, "condition", "control")
    assert set(changed) == {
        *(f"{line}_{drug}_{name}" for line in "xy" for drug in ("none", "d") for name in ("AAA", "AAA+BBB")),
        "x_none_G3",
    }  # one cell of G5 has no spread
    here = cells[cells.obs["cov_merged"] == "x_none"]
    control, group = (here[here.obs["condition"] == name].X.toarray() for name in ("control", "G3"))
    t = np.nan_to_num(scipy.stats.ttest_ind(group, control, equal_var=False).statistic)
    assert changed["x_none_G3"] == [GENES[gene] for gene in np.argsort(-np.abs(t))[:25]]


def test_what_is_no_screen_of_counts_is_refused(cells: anndata.AnnData):
    logs = cells.copy()
    sc.pp.log1p(logs)
    with pytest.raises(InputError, match="X holds values that are no counts; give the source with raw counts"):
        preprocess(logs, "condition", COVARIATES)
    negative = cells.copy()
    negative.X = scipy.sparse.csr_matrix(cells.X.toarray() - 1)
    with pytest.raises(InputError, match="no counts"):
        preprocess(negative, "condition", COVARIATES)
    without = cells[(cells.obs["condition"] != "control") | (cells.obs["line"] != "y")].copy()
    with pytest.raises(InputError, match=r"no cell of y_d, y_none is a control \('control' in condition\)"):
        preprocess(without, "condition", COVARIATES)
