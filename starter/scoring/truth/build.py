"""Build a truth: measured cells, read once and kept so that predictions are scored in seconds."""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starter import progress
from starter.data.split import Part, Split, read_split
from starter.errors import InputError
from starter.files import check_room, sha256, whole
from starter.schema import CONTROL
from starter.scoring.metrics.rule_sets import RULE_SETS, RuleSet, get_rule_set
from starter.scoring.screens.opened import Screen, open_screen
from starter.scoring.screens.summary import Summary
from starter.scoring.truth.from_counts import prepare_counts
from starter.scoring.truth.from_logs import prepare_logs
from starter.scoring.truth.measured import Companions, Prepared, ScreenPart, companions, part_of, perturbations_of
from starter.scoring.truth.opened import HISTORY, LABELS, VERSION, Truth, hash_arrays, open_truth

READINGS = {"logs": 7, "counts": 5}
"""How often a file is read for rule sets of a kind, about, for the estimate of the time left."""
TABLES = 24
"""Tables of perturbations x genes in a truth, at most: those of the course with its five halves."""


def build_truth(
    real: str | Path,
    out: str | Path,
    *,
    split: str | Path | None = None,
    part: str | None = None,
    train: str | Path | None = None,
    rule_set: str | None = None,
    anchors: bool = True,
    target_sum: float | None = None,
    seed: int = 0,
) -> Truth:
    """Prepare a measured screen for scoring.

    Parameters
    ----------
    real
        `.h5ad` of measured cells with their controls: raw counts or log1p expression. Contexts are prepared one at a
        time.
    out
        The folder to write. What stood there stays until the new truth is complete.
    split, part
        Take only the pairs of this part of `split.json`.
    train
        `.h5ad` whose training perturbations give the train mean; with `split`, only its train pairs count. All its
        perturbations are what metrics mean by "all others". Without it the mean is made from `real`, which is all that
        is known, and every scorecard says so. The rules of 2026 do not look at it.
    rule_set
        Prepare for one rule set; default: all that the data allow (`vcc2026` needs counts of a whole transcriptome).
    anchors
        Whether to make baseline and replicate. Without them scores are raw values, which is quicker and enough to
        compare with another tool's.
    target_sum
        UMIs to which counts are scaled before log1p. Default: what the file's course says, else the median total of the
        training control cells, else of the measured ones. The rules of 2026 have their own.
    seed
        Fixes the anchors' cells and splits (those of 2026 are fixed by its rules).

    Raises
    ------
    InputError
        If a file cannot be used, or `real` and `train` do not fit together.
    """
    part = _check_arguments(real, out, split, part, train)
    chosen = [get_rule_set(rule_set)] if rule_set else list(RULE_SETS.values())
    parts = read_split(split) if split else None
    with ExitStack() as stack:
        measured = _selected(stack.enter_context(open_screen(real)), parts, part)
        training = _selected(stack.enter_context(open_screen(train)), parts, "train") if train else None
        names = perturbations_of(*measured)
        if not names:
            msg = f"only {CONTROL!r} cells are left{f' in the {part} part' if part else ''}; there is nothing to score"
            raise InputError(msg)
        if training and list(measured.screen.genes) != list(training.screen.genes):
            msg = f"{real} and {train} have different genes, or in a different order"
            raise InputError(msg)
        about = {
            "version": VERSION,
            "kit": importlib.metadata.version("virtual-cell-course"),
            "real": {"name": Path(real).name, "part": part},
            "split": {"name": Path(split).name, "sha256": sha256(split)} if split else None,
            "train": _about_training(train, training, names) if train and training else None,
            "seed": seed,
            "target_sum": target_sum,
            "simulated": bool(measured.screen.course.get("simulated", False)),
            "title": str(measured.screen.course.get("title", Path(real).name)),
            "contexts": names,
            "genes": [str(gene) for gene in measured.screen.genes],
            "profiles": {},
            "left_out": {},
        }
        check_room(Path(out).absolute().parent, len(chosen) * _bytes_of_truth(measured, names))
        folder = stack.enter_context(whole(out, replaces=("truth.json", HISTORY, *RULE_SETS)))
        folder.mkdir()
        if (looks := Path(out, HISTORY)).is_file():  # at the same cells, prepared anew
            shutil.copyfile(looks, folder / HISTORY)
        digest = stack.enter_context(ThreadPoolExecutor(1)).submit(sha256, real)
        _prepare(folder, about, chosen, measured, training, optional=not rule_set, anchors=anchors)
        about["real"]["sha256"] = digest.result()
        about["arrays_sha256"] = hash_arrays(folder)
        (folder / "truth.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return open_truth(out)


def _check_arguments(
    real: str | Path, out: str | Path, split: str | Path | None, part: str | None, train: str | Path | None
) -> Part | None:
    """Refuse what cannot be meant, before anything is read; give the part."""
    if (split is None) != (part is None):
        msg = "--split and --part go together: which split, and which part of it"
        raise InputError(msg)
    if part is not None and part not in ("hidden", "public"):
        msg = f"--part is hidden or public, not {part!r}"
        raise InputError(msg)
    for given in (real, split, train):
        if given is not None and Path(given).resolve().is_relative_to(Path(out).resolve()):
            msg = f"{given} lies in {out}, which is about to be written; choose another folder with --out"
            raise InputError(msg)
    return part


class _Selected(NamedTuple):
    """A screen, and which of its cells are meant."""

    screen: Screen
    keep: np.ndarray


def _selected(screen: Screen, split: Split | None, part: Part | None) -> _Selected:
    keep = np.ones(len(screen.obs), bool) if split is None or part is None else split.select(screen.obs, part)
    return _Selected(screen, keep)


def _about_training(path: str | Path, training: _Selected, names: dict[str, list[str]]) -> dict:
    trained = set(training.screen.labels[training.keep])
    also_scored = sorted({name for of_context in names.values() for name in of_context} & trained)
    return {"name": Path(path).name, "sha256": sha256(path), "also_scored": also_scored}


def _bytes_of_truth(measured: _Selected, names: dict[str, list[str]]) -> int:
    """Estimate what one rule set takes on the disk: the sorted control cells, and tables of perturbations x genes."""
    screen, keep = measured
    controls = (keep & (screen.labels == CONTROL)).sum() / len(keep) * screen.n_bytes
    tables = TABLES * 8 * sum(map(len, names.values())) * len(screen.genes)
    return int(controls + tables)


def _prepare(
    folder: Path,
    about: dict,
    chosen: Sequence[RuleSet],
    measured: _Selected,
    training: _Selected | None,
    *,
    optional: bool,
    anchors: bool,
) -> None:
    """Prepare every context for the chosen rule sets, and note in `about` how it went.

    Where all rule sets are chosen, those of 2026 are `optional`: they need what not every screen has.
    """
    names = about["contexts"]
    n_readings = sum(READINGS[kind] for kind in {"logs" if rules.de else "counts" for rules in chosen})
    n_blocks = sum(side.screen.n_blocks for side in (measured, training) if side)
    with progress.bar("prepare the truth", n_readings * len(names) * n_blocks) as advance:
        screen = measured.screen.watched(advance)
        training = training and training._replace(screen=training.screen.watched(advance))
        for number, context in enumerate(names):
            part = part_of(screen, measured.keep & (screen.contexts == context), names[context])
            beside = companions(*training, context, part) if training else None
            target = _target(part, beside, about["target_sum"])
            of_logs = [rules for rules in chosen if rules.de]
            for rules, prepared in prepare_logs(of_logs, part, beside, about["seed"], target, anchors=anchors):
                _keep(rules, prepared, folder / rules.name / str(number), about, context)
                del prepared
            for rules in chosen:
                if rules.de or rules.name in about["left_out"]:
                    continue
                try:
                    prepared = prepare_counts(rules, part, anchors=anchors)
                except InputError as error:
                    if not optional:
                        raise
                    # a screen that the rules of 2026 cannot use is prepared for the others
                    about["left_out"][rules.name] = str(error)
                    about["profiles"].pop(rules.name, None)
                    shutil.rmtree(folder / rules.name, ignore_errors=True)
                    continue
                _keep(rules, prepared, folder / rules.name / str(number), about, context)


def _keep(rules: RuleSet, prepared: Prepared, folder: Path, about: dict, context: str) -> None:
    """Write what was prepared of a context, and note how."""
    _save(folder, prepared)
    so_far = about["profiles"].get(rules.name, {"no_anchors": {}, "target_sum": {}})
    so_far["target_sum"][context] = prepared.target_sum
    if prepared.no_anchors:
        so_far["no_anchors"][context] = prepared.no_anchors
        about["profiles"][rules.name] = {**prepared.about, **so_far}
    else:
        about["profiles"][rules.name] = {**so_far, **prepared.about}


def _target(part: ScreenPart, beside: Companions | None, asked: float | None) -> float | None:
    """UMIs to which counts are scaled; None for what the rule set makes of the measured cells alone.

    Raises
    ------
    InputError
        If another target is asked for than that of values which are scaled already.
    """
    stated = part.screen.course.get("target_sum")
    if asked is not None and (part.is_log or (stated is not None and stated != asked)):
        known = f"is of a course with target_sum {stated:,.0f}" if stated is not None else "holds log1p expression"
        msg = f"{part.screen.name} {known}, so --target-sum has nothing to set; leave it out"
        raise InputError(msg)
    if stated is not None:
        return float(stated)
    return asked if asked or not beside or part.is_log else beside.training.target()


def _save(folder: Path, prepared: Prepared) -> None:
    folder.mkdir(parents=True)
    _save_summary(folder, prepared.measured)
    for number, half in enumerate(prepared.halves, start=1):
        _save_summary(folder / f"half_{number}", half)
    _save_arrays(folder, prepared.arrays)
    for anchor, scores in prepared.anchor_scores.items():
        _save_arrays(folder, {f"{anchor}_{name}": values for name, values in scores.items()})


def _save_summary(folder: Path, summary: Summary) -> None:
    folder.mkdir(exist_ok=True)
    arrays = {field.name: getattr(summary, field.name) for field in fields(summary) if field.name not in LABELS}
    _save_arrays(folder, {**arrays, **arrays.pop("de")._asdict()})


def _save_arrays(folder: Path, arrays: Mapping[str, np.ndarray | float | None]) -> None:
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / name, np.asarray(array))
