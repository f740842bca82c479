"""Every arm in every panel, by the ways of `starter cells`, `starter check` and `starter score`.

An arm that predicts profiles is made into a prediction file, as for an upload; an upload is scored as it is. So an arm
scores what `starter score` says of its file.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import scipy.sparse

from starter import progress
from starter.bench.arms import Arm, Predicted, hash_of_kit, predicted
from starter.bench.ground import Ground
from starter.bench.panels import Panel, split_of
from starter.bench.results import Result, keep, read_kept, result_of
from starter.data.write import write_h5ad
from starter.errors import Finding, FindingsError, InputError
from starter.files import sha256
from starter.models.training_data import TrainingData
from starter.prediction.cells import make_cells
from starter.prediction.check import check_prediction
from starter.prediction.requirements import Requirements
from starter.prediction.season import SEASON_2025, SEASON_2026
from starter.prediction.upload import make_upload
from starter.prediction.write import labels_of_cells
from starter.schema import CONTEXT, TARGET_GENE
from starter.scoring.coverage import coverage
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.requirements import requirements_of_truth

KEPT, TRUTH, SPLIT, PREDICTION = "kept", "truth", "split.json", "prediction.h5ad"
"""In the bench's folder: results, and what is made for one panel and then removed."""


@dataclass(frozen=True)
class Ran:
    """What came of the arms."""

    results: list[Result]
    """Of the arms that did not fail."""
    faults: dict[str, str]
    """Name of an arm that failed to a sentence."""


def run_arms(arms: Sequence[Arm], panels: Sequence[Panel], ground: Ground, folder: Path) -> Ran:
    """Let every arm predict what is hidden in every panel, and score it.

    Parameters
    ----------
    arms
        Who predicts.
    panels
        Who is hidden.
    ground
        The screen, and the rule set.
    folder
        Receives `kept/`, a file for each finished arm and panel: whoever runs the same bench again, or one with more
        arms or panels, computes only what is new. What is kept is found by the content of screen, knowledge, panel,
        model file and the kit's code; what a model's file imports or reads beside is not looked at.

    Raises
    ------
    InputError
        If the screen cannot be scored by the rule set, or the folder not be written. What is wrong with an arm is
        among the faults.
    """
    base = [sha256(ground.screen), sha256(ground.knowledge) if ground.knowledge.exists() else "", ground.rules.name]
    results, faults = [], {}
    with progress.bar("bench", len(panels) * (len(arms) + 1)) as advance:
        for panel in panels:
            paths = {arm.name: folder / KEPT / f"{_key(base, panel, ground.data, arm)}.json" for arm in arms}
            found = {name: read_kept(path) for name, path in paths.items()}
            due = [arm for arm in arms if found[arm.name] is None and arm.name not in faults]
            truth = _truth_of(panel, ground, folder) if due else None
            advance(panel.title)
            for arm in arms:
                if truth and arm in due:
                    try:
                        result = run_arm(arm, panel, ground, truth, folder / PREDICTION)
                        keep(result, paths[arm.name])
                        found[arm.name] = result
                    except InputError as error:
                        said = str(error)
                        faults[arm.name] = said if arm.name in said else f"{arm.name}: {said}"
                advance(f"{panel.title}, {arm.name}")
            results += [result for result in found.values() if result]
    _tidy(folder)
    return Ran([result for result in results if result.arm not in faults], faults)


