import base64
import json
import re
import struct
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.special
import scipy.stats
from scored import predict

from starter.data import dataset, preprocess, pseudobulk
from starter.errors import InputError
from starter.prediction import pack
from starter.schema import CONTROL
from starter.scoring import rows as scorecard_rows
from starter.scoring import scorecard
from starter.scoring.calibration import calibrate
from starter.scoring.compare import compare
from starter.scoring.de_tables import write_de_tables
from starter.scoring.metrics.base import Metric
from starter.scoring.page import write_scorecard
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import Truth, open_truth
from starter.scoring.truth.replicate import clearly_better
from starter.statistics.intervals import interval


def test_better_predictions_score_higher(cards: dict[str, scorecard.Scorecard]):
    assert cards["mean"].overall == pytest.approx(0, abs=0.15)
    assert cards["mean"].overall < cards["half"].overall < cards["oracle"].overall
    assert cards["oracle"].metrics["mae"]["value"] < 0.005
    assert cards["oracle"].metrics["discrimination_score_l1"]["value"] == 1


def test_scaled_is_what_the_contract_says(cards: dict[str, scorecard.Scorecard]):
    card = cards["half"]
    graded = {name: row for name, row in card.metrics.items() if row["gradable"]}
    assert set(graded) <= set(card.rules.scored)
    assert len(graded) >= 8
    for row in graded.values():
        expected = (row["value"] - row["baseline"]) / (row["replicate"] - row["baseline"])
        assert row["scaled"] == pytest.approx(expected)
    for row in card.metrics.values():
        if row["low"] is not None:
            assert row["low"] <= row["value"] <= row["high"]
            assert row["difference"] == pytest.approx(row["value"] - row["baseline"])
    assert card.overall == pytest.approx(np.mean([row["scaled"] for row in graded.values()]))


def test_unclipped_counts_what_is_below_the_baseline(small_truth: Truth, predictions: dict[str, Path]):
    course = scorecard.score_prediction(predictions["half"], small_truth, "course")
    assert (course.overall_unclipped, course.overall) == (course.overall, course.overall_unclipped)
    cells = anndata.read_h5ad(predictions["mean"])
    away = cells.obs["target_gene"] != CONTROL
    cells.X[away.to_numpy()] *= 1.5  # the profiles are far off, so that MAE is worse than the baseline's
    card = scorecard.score_prediction(cells, small_truth, "vcc2025")
    rows = [card.metrics[name] for name in ("overlap_at_N", "discrimination_score_l1", "mae")]
    by_hand = [(row["value"] - row["baseline"]) / (1 - row["baseline"]) for row in rows[:2]]
    by_hand.append(1 - rows[2]["value"] / rows[2]["baseline"])
    assert by_hand[2] < -1
    assert [row["unclipped"] for row in rows] == pytest.approx(by_hand)
    assert [row["scaled"] for row in rows] == pytest.approx([max(share, 0) for share in by_hand])
    assert card.overall_unclipped == pytest.approx(np.mean(by_hand))
    assert card.overall > card.overall_unclipped
    assert json.loads(card.to_json())["overall_unclipped"] == card.overall_unclipped


def test_the_json_has_every_field(cards: dict[str, scorecard.Scorecard]):
    content = json.loads(cards["half"].to_json())
    assert content["profile"] == "course"
    assert list(content["metrics"])[:4] == ["overlap_at_N", "discrimination_score_l1", "mae", "pearson_delta"]
    fields = ["value", "low", "high", "direction", "baseline", "replicate", "plain_half", "scaled", "unclipped"]
    fields += ["scaled_low", "scaled_high", "gradable", "why_not", "dynamic_range", "dynamic_range_mean"]
    fields += ["bound_discrimination", "difference", "difference_low", "difference_high", "n", "left_out"]
    for row in content["metrics"].values():
        assert list(row) == fields
    assert [row["direction"] for row in content["metrics"].values()][:4] == ["higher", "higher", "lower", "higher"]
    assert content["contexts"] == {}
    assert len(content["prediction"]["sha256"]) == len(content["truth"]["sha256"]) == 64
    assert content["versions"]["virtual-cell-course"]
    assert content["seed"] == 0


