"""The K562 essential benchmark of a simulated file in the author's layout, against cz-benchmarks and scanpy."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.optimize import linear_sum_assignment
from simulated_k562 import CONTROL, simulated_counts, simulated_tables, write_old_layout
from typer.testing import CliRunner

from data_scripts.__main__ import app
from data_scripts.cz_k562.author_file import unique_symbols
from data_scripts.cz_k562.build import build
from data_scripts.cz_k562.de_tables import compare
from starter.errors import InputError
from starter.files import sha256
from starter.scoring.masked_genes import mask_genes

N_GENES = 1_500
SIZES = {
    "ENSG00000000101": 70, "ENSG00000000202": 55, "ENSG00000000303": 64, "ENSG00000000404": 30, "ENSG00000000505": 6,
    CONTROL: 160,
}  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    obs, var = simulated_tables(SIZES, N_GENES, seed=1)
    return obs, var, simulated_counts(obs, N_GENES, seed=2)


@pytest.fixture(scope="module")
def source(tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    obs, var, counts = tables
    return write_old_layout(tmp_path_factory.mktemp("author") / "raw.h5ad", counts, obs, var)


@pytest.fixture(scope="module")
def benchmark(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    build(source, folder, uns=True)
    return folder


def test_cells_and_columns_are_the_authors_under_the_names_of_the_benchmark(benchmark: Path, tables):
    obs, var, counts = tables
    made = anndata.read_h5ad(benchmark / "k562_essential.h5ad")
    assert (made.X.toarray() == counts).all()
    assert list(made.obs_names) == list(obs.index)
    assert list(made.obs["condition"]) == list(obs["gene_id"])
    assert list(made.obs["condition_name"]) == list(obs["gene"])
    assert list(made.obs["transcript"]) == list(obs["transcript"])
    np.testing.assert_array_equal(made.obs["UMI_count"], counts.sum(axis=1))
    np.testing.assert_array_equal(made.obs["ngenes"], (counts > 0).sum(axis=1))
    np.testing.assert_allclose(made.obs["percent_ribo"], counts[:, 20] / counts.sum(axis=1))
    assert list(made.var_names) == list(made.var["ensembl_id"]) == list(var.index)
    assert list(made.var["gene"].iloc[[2, 3, 8, 5, 9, 11, 13]]) == [
        "G2", "TBCE_ENSG00000000003", "TBCE_ENSG00000000008", "HSPA14_ENSG00000000005", "HSPA14_ENSG00000000009",
        "TWIN", "TWIN_ENSG00000000013",
    ]  # fmt: skip


def test_symbols_are_unique():
    symbols = pd.Series(["A", "TBCE", "A", "A"], index=["E1", "E2", "E3", "E4"])
    assert list(unique_symbols(symbols)) == ["A", "TBCE_E2", "A_E3", "A_E4"]


def test_every_pair_is_of_one_gem_group_and_their_distances_are_the_smallest(benchmark: Path, tables):
    obs, _, counts = tables
    pairs = pd.read_parquet(benchmark / "control_map.parquet")
    assert list(pairs) == ["condition", "treated", "control"]
    by_appearance = [name for name in obs["gene_id"].unique() if name not in (CONTROL, "ENSG00000000505")]
    assert list(pairs["condition"].unique()) == by_appearance  # the one of 6 cells is too small
    features = np.log1p(np.column_stack([counts.sum(axis=1), (counts > 0).sum(axis=1)]))
    place = pd.Series(np.arange(len(obs)), index=obs.index)
    for condition, rows in pairs.groupby("condition"):
        assert rows["control"].is_unique
        treated, control = place[rows["treated"]].to_numpy(), place[rows["control"]].to_numpy()
        assert (obs["gene_id"].iloc[treated] == condition).all()
        assert (obs["gene_id"].iloc[control] == CONTROL).all()
        groups = obs["gem_group"].to_numpy()
        assert (groups[treated] == groups[control]).all()
        for group in np.unique(groups):
            of, among = (np.flatnonzero((obs["gene_id"] == name) & (groups == group)) for name in (condition, CONTROL))
            pooled = features[np.concatenate([of, among])]
            scaled = (features - pooled.mean(axis=0)) / pooled.std(axis=0)
            distances = np.linalg.norm(scaled[of][:, None] - scaled[among][None], axis=2)
            least = distances[linear_sum_assignment(distances)].sum()
            here = groups[treated] == group
            assert here.sum() == min(len(of), len(among))
            came = np.linalg.norm(scaled[treated[here]] - scaled[control[here]], axis=1).sum()
            assert came == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize(("file", "method"), [("de_wilcoxon", "wilcoxon"), ("de_t_test", "t-test")])
def test_de_tables_are_those_of_scanpy_on_all_cells_and_their_matched_controls(
    benchmark: Path, tables, file: str, method: str
):
    obs, var, counts = tables
    pairs, de = (pd.read_parquet(benchmark / f"{name}.parquet") for name in ("control_map", file))
    tested = [name for name in pairs["condition"].unique() if SIZES[name] >= 50]
    assert list(de["condition"].unique()) == tested
    for condition in tested:
        matched = pairs.loc[pairs["condition"] == condition, "control"]
        rows = np.concatenate([np.flatnonzero(obs["gene_id"] == condition), obs.index.get_indexer(matched)])
        cells = anndata.AnnData(counts[rows], var=var[[]].copy())
        cells.obs["group"] = ["it"] * (len(rows) - len(matched)) + ["control"] * len(matched)
        sc.pp.filter_cells(cells, min_genes=1000)
        sc.pp.filter_genes(cells, min_cells=10)
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
        sc.tl.rank_genes_groups(cells, "group", reference="control", method=method)
        due, came = sc.get.rank_genes_groups_df(cells, group="it"), de[de["condition"] == condition]
        assert list(came["gene_id"]) == list(due["names"])
        names = {"score": "scores", "logfoldchange": "logfoldchanges", "pval": "pvals", "pval_adj": "pvals_adj"}
        for name, theirs in names.items():
            np.testing.assert_array_equal(came[name], due[theirs])
        if method == "t-test":
            np.testing.assert_allclose(came["standardized_mean_diff"], due["scores"] * 2 / np.sqrt(cells.n_obs), 1e-6)


def test_what_too_few_cells_or_genes_are_left_of_is_not_tested():
    genes = pd.Index([f"E{number}" for number in range(1_200)])
    rng = np.random.default_rng(3)
    full, empty = rng.poisson(9, (6, 1_200)).astype(np.float32), np.zeros((6, 1_200), np.float32)
    assert set(compare(full, full[::-1], genes)) == {"wilcoxon", "t_test"}
    empty[0, :1_100] = 1  # one cell passes, which is too few
    assert compare(empty, full, genes) == {}
    assert compare(full[:2], full[:2], genes) == {}  # no gene is seen in ten cells


def test_the_published_layout_is_in_uns_on_request(benchmark: Path, source: Path, tmp_path: Path):
    made = anndata.read_h5ad(benchmark / "k562_essential.h5ad")
    pairs = pd.read_parquet(benchmark / "control_map.parquet")
    flat = {(c, t): k for c, of in made.uns["control_cells_map"].items() for t, k in of.items()}
    assert flat == {(row.condition, row.treated): row.control for row in pairs.itertuples()}
    for condition, rows in pairs.groupby("condition"):
        assert list(made.uns["control_cells_ids"][condition]) == list(rows["control"])
    for test in ("wilcoxon", "t_test"):
        table = pd.read_parquet(benchmark / f"de_{test}.parquet")
        pd.testing.assert_frame_equal(made.uns[f"de_results_{test}"].reset_index(drop=True), table)
    build(source, tmp_path)
    plain = anndata.read_h5ad(tmp_path / "k562_essential.h5ad")
    assert not plain.uns
    assert (plain.X != made.X).nnz == 0
    for name in ("k562_essential.h5ad", "control_map.parquet", "de_wilcoxon.parquet", "de_t_test.parquet"):
        lineage = json.loads((tmp_path / f"{name}.lineage.json").read_text())
        assert lineage["output"]["sha256"] == sha256(tmp_path / name)
        assert lineage["inputs"][0]["name"] == "raw.h5ad"
        assert lineage["parameters"]["fewest_cells_tested"] == 50


def test_barcodes_that_stand_twice_count_once(tables, tmp_path: Path):
    obs, var, counts = tables
    twice = obs.rename(index={obs.index[10]: obs.index[4]})
    build(write_old_layout(tmp_path / "raw.h5ad", counts, twice, var), tmp_path / "out")
    made = anndata.read_h5ad(tmp_path / "out" / "k562_essential.h5ad")
    assert (made.X.toarray() == np.delete(counts, 10, axis=0)).all()
    pairs = pd.read_parquet(tmp_path / "out" / "control_map.parquet")
    assert set(pairs["treated"]) <= set(made.obs_names)


def test_other_files_are_refused_and_nothing_is_left(tables, tmp_path: Path):
    obs, var, counts = tables

    def refused(match: str, x: np.ndarray = counts, obs: pd.DataFrame = obs, var: pd.DataFrame = var) -> None:
        source = write_old_layout(tmp_path / "other.h5ad", x, obs, var)
        with pytest.raises(InputError, match=match):
            build(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused("X holds 0.5, which is no count; give the raw file", np.where(counts > 3, 0.5, counts).astype(np.float32))
    refused("X holds nan", np.where(np.arange(N_GENES) == 7, np.nan, counts).astype(np.float32))
    refused("X holds -1", np.where(np.arange(N_GENES) == 7, -1, counts).astype(np.float32))
    refused("obs has no column gem_group; give the author's file", obs=obs.drop(columns="gem_group"))
    refused("var has no column gene_name", var=var.rename(columns={"gene_name": "symbol"}))
    ctrl = obs.assign(gene_id=obs["gene_id"].cat.rename_categories({CONTROL: "ctrl"}))
    refused("no cell has the gene_id 'non-targeting'", obs=ctrl)
    apart = obs.assign(gem_group=np.where(obs["gene_id"] == CONTROL, 1, 2))
    refused("no condition of 10 cells or more has a control in its GEM groups", obs=apart)
    anndata.AnnData(counts, obs, var).write_h5ad(tmp_path / "whole.h5ad")
    content = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated"):
        build(tmp_path / "cut.h5ad", tmp_path / "out")


def test_what_stood_there_stays_if_it_breaks_off(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "de_wilcoxon.parquet").write_text("old")
    monkeypatch.setattr("data_scripts.cz_k562.de_tables.compare", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(source, tmp_path)
    assert (tmp_path / "de_wilcoxon.parquet").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["control_map.parquet", "de_wilcoxon.parquet"]


def test_the_command(source: Path, tmp_path: Path):
    done = CliRunner().invoke(app, ["k562-benchmark", str(source), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'out' / 'k562_essential.h5ad'} and its tables" in done.output
    done = CliRunner().invoke(app, ["k562-benchmark", str(tmp_path / "missing.h5ad"), "--out", str(tmp_path)])
    assert isinstance(done.exception, InputError)
    assert "missing.h5ad: No such file" in str(done.exception)


def test_cz_benchmarks_opens_it_and_finds_the_same(benchmark: Path, tables):
    """Live, where `cz-benchmarks` is installed (97 packages; it is no dependency)."""
    datasets = pytest.importorskip("czbenchmarks.datasets")
    from czbenchmarks.datasets.utils_single_cell import run_multicondition_dge_analysis

    opened = datasets.SingleCellPerturbationDataset(
        benchmark / "k562_essential.h5ad", datasets.Organism.HUMAN, control_name=CONTROL, de_gene_col="gene_id"
    )
    opened.load_data()
    opened.validate()
    made = anndata.read_h5ad(benchmark / "k562_essential.h5ad")
    came = pd.read_parquet(benchmark / "de_wilcoxon.parquet").astype({"gene_id": str, "condition": str})
    ids = {name: list(made.uns["control_cells_ids"][name]) for name in came["condition"].unique()}
    due, _ = run_multicondition_dge_analysis(made, "condition", "gene_id", ids)
    pd.testing.assert_frame_equal(came, due[list(came)])
    assert opened.target_genes == {name: list(changes.index) for name, changes in mask_genes(came).items()}
