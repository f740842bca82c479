"""Rows among which teams stand: the baseline, the best quick model of the kit, the replicate."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import filelock
import numpy as np

from autograder.grading.predictions import truth_of
from autograder.leaderboard.board import Board
from autograder.leaderboard.entry_score import HalfScore, score_card, score_halves
from starter.bench.arms import arm_of, predicted
from starter.bench.ground import ground_of_course
from starter.bench.panels import deal
from starter.bench.run import write_prediction
from starter.bench.trial import best_of_kit
from starter.data.course import open_course
from starter.errors import InputError
from starter.files import whole
from starter.models.kit import KIT
from starter.prediction.requirements import requirements_of_course
from starter.scoring.metrics.rule_sets import RuleSet, get_rule_set
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.replicate import mean_of_defined

Rows: TypeAlias = dict[str, tuple[dict, dict | None]]
"""Name to the scores on both halves, each as `Entry.public`; None where there is one board alone."""
REFERENCES = BASELINE, REPLICATE = "baseline", "replicate"


def rows_so_far(board: Board) -> Rows:
    """Give the rows: baseline and replicate, at the scaled scores that they define, and the kit's.

    The kit's is among them as soon as `make_kit_row` has made it.
    """
    rows, made = _reference_rows(board), kit_file(board)
    if made.is_file():
        content = json.loads(made.read_text(encoding="utf-8"))
        rows[content["name"]] = content["public"], content["private"]
    return rows


def kit_file(board: Board) -> Path:
    """Name the file that keeps the kit's row, for this truth and rule set, where only scoring workers read."""
    return board.private / "fixed" / f"{board.measure}.json"


def make_kit_row(board: Board, remark: Callable[[str], object]) -> None:
    """Fit the best quick model of the kit on all training pairs, score it, and keep its row, unless it is kept.

    It takes minutes. Of two who make it at once, the second waits, and finds it made.

    Parameters
    ----------
    remark
        Called with the reason if the course's data cannot be used, or the model fails.
    """
    with filelock.FileLock(board.private / "kit.lock"):
        try:
            if not kit_file(board).is_file():
                _fit_and_score(board)
        except InputError as error:
            remark(f"no row of a model of the kit: {error}")


def _fit_and_score(board: Board) -> None:
    made, folder = kit_file(board), board.work / "kit"
    data = open_course(board.course.public_folder)
    ground = ground_of_course(data, board.prediction.profile)
    name = best_of_kit(ground, deal(ground.data.pairs))
    answer = predicted(arm_of(KIT[name]), ground.data, data.split().pairs("hidden"))
    shutil.rmtree(folder, ignore_errors=True)  # who was stopped left it
    folder.mkdir(parents=True)
    file = folder / "prediction.h5ad"
    write_prediction(answer.table, file, ground, requirements_of_course(data.folder))
    score = score_card(board, score_prediction(file, truth_of(board.course), board.prediction.profile))
    shutil.rmtree(folder)
    content = {"name": name, "public": score.public.row, "private": score.private and score.private.row}
    made.parent.mkdir(parents=True, exist_ok=True)
    with whole(made) as part:
        part.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _reference_rows(board: Board) -> Rows:
    truth, rules = truth_of(board.course), get_rule_set(board.prediction.profile)
    scores = {
        context: {
            name: mean_of_defined(np.asarray(values))
            for name, values in truth.anchor_scores(rules, BASELINE, context).items()
        }
        for context in truth.contexts
    }
    public, private = score_halves(board, scores)
    return {
        name: (_reference(rules, public, name), None if private is None else _reference(rules, private, name))
        for name in REFERENCES
    }


def _reference(rules: RuleSet, half: HalfScore, name: str) -> dict:
    metrics, scaled = {}, []
    for metric in rules.metrics:
        if metric.name in half.row["metrics"]:
            row = half.row["metrics"][metric.name]
            metrics[metric.name] = row | {"value": row[name], "low": None, "high": None, "scaled": None}
            if row["scaled"] is not None:
                at = rules.scale(metric, row[name], row[BASELINE], row[REPLICATE])
                metrics[metric.name]["scaled"] = at
                scaled.append(at)
    return {"overall": _mean(scaled, half.row), "low": None, "high": None, "metrics": metrics}


def _mean(scaled: list[float], row: Mapping[str, object]) -> float | None:
    return None if row["overall"] is None else float(np.mean(scaled))