def test_the_table_has_a_row_a_perturbation_and_metric(cards: dict[str, scorecard.Scorecard]):
    table = cards["half"].per_perturbation
    assert list(table.columns) == ["context", "perturbation", "metric", "value", "baseline"]
    assert len(table) == 24 * len(cards["half"].rules.metrics)
    means = table.groupby("metric")["value"].mean()
    for name, row in cards["half"].metrics.items():
        assert row["value"] == pytest.approx(means[name])


def test_scoring_again_gives_the_same_card(
    small_truth: Truth, predictions: dict[str, Path], cards: dict[str, scorecard.Scorecard]
):
    again = scorecard.score_prediction(predictions["half"], small_truth, "course")
    assert again.to_json() == cards["half"].to_json()


def test_an_upload_scores_as_its_file(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    pack.pack(predictions["half"], tmp_path / "half.vcc")
    for profile in ("course", "vcc2025", "vcc2025-final"):
        one, other = (
            scorecard.score_prediction(path, small_truth, profile)
            for path in (predictions["half"], tmp_path / "half.vcc")
        )
        assert one.metrics == other.metrics


def test_below_10_perturbations_there_is_no_interval_and_it_says_why(released, tmp_path: Path):
    prepared = open_truth(released.hidden_folder / "truth")
    hidden = dataset.read_screen(released.hidden_folder / "hidden.h5ad")
    table = pseudobulk.profiles(hidden).drop(index=CONTROL, level="perturbation")
    card = scorecard.score_prediction(predict(hidden, table, tmp_path / "p.h5ad"), prepared, "course")
    assert {row["low"] for row in card.metrics.values()} == {row["high"] for row in card.metrics.values()} == {None}
    assert any(note.startswith("No interval for any metric: with fewer than 10") for note in card.notes)


def test_a_truth_without_training_cells_is_said(cards: dict[str, scorecard.Scorecard]):
    assert any(note.startswith("No training screen was given") for note in cards["half"].notes)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pictures, self.cells, self.tags = [], [], []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.cells.append(data.strip())


def test_the_page_has_the_numbers_and_its_pictures(cards: dict[str, scorecard.Scorecard], tmp_path: Path):
    write_scorecard(cards["half"], tmp_path / "half")
    assert sorted(path.name for path in (tmp_path / "half").iterdir()) == sorted(
        (
            *("scorecard.json", "per_perturbation.parquet", "per_perturbation.csv", "scorecard.html"),
            *("scores.png", "examples.png", "effects.png", "ranks.png", "overlap.png"),
        )
    )
    content = (tmp_path / "half" / "scorecard.html").read_text()
    assert not re.search(r"(src|href)=\"http", content)
    page = Page()
    page.feed(content)
    assert len(page.pictures) == 5
    assert max(place for place, tag in enumerate(page.tags) if tag == "img") < page.tags.index("table")
    for picture in page.pictures:
        png = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
        width, height = struct.unpack(">II", png[16:24])
        assert png.startswith(b"\x89PNG")
        assert min(width, height) > 300
        assert picture["alt"]
    assert f"{cards['half'].overall:.3f}" in page.cells
    assert any("Simulated screen" in cell for cell in page.cells)
    table = pd.read_parquet(tmp_path / "half" / "per_perturbation.parquet")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "half" / "per_perturbation.csv"), table, rtol=1e-12)
    assert table.equals(cards["half"].per_perturbation)


def test_pictures_of_an_earlier_scorecard_go(
    small_truth: Truth, predictions: dict[str, Path], cards: dict[str, scorecard.Scorecard], tmp_path: Path
):
    (tmp_path / "directions.png").write_bytes(b"of other rules")
    (tmp_path / "mine.png").write_bytes(b"mine")
    write_scorecard(cards["half"], tmp_path)
    assert not (tmp_path / "directions.png").exists()
    assert (tmp_path / "mine.png").exists()


