"""What an arm scored in a panel, and where it is kept so that a bench that was stopped goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from starter.bench.panels import Panel
from starter.files import whole
from starter.schema import CONTEXT, PERTURBATION
from starter.scoring.scorecard import Scorecard
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.replicate import mean_of_defined

SCORES = [CONTEXT, PERTURBATION, "metric", "value", "baseline", "replicate", "scaled", "replicate_scaled"]
"""Columns of `Result.scores`."""


@dataclass(frozen=True)
class Result:
    """What an arm scored in a panel."""

    arm: str
    seed: int
    fold: int
    seconds: float
    """To fit and predict; NaN of what was predicted before."""
    overall: float | None
    """As `starter score` gives it."""
    metrics: dict[str, dict]
    """Rows of the scorecard, means over contexts."""
    flags: list[str]
    """What looks like gaming."""
    scores: pd.DataFrame
    """A line a hidden pair and metric: context, perturbation, metric, value, what baseline and replicate score there,
    and value and replicate scaled by the panel's baseline and full score, not clipped; NaN where undefined."""
    coverage: pd.DataFrame | None = None
    """Of a model that gives a spread: a line a hidden pair, with context, perturbation and the share of the genes
    within the intervals of each nominal coverage, its column's name."""


def result_of(arm: str, panel: Panel, seconds: float, card: Scorecard, truth: Truth) -> Result:
    """Take from a scorecard what the bench needs.

    Parameters
    ----------
    arm, panel, seconds
        What was scored, where, and how long it took to fit and predict.
    card
        Its scorecard.
    truth
        Against what.
    """
    lines = []
    for context, values in card.scores.items():
        rows, perturbations = card.rows_of(context), truth.contexts[context]
        anchors = {name: truth.anchor_scores(card.rules, name, context) for name in ("baseline", "replicate")}
        for metric in card.rules.metrics:
            row = rows[metric.name]
            value, baseline, replicate = (
                metric.per_perturbation(np.asarray(of_pairs))
                for of_pairs in (
                    values[metric.name],
                    *(mean_of_defined(anchors[name][metric.name]) for name in ("baseline", "replicate")),
                )
            )
            full = metric.best if card.rules.full_score == "perfection" else row["replicate"]
            scaled = [np.full(len(perturbations), np.nan)] * 2
            if row["gradable"]:
                scaled = [(of - row["baseline"]) / (full - row["baseline"]) for of in (value, replicate)]
            columns = (context, perturbations, metric.name, value, baseline, replicate, *scaled)
            lines.append(pd.DataFrame(dict(zip(SCORES, columns, strict=True))))
    flags = [flag.text for flag in card.flags if flag.level == "flag"]
    scores = pd.concat(lines, ignore_index=True)
    return Result(arm, panel.seed, panel.fold, seconds, card.overall, card.metrics, flags, scores)


def keep(result: Result, path: Path) -> None:
    """Write a result."""
    covered = None if result.coverage is None else result.coverage.to_dict("list")
    content = asdict(result) | {"scores": result.scores.to_dict("list"), "coverage": covered}
    with whole(path) as part:
        part.write_text(json.dumps(content), encoding="utf-8")


def read_kept(path: Path) -> Result | None:
    """Read a result that was kept; None if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        covered = content["coverage"]
        tables = {"scores": pd.DataFrame(content["scores"], columns=SCORES)}
        return Result(**content | tables | {"coverage": None if covered is None else pd.DataFrame(covered)})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whatever it is, it is computed anew