def run_arm(arm: Arm, panel: Panel, ground: Ground, truth: Truth, file: Path) -> Result:
    """Let an arm predict what a panel hides, and score it.

    Parameters
    ----------
    arm, panel, ground
        Who predicts, what is hidden, and what may be learned from.
    truth
        The hidden cells, prepared.
    file
        Where the prediction file of an arm that predicts profiles is written.

    Raises
    ------
    InputError
        If the model fails, or the check finds an error in its cells.
    """
    seconds, covered, required = float("nan"), None, requirements_of_truth(truth)
    if arm.file is not None:
        file = arm.file
        check_file(file, required)
    else:
        start = time.perf_counter()
        answer = predicted(arm, ground.data.without(panel.hidden), panel.hidden)
        seconds = time.perf_counter() - start
        write_prediction(answer.table, file, ground, required, panel.seed)
        covered = _covered(answer, panel, ground)
    card = score_prediction(file, truth, ground.rules.name, name=arm.name)
    return replace(result_of(arm.name, panel, seconds, card, truth), coverage=covered)


def _covered(answer: Predicted, panel: Panel, ground: Ground) -> pd.DataFrame | None:
    """Tell how often the measured profiles lie within the predicted intervals; None without a predicted spread."""
    if answer.spread is None:
        return None
    shares = coverage(ground.data.profiles.loc[panel.hidden], answer.table, answer.spread, ground.errors)
    return shares.rename(columns=str).reset_index()


def write_prediction(
    table: pd.DataFrame, out: Path, ground: Ground, required: Requirements, seed: int = 0
) -> list[Finding]:
    """Make the prediction file of a profile table as `starter cells` makes it, checked.

    A screen of several contexts that is scored on log1p expression has no upload of the challenge's. Its cells are made
    likewise, context by context with its own controls.

    Parameters
    ----------
    table
        The profile table.
    out
        The `.h5ad` to write.
    ground
        Controls, numbers of cells, and the rule set.
    required
        What is due.
    seed
        Fixes the cells.

    Returns
    -------
    Warnings and notes of the check.

    Raises
    ------
    FindingsError
        If the check finds an error.
    """
    counts = ground.rules.counts == "needed"
    contexts = list(dict.fromkeys(table.index.get_level_values(CONTEXT)))
    if counts or len(contexts) == 1:
        controls = {context: ground.controls[context] for context in contexts}
        year = SEASON_2026.year if counts else SEASON_2025.year
        return make_upload(table, out, controls, required, year, seed=seed)
    labels: dict[str, list[str]] = {TARGET_GENE: [], CONTEXT: []}

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        for context in contexts:
            numbers = ground.n_cells.xs(context, level=CONTEXT).astype(int).to_dict()
            for label, block in make_cells(table.loc[[context]], ground.controls[context], numbers, seed=seed):
                labels[TARGET_GENE] += [label] * block.shape[0]
                labels[CONTEXT] += [context] * block.shape[0]
                yield block

    write_h5ad(out, blocks(), lambda: labels_of_cells(labels), pd.DataFrame(index=table.columns))
    return check_file(out, required)


def check_file(path: Path, required: Requirements) -> list[Finding]:
    """Check a prediction, and refuse one with an error.

    Raises
    ------
    FindingsError
        If there is one.
    """
    findings = check_prediction(path, required)
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(str(path), findings)
    return findings


def _truth_of(panel: Panel, ground: Ground, folder: Path) -> Truth:
    """Prepare the cells that a panel hides; its train mean is made of the others."""
    split_of(panel, ground.data.n_cells[ground.data.pairs]).write(folder / SPLIT)
    return build_truth(
        ground.screen,
        folder / TRUTH,
        split=folder / SPLIT,
        part="hidden",
        train=ground.screen,
        rule_set=ground.rules.name,
    )


def _key(base: Sequence[str], panel: Panel, data: TrainingData, arm: Arm) -> str:
    """Name a result by all that it depends on."""
    dealt = [list(map(list, dealt_pairs)) for dealt_pairs in (panel.hidden, data.pairs)]
    content = [*base, hash_of_kit(), panel.seed, panel.fold, *dealt, arm.name, arm.digest]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:40]


def _tidy(folder: Path) -> None:
    """Remove what was made for the last panel, and what a bench that was killed left half written."""
    for name in (TRUTH, SPLIT, PREDICTION):
        for path in (folder / name, *folder.glob(f".{name}.*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