def test_an_interval_of_a_scaled_score_is_the_values_on_the_scale(cards: dict[str, scorecard.Scorecard]):
    """The BCa interval follows a monotone change of scale."""
    for row in cards["half"].metrics.values():
        if row["gradable"]:
            ends = sorted(
                (row[end] - row["baseline"]) / (row["replicate"] - row["baseline"]) for end in ("low", "high")
            )
            assert [row["scaled_low"], row["scaled_high"]] == pytest.approx(ends, rel=0.02, abs=0.02)
        else:
            assert row["scaled_low"] is row["scaled_high"] is None


def test_de_tables_hold_both_sides(cards: dict[str, scorecard.Scorecard], small_path: Path, tmp_path: Path):
    card = cards["half"]
    write_de_tables(card.sides, tmp_path / "de.parquet")
    table = pd.read_parquet(tmp_path / "de.parquet")
    kinds = [f"{side}_{what}" for side in ("measured", "predicted") for what in ("log2_fold_change", "p_value", "fdr")]
    assert list(table.columns) == ["context", "perturbation", "gene", *kinds]
    assert len(table) == 24 * 200
    # the measured side by SciPy, from the cells
    screen = dataset.read_screen(small_path)
    logs = preprocess.expression(screen).toarray()
    name, gene = str(card.truth.perturbations[5]), 17
    of_one, control = (screen.obs["target_gene"] == label for label in (name, CONTROL))
    line = table[(table["perturbation"] == name) & (table["gene"] == screen.var_names[gene])].iloc[0]
    one, other = logs[of_one.to_numpy(), gene], logs[control.to_numpy(), gene]
    expected = scipy.stats.mannwhitneyu(one, other, method="asymptotic", use_continuity=True).pvalue
    assert line["measured_p_value"] == pytest.approx(expected, rel=1e-6)
    change = np.log2(np.expm1(one.mean()) / np.expm1(other.mean()))  # as cell-eval takes it
    assert line["measured_log2_fold_change"] == pytest.approx(change, rel=1e-4)


