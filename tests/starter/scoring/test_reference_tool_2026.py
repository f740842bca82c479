"""Scores by the rules of 2026 equal cell-eval2's: the stored answers of 0.20.0, and 0.20.0 run live."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.errors import InputError
from starter.prediction.pack import pack
from starter.prediction.requirements import requirements_of_lists
from starter.schema import CONTROL
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.page import write_scorecard
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import Truth
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

RULES = get_rule_set("vcc2026")
IDENTICAL = (
    "pds_cosine",
    "de_wilcoxon_direction_fidelity_yield_raw",
    "de_wilcoxon_direction_reach_raw",
    "de_wilcoxon_sig_jaccard",
)
MSE, NMAE = "expr_mse_unbiased_capped_norm", "de_wilcoxon_lfc_nmae"


def stored(folder: Path, side: str) -> anndata.AnnData:
    labels = pd.read_csv(folder / f"{side}_obs.csv", dtype=str, keep_default_na=False).iloc[:, -1]
    obs = pd.DataFrame({"target_gene": pd.Categorical(labels)})
    obs.index = [f"{side}{number}" for number in range(len(obs))]
    var = pd.DataFrame(index=(folder / "genes.txt").read_text().split())
    return anndata.AnnData(scipy.sparse.load_npz(folder / f"{side}.npz").tocsr().astype(np.float32), obs, var)


@pytest.fixture(scope="module")
def main_truth(vcc_parity: Path, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("main")
    stored(vcc_parity / "cell_eval2" / "main", "real").write_h5ad(folder / "real.h5ad")
    return build_truth(folder / "real.h5ad", folder / "truth", rule_set="vcc2026")


@pytest.mark.parametrize("case", ["main", "all_equal", "control_exact"])
def test_stored_answers(vcc_parity: Path, main_truth: Truth, tmp_path: Path, case: str):
    """These three cases share one measured screen."""
    folder = vcc_parity / "cell_eval2" / case
    pred = stored(folder, "pred")
    pred[pred.obs["target_gene"] != CONTROL].copy().write_h5ad(tmp_path / "pred.h5ad")
    card = score_prediction(tmp_path / "pred.h5ad", main_truth, "vcc2026")
    expected = json.loads((folder / "expected.json").read_text())
    for name, tolerance in ((MSE, 1e-10), (NMAE, 1e-12), *((name, 1e-15) for name in IDENTICAL)):
        assert card.metrics[name]["value"] == pytest.approx(expected[name], rel=tolerance, abs=tolerance), name
    ours = card.per_perturbation.pivot(index="perturbation", columns="metric", values="value")
    theirs = pd.read_parquet(folder / "results.parquet").pivot(index="perturbation", columns="metric", values="value")
    for name in IDENTICAL:
        np.testing.assert_array_equal(ours[name], theirs.loc[ours.index, name], err_msg=name)
    np.testing.assert_allclose(ours[NMAE], theirs[NMAE].reindex(ours.index), rtol=1e-12)
    assert ours[MSE].mean() == pytest.approx(card.metrics[MSE]["value"])
    if (folder.parent / "main" / f"score_{case}.csv").exists():
        score = pd.read_csv(folder.parent / "main" / f"score_{case}.csv").set_index("metric")["from_replicate"]
        for name in RULES.scored:
            assert card.metrics[name]["scaled"] == pytest.approx(score[name], abs=1e-12), name
        assert card.overall == pytest.approx(score["avg_score"], abs=1e-12)


def test_stored_baseline_and_replicate(vcc_parity: Path, main_truth: Truth):
    bundle = vcc_parity / "cell_eval2" / "main" / "bundle"
    baseline = pd.read_csv(bundle / "baseline_agg.csv").set_index("statistic").loc["mean"]
    replicate = pd.read_parquet(bundle / "anchor_agg.parquet").set_index("metric")["replicate"]
    splits = pd.read_parquet(bundle / "anchor_splits.parquet").pivot(
        index="split_index", columns="metric", values="value"
    )
    ours = {anchor: main_truth.anchor_scores(RULES, anchor) for anchor in ("baseline", "replicate")}
    for metric in RULES.metrics:
        name = metric.name
        assert metric.mean(ours["baseline"][name][0]) == pytest.approx(baseline[name], rel=1e-12), name
        of_splits = [float(metric.mean(values)) for values in ours["replicate"][name]]
        np.testing.assert_allclose(of_splits, splits[name], rtol=1e-11, err_msg=name)
        assert np.mean(of_splits) == pytest.approx(replicate[name], rel=1e-11), name


SIZE = Size(targets=14, genes=400, controls=400, min_cells=100, extra_cells=0, contexts=2, depth=20_000)


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Measured counts in two contexts, and a prediction without controls: other cells of weaker effects."""
    folder = tmp_path_factory.mktemp("two-contexts")
    paths = {}
    for side, seed, keep in (("real", 1, 2.0), ("pred", 2, 1.2)):  # twice as strong: few genes must tell
        simulation = biology.draw(seed=4, size=SIZE)
        simulation = replace(simulation, seed=seed, effects=simulation.effects * keep)
        adata = anndata.read_h5ad(write(simulation, folder / side))
        obs = adata.obs[["target_gene", "context"]]
        counts = anndata.AnnData(adata.X, obs, adata.var[[]])
        counts.obs_names = [f"{side}{number}" for number in range(counts.n_obs)]
        if side == "pred":
            counts = counts[counts.obs["target_gene"] != CONTROL].copy()
        paths[side] = folder / f"simulated_{side}.h5ad"
        counts.write_h5ad(paths[side])
    return paths


