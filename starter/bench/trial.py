"""`starter try`: a student's model from file to upload, and in one line whether it is ahead beyond noise."""

import contextlib
import importlib.resources
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.console import Console

from starter import progress
from starter.bench.arms import Arm, arm_of, arm_of_file, predicted
from starter.bench.bench import REFERENCE
from starter.bench.ground import Ground, ground_of_course
from starter.bench.panels import Panel, deal
from starter.bench.report import print_standings, write_standings
from starter.bench.run import Ran, run_arms, write_prediction
from starter.bench.standings import Standings, is_ahead, paired_difference, standings
from starter.data.course import SPLIT_FILE, CourseData
from starter.data.split import Split
from starter.errors import Finding, InputError
from starter.files import whole
from starter.models.kit import KIT
from starter.models.tuning import METRICS, cross_validate_pairs
from starter.prediction.requirements import requirements_of_course
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.page import write_scorecard
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.tables import print_scores
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.requirements import requirements_of_truth

PROFILE = "course"
"""The rule set."""
BESIDE = ("train mean", "neighbour mean")
"""Models of the kit that always run beside."""
QUICK = ("neighbour mean", "bilinear", "kNN", "ridge", "elastic net", "random forest")
"""Those of which the best one runs beside, too: they are fitted in seconds."""
CHOSEN_ON = 2
"""Panels by which it is chosen; all of them would take as long as half of the rest."""
FOLDS = "folds"
"""The folder of the bench over the training pairs."""
EXAMPLE = "my_model.py"
"""The example's name, here and where it is written."""


class Trial(NamedTuple):
    """What came of trying a model."""

    standings: Standings
    ran: Ran
    line: str
    """Whether it is ahead beyond noise."""
    findings: list[Finding]
    """Warnings and notes of the upload's check."""
    cards: list[Scorecard]
    """On public validation: of the model, then of those beside it; none where the course has no such part."""


def try_model(path: Path, course: CourseData, folder: Path) -> Trial:
    """Fit, predict, make cells, check and score a student's model, beside models of the kit.

    Parameters
    ----------
    path
        A `.py` file with the contract of `starter.models.contract`.
    course
        The course's data.
    folder
        Receives `profiles.parquet` (what the model predicts of the hidden pairs, fitted on all training pairs),
        `spread.parquet` if it gives one, `prediction.h5ad`, `scorecard/` (public validation) and `folds/` (the bench
        over the training pairs).

    Raises
    ------
    InputError
        If the file has no such model, the model fails, or the check finds an error in its cells.
    """
    ground, split = ground_of_course(course, PROFILE), course.split()
    mine = arm_of_file(path)
    findings = write_upload(mine, ground, course, split, folder)
    panels = deal(ground.data.pairs)
    best = best_of_kit(ground, panels)
    arms = [mine, *(arm_of(KIT[name]) for name in dict.fromkeys((*BESIDE, best)))]
    ran = run_arms(arms, panels, ground, folder / FOLDS)
    for name in (mine.name, REFERENCE):
        if name in ran.faults:
            raise InputError(ran.faults[name])
    came = standings(ran.results, ground.rules, REFERENCE)
    about = {"title": ground.title, "screen": ground.screen.name}
    write_standings(came, ran.results, ran.faults, about, folder / FOLDS)
    cards = score_public([arm for arm in arms if arm.name not in ran.faults], ground, split, folder)
    return Trial(came, ran, say(came, mine.name, best), findings, cards)


def best_of_kit(ground: Ground, panels: Sequence[Panel]) -> str:
    """Choose the quick model of the kit that is best on the profiles of the first of these panels.

    What is chosen by the panels on which it is compared looks a little better than it is, so that to be ahead of it is
    a little harder than it need be.

    Returns
    -------
    Its name: that of the lowest mean rank over `starter.models.tuning.METRICS`; the train mean if all fail.
    """
    scores, held_out = {}, [panel.hidden for panel in panels[:CHOSEN_ON]]
    with progress.bar("choose a model of the kit", len(QUICK)) as advance:
        for name in QUICK:
            with contextlib.suppress(InputError):  # of what it needs nothing is known, such as a graph
                scores[name] = cross_validate_pairs(KIT[name], ground.data, held_out).mean()
            advance()
    if not scores:
        return REFERENCE
    table = pd.DataFrame(scores).T
    metrics = {metric.name: metric for metric in get_rule_set(PROFILE).metrics}
    # a model without a value, NaN, is behind all that have one
    ranks = [table[name].rank(ascending=metrics[name].direction == "lower", na_option="bottom") for name in METRICS]
    return str(sum(ranks[1:], ranks[0]).idxmin())


