"""The masked-gene task, against cz-benchmarks 0.15.1 (stored answers; live where it is installed)."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from commands import run
from simulated_k562 import CONTROL, simulated_counts, simulated_tables, write_old_layout

from data_scripts.cz_k562.build import build
from starter.errors import InputError
from starter.scoring.masked_genes import SIDES, mask_genes, score_masked_genes, summarise

SIZES = {
    "ENSG00000000101": 70, "ENSG00000000202": 55, "ENSG00000000303": 64, "ENSG00000000404": 30, "ENSG00000000505": 6,
    CONTROL: 160,
}  # fmt: skip
DUE = {
    # cz-benchmarks 0.15.1 (PyPI), PerturbationExpressionPredictionTask with "ratio", run on 2026-11-29
    "noise": {
        "ENSG00000000303": 0.8578280542986425,
        "ENSG00000000202": 0.8865546218487397,
        "ENSG00000000101": 0.8916512488436633,
    },
    "shifted": {
        "ENSG00000000303": 0.8181900452488686,
        "ENSG00000000202": 0.8285714285714286,
        "ENSG00000000101": 0.8425069380203516,
    },
}


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    obs, var = simulated_tables(SIZES, 1_500, seed=1)
    build(write_old_layout(folder / "raw.h5ad", simulated_counts(obs, 1_500, seed=2), obs, var), folder, uns=True)
    return folder


def prediction(benchmark: Path, kind: str) -> anndata.AnnData:
    """Noise that knows a little; or the same below 0, where there is no ratio."""
    cells = anndata.read_h5ad(benchmark / "k562_essential.h5ad")
    noise = np.random.default_rng(7).random(cells.shape) * 9 + cells.X.toarray()
    made = anndata.AnnData(noise if kind == "noise" else noise - 20, cells.obs[[]].copy(), cells.var[[]].copy())
    return made


@pytest.mark.parametrize("kind", ["noise", "shifted"])
def test_scores_are_those_of_cz_benchmarks(benchmark: Path, tmp_path: Path, kind: str):
    made = prediction(benchmark, kind)
    made.write_h5ad(tmp_path / "prediction.h5ad")
    scores = score_masked_genes(tmp_path / "prediction.h5ad", benchmark)
    assert scores["spearman"].to_dict() == pytest.approx(DUE[kind], abs=1e-12)
    assert scores["input"].to_dict() == pytest.approx(
        {"ENSG00000000303": 0.9907692307692307, "ENSG00000000202": 0.9918767507002803,
         "ENSG00000000101": 0.9892460684551342}
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["noise", "shifted"])
def test_scores_are_those_of_cz_benchmarks_live(benchmark: Path, tmp_path: Path, kind: str):
    datasets = pytest.importorskip("czbenchmarks.datasets")
    from czbenchmarks.tasks import single_cell

    opened = datasets.SingleCellPerturbationDataset(
        benchmark / "k562_essential.h5ad", datasets.Organism.HUMAN, control_name=CONTROL, de_gene_col="gene_id"
    )
    opened.load_data()
    made = prediction(benchmark, kind)
    asked = single_cell.PerturbationExpressionPredictionTaskInput(adata=opened.adata)
    results = single_cell.PerturbationExpressionPredictionTask().run(cell_representation=made.X, task_input=asked)
    due = {result.params["condition"]: result.value for result in results}
    assert due == pytest.approx(DUE[kind], abs=1e-12)


def test_order_and_further_cells_and_genes_do_not_matter(benchmark: Path, tmp_path: Path):
    made = prediction(benchmark, "noise")
    rng = np.random.default_rng(3)
    mixed = made[rng.permutation(made.n_obs), rng.permutation(made.n_vars)].copy()
    more = anndata.AnnData(np.full((2, made.n_vars), 99.0), var=mixed.var, obs=pd.DataFrame(index=["x", "y"]))
    mixed = anndata.concat([more, mixed])
    mixed.X = scipy.sparse.csr_matrix(mixed.X)
    mixed.write_h5ad(tmp_path / "mixed.h5ad")
    assert score_masked_genes(tmp_path / "mixed.h5ad", benchmark)["spearman"].to_dict() == pytest.approx(DUE["noise"])


def test_a_prediction_of_nothing_scores_0_and_the_perturbed_mean_stands_beside(benchmark: Path, tmp_path: Path):
    cells = anndata.read_h5ad(benchmark / "k562_essential.h5ad")
    constant = anndata.AnnData(np.ones(cells.shape), cells.obs[[]], cells.var[[]])
    constant.write_h5ad(tmp_path / "constant.h5ad")
    scores = score_masked_genes(tmp_path / "constant.h5ad", benchmark)
    assert (scores["spearman"] == 0).all()
    masked = mask_genes(pd.read_parquet(benchmark / "de_wilcoxon.parquet"))
    assert scores["genes"].to_dict() == {name: len(genes) for name, genes in masked.items()}
    pairs = pd.read_parquet(benchmark / "control_map.parquet")
    de = pd.read_parquet(benchmark / "de_wilcoxon.parquet")
    for condition, changes in masked.items():
        genes = list(changes.index)
        x = cells[:, genes].to_df()
        of = {name: rows for name, rows in pairs.groupby("condition")}
        others = np.mean([x.loc[rows["treated"]].mean() for name, rows in of.items() if name != condition], axis=0)
        change = np.log((others + 1e-8) / (x.loc[of[condition]["control"]].mean() + 1e-8))
        due = de[de["condition"] == condition].set_index("gene_id")["logfoldchange"].astype(float)[genes]
        expected = pd.Series(change.to_numpy()).corr(pd.Series(due.to_numpy()), method="spearman")
        assert scores.loc[condition, "perturbed_mean"] == pytest.approx(expected, abs=1e-9)


def test_genes_are_masked_as_cz_benchmarks_does():
    """By hand: 12 of 15 genes of A change clearly, 9 of B, which are too few."""
    rows = [("A", f"A{n}", 2.0 if n % 2 else -1.0, 1e-5) for n in range(12)]
    rows += [("A", "p", 3.0, 1e-4), ("A", "small", 0.999, 1e-9), ("A", "nan", np.nan, 1e-9)]
    rows += [("B", f"B{n}", 2.0, 1e-5) for n in range(9)]
    masked = mask_genes(pd.DataFrame(rows, columns=["condition", "gene_id", "logfoldchange", "pval_adj"]))
    np.random.seed(42)  # noqa: NPY002, as in cz-benchmarks
    due = np.random.choice([f"A{n}" for n in range(12)], size=6, replace=False)  # noqa: NPY002
    assert {name: list(changes.index) for name, changes in masked.items()} == {"A": list(due)}
    assert list(masked["A"]) == [2.0 if int(gene[1:]) % 2 else -1.0 for gene in due]


def test_the_summary_by_hand():
    scores = pd.DataFrame({side: [0.1, 0.4, -0.2, 0.5] for side in SIDES}, index=list("abcd"))
    summary = summarise(scores)["spearman"]
    assert summary["mean"] == pytest.approx(0.2)
    assert summary["sd"] == pytest.approx(np.sqrt(0.3 / 3))
    assert (summary["q25"], summary["median"], summary["q75"]) == pytest.approx((0.025, 0.25, 0.425))
    assert (summary["share_above_0.3"], summary["share_below_0"]) == (0.5, 0.25)
    assert (summary["low"], summary["high"]) == (None, None)  # of fewer than 10


def test_what_cannot_be_scored_is_refused(benchmark: Path, tmp_path: Path):
    made, path = prediction(benchmark, "noise"), tmp_path / "prediction.h5ad"

    def refused(match: str, adata: anndata.AnnData) -> None:
        adata.write_h5ad(path)
        with pytest.raises(InputError, match=match):
            score_masked_genes(path, benchmark)

    renamed = made.copy()
    renamed.var_names = [f"SYMBOL{n}" for n in range(made.n_vars)]
    refused("or none of its masked genes; name its cells by the benchmark's barcodes, and its genes by", renamed)
    renamed = made.copy()
    renamed.obs_names = [f"cell {n}" for n in range(made.n_obs)]
    refused("has no matched pair of a scored condition", renamed)
    broken = made.copy()
    broken.X[:, 700] = np.nan
    broken.X[:, :] = np.where(np.arange(made.n_vars) < 900, np.nan, broken.X)
    refused("has NaN or infinite values in cells that are scored", broken)
    twice = made.copy()
    twice.obs_names = [made.obs_names[0], *made.obs_names[:-1]]
    refused("names a cell twice", twice)
    with pytest.raises(InputError, match=r"control_map.parquet: No such file"):
        score_masked_genes(path, tmp_path)
    (tmp_path / "control_map.parquet").write_text("no table")
    with pytest.raises(InputError, match="write it again with k562-benchmark"):
        score_masked_genes(path, tmp_path)


def test_the_command(benchmark: Path, tmp_path: Path):
    prediction(benchmark, "noise").write_h5ad(tmp_path / "mine.h5ad")
    options = ("--truth", benchmark, "--profile", "cz-k562", "--out", tmp_path / "scores")
    done = run("starter", "score", tmp_path / "mine.h5ad", *options)
    assert (done.returncode, done.stderr) == (0, "")
    for row in ("mine", "perturbed mean", "the file's own counts"):
        assert row in done.stdout
    card = json.loads((tmp_path / "scores" / "mine" / "scorecard.json").read_text())
    assert card["n_conditions"] == 3
    assert card["scores"]["spearman"]["mean"] == pytest.approx(np.mean(list(DUE["noise"].values())))
    table = pd.read_parquet(tmp_path / "scores" / "mine" / "per_perturbation.parquet")
    assert list(table) == ["condition", "genes", *SIDES]
    done = run("starter", "score", tmp_path / "mine.h5ad", *options, "--de-tables")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not for cz-k562" in done.stderr
    assert "cz-k562: the masked-gene task of cz-benchmarks" in run("starter", "metrics").stdout
