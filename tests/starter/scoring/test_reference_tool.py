"""Scores equal cell-eval's: the stored answers of 0.6.6 and 0.8.2, and 0.8.2 run live."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from cell_eval import MetricsEvaluator, build_base_mean_adata, score_agg_metrics

from starter.data import dataset, preprocess, pseudobulk
from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.prediction.write import write_prediction
from starter.schema import CONTROL
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import open_truth
from starter.statistics.de import CELL_EVAL_066, CELL_EVAL_082, DERule, de_table

EXACT = ("overlap_at_N", "discrimination_score_l1")
CLOSE = ("mae", "pearson_delta")


def scores(real: Path, pred: Path, profile: str, folder: Path) -> pd.DataFrame:
    truth = build_truth(real, folder / "truth", rule_set=profile)
    card = score_prediction(pred, truth, profile)
    return card.per_perturbation.pivot(index="perturbation", columns="metric", values="value")


def compare(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    theirs = theirs.set_index("perturbation").loc[ours.index]
    for name in EXACT:
        # a CSV keeps 16 digits
        np.testing.assert_allclose(ours[name], theirs[name].astype(float), rtol=0, atol=1e-15, err_msg=name)
    for name in CLOSE:
        np.testing.assert_allclose(ours[name], theirs[name].astype(float), rtol=0, atol=1e-6, err_msg=name)


def live(real: anndata.AnnData, pred: anndata.AnnData, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run cell-eval 0.8.2; give its results and their aggregate."""
    evaluator = MetricsEvaluator(
        pred.copy(), real.copy(), pert_col="target_gene", outdir=str(folder / "cell-eval"), num_threads=2
    )
    results, aggregate = evaluator.compute(profile="minimal", write_csv=False, break_on_error=True)
    return results.to_pandas(), aggregate.to_pandas()


@pytest.mark.parametrize(("version", "profile"), [("0.8.2", "vcc2025"), ("0.6.6", "vcc2025-final")])
def test_stored_answers(vcc_parity: Path, tmp_path: Path, version: str, profile: str):
    folder = vcc_parity / "cell_eval"
    ours = scores(folder / "real.h5ad", folder / "pred.h5ad", profile, tmp_path)
    assert len(ours) == 20
    compare(ours, pd.read_csv(folder / version / "results.csv"))


@pytest.mark.parametrize("side", ["real", "pred"])
@pytest.mark.parametrize(("version", "rule"), [("0.8.2", CELL_EVAL_082), ("0.6.6", CELL_EVAL_066)])
def test_stored_de_tables(vcc_parity: Path, side: str, version: str, rule: DERule):
    folder = vcc_parity / "cell_eval"
    adata = anndata.read_h5ad(folder / f"{side}.h5ad")
    names = dataset.perturbations(adata)
    groups = adata.obs["target_gene"].astype(str).map({CONTROL: 0} | {n: i for i, n in enumerate(names, 1)})
    table = de_table(adata.X, groups.to_numpy(), len(names) + 1, rule)
    stored = pd.read_csv(folder / version / f"{side}_de.csv.gz")

    def column(name: str) -> np.ndarray:
        return stored.pivot(index="target", columns="feature", values=name).loc[names, adata.var_names].to_numpy()

    exact = version == "0.8.2"
    # 0.6.6 computed p in float32
    np.testing.assert_allclose(table.p_value, column("p_value"), rtol=1e-11 if exact else 1e-4, atol=1e-30)
    np.testing.assert_allclose(table.fdr, column("fdr"), rtol=1e-11 if exact else 1e-4, atol=1e-30)
    theirs = column("log2_fold_change") if exact else np.log2(column("fold_change"))
    np.testing.assert_allclose(table.log2_fold_change, theirs, rtol=0, atol=1e-15 if exact else 1e-6)
    assert (table.significant() == (column("fdr").astype(np.float32) < np.float32(0.05))).all()


