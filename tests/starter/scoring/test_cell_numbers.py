"""Cells written with a pen buy nothing."""

from pathlib import Path

import anndata
import numpy as np
import pytest

from starter.schema import CONTROL
from starter.scoring.cell_numbers import say_numbers, thin_to_measured
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.truth.opened import Truth


def test_no_more_cells_than_were_measured_are_kept_and_all_controls():
    groups = np.repeat([0, 1, 2, 3, -1], [5, 40, 7, 3, 2])
    kept = thin_to_measured(groups, np.array([10, 7, 4]))
    assert np.bincount(kept[kept >= 0]).tolist() == [5, 10, 7, 3]
    assert (kept[kept >= 0] == groups[kept >= 0]).all()
    assert (thin_to_measured(groups, np.array([10, 7, 4])) == kept).all()
    drawn = np.flatnonzero(kept == 1)
    assert np.ptp(drawn) > 10  # not the first ones: those could be the best


def test_both_ways_are_said_with_numbers():
    more, fewer = say_numbers(np.array([400, 7, 3]), np.array([10, 7, 4]), np.array(["A", "B", "C"]), "DES")
    assert more.startswith(
        "More cells than measured: 1 perturbation (A 400 for 10); as many as were measured are drawn"
    )
    assert fewer.startswith("Fewer cells than measured: 1 perturbation (C 3 for 4); DES lose by it: write as many")
    assert say_numbers(np.array([7]), np.array([7]), np.array(["B"]), "DES") == []


@pytest.fixture
def tenfold(predictions: dict[str, Path], tmp_path: Path) -> Path:
    """Every predicted cell ten times."""
    cells = anndata.read_h5ad(predictions["mean"])
    perturbed = np.flatnonzero(cells.obs["target_gene"] != CONTROL)
    control = np.flatnonzero(cells.obs["target_gene"] == CONTROL)
    many = cells[np.concatenate([control, np.repeat(perturbed, 10)])].copy()
    many.obs_names_make_unique()
    many.write_h5ad(tmp_path / "tenfold.h5ad")
    return tmp_path / "tenfold.h5ad"


def test_ten_times_the_cells_score_like_one_time(tenfold: Path, cards: dict[str, Scorecard], small_truth: Truth):
    once, many = cards["mean"], score_prediction(tenfold, small_truth, "course")
    for metric in ("e_distance", "overlap_at_N"):  # copies of cells may cost a little
        row = once.metrics[metric]
        gain = (many.metrics[metric]["value"] - row["value"]) / (row["replicate"] - row["baseline"])
        assert -0.5 < gain < 0.1, metric
    assert any(note.startswith("More cells than measured: 24 perturbations") for note in many.notes)
    assert not any("cells than measured" in note for note in once.notes)
    # the season's rules take the cells that there are
    assert not any("cells than measured" in note for note in score_prediction(tenfold, small_truth, "vcc2025").notes)
