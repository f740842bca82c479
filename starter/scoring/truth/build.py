"""Build a truth: measured cells, read once and kept so that predictions are scored in seconds."""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import numpy as np

from starter import progress
from starter.data.split import Part, Split, read_split
from starter.errors import InputError
from starter.files import check_room, sha256, whole
from starter.schema import CONTROL
from starter.scoring.metrics.rule_sets import RULE_SETS, get_rule_set
from starter.scoring.screens.screen import Screen, open_screen
from starter.scoring.screens.summary import Summary
from starter.scoring.truth.from_counts import prepare_counts
from starter.scoring.truth.from_logs import prepare_logs
from starter.scoring.truth.measured import Prepared, part_of, perturbations_of, training_part
from starter.scoring.truth.opened import LABELS, VERSION, Truth, hash_arrays, open_truth

READINGS = {"logs": 7, "counts": 5}
"""How often a file is read for a rule set, about, for the estimate of the time left."""
TABLES = 24
"""Tables of perturbations x genes in a truth, at most: those of the course with its five halves."""


def build_truth(
    real: str | Path,
    out: str | Path,
    *,
    split: str | Path | None = None,
    part: Part | None = None,
    train: str | Path | None = None,
    profile: str | None = None,
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
        `.h5ad` whose training perturbations give the train mean; with `split`, only its train pairs count. Without it
        the mean is made from `real`, and every scorecard says so. The rules of 2026 do not look at it.
    profile
        Prepare for one rule set; default: all that the data allow (`vcc2026` needs counts of a whole transcriptome).
    seed
        Fixes the anchors' cells and splits (those of 2026 are fixed by its rules).

    Raises
    ------
    InputError
        If a file cannot be used, or `real` and `train` do not fit together.
    """
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
    chosen = [get_rule_set(profile)] if profile else list(RULE_SETS.values())
    parts = read_split(split) if split else None
    with ExitStack() as stack:
        measured = stack.enter_context(open_screen(real))
        training = stack.enter_context(open_screen(train)) if train else None
        keep = _selected(measured, parts, part)
        names = perturbations_of(measured, keep)
        if not names:
            msg = f"only {CONTROL!r} cells are left{f' in the {part} part' if part else ''}; there is nothing to score"
            raise InputError(msg)
        if training is not None and list(measured.genes) != list(training.genes):
            msg = f"{real} and {train} have different genes, or in a different order"
            raise InputError(msg)
        of_training = _selected(training, parts, "train") if training is not None else None
        trained = set(training.labels[of_training]) if training is not None else set()
        also_scored = sorted({name for of_context in names.values() for name in of_context} & trained)
        about = {
            "version": VERSION,
            "kit": importlib.metadata.version("virtual-cell-course"),
            "real": {"name": Path(real).name, "part": part},
            "split": {"name": Path(split).name, "sha256": sha256(split)} if split else None,
            "train": {"name": Path(train).name, "sha256": sha256(train), "also_scored": also_scored} if train else None,
            "seed": seed,
            "simulated": bool(measured.course.get("simulated", False)),
            "title": str(measured.course.get("title", Path(real).name)),
            "contexts": names,
            "genes": [str(gene) for gene in measured.genes],
            "profiles": {},
            "left_out": {},
        }
        check_room(Path(out).absolute().parent, len(chosen) * _bytes_of_truth(measured, keep, names))
        folder = stack.enter_context(whole(out, replaces=("truth.json", *RULE_SETS)))
        folder.mkdir()
        n_readings = sum(READINGS["logs" if rules.de else "counts"] for rules in chosen)
        total = n_readings * len(names) * (measured.n_blocks + (training.n_blocks if training else 0))
        advance = stack.enter_context(progress.bar("prepare the truth", total))
        measured, training = measured.watched(advance), training and training.watched(advance)
        digest = stack.enter_context(ThreadPoolExecutor(1)).submit(sha256, real)
        for number, context in enumerate(names):
            one = part_of(measured, keep & (measured.contexts == context), names[context])
            trained_on = training_part(training, of_training, context, one) if training is not None else None
            for rules in chosen:
                if rules.name in about["left_out"]:
                    continue
                prepare = prepare_logs if rules.de else prepare_counts
                try:
                    prepared = prepare(rules, one, trained_on, seed)
                except InputError as error:
                    if profile or rules.counts != "needed":
                        raise
                    # a screen that the rules of 2026 cannot use is prepared for the others
                    about["left_out"][rules.name] = str(error)
                    about["profiles"].pop(rules.name, None)
                    shutil.rmtree(folder / rules.name, ignore_errors=True)
                    continue
                _save(folder / rules.name / str(number), prepared)
                about["profiles"][rules.name] = prepared.about
                del prepared
        about["real"]["sha256"] = digest.result()
        about["arrays_sha256"] = hash_arrays(folder)
        (folder / "truth.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return open_truth(out)


def _selected(screen: Screen, split: Split | None, part: Part | None) -> np.ndarray:
    return np.ones(len(screen.obs), bool) if split is None else split.select(screen.obs, part)


def _bytes_of_truth(screen: Screen, keep: np.ndarray, names: dict[str, list[str]]) -> int:
    """Estimate what one rule set takes on the disk: the sorted control cells, and tables of perturbations x genes."""
    controls = (keep & (screen.labels == CONTROL)).sum() / len(keep) * screen.n_bytes
    tables = TABLES * 8 * sum(map(len, names.values())) * len(screen.genes)
    return int(controls + tables)


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