def pair(small_path: Path, seed: int) -> tuple[anndata.AnnData, anndata.AnnData]:
    """A small screen as logs, and a prediction that has some signal."""
    screen = dataset.read_screen(small_path)
    table = pseudobulk.profiles(screen).drop(index=CONTROL, level="perturbation")
    rng = np.random.default_rng(seed)
    blurred = (0.7 * table + 0.3 * table.mean()) * np.exp(0.05 * rng.standard_normal(table.shape))
    n_cells = screen.obs["target_gene"].value_counts().to_dict()
    labels, blocks = zip(*cells.make_cells(blurred, controls_of(screen), n_cells, seed=seed), strict=True)
    obs = pd.DataFrame({"target_gene": np.repeat(labels, [block.shape[0] for block in blocks])})
    obs.index = obs.index.astype(str)
    pred = anndata.AnnData(scipy.sparse.vstack(blocks).tocsr(), obs, screen.var)
    real = anndata.AnnData(preprocess.expression(screen), screen.obs[["target_gene"]], screen.var)
    return real, pred


def as_given(adata: anndata.AnnData) -> anndata.AnnData:
    return adata


def as_dense(adata: anndata.AnnData) -> anndata.AnnData:
    return anndata.AnnData(adata.X.toarray(), adata.obs, adata.var)


def as_float64(adata: anndata.AnnData) -> anndata.AnnData:
    return anndata.AnnData(adata.X.astype(np.float64), adata.obs, adata.var)


def as_counts(adata: anndata.AnnData) -> anndata.AnnData:
    counts = adata.X.copy()
    counts.data = np.rint(np.expm1(counts.data) / 3 + 1).astype(np.float32)
    return anndata.AnnData(counts, adata.obs, adata.var)


def with_empty_cells(adata: anndata.AnnData) -> anndata.AnnData:
    """Counts, every fifth cell empty."""
    counts = as_counts(adata)
    full = (np.arange(adata.n_obs) % 5 > 0).astype(np.float32)
    counts.X = scipy.sparse.csr_matrix(counts.X.multiply(full[:, None]))
    counts.X.eliminate_zeros()
    return counts


def dense_with_empty_cells(adata: anndata.AnnData) -> anndata.AnnData:
    return as_dense(with_empty_cells(adata))


def as_one_profile_in_every_cell(adata: anndata.AnnData) -> anndata.AnnData:
    x = adata.X.toarray()
    control = (adata.obs["target_gene"] == CONTROL).to_numpy()
    x[~control] = x[~control].mean(axis=0)
    return anndata.AnnData(x, adata.obs, adata.var)


@pytest.mark.parametrize(
    ("of_real", "of_pred"),
    [
        (as_given, as_given),
        (as_given, as_dense),
        (as_given, as_float64),
        (as_counts, as_counts),
        (as_dense, as_counts),
        (with_empty_cells, dense_with_empty_cells),
    ],
)
def test_live_on_every_kind_of_input(small_path: Path, tmp_path: Path, of_real: object, of_pred: object):
    real, pred = pair(small_path, seed=5)
    real, pred = of_real(real), of_pred(pred)
    real.write_h5ad(tmp_path / "real.h5ad")
    pred.write_h5ad(tmp_path / "pred.h5ad")
    ours = scores(tmp_path / "real.h5ad", tmp_path / "pred.h5ad", "vcc2025", tmp_path)
    theirs, _ = live(real, pred, tmp_path)
    compare(ours, theirs)


def test_live_on_one_profile_in_every_cell(small_path: Path, tmp_path: Path):
    """Equal cells make ties of infinite fold changes. Where a tie straddles the cut after n genes, the reference tool's
    DES hangs on an unstable sort (polars 2.1 orders more than 20 ties in no particular way), ours on the genes' order.
    """
    real, pred = pair(small_path, seed=5)
    pred = as_one_profile_in_every_cell(pred)
    real.write_h5ad(tmp_path / "real.h5ad")
    pred.write_h5ad(tmp_path / "pred.h5ad")
    truth = build_truth(tmp_path / "real.h5ad", tmp_path / "truth", rule_set="vcc2025")
    card = score_prediction(tmp_path / "pred.h5ad", truth, "vcc2025")
    decided = []
    for row, name in enumerate(card.truth.perturbations):
        n = int(card.truth.de.significant()[row].sum())
        size = np.abs(card.prediction.de.log2_fold_change[row]).astype(np.float32)
        size = np.sort(size[card.prediction.de.significant()[row]])[::-1]
        if n == 0 or n >= len(size) or size[n - 1] != size[n]:
            decided.append(name)
    assert len(decided) >= 12
    ours = card.per_perturbation.pivot(index="perturbation", columns="metric", values="value")
    compare(ours.loc[decided], live(real, pred, tmp_path)[0])


