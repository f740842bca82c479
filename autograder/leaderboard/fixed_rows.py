"""Rows among which teams stand: the baseline, the best quick model of the kit, the replicate."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

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
from starter.files import whole
from starter.models.kit import KIT
from starter.prediction.requirements import requirements_of_course
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.replicate import mean_of_defined

BASELINE, REPLICATE = "baseline", "replicate"


def reference_rows(board: Board) -> dict[str, tuple[dict, dict | None]]:
    """Give the rows of baseline and replicate on both halves, at the scaled scores that they define."""
    truth, rules = truth_of(board.course), board.rules
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
        for name in (BASELINE, REPLICATE)
    }


def kit_row(board: Board, kept: Path) -> tuple[str, dict, dict | None]:
    """Give the best quick model of the kit and its rows, fitted on all training pairs; once for a truth.

    Parameters
    ----------
    kept
        A file that keeps them, where only scoring workers read.

    Raises
    ------
    InputError
        If the course's data cannot be used, or the model fails.
    """
    if kept.is_file():
        content = json.loads(kept.read_text(encoding="utf-8"))
        return content["name"], content["public"], content["private"]
    data = open_course(board.course.public_folder)
    ground = ground_of_course(data, board.rules.name)
    name = best_of_kit(ground, deal(ground.data.pairs))
    answer = predicted(arm_of(KIT[name]), ground.data, data.split().pairs("hidden"))
    board.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kit-", dir=board.work) as folder:
        file = Path(folder) / "prediction.h5ad"
        write_prediction(answer.table, file, ground, requirements_of_course(data.folder))
        score = score_card(board, score_prediction(file, truth_of(board.course), board.rules.name))
    content = {"name": name, "public": score.public.row, "private": score.private and asdict(score.private)["row"]}
    kept.parent.mkdir(parents=True, exist_ok=True)
    with whole(kept) as part:
        part.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    return name, content["public"], content["private"]


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