def test_a_hostile_name_is_escaped_on_the_page(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    path = tmp_path / "<script>alert(1)<-script>.h5ad"
    path.write_bytes(predictions["half"].read_bytes())
    write_scorecard(scorecard.score_prediction(path, small_truth, "course"), tmp_path / "out")
    page = Page()
    page.feed((tmp_path / "out" / "scorecard.html").read_text())
    assert "script" not in page.tags


def changed(adata: anndata.AnnData, kind: str) -> anndata.AnnData:
    if kind == "fewer genes":
        return adata[:, 2:].copy()
    if kind == "other order":
        return adata[:, ::-1].copy()
    if kind == "fewer perturbations":
        return adata[adata.obs["target_gene"] != "SIM00006"].copy()
    labels = adata.obs["target_gene"].astype(str).replace({"SIM00006": "STAT1"})
    adata.obs["target_gene"] = labels.astype("category")
    return adata


@pytest.mark.parametrize("profile", ["course", "vcc2025"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fewer genes", "the genes of bad.h5ad are not the truth's: missing 2 .SIM00001, SIM00002."),
        ("other order", "the genes of bad.h5ad are not the truth's: their order differs"),
        ("fewer perturbations", "the perturbations of bad.h5ad are not the truth's: missing 1 .SIM00006."),
        ("other labels", "the perturbations of bad.h5ad are not the truth's: missing 1 .SIM00006., extra 1 .STAT1."),
    ],
)
def test_other_labels_are_an_error_not_a_smaller_mean(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, profile: str, kind: str, said: str
):
    changed(anndata.read_h5ad(predictions["half"]), kind).write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(InputError, match=said):
        scorecard.score_prediction(tmp_path / "bad.h5ad", small_truth, profile)


def test_the_course_refuses_counts_and_says_why(small_truth: Truth, small_screen: anndata.AnnData, tmp_path: Path):
    small_screen.write_h5ad(tmp_path / "counts.h5ad")
    said = "counts.h5ad holds counts .*; the course scores log1p expression, because counts of 200 genes do not tell"
    with pytest.raises(InputError, match=said):
        scorecard.score_prediction(tmp_path / "counts.h5ad", small_truth, "course")
    # the challenge takes them, scaled to the file's own median: a perfect copy is no longer perfect
    card = scorecard.score_prediction(tmp_path / "counts.h5ad", small_truth, "vcc2025")
    assert card.metrics["mae"]["value"] > 0.01


def test_the_course_refuses_another_target_sum(small_truth: Truth, small_screen: anndata.AnnData, tmp_path: Path):
    logs = preprocess.log_expression(small_screen.X, preprocess.library_sizes(small_screen), 5e4)
    anndata.AnnData(logs, small_screen.obs[["target_gene"]], small_screen.var).write_h5ad(tmp_path / "p.h5ad")
    said = r"add up to \d+ on the natural scale, the truth's to \d+: .* \(target_sum about 50,000 for 1\d,\d+\)"
    with pytest.raises(InputError, match=said):
        scorecard.score_prediction(tmp_path / "p.h5ad", small_truth, "course")


def test_an_undefined_aggregate_is_null(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    adata = anndata.read_h5ad(predictions["half"])
    control = (adata.obs["target_gene"] == CONTROL).to_numpy()
    of_one = np.flatnonzero(adata.obs["target_gene"] == "SIM00006")
    # as many copies of every control cell: the effect is exactly 0 for every gene
    x = adata.X.tolil()
    dense = np.tile(np.asarray(adata.X[control].toarray().mean(axis=0), dtype=np.float32), (len(of_one), 1))
    x[of_one] = dense
    x[np.flatnonzero(control)] = np.tile(dense[0], (control.sum(), 1))
    anndata.AnnData(x.tocsr(), adata.obs, adata.var).write_h5ad(tmp_path / "p.h5ad")
    card = scorecard.score_prediction(tmp_path / "p.h5ad", small_truth, "vcc2025")
    assert card.metrics["pearson_delta"]["value"] is None
    assert card.metrics["pearson_delta"]["left_out"] == 1
    assert "Pearson delta: undefined for 1 perturbation, so the mean is undefined." in card.notes
    json.loads(card.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))


def stored_as(path: Path, adata: anndata.AnnData, layout: str) -> None:
    """Write a prediction in another layout that means the same."""
    x = adata.X
    if layout == "csc":
        x = x.tocsc()
    elif layout == "dense":
        x = x.toarray()
    elif layout == "float64":
        x = x.astype(np.float64)
    elif layout == "int64 pointers":
        x.indptr, x.indices = x.indptr.astype(np.int64), x.indices.astype(np.int64)
    elif layout == "unsorted":
        for row in range(x.shape[0]):
            span = slice(x.indptr[row], x.indptr[row + 1])
            x.indices[span], x.data[span] = x.indices[span][::-1].copy(), x.data[span][::-1].copy()
        x.has_sorted_indices = False
    elif layout == "stored zeros":
        coo = x.tocoo()
        empty = np.argwhere(x.toarray()[:50] == 0)[:40]
        x = scipy.sparse.csr_matrix(
            (
                np.concatenate([coo.data, np.zeros(len(empty), np.float32)]),
                (np.concatenate([coo.row, empty[:, 0]]), np.concatenate([coo.col, empty[:, 1]])),
            ),
            shape=x.shape,
        )
        assert (x.data == 0).sum() == len(empty)
    elif layout == "entries in pieces":
        halves = scipy.sparse.csr_matrix(x / 2)
        x = scipy.sparse.csr_matrix(
            (np.repeat(halves.data, 2), np.repeat(halves.indices, 2), 2 * halves.indptr), shape=x.shape
        )
    compression = "gzip" if layout == "gzip" else None
    anndata.AnnData(x, adata.obs, adata.var).write_h5ad(path, compression=compression)


LAYOUTS = ("csc", "dense", "float64", "int64 pointers", "unsorted", "stored zeros", "entries in pieces", "gzip")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("profile", ["course", "vcc2025", "vcc2025-final"])
def test_the_layout_of_a_file_changes_no_score(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, layout: str, profile: str
):
    stored_as(tmp_path / "half.h5ad", anndata.read_h5ad(predictions["half"]), layout)
    expected = scorecard.score_prediction(predictions["half"], small_truth, profile).metrics
    for name, row in scorecard.score_prediction(tmp_path / "half.h5ad", small_truth, profile).metrics.items():
        for key in ("value", "baseline", "replicate"):
            assert row[key] == pytest.approx(expected[name][key], rel=1e-4, abs=1e-7), (name, key)


def test_float16_loses_digits_and_is_scored_for_what_it_is(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path
):
    adata = anndata.read_h5ad(predictions["half"])
    anndata.AnnData(adata.X.toarray().astype(np.float16), adata.obs, adata.var).write_h5ad(tmp_path / "p.h5ad")
    card = scorecard.score_prediction(tmp_path / "p.h5ad", small_truth, "vcc2025")
    expected = scorecard.score_prediction(predictions["half"], small_truth, "vcc2025").metrics["mae"]["value"]
    assert card.metrics["mae"]["value"] == pytest.approx(expected, abs=1e-3)
    assert card.metrics["mae"]["value"] != expected


def test_whole_numbers_in_any_type_are_counts(small_truth: Truth, small_screen: anndata.AnnData, tmp_path: Path):
    for dtype in (np.int64, np.uint8, np.float64):
        counts = anndata.AnnData(small_screen.X.astype(dtype), small_screen.obs[["target_gene"]], small_screen.var)
        counts.write_h5ad(tmp_path / "counts.h5ad")
        with pytest.raises(InputError, match="counts.h5ad holds counts"):
            scorecard.score_prediction(tmp_path / "counts.h5ad", small_truth, "course")


def test_a_perturbation_of_one_cell_is_scored(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    adata = anndata.read_h5ad(predictions["half"])
    rows = np.flatnonzero(adata.obs["target_gene"] == "SIM00006")
    adata[np.delete(np.arange(adata.n_obs), rows[1:])].copy().write_h5ad(tmp_path / "p.h5ad")
    for profile in ("course", "vcc2025", "vcc2025-final"):
        card = scorecard.score_prediction(tmp_path / "p.h5ad", small_truth, profile)
        assert card.metrics["mae"]["n"] == 24
        assert card.metrics["mae"]["value"] is not None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "bad.h5ad: NaN or infinite values: 1; write finite numbers"),
        (-0.5, "bad.h5ad holds negative values .lowest -0.5.; expression is never below 0"),
        (15.5, "bad.h5ad holds fractions and values up to 15.5, so it is neither counts nor log1p"),
    ],
)
def test_one_bad_value_is_refused(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, value: float, said: str
):
    adata = anndata.read_h5ad(predictions["half"])
    adata.X.data[-1] = value
    adata.write_h5ad(tmp_path / "bad.h5ad")
    for profile in ("course", "vcc2025", "vcc2025-final"):
        with pytest.raises(InputError, match=said):
            scorecard.score_prediction(tmp_path / "bad.h5ad", small_truth, profile)