def test_live_on_real_cells(papalexi: Path, tmp_path: Path):
    """The real screen, split halves: one half predicts the other."""
    screen = dataset.read_screen(papalexi / "papalexi_thp1.h5ad")
    x, obs = preprocess.expression(screen), screen.obs[["target_gene"]]
    second = np.random.default_rng(0).random(screen.n_obs) < 0.5
    control = (obs["target_gene"] == CONTROL).to_numpy()
    halves = [anndata.AnnData(x[half], obs[half], screen.var) for half in (~second | control, second | control)]
    for half, name in zip(halves, ("real", "pred"), strict=True):
        half.write_h5ad(tmp_path / f"{name}.h5ad")
    ours = scores(tmp_path / "real.h5ad", tmp_path / "pred.h5ad", "vcc2025", tmp_path)
    assert len(ours) == 24
    compare(ours, live(*halves, tmp_path)[0])


def test_live_baseline_and_official_score(small_path: Path, tmp_path: Path):
    """The baseline's scores and a prediction's score over it are `cell-eval baseline`, `run` and `score`."""
    real, pred = pair(small_path, seed=6)
    # over a control mean of 0 fold changes are infinite, and the reference tool sorts such ties in no fixed order
    seen = real.X[(real.obs["target_gene"] == CONTROL).to_numpy()].getnnz(axis=0) > 0
    real, pred = real[:, seen].copy(), pred[:, seen].copy()
    real.write_h5ad(tmp_path / "real.h5ad")
    pred.write_h5ad(tmp_path / "pred.h5ad")
    truth = build_truth(tmp_path / "real.h5ad", tmp_path / "truth", rule_set="vcc2025")
    card = score_prediction(tmp_path / "pred.h5ad", truth, "vcc2025")
    baseline = build_base_mean_adata(real.copy())
    baseline.obs_names_make_unique()
    of_baseline, baseline_mean = live(real, baseline, tmp_path)
    anchor = truth.anchor_scores(get_rule_set("vcc2025"), "baseline")
    anchor = pd.DataFrame({name: values[0] for name, values in anchor.items()}, pd.Index(card.truth.perturbations))
    compare(anchor, of_baseline)

    of_pred, pred_mean = live(real, pred, tmp_path)
    columns = ["statistic", *EXACT, "mae"]
    for name, frame in (("pred", pred_mean), ("baseline", baseline_mean)):
        frame[columns].to_csv(tmp_path / f"{name}.csv", index=False)
    official = score_agg_metrics(str(tmp_path / "pred.csv"), str(tmp_path / "baseline.csv")).to_pandas()
    official = official.set_index("metric")["from_baseline"]
    for name in (*EXACT, "mae"):
        assert card.metrics[name]["scaled"] == pytest.approx(official[name], abs=2e-6), name
    assert card.overall == pytest.approx(official["avg_score"], abs=2e-6)
    assert card.overall > 0.1
    compare(card.per_perturbation.pivot(index="perturbation", columns="metric", values="value"), of_pred)


def test_real_counts_with_n_umis_are_scaled_by_contract(small_path: Path, tmp_path: Path):
    """cell-eval never sees n_umis, so it is given the logs that the kit makes of them."""
    real, pred = pair(small_path, seed=7)
    pred.write_h5ad(tmp_path / "pred.h5ad")
    ours = scores(small_path, tmp_path / "pred.h5ad", "vcc2025", tmp_path)
    assert "n_umis" in open_truth(tmp_path / "truth").about["profiles"]["vcc2025"]["scale"]
    compare(ours, live(real, pred, tmp_path)[0])


def test_a_file_that_we_wrote_is_read_by_the_reference_tool(small_path: Path, tmp_path: Path):
    """`cell-eval run` on the `pred.h5ad` inside of what `starter pack` writes: see test_submission for the archive."""
    real, pred = pair(small_path, seed=8)
    blocks = [(label, pred[pred.obs["target_gene"] == label].X) for label in sorted(set(pred.obs["target_gene"]))]
    write_prediction(tmp_path / "pred.h5ad", blocks, pred.var_names)
    theirs, _ = live(real, anndata.read_h5ad(tmp_path / "pred.h5ad"), tmp_path)
    real.write_h5ad(tmp_path / "real.h5ad")
    compare(scores(tmp_path / "real.h5ad", tmp_path / "pred.h5ad", "vcc2025", tmp_path), theirs)
