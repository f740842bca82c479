"""Every look at a truth is counted."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from typer.testing import CliRunner

from starter.cli import app
from starter.errors import InputError
from starter.scoring.history import count_look, luck, read_history
from starter.scoring.scorecard import Scorecard
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import Truth, open_truth


@pytest.mark.parametrize("n", [2, 5, 40])
def test_luck_is_the_expected_largest_of_n_normals(n: int):
    density = scipy.stats.norm.pdf
    due, _ = scipy.integrate.quad(lambda x: x * n * density(x) * scipy.stats.norm.cdf(x) ** (n - 1), -8, 8)
    assert luck(n, 0.1) == pytest.approx(0.1 * due, rel=0.03)


@pytest.fixture
def truth(small_truth: Truth, tmp_path: Path) -> Path:
    """A truth at which nobody has looked."""
    without = shutil.ignore_patterns("history.jsonl")
    return Path(shutil.copytree(small_truth.folder, tmp_path / "truth", ignore=without))


def test_looks_are_counted_by_file_and_rules(truth: Path, cards: dict[str, Scorecard]):
    digest = open_truth(truth).digest()
    half = cards["half"]
    assert count_look(truth, half) == "Look 1 at this truth by the course's rules, at 1 prediction so far."
    assert count_look(truth, half) == "Look 2 at this truth by the course's rules, at 1 prediction so far."
    low, high = cards["mean"].overall_interval
    gain = 0.5642 * (high - low) / (2 * 1.96)  # of two: 1 / sqrt(pi) of a standard error
    said = count_look(truth, cards["mean"])
    assert said.startswith("Look 3 at this truth by the course's rules, at 2 predictions so far; the best of 2 equal")
    assert float(said.split("would gain ")[1].split(" by luck")[0]) == pytest.approx(gain, rel=0.05)
    other = replace(half, rules=replace(half.rules, name="other", title="other rules"))
    assert count_look(truth, other).startswith("Look 1 at this truth by other rules")
    looks = read_history(truth)
    assert [(look.name, look.rule_set) for look in looks] == [
        *(("half", "course"), ("half", "course"), ("mean", "course"), ("half", "other")),
    ]
    assert (looks[0].overall, looks[0].sha256) == (half.overall, half.about["prediction"]["sha256"])
    assert open_truth(truth).digest() == digest, "the looks are no part of the truth"


def test_a_history_that_cannot_be_kept_stops_no_score(truth: Path, cards: dict[str, Scorecard]):
    (truth / "history.jsonl").write_text('{"when": 1}\n')
    said = count_look(truth, cards["half"])
    assert said.startswith("This look at the truth was not counted: ")
    assert "history.jsonl cannot be read" in said
    with pytest.raises(InputError, match="mend or remove the line, or move the file away"):
        read_history(truth)
    (truth / "history.jsonl").unlink()
    (truth / "history.jsonl").mkdir()
    assert "was not counted" in count_look(truth, cards["half"])


def test_the_commands_count_and_show(truth: Path, predictions: dict[str, Path], tmp_path: Path):
    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})
        assert done.exit_code == 0, done.output
        return done.stdout

    where = ("--truth", truth)
    assert "nobody has looked at" in run("history", *where)
    run("score", predictions["half"], *where, "--profile", "vcc2025", "--out", tmp_path / "scores")
    notes = json.loads((tmp_path / "scores" / "half" / "scorecard.json").read_text())["notes"]
    assert notes[-1] == "Look 1 at this truth by VCC 2025, cell-eval 0.8.2, at 1 prediction so far."
    shown = run("history", *where, "--out", tmp_path / "history.png")
    assert "vcc2025" in shown
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")


def test_a_truth_that_is_prepared_anew_keeps_its_looks(truth: Path, small_path: Path, cards: dict[str, Scorecard]):
    count_look(truth, cards["half"])
    build_truth(small_path, truth, rule_set="vcc2025")
    assert [look.name for look in read_history(truth)] == ["half"]
    assert np.isfinite(read_history(truth)[0].overall)
