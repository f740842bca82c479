"""Scoring at challenge size, as `make test-full` runs it: memory, and numbers by another way."""

import json
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from benchmarks.watch import watch

ROOT = Path(__file__).parents[2]
STARTER = [sys.executable, "-c", "from starter.cli import main; main()"]


def run(*command: object, log: Path) -> float:
    """Run a command and give its peak of memory in GiB."""
    done = watch([str(part) for part in command], log, cwd=ROOT)
    assert done.failure == "", log.read_text()[-2000:]
    return done.peak / 2**30


def profile(path: Path, label: str, rules: str) -> np.ndarray:
    """One perturbation's profile, its cells read by AnnData."""
    adata = anndata.read_h5ad(path, backed="r")
    cells = adata[np.flatnonzero(adata.obs["target_gene"] == label)].to_memory().X.astype(np.float64)
    if rules == "vcc2025":
        return np.asarray(cells.mean(axis=0)).ravel()
    counts = np.asarray(cells.sum(axis=0)).ravel()
    return np.log1p(5e4 * counts / counts.sum())


@pytest.mark.slow
@pytest.mark.parametrize(("size", "rules", "limit"), [("full2025", "vcc2025", 8), ("2026", "vcc2026", 10)])
def test_a_submission_of_full_size(tmp_path: Path, size: str, rules: str, limit: int):
    """2025: 99,000 cells x 18,080 genes; 2026: 30 x 400 cells and 18,400 controls x 18,533 genes."""
    run(sys.executable, "-m", "benchmarks.screens", size, tmp_path, log=tmp_path / "log")
    real, prediction = tmp_path / "simulated_real.h5ad", tmp_path / "simulated_prediction.h5ad"
    options = ("--truth", tmp_path / "truth", "--profile", rules)
    run(*STARTER, "truth", "build", real, "--out", tmp_path / "truth", "--profile", rules, log=tmp_path / "log")
    peak = run(*STARTER, "score", prediction, *options, "--out", tmp_path / "scores", log=tmp_path / "log")
    assert peak < limit
    card = json.loads((tmp_path / "scores" / "simulated_prediction" / "scorecard.json").read_text())
    assert 0.1 < card["overall"] < 1
    assert [flag["name"] for flag in card["flags"] if flag["level"] == "flag"] == []
    truth = json.loads((tmp_path / "truth" / "truth.json").read_text())
    (names,) = truth["contexts"].values()
    measured = np.load(tmp_path / "truth" / rules / "0" / "profiles.npy", mmap_mode="r")
    for row in (0, len(names) // 2, len(names) - 1):
        np.testing.assert_allclose(measured[row], profile(real, names[row], rules), rtol=1e-5, atol=1e-7)
    if rules == "vcc2025":
        table = pd.read_parquet(tmp_path / "scores" / "simulated_prediction" / "per_perturbation.parquet")
        mae = table[table["metric"] == "mae"].set_index("perturbation")["value"]
        expected = np.abs(profile(prediction, names[7], rules) - profile(real, names[7], rules)).mean()
        assert mae[names[7]] == pytest.approx(expected, rel=1e-5)