def test_a_truncated_prediction_is_refused(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    (tmp_path / "cut.h5ad").write_bytes(predictions["half"].read_bytes()[:200_000])
    with pytest.raises(InputError, match="cut.h5ad cannot be read: it is truncated"):
        scorecard.score_prediction(tmp_path / "cut.h5ad", small_truth, "vcc2025")


def test_an_index_beyond_the_genes_is_refused(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    (tmp_path / "bad.h5ad").write_bytes(predictions["half"].read_bytes())
    with h5py.File(tmp_path / "bad.h5ad", "r+") as file:
        file["X/indices"][7] = 2**31 - 1
    with pytest.raises(InputError, match="X is damaged: 1 of its column indices lie beyond its 200 genes"):
        scorecard.score_prediction(tmp_path / "bad.h5ad", small_truth, "vcc2025")


def test_controls_of_the_course_are_known_again(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Their sorted values are used again; others are sorted anew, and equal cells give the same numbers."""
    opened = []
    controls = Truth.log_controls
    monkeypatch.setattr(Truth, "log_controls", lambda *of: opened.append(of) or controls(*of))
    adata = anndata.read_h5ad(predictions["half"])
    control = (adata.obs["target_gene"] == CONTROL).to_numpy()
    one = scorecard.score_prediction(predictions["half"], small_truth, "vcc2025")
    assert len(opened) == 1
    order = np.concatenate([np.flatnonzero(control)[::-1], np.flatnonzero(~control)])
    adata[order].copy().write_h5ad(tmp_path / "turned.h5ad")
    other = scorecard.score_prediction(tmp_path / "turned.h5ad", small_truth, "vcc2025")
    assert len(opened) == 1
    np.testing.assert_array_equal(one.prediction.de.p_value, other.prediction.de.p_value)
    assert one.metrics["overlap_at_N"] == other.metrics["overlap_at_N"]
    assert other.flags == one.flags  # none of changed controls; the profiles are half the true ones


def row_of(card: scorecard.Scorecard, name: str) -> dict:
    return card.metrics[name]


def test_differences_from_the_baseline_are_paired(small_truth: Truth, cards: dict[str, scorecard.Scorecard]):
    card = cards["half"]
    values = card.per_perturbation[card.per_perturbation["metric"] == "mae"]["value"].to_numpy()
    baseline = small_truth.anchor_scores(card.rules, "baseline")["mae"][0]
    low, high = interval([values - baseline], np.mean, seed=0)
    assert row_of(card, "mae")["difference_low"] == pytest.approx(low)
    assert row_of(card, "mae")["difference_high"] == pytest.approx(high)
    assert high < 0  # half the way to the truth is surely nearer


def anchored(baseline: list[float], replicate: list[float]) -> dict[str, np.ndarray]:
    return {"baseline": np.array([baseline]), "replicate": np.array([replicate])}


def test_a_metric_is_gradable_where_the_replicate_is_clearly_better():
    up = Metric("u", "u", None, "higher", 1.0, (0, 1), "here")
    down = Metric("d", "d", None, "lower", 0.0, (0, 9), "here")
    # gains .1 .2 .3 .2: mean .2, standard error .0408, t(.95, 3) = 2.353: .2 > .096
    clear = anchored([0.1, 0.1, 0.1, 0.1], [0.2, 0.3, 0.4, 0.3])
    assert clearly_better(up, clear)
    assert not clearly_better(down, clear)
    assert clearly_better(down, {"baseline": clear["replicate"], "replicate": clear["baseline"]})
    # gains 1 0 0 0: mean .25, standard error .25: .25 < .588
    assert not clearly_better(up, anchored([0, 0, 0, 0], [1, 0, 0, 0]))
    assert not clearly_better(up, anchored([0.1], [0.9]))


def test_the_dynamic_range_is_the_replicates_share_of_the_way_to_perfection():
    up = Metric("u", "u", None, "higher", 1.0, (0, 1), "here")
    down = Metric("d", "d", None, "lower", 0.0, (0, 9), "here")
    # (.6 - .2) / (1 - .2) = .5, (.3 - .2) / .8 = .125, (.9 - .2) / .8 = .875: median .5
    assert calibrate(up, anchored([0.2] * 3, [0.6, 0.3, 0.9]))["dynamic_range"] == pytest.approx(0.5, abs=1e-5)
    # (4 - 1) / 4 = .75, and a replicate 3 times as bad is cut at -1
    assert calibrate(down, anchored([4, 4], [1, 1]))["dynamic_range"] == pytest.approx(0.75, abs=1e-5)
    assert calibrate(down, anchored([4], [12]))["dynamic_range"] == -1


def test_what_is_not_gradable_is_not_divided(small_truth: Truth, predictions: dict[str, Path], monkeypatch):
    monkeypatch.setattr(scorecard_rows, "clearly_better", lambda metric, of_anchor: metric.name != "mae")
    card = scorecard.score_prediction(predictions["half"], small_truth, "course")
    assert (card.metrics["mae"]["scaled"], card.metrics["mae"]["gradable"]) == (None, False)
    assert card.overall == pytest.approx(
        np.mean([row["scaled"] for name, row in card.metrics.items() if name in card.rules.scored and name != "mae"])
    )
    assert "MAE is not gradable on this screen: the replicate is not clearly better than the baseline." in card.notes


def test_several_contexts_are_scored_by_the_courses_rules_too(small_screen: anndata.AnnData, tmp_path: Path):
    context = np.where(np.arange(small_screen.n_obs) % 2, "K562", "RPE1")
    small_screen.obs["context"] = pd.Categorical(context)
    small_screen.write_h5ad(tmp_path / "real.h5ad")
    both = build_truth(tmp_path / "real.h5ad", tmp_path / "t", rule_set="course")
    logs = anndata.AnnData(preprocess.expression(small_screen), small_screen.obs[["target_gene", "context"]])
    logs.var_names = small_screen.var_names
    logs.write_h5ad(tmp_path / "copy.h5ad")
    card = scorecard.score_prediction(tmp_path / "copy.h5ad", both, "course")
    assert list(card.contexts) == ["K562", "RPE1"]
    assert card.metrics["mae"]["value"] == pytest.approx(0, abs=1e-6)
    assert card.metrics["mae"]["n"] == 48
    assert card.overall == pytest.approx(np.mean([one["overall"] for one in card.contexts.values()]))
    assert set(card.per_perturbation["context"]) == {"K562", "RPE1"}
    del logs.obs["context"]
    logs.write_h5ad(tmp_path / "without.h5ad")
    with pytest.raises(InputError, match="the contexts of without.h5ad are not the truth's: missing 2 .K562, RPE1."):
        scorecard.score_prediction(tmp_path / "without.h5ad", both, "course")


def reversed_controls(adata: anndata.AnnData) -> anndata.AnnData:
    """Every control cell keeps its values, and so its sum, but gives them to other genes."""
    x = adata.X.toarray()
    control = (adata.obs["target_gene"] == CONTROL).to_numpy()
    x[control] = x[control][:, ::-1]
    return anndata.AnnData(scipy.sparse.csr_matrix(x), adata.obs, adata.var)


def test_controls_that_only_add_up_like_the_courses_do_not_pass(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path
):
    odd = reversed_controls(anndata.read_h5ad(predictions["half"]))
    odd.write_h5ad(tmp_path / "odd.h5ad")
    with pytest.raises(InputError, match="only look like the course's"):
        scorecard.score_prediction(tmp_path / "odd.h5ad", small_truth, "vcc2025")
    anndata.AnnData(odd.X.toarray(), odd.obs, odd.var).write_h5ad(tmp_path / "dense.h5ad")
    card = scorecard.score_prediction(tmp_path / "dense.h5ad", small_truth, "vcc2025")
    assert "changed_controls" in {flag.name for flag in card.flags}


def crafted(path: Path, key: str, values: np.ndarray) -> None:
    with h5py.File(path, "r+") as file:
        del file["X"][key]
        file["X"].create_dataset(key, data=values)


@pytest.mark.parametrize("profile", ["course", "vcc2025", "vcc2025-final"])
@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("indptr", lambda old: np.where(np.arange(len(old)) == 3, 10**9, old).astype(np.uint64), "pointers do not fit"),
        ("indptr", lambda old: np.where(np.arange(len(old)) == 3, np.nan, old), "its indices are no whole numbers"),
        ("indices", lambda old: old.astype(np.float64), "its indices are no whole numbers"),
        ("indices", lambda old: np.where(np.arange(len(old)) == 9, -1, old), "lie beyond its 200 genes"),
    ],
)
def test_a_crafted_matrix_is_refused_before_compiled_code_sees_it(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, profile: str, key: str, change, said: str
):
    path = tmp_path / "bad.h5ad"
    path.write_bytes(predictions["half"].read_bytes())
    with h5py.File(path) as file:
        old = file["X"][key][:]
    crafted(path, key, change(old))
    with pytest.raises(InputError, match=said):
        scorecard.score_prediction(path, small_truth, profile)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64])
def test_columns_may_be_stored_as_any_whole_numbers(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, dtype: type
):
    path = tmp_path / "p.h5ad"
    path.write_bytes(predictions["half"].read_bytes())
    with h5py.File(path) as file:
        old = file["X"]["indices"][:]
    crafted(path, "indices", old.astype(dtype))
    one, other = (scorecard.score_prediction(file, small_truth, "vcc2025") for file in (path, predictions["half"]))
    assert one.metrics == other.metrics


def test_values_that_vanish_in_float32_are_refused(small_truth: Truth, small_screen: anndata.AnnData, tmp_path):
    x = small_screen.X.astype(np.float64).toarray()
    x[x == 0] = 1e-300
    anndata.AnnData(x, small_screen.obs[["target_gene"]], small_screen.var).write_h5ad(tmp_path / "p.h5ad")
    with pytest.raises(InputError, match="too small for float32"):
        scorecard.score_prediction(tmp_path / "p.h5ad", small_truth, "vcc2025")


@pytest.mark.parametrize("element", ["X", "obs/target_gene"])
def test_a_file_that_links_to_another_is_refused(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, element: str
):
    path = tmp_path / "link.h5ad"
    path.write_bytes(predictions["half"].read_bytes())
    with h5py.File(path, "r+") as file:
        del file[element]
        file[element] = h5py.ExternalLink(str(predictions["oracle"]), f"/{element}")
    with pytest.raises(InputError, match="from another file; write all of it into one"):
        scorecard.score_prediction(path, small_truth, "vcc2025")


def test_more_values_than_entries_are_refused(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    path = tmp_path / "bad.h5ad"
    path.write_bytes(predictions["half"].read_bytes())
    with h5py.File(path, "r+") as file:
        n_cells, n_genes = file["X"].attrs["shape"]
        del file["X"]["data"]
        file["X"].create_dataset("data", (n_cells * n_genes + 1,), np.float32, compression="gzip")
    with pytest.raises(InputError, match="X stores .* values for .* cells x 200 genes"):
        scorecard.score_prediction(path, small_truth, "vcc2025")


def test_a_truth_without_anchors_gives_the_same_raw_values(
    small_path: Path, small_truth: Truth, predictions: dict[str, Path], tmp_path: Path
):
    made = build_truth(small_path, tmp_path / "t", anchors=False)
    for profile in ("course", "vcc2025"):
        raw, full = (scorecard.score_prediction(predictions["half"], truth, profile) for truth in (made, small_truth))
        for metric in raw.rules.metrics:
            row = raw.metrics[metric.name]
            assert (row["scaled"], row["baseline"], row["replicate"], row["gradable"]) == (None, None, None, False)
            if profile == "vcc2025" or not metric.on_cells:  # the course's others are means over halves
                assert row["value"] == full.metrics[metric.name]["value"]
        assert raw.overall is None
        assert any(note.startswith("Raw values only, not scaled") for note in raw.notes)
        assert not any("gradable" in note or "half of" in note for note in raw.notes)
        write_scorecard(raw, tmp_path / profile)
        with pytest.raises(InputError, match="scores have no scale here, so they cannot be compared: Raw values only"):
            compare([raw, replace(raw, name="again")])


def test_a_prediction_of_targets_that_are_not_measured_is_scored(small_screen: anndata.AnnData, tmp_path: Path):
    names = [name for name in small_screen.obs["target_gene"].cat.categories if name != CONTROL][:3]
    some = small_screen[
        small_screen.obs["target_gene"].isin([CONTROL, *names]).to_numpy(), ~small_screen.var_names.isin(names)
    ].copy()
    some.write_h5ad(tmp_path / "real.h5ad")
    prepared = build_truth(tmp_path / "real.h5ad", tmp_path / "t", rule_set="vcc2025")
    logs = anndata.AnnData(preprocess.expression(some), some.obs[["target_gene"]], some.var[[]])
    logs.write_h5ad(tmp_path / "copy.h5ad")
    for prediction in (logs, tmp_path / "copy.h5ad"):
        card = scorecard.score_prediction(prediction, prepared, "vcc2025")
        assert card.metrics["mae"]["value"] == pytest.approx(0, abs=1e-6)
