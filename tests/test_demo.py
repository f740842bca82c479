"""`make demo` from its first to its last step."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.opened import open_truth

ROOT = Path(__file__).parents[1]
PREDICTIONS = ("control_mean", "train_mean", "neighbour_mean")


def demo(out: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "demo.py"), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def scores(folder: Path) -> dict[str, dict]:
    return {name: json.loads((folder / "scores" / name / "scorecard.json").read_text()) for name in PREDICTIONS}


def in_readme(name: str, paragraph: str) -> float:
    """Read the number that the README promises for a prediction."""
    text = (ROOT / "README.md").read_text()
    part = next(part for part in text.split("\n") if paragraph in part)
    return float(re.search(rf"`{name}` (?:overall )?(-?[\d.]+\d)", part)[1])


def check_output(folder: Path, printed: str) -> None:
    for name in PREDICTIONS:
        for suffix in (".parquet", ".h5ad", ".vcc"):
            assert (folder / "predictions" / f"{name}{suffix}").is_file()
        assert (folder / "scores" / name / "scorecard.html").stat().st_size > 50_000
        assert re.search(rf"^ *metric .* {name} ", printed, re.MULTILINE)
    for word in ("baseline", "replicate", "Pearson delta", "PDS", "DES", "MAE", "scorecard.html"):
        assert word in printed


def test_on_a_simulated_screen(tmp_path: Path):
    done = demo(tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "simulated"
    check_output(folder, done.stdout)
    assert "Simulated screen (default preset)" in done.stdout
    overall = {name: card["overall"] for name, card in scores(folder).items()}
    assert overall["control_mean"] < -0.5
    for name in ("train_mean", "neighbour_mean"):
        assert overall[name] == pytest.approx(in_readme(name, "`make demo` |"), abs=0.005)
    if "left out grading" in done.stdout:
        assert "bubblewrap" in done.stdout
    else:
        assert re.search(r"train_mean, solved +5 of 5 .*right in all 3 cases", done.stdout)
        assert re.search(r"train_mean, untouched +0 of 5 .*the blank", done.stdout)


@pytest.mark.slow
def test_on_the_real_screen(vcc_data: Path, tmp_path: Path):
    done = demo(tmp_path, "--dataset", "papalexi")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "papalexi"
    check_output(folder, done.stdout)
    assert "ECCITE-seq" in done.stdout
    cards = scores(folder)
    truth = open_truth(folder / "grading" / "papalexi-demo" / "truth")
    official = score_prediction(folder / "predictions" / "train_mean.vcc", truth, "vcc2025")
    # what a pilot scored by the 2025 rules
    assert official.metrics["overlap_at_N"]["value"] == pytest.approx(0.064, abs=0.02)
    assert cards["train_mean"]["metrics"]["discrimination_score_l1"]["value"] == pytest.approx(0.5)
    for name in ("train_mean", "neighbour_mean"):
        assert cards[name]["overall"] == pytest.approx(in_readme(name, "overall 0.2"), abs=0.005)
    assert any(
        note.startswith("No interval for any metric: with fewer than 10") for note in cards["train_mean"]["notes"]
    )


@pytest.mark.slow
def test_without_a_sandbox_grading_is_left_out_and_said(tmp_path: Path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh", "uname"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    done = demo(tmp_path / "out", env={"PATH": str(programs), "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert (
        "left out grading: grading runs students' code and needs bwrap, which is not here: apt install bubblewrap"
        in done.stdout
    )
    check_output(tmp_path / "out" / "simulated", done.stdout)
    assert "5 of 5" not in done.stdout


def test_a_folder_that_it_did_not_make_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "simulated").mkdir()
    (tmp_path / "simulated" / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / "demo.py"), run_name="__main__")
    assert "exists and was not made by the demo; choose another folder with --out" in capsys.readouterr().err
    assert (tmp_path / "simulated" / "thesis.txt").read_text() == "years of work"
