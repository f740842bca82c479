"""All perturbations that were measured, on a real screen, beside what the sources of the metrics answer."""

import json
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
import pytest
import scipy.sparse

from starter.data.blocks import in_memory
from starter.schema import CONTROL, ONE_CONTEXT
from starter.scoring.metrics.correlation import pearson_delta_train_mean
from starter.scoring.metrics.discrimination import centroid_accuracy
from starter.scoring.metrics.error import weighted_mse
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.screens.summary import Summary
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.measured import reference_of
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.replicate import interpolate
from starter.statistics.de import CELL_EVAL_082
from starter.statistics.t_test import Totals

COURSE = get_rule_set("course")


class Panel(NamedTuple):
    """The real screen, and what the reference tools say of it."""

    cells: anndata.AnnData
    logs: scipy.sparse.csr_matrix
    labels: np.ndarray
    known: dict
    arrays: dict


@pytest.fixture(scope="module")
def panel(vcc_data: Path, vcc_parity: Path) -> Panel:
    known = json.loads((vcc_parity / "panel" / "expected.json").read_text())
    arrays = dict(np.load(vcc_parity / "panel" / "papalexi.npz"))
    screen = anndata.read_h5ad(vcc_data / "papalexi_thp1" / "papalexi_thp1_299genes.h5ad")[arrays["barcodes"]].copy()
    logs = scipy.sparse.csr_matrix(screen.X, dtype=float)
    logs.data *= np.repeat(known["target_sum"] / screen.obs["n_umis_total"].to_numpy(float), np.diff(logs.indptr))
    return Panel(screen, np.log1p(logs).astype(np.float32), screen.obs["target_gene"].to_numpy(str), known, arrays)


def totals(x: scipy.sparse.csr_matrix) -> Totals:
    x = x.astype(float)
    sums, squares = (np.asarray(side.sum(axis=0)).ravel() for side in (x, x.multiply(x)))
    return Totals(x.shape[0], sums, squares)


def summaries(panel: Panel) -> tuple[Summary, Summary, Summary]:
    """All cells of the hidden perturbations, and the reference's two halves."""
    hidden = panel.arrays["hidden"]
    groups = np.full(len(panel.labels), -1)
    for row, name in enumerate([CONTROL, *hidden]):
        groups[panel.labels == name] = row
    half = panel.arrays["half"]
    halves = np.where((half == 2) & (groups > 0), groups + len(hidden), groups)
    train = np.isin(panel.labels, panel.known["train"])
    others = [totals(panel.logs[train & np.isin(half, which)]) for which in ([1, 2], [1, 2], [1], [2])]
    whole, first, second = summarise_logs(
        in_memory(panel.logs),
        np.stack([groups, halves]),
        hidden,
        np.array(panel.cells.var_names),
        CELL_EVAL_082,
        t_scores=True,
        others=[others[0], *others[2:]],
    ).summaries
    return whole, first, second


def test_weights_and_p_are_those_of_the_source(panel: Panel):
    whole, _, second = summaries(panel)
    np.testing.assert_allclose(whole.weights, panel.arrays["weights"], atol=1e-7)
    np.testing.assert_allclose(second.change_fdr, panel.arrays["padj"], atol=1e-6)


def test_the_interpolated_duplicate_is_the_published_one(panel: Panel):
    _, first, second = summaries(panel)
    np.testing.assert_allclose(first.profiles, panel.arrays["first"], atol=1e-6)
    duplicate = interpolate(second, panel.arrays["train_mean"])
    np.testing.assert_allclose(duplicate.profiles, panel.arrays["interpolated"], atol=1e-6)
    truth = reference_of(first, panel.arrays["train_mean"])
    expected = panel.known["pearson_delta_vs_train_mean_of_replicate"]
    for side, name in ((second, "plain half"), (duplicate, "interpolated")):
        values = pearson_delta_train_mean(truth, side)
        np.testing.assert_allclose(values, [expected[name][target] for target in truth.perturbations], atol=1e-5)