@pytest.fixture(scope="module")
def truth(screens: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return build_truth(screens["real"], tmp_path_factory.mktemp("truth") / "t", rule_set="vcc2026")


@pytest.fixture(scope="module")
def card(screens: dict[str, Path], truth: Truth) -> Scorecard:
    return score_prediction(screens["pred"], truth, "vcc2026")


def live(real: anndata.AnnData, pred: anndata.AnnData, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run cell-eval2 0.20.0 with its own baseline and replicate; give its results and its score."""
    from cell_eval2 import EvalConfig, aggregate_metrics_wide, compute_metrics, score_metrics
    from cell_eval2.baseline import build_baseline_prediction, build_run_meta, generic_response_profile
    from cell_eval2.real_bundle import build_real_bundle
    from cell_eval2.run import metric_output_names

    logging.disable(logging.WARNING)
    config = EvalConfig.from_preset("vcc2026")
    config = replace(config, pert_col="target_gene", device="cpu", num_threads=2, de=replace(config.de, backend="pdex"))
    results = compute_metrics(pred, real, config=config)
    wide = aggregate_metrics_wide(results, metrics=metric_output_names(config))
    profile = generic_response_profile(real, pert_col=config.pert_col, control=config.control)
    baseline = build_baseline_prediction(profile, real, pert_col=config.pert_col, control=config.control)
    build_real_bundle(real, baseline, config=config, outdir=folder / "bundle", bundle_id="live")
    score = score_metrics(wide, real_bundle=folder / "bundle", user_meta=build_run_meta(config, real, pred))
    logging.disable(logging.NOTSET)
    return results.to_pandas(), score.to_pandas().set_index("metric")


@pytest.mark.slow
def test_live_in_each_context(screens: dict[str, Path], card: Scorecard, tmp_path: Path):
    real, pred = (anndata.read_h5ad(screens[side]) for side in ("real", "pred"))
    overall = []
    for context in ("context_1", "context_2"):
        measured = real[real.obs["context"] == context].copy()
        control = measured[measured.obs["target_gene"] == CONTROL]
        predicted = anndata.concat([pred[pred.obs["context"] == context], control])
        for adata in (measured, predicted):
            adata.obs["target_gene"] = adata.obs["target_gene"].astype("category")
        results, score = live(measured, predicted, tmp_path / context)
        table = card.per_perturbation[card.per_perturbation["context"] == context]
        ours = table.pivot(index="perturbation", columns="metric", values="value")
        theirs = results.pivot(index="perturbation", columns="metric", values="value").loc[ours.index]
        for name in IDENTICAL:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        np.testing.assert_allclose(ours[NMAE], theirs.get(NMAE, ours[NMAE] * np.nan), rtol=1e-12)
        rows = card.contexts[context]["metrics"]
        for name in RULES.scored:
            assert rows[name]["scaled"] == pytest.approx(score.loc[name, "from_replicate"], abs=1e-10), name
        assert card.contexts[context]["overall"] == pytest.approx(score.loc["avg_score", "from_replicate"], abs=1e-10)
        overall.append(score.loc["avg_score", "from_replicate"])
    assert card.overall == pytest.approx(np.mean(overall), abs=1e-10)
    assert 0.02 < card.overall < 1


def test_contexts_weigh_the_same(card: Scorecard):
    for name, row in card.metrics.items():
        each = [context["metrics"][name] for context in card.contexts.values()]
        for key in ("value", "baseline", "replicate", "scaled", "difference"):
            assert row[key] == pytest.approx(np.mean([one[key] for one in each])), (name, key)
        assert row["n"] == sum(one["n"] for one in each)
        if row["low"] is not None:
            assert row["low"] <= row["value"] <= row["high"]


def test_the_page_shows_each_context(card: Scorecard, tmp_path: Path):
    write_scorecard(card, tmp_path / "card")
    page = (tmp_path / "card" / "scorecard.html").read_text()
    assert "<td>context_1</td>" in page
    assert "<td>context_2</td>" in page
    assert "Truth: Simulated screen" not in page  # the file says nothing of itself
    content = json.loads((tmp_path / "card" / "scorecard.json").read_text())
    assert list(content["contexts"]) == ["context_1", "context_2"]


def test_control_cells_in_a_prediction_play_no_part(screens: dict[str, Path], truth: Truth, card: Scorecard, tmp_path):
    real, pred = (anndata.read_h5ad(screens[side]) for side in ("real", "pred"))
    odd = real[real.obs["target_gene"] == CONTROL].copy()
    odd.X.data[:] = 1
    both = anndata.concat([odd, pred])
    both.write_h5ad(tmp_path / "both.h5ad")
    again = score_prediction(tmp_path / "both.h5ad", truth, "vcc2026")
    assert again.metrics == card.metrics


def test_an_upload_scores_as_its_file(screens: dict[str, Path], tmp_path: Path):
    """The whole way of a challenger: real screen with the contexts A to C, packed, scored."""
    real, pred = (anndata.read_h5ad(screens[side]) for side in ("real", "pred"))
    for name, adata in (("real", real), ("pred", pred)):
        first = adata[adata.obs["context"] == "context_1"]
        parts = []
        for context in "ABC":
            part = first.copy()
            part.obs["context"] = context
            part.obs_names = [f"{context}{label}" for label in part.obs_names]
            parts.append(part)
        anndata.concat(parts).write_h5ad(tmp_path / f"{name}.h5ad")
    (tmp_path / "genes.csv").write_text("\n".join(pred.var_names))
    targets = sorted(set(pred.obs["target_gene"]))
    (tmp_path / "perts.csv").write_text("target_gene,n_cells\n" + "\n".join(f"{name},100" for name in targets))

    pack(
        tmp_path / "pred.h5ad",
        tmp_path / "pred.vcc",
        requirements_of_lists(tmp_path / "genes.csv", tmp_path / "perts.csv"),
        2026,
    )
    made = build_truth(tmp_path / "real.h5ad", tmp_path / "truth", rule_set="vcc2026")
    cards = [score_prediction(tmp_path / name, made, "vcc2026") for name in ("pred.h5ad", "pred.vcc")]
    assert cards[0].metrics == cards[1].metrics
    values = [context["overall"] for context in cards[0].contexts.values()]
    assert len(values) == 3
    assert len(set(values)) == 1  # one context, three times


def changed(adata: anndata.AnnData, kind: str) -> anndata.AnnData:
    labels, contexts = (adata.obs[column].astype(str) for column in ("target_gene", "context"))
    target = sorted(set(labels))[0]
    if kind == "logs":
        adata.X.data = np.log1p(adata.X.data)
    elif kind == "fractions":
        adata.X.data[3] += 0.01
    elif kind == "NaN":
        adata.X.data[3] = np.nan
    elif kind == "negative":
        adata.X.data[3] = -1
    elif kind == "huge":
        adata.X.data[3] = 2e6
    elif kind == "one context":
        return adata[contexts == "context_1"].copy()
    elif kind == "no context":
        del adata.obs["context"]
    elif kind == "a perturbation missing in one context":
        return adata[~((labels == target) & (contexts == "context_2"))].copy()
    elif kind == "fewer genes":
        return adata[:, 1:].copy()
    return adata


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("logs", "bad.h5ad holds fractions; the rules of 2026 score raw counts"),
        ("fractions", "bad.h5ad holds fractions"),
        ("NaN", "bad.h5ad holds NaN or infinite values: 1; counts are whole numbers"),
        ("negative", "bad.h5ad holds negative values .lowest -1.; counts are whole numbers"),
        (
            "huge",
            "bad.h5ad has cells with more than 1,000,000 counts .up to 2,0[0-9,]+.: 1; write counts of real depth",
        ),
        ("one context", "the contexts of bad.h5ad are not the truth's: missing 1 .context_2."),
        ("no context", "the contexts of bad.h5ad are not the truth's: .*obs.context names the context of each cell"),
        ("a perturbation missing in one context", "the perturbations of bad.h5ad in the context context_2 are not"),
        ("fewer genes", "the genes of bad.h5ad are not the truth's: missing 1"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_reason(
    screens: dict[str, Path], truth: Truth, tmp_path: Path, kind: str, said: str
):
    changed(anndata.read_h5ad(screens["pred"]), kind).write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(InputError, match=said):
        score_prediction(tmp_path / "bad.h5ad", truth, "vcc2026")


def test_a_screen_that_the_rules_of_2026_cannot_use_says_why(
    small_path: Path, screens: dict[str, Path], tmp_path: Path
):
    with pytest.raises(InputError, match="they need counts of the whole transcriptome"):
        build_truth(small_path, tmp_path / "t", rule_set="vcc2026")
    real = anndata.read_h5ad(screens["real"])
    real.X.data[3] = 1_500_000  # cell-eval2 0.20.0: ScaleLimitError: per-cell total ... exceeds 1000000
    real.write_h5ad(tmp_path / "huge.h5ad")
    said = "they take cells of at most 1,000,000 counts, and 1 cell of REAL has more .up to 1,5[0-9,]+.; leave them out"
    with pytest.raises(InputError, match=said):
        build_truth(tmp_path / "huge.h5ad", tmp_path / "t", rule_set="vcc2026")
    others = build_truth(tmp_path / "huge.h5ad", tmp_path / "t")
    assert others.about["left_out"]["vcc2026"].startswith("they take cells of at most 1,000,000 counts")


def with_one_cell_of(adata: anndata.AnnData, names: list[str]) -> anndata.AnnData:
    labels, keep = adata.obs["target_gene"].astype(str).to_numpy(), np.ones(adata.n_obs, bool)
    for name in names:
        keep[np.flatnonzero(labels == name)[1:]] = False
    return adata[keep].copy()


ONE_CELL = {
    "G0052": (0.26746962690728343, 0.9561403508771928, 0.6344414365517885, 0.24914793352863587, 0.7430598437263213,
              0.9763157894736842),
    CONTROL: (0.8341303656379043, 1.0, 0.3736754422514325, 0.5861561233971435, 0.009628621304067943,
              0.9868421052631579),
}  # fmt: skip
"""What cell-eval2 0.20.0 gives where one group of the measured screen has one cell; it makes no bundle of either."""


@pytest.mark.parametrize("alone", list(ONE_CELL))
def test_a_group_of_one_cell_is_scored_without_baseline_and_replicate(vcc_parity: Path, tmp_path: Path, alone: str):
    folder = vcc_parity / "cell_eval2" / "main"
    with_one_cell_of(stored(folder, "real"), [alone]).write_h5ad(tmp_path / "real.h5ad")
    pred = stored(folder, "pred")
    pred[pred.obs["target_gene"] != CONTROL].copy().write_h5ad(tmp_path / "pred.h5ad")
    made = build_truth(tmp_path / "real.h5ad", tmp_path / "t", rule_set="vcc2026")
    card = score_prediction(tmp_path / "pred.h5ad", made, "vcc2026")
    names = ("de_wilcoxon_direction_fidelity_yield_raw", "de_wilcoxon_direction_reach_raw", NMAE)
    for name, expected in zip((*names, "de_wilcoxon_sig_jaccard", MSE, "pds_cosine"), ONE_CELL[alone], strict=True):
        assert card.metrics[name]["value"] == pytest.approx(expected, rel=1e-11), name
        for undefined in ("baseline", "replicate", "scaled", "difference", "dynamic_range"):
            assert card.metrics[name][undefined] is None, (name, undefined)
    assert card.overall is None
    assert card.overall_interval == (None, None)
    said = (
        "Raw values only, not scaled: baseline and replicate are undefined, since the rules of 2026 split every group"
    )
    assert any(note.startswith(said) and f"{alone} has one cell" in note for note in card.notes)
    assert not any("gradable" in note or note.startswith("Baseline") for note in card.notes)
    write_scorecard(card, tmp_path / "card")


def test_a_context_with_a_group_of_one_cell_leaves_the_others_scaled(
    screens: dict[str, Path], card: Scorecard, tmp_path: Path
):
    real = anndata.read_h5ad(screens["real"])
    target = sorted(set(real.obs["target_gene"]))[0]
    second = (real.obs["context"] == "context_2").to_numpy()
    cut = anndata.concat([real[~second], with_one_cell_of(real[second], [target])])
    cut.write_h5ad(tmp_path / "one.h5ad")
    made = build_truth(tmp_path / "one.h5ad", tmp_path / "t", rule_set="vcc2026")
    scored = score_prediction(screens["pred"], made, "vcc2026")
    assert scored.contexts["context_1"]["overall"] == card.contexts["context_1"]["overall"]
    assert scored.contexts["context_2"]["overall"] is None
    assert scored.overall is None
    assert scored.metrics["pds_cosine"]["value"] is not None
    assert any(note.startswith("Raw values only in 1 context (context_2), not scaled") for note in scored.notes)
    assert any(note.startswith("Baseline: the mean perturbation response") for note in scored.notes)


def test_raw_values_alone_on_request(screens: dict[str, Path], card: Scorecard, tmp_path: Path):
    made = build_truth(screens["real"], tmp_path / "t", rule_set="vcc2026", anchors=False)
    raw = score_prediction(screens["pred"], made, "vcc2026")
    for name, row in raw.metrics.items():
        assert (row["value"], row["low"], row["high"]) == tuple(
            card.metrics[name][key] for key in ("value", "low", "high")
        )
        assert row["scaled"] is None
    assert raw.overall is None
    (said,) = [note for note in raw.notes if note.startswith("Raw values only")]
    assert said.endswith("not scaled: baseline and replicate are undefined, since the truth was built without them.")
