"""One file scored on both halves, through the code by which `autograder grade` scores it."""

import json
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import matplotlib.pyplot as plt
import numpy as np

from autograder.grading.predictions import Refusal, score_in_sandbox, truth_of
from autograder.leaderboard.board import Board
from autograder.leaderboard.halves import SEED, Halves, split_halves
from autograder.sandbox import run
from starter.files import whole
from starter.scoring.metrics.rule_sets import RuleSet, get_rule_set
from starter.scoring.part import score_part
from starter.scoring.pictures import scores_figure
from starter.scoring.scorecard import Scorecard

Scores: TypeAlias = Mapping[str, Mapping[str, np.ndarray]]
"""Context to metric name to one value a perturbation."""
SHOWN = ("value", "low", "high", "scaled", "direction", "baseline", "replicate")
"""Of a metric's row."""
OPENED = "entry-"
"""How folders are called in which files are opened."""
DRAWING = threading.Lock()
"""One picture at a time: pyplot is not made for threads."""


@dataclass(frozen=True)
class HalfScore:
    """What a prediction scored on one half."""

    row: dict
    """As the column `public` of an entry."""
    values: list[float | None]
    """What each perturbation adds to the overall score."""

    def array(self) -> np.ndarray:
        """Give the values as numbers, NaN where undefined."""
        return np.array(self.values, float)


@dataclass(frozen=True)
class EntryScore:
    """What an entry scored."""

    public: HalfScore
    private: HalfScore | None
    overall: float | None
    """On all hidden perturbations, as `autograder grade` has it."""
    flags: list[dict]


def halves_of(board: Board) -> Halves:
    """Deal the hidden perturbations of a board's stage."""
    return split_halves(truth_of(board.course).contexts, board.course.derived_seed(SEED))


def score_entry(board: Board, file: Path, pictures: Path, start: run.Start = run.from_scratch) -> EntryScore | Refusal:
    """Score a file that a team uploaded, and draw its scores on the public half.

    Parameters
    ----------
    file
        As it was uploaded.
    pictures
        The folder for its pictures.
    start
        How its sandbox is started.

    Raises
    ------
    InputError
        If something of ours fails.
    """
    board.work.mkdir(parents=True, exist_ok=True)
    board.work.chmod(0o755)  # seen from sandboxes, whose user may be another
    with tempfile.TemporaryDirectory(prefix=OPENED, dir=board.work) as folder:
        copy = Path(folder) / f"{Path(board.prediction.file).stem}{file.suffix}"
        shutil.copyfile(file, copy)
        work = Path(folder) / "prediction"
        work.mkdir()
        run.open_to_all(Path(folder))
        card = score_in_sandbox(board.course, board.stage, copy, work, start, seed=None)  # its halves have intervals
    if isinstance(card, Refusal):
        return card
    sums, public, private = _summed_up(board, card.scores)
    _draw(card, sums, pictures)
    return _entry(card, public, private)


def score_card(board: Board, card: Scorecard) -> EntryScore:
    """Sum up a scorecard over both halves."""
    return _entry(card, *score_halves(board, card.scores))


def _entry(card: Scorecard, public: HalfScore, private: HalfScore | None) -> EntryScore:
    return EntryScore(
        public,
        private,
        card.overall,
        [{"name": flag.name, "text": flag.text} for flag in card.flags if flag.level == "flag"],
    )


def score_halves(board: Board, scores: Scores) -> tuple[HalfScore, HalfScore | None]:
    """Sum up values of each perturbation over both halves."""
    _, public, private = _summed_up(board, scores)
    return public, private


def _summed_up(board: Board, scores: Scores) -> tuple[dict, HalfScore, HalfScore | None]:
    """Sum up what is shown: the metrics that count. Gives the whole rows of the public half too."""
    rules, halves = get_rule_set(board.prediction.profile), halves_of(board)
    rules = replace(rules, metrics=tuple(metric for metric in rules.metrics if metric.name in rules.scored))
    private = None if halves.private is None else _half(board, rules, scores, halves.private, bounded=True)[1]
    sums, public = _half(board, rules, scores, halves.public, bounded=private is not None)
    return sums, public, private


def _draw(card: Scorecard, sums: dict, folder: Path) -> None:
    with DRAWING:
        figure = scores_figure(replace(card, **sums | {"contexts": {}}), "")
        if figure is not None:
            with whole(folder / "scores.svg") as part:
                figure.savefig(part, format="svg")
            plt.close(figure)


def _half(
    board: Board, rules: RuleSet, scores: Scores, chosen: Mapping[str, np.ndarray], *, bounded: bool
) -> tuple[dict, HalfScore]:
    sums, values = score_part(scores, truth_of(board.course), rules, chosen)
    row = _row(rules, sums, bounded=bounded)
    return sums, HalfScore(row, [float(value) if np.isfinite(value) else None for value in values])


def _row(rules: RuleSet, sums: dict, *, bounded: bool) -> dict:
    low, high = sums["overall_interval"] if bounded else (None, None)
    metrics = {}
    for metric in rules.metrics:
        row = sums["metrics"][metric.name]
        metrics[metric.name] = {"title": metric.title, **{key: row[key] for key in SHOWN}}
        if not bounded:
            metrics[metric.name] |= {"low": None, "high": None}
    return {"overall": sums["overall"], "low": low, "high": high, "metrics": metrics}


def write_score(path: Path, score: EntryScore) -> None:
    """Keep a score where only scoring workers read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_text(json.dumps(asdict(score), allow_nan=False) + "\n", encoding="utf-8")


def read_score(path: Path) -> EntryScore:
    """Read a score that was kept."""
    content = json.loads(path.read_text(encoding="utf-8"))
    private = content["private"]
    return EntryScore(
        HalfScore(**content["public"]),
        None if private is None else HalfScore(**private),
        content["overall"],
        content["flags"],
    )