def test_centroid_accuracy_and_weighted_mse_are_those_of_the_sources(panel: Panel):
    whole, _, _ = summaries(panel)
    of_train = [np.asarray(panel.logs[panel.labels == name].mean(axis=0)).ravel() for name in panel.known["train"]]
    mean, of_one = panel.arrays["train_mean"], of_train[panel.known["train"].index("IFNGR1")]
    predictions = {
        "train_mean": np.tile(mean, (7, 1)),
        "IFNGR1_for_all": np.tile(of_one, (7, 1)),
        "half_way": (whole.profiles + mean) / 2,
    }
    for name, profiles in predictions.items():
        guess = Summary(whole.perturbations, whole.genes, whole.n_cells, profiles, whole.control, whole.de)
        for others, which in ((np.stack(of_train), "all measured"), (None, "hidden only")):
            values = centroid_accuracy(reference_of(whole, mean, others), guess)
            expected = panel.known["centroid_accuracy"][name][which]
            np.testing.assert_allclose(values, [expected[target] for target in whole.perturbations], atol=1e-9)
        if expected := panel.known["weighted_mse"].get(name):
            values = weighted_mse(reference_of(whole, mean), guess)
            np.testing.assert_allclose(values, [expected[target] for target in whole.perturbations], rtol=1e-4)


@pytest.fixture(scope="module")
def truths(panel: Panel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Truth]:
    """The screen as two files of counts, built with and without the training perturbations."""
    folder = tmp_path_factory.mktemp("panel")
    obs = panel.cells.obs[["target_gene"]].assign(n_umis=panel.cells.obs["n_umis_total"].astype(float))
    for name, targets in (("hidden", panel.known["hidden"]), ("train", panel.known["train"])):
        keep = np.isin(panel.labels, [CONTROL, *targets])
        anndata.AnnData(panel.cells.X[keep], obs[keep], panel.cells.var[[]]).write_h5ad(folder / f"{name}.h5ad")
    files = folder / "hidden.h5ad", folder / "train.h5ad"
    return {
        "alone": build_truth(files[0], folder / "alone", rule_set="course"),
        "with train": build_truth(files[0], folder / "whole", rule_set="course", train=files[1]),
    }


def test_a_truth_with_training_cells_has_the_panel_of_the_sources(panel: Panel, truths: dict[str, Truth]):
    truth = truths["with train"]
    measured, baseline = truth.measured(COURSE), truth.anchor_scores(COURSE, "baseline")
    assert truth.about["profiles"]["course"]["target_sum"] == {ONE_CONTEXT: panel.known["target_sum"]}
    assert measured.others is not None
    assert len(measured.others) == 17
    for metric in ("centroid_accuracy", "weighted_mse"):
        expected = panel.known[metric]["train_mean"]
        expected = expected["all measured"] if metric == "centroid_accuracy" else expected
        due = [expected[target] for target in measured.perturbations]
        np.testing.assert_allclose(baseline[metric][0], due, rtol=1e-4)
    order = [list(panel.arrays["hidden"]).index(target) for target in measured.perturbations]
    np.testing.assert_allclose(measured.weights, panel.arrays["weights"][order], atol=1e-7)


def test_a_truth_without_them_knows_the_scored_ones_alone(truths: dict[str, Truth]):
    truth = truths["alone"]
    measured = truth.measured(COURSE)
    assert measured.others is not None
    assert measured.others.shape == (0, 299)


def test_what_train_lacks_is_taken_from_the_screen_itself(panel: Panel, truths: dict[str, Truth], tmp_path: Path):
    """One file with all cells and a split, and TRAIN without three of the perturbations: the panel is the same."""
    obs = panel.cells.obs[["target_gene"]].assign(n_umis=panel.cells.obs["n_umis_total"].astype(float))
    anndata.AnnData(panel.cells.X, obs, panel.cells.var[[]]).write_h5ad(tmp_path / "all.h5ad")
    public, train = panel.known["train"][:3], panel.known["train"][3:]
    keep = np.isin(panel.labels, [CONTROL, *train])
    anndata.AnnData(panel.cells.X[keep], obs[keep], panel.cells.var[[]]).write_h5ad(tmp_path / "train.h5ad")
    parts = {"train": train, "public": public, "hidden": panel.known["hidden"]}
    sizes = panel.known["n_cells"]
    pairs = [
        {"context": ONE_CONTEXT, "perturbation": name, "part": part, "n_cells": sizes[name]}
        for part, names in parts.items()
        for name in names
    ]
    (tmp_path / "split.json").write_text(json.dumps({"pairs": pairs}))
    made = build_truth(
        tmp_path / "all.h5ad",
        tmp_path / "t",
        rule_set="course",
        split=tmp_path / "split.json",
        part="hidden",
        train=tmp_path / "train.h5ad",
    )
    measured, expected = made.measured(COURSE), truths["with train"].measured(COURSE)
    assert measured.others is not None and expected.others is not None
    np.testing.assert_allclose(np.sort(measured.others.sum(axis=1)), np.sort(expected.others.sum(axis=1)), rtol=1e-6)
    np.testing.assert_allclose(measured.weights, expected.weights, atol=1e-9)