def print_trial(trial: Trial, folder: Path) -> None:
    """Print what came of trying a model: folds, public validation, the check, files, and the line that says it all."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    print_standings(trial.standings)
    if trial.cards:
        console.print("\nPublic validation, fitted on all training perturbations:")
        print_scores(trial.cards)
    for finding in trial.findings:
        console.print(f"{finding.level}: {finding}")
    for fault in trial.ran.faults.values():
        console.print(f"left out: {fault}")
    console.print(f"wrote {folder}: profiles.parquet, prediction.h5ad (checked: no error), scorecard, {FOLDS}")
    console.print(trial.line)


def write_upload(arm: Arm, ground: Ground, course: CourseData, split: Split, folder: Path) -> list[Finding]:
    """Fit a model on all training pairs, and write what it predicts of the hidden ones: profiles, spread, cells.

    Returns
    -------
    Warnings and notes of the upload's check.

    Raises
    ------
    InputError
        If the model fails, or the check finds an error.
    """
    hidden = split.pairs("hidden")
    answer = predicted(arm, ground.data, hidden)
    for name, table in (("profiles.parquet", answer.table), ("spread.parquet", answer.spread)):
        if table is not None:
            with whole(folder / name) as part:
                table.to_parquet(part)
    file = folder / "prediction.h5ad"
    return write_prediction(answer.table, file, ground, requirements_of_course(course.folder))


def score_public(arms: Sequence[Arm], ground: Ground, split: Split, folder: Path) -> list[Scorecard]:
    """Score models, fitted on all training pairs, on public validation; write the scorecard of the first.

    Returns
    -------
    A scorecard a model; none where the course has no public validation.
    """
    public, cards = split.pairs("public"), []
    if not len(public):
        return cards
    with tempfile.TemporaryDirectory(dir=folder) as made, progress.bar("public validation", len(arms) + 1) as advance:
        file = Path(made) / "prediction.h5ad"
        truth = build_truth(
            ground.screen,
            Path(made) / "truth",
            split=ground.screen.parent / SPLIT_FILE,
            part="public",
            train=ground.screen,
            rule_set=PROFILE,
        )
        advance()
        for arm in arms:
            answer = predicted(arm, ground.data, public)
            write_prediction(answer.table, file, ground, requirements_of_truth(truth))
            card = replace(score_prediction(file, truth, PROFILE), name=arm.name)
            if not cards:
                write_scorecard(card, folder / "scorecard")
            cards.append(replace(card, sides={}))  # which are large
            advance()
    return cards


def say(came: Standings, mine: str, best: str) -> str:
    """Say in one line whether a model is ahead of the train mean, and of the best of the kit, beyond noise."""
    parts = []
    for other, called in dict.fromkeys(((REFERENCE, f"the {REFERENCE}"), (best, f"{best}, the best of the kit here"))):
        difference, low, high = paired_difference(came.tables[mine], came.tables[other], came.graded)
        word = {"ahead": "ahead of", "behind": "behind", "within noise": "within noise of"}[is_ahead(low, high)]
        parts.append(f"{word} {called} ({difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})")
    return f"{mine} is {' and '.join(parts)}; scaled scores of {came.n_perturbations} held-out perturbations"


def write_example(path: Path) -> None:
    """Write a model to begin with.

    Raises
    ------
    InputError
        If there is such a file already, or it cannot be written.
    """
    if path.exists():
        msg = f"{path} is there already, and is left as it is; move it, or name another file"
        raise InputError(msg)
    with whole(path) as part:
        part.write_text(importlib.resources.files("starter.bench").joinpath(EXAMPLE).read_text("utf-8"), "utf-8")
