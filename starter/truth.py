"""A truth: a measured screen prepared for scoring (`starter.preparation`), kept in a folder and opened many times.

A truth is a folder: `truth.json` and, for each rule set and context, a folder of arrays that are opened memory-mapped.
Rule sets have folders of their own because they differ in how they bring cells to log scale and call DE.
"""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from starter import progress
from starter.blocks import check_room
from starter.bulk import ControlCells
from starter.dataset import Part, Split, read_split
from starter.de import DETable
from starter.files import sha256, whole
from starter.metrics import PROFILES, Profile, get_profile
from starter.points import Components
from starter.preparation import Prepared, part_of, perturbations_of, prepare_counts, prepare_logs, training_part
from starter.ranksum import SortedControls
from starter.schema import CONTROL, InputError
from starter.screen import Screen, open_screen
from starter.summary import LogControls, Reference, Summary

ABOUT = ("kit", "real", "split", "train", "title", "simulated", "contexts", "genes", "profiles")
"""Keys of `truth.json` that are read."""
VERSION = 2
"""Layout of the folder; a truth of another version is refused."""
READINGS = {"logs": 7, "counts": 5}
"""How often a file is read for a rule set, about, for the estimate of the time left."""
TABLES = 24
"""Tables of perturbations x genes in a truth, at most: those of the course with its five halves."""
LABELS = ("perturbations", "genes")
"""What a summary takes from `truth.json`."""


@dataclass(frozen=True)
class Truth:
    """A prepared truth."""

    folder: Path
    about: dict
    """Content of `truth.json`."""

    @property
    def contexts(self) -> dict[str, list[str]]:
        """Perturbations to predict in each context."""
        return self.about["contexts"]

    def check_prepared(self, profile: Profile) -> None:
        """Refuse a rule set for which nothing was prepared.

        Raises
        ------
        InputError
            With the command that prepares it.
        """
        if profile.name not in self.about["profiles"]:
            about = self.about
            command = f"starter truth build {about['real']['name']} --out {self.folder}"
            if about["split"]:
                command += f" --split {about['split']['name']} --part {about['real']['part']}"
            if about["train"]:
                command += f" --train {about['train']['name']}"
            msg = (
                f"{self.folder} was prepared for {', '.join(about['profiles'])}, not for {profile.name}; "
                f"prepare it for all that its data allow: {command}"
            )
            raise InputError(msg)

    def check_made_of(self, real: Path) -> None:
        """Refuse a truth that was prepared of another file.

        Raises
        ------
        InputError
            With the way out.
        """
        if sha256(real) != self.about["real"]["sha256"]:
            msg = f"{self.folder} was not prepared of {real} as it is now; choose another folder with --truth"
            raise InputError(msg)

    def measured(self, profile: Profile, context: str | None = None) -> Reference:
        """Open the measured side of a context, memory-mapped; default: the first context."""
        return self._summary(self._folder(profile, context), context)

    def halves(self, profile: Profile, context: str | None = None) -> list[Reference]:
        """Open the first halves of the measured cells in each split, for metrics on cells; none if not prepared."""
        folders = sorted(self._folder(profile, context).glob("half_*"))
        return [self._summary(folder, context) for folder in folders]

    def anchor_scores(self, profile: Profile, anchor: str, context: str | None = None) -> dict[str, np.ndarray]:
        """Open the scores of an anchor.

        Parameters
        ----------
        profile
            The rule set.
        anchor
            `baseline` or `replicate`.
        context
            Default: the first.

        Returns
        -------
        Metric name to splits x perturbations (x 2 for a ratio).
        """
        folder = self._folder(profile, context)
        return {metric.name: _open(folder / f"{anchor}_{metric.name}.npy") for metric in profile.metrics}

    def array(self, profile: Profile, name: str, context: str | None = None) -> np.ndarray:
        """Open what is known of the control cells: `control_totals`, `control_hash` or `control_form`.

        These are natural totals, the bytes of their fingerprint, and how they were stored (dense, bytes of a value).
        """
        return _open(self._folder(profile, context) / f"{name}.npy")

    def components(self, profile: Profile, context: str | None = None) -> Components | None:
        """Open the principal components of the measured cells; None if the rule set needs none."""
        folder = self._folder(profile, context)
        if not (folder / "component_vectors.npy").exists():
            return None
        return Components(_open(folder / "component_vectors.npy"), _open(folder / "component_offset.npy"))

    def controls(self, profile: Profile, context: str | None = None) -> LogControls | ControlCells:
        """Open the sorted control cells: those of log1p expression, or by the rules of 2026 those of log CPM."""
        folder = self._folder(profile, context)
        n_control = int(_open(folder / "n_control.npy")[0])
        logs = SortedControls(_open(folder / "sorted_values.npy"), _open(folder / "sorted_pointers.npy"), n_control)
        if profile.de:
            return LogControls(logs, *(_open(folder / f"control_{name}.npy") for name in LogControls._fields[1:]))
        measured = self.measured(profile, context)
        return ControlCells(logs, _open(folder / "mean_cpm.npy"), measured.control, measured.control_noise)

    def _folder(self, profile: Profile, context: str | None) -> Path:
        self.check_prepared(profile)
        names = list(self.contexts)
        return self.folder / profile.name / str(names.index(context) if context else 0)

    def _summary(self, folder: Path, context: str | None) -> Reference:
        labels = np.array(self.contexts[context or next(iter(self.contexts))])
        genes = np.array(self.about["genes"])
        summary = _open_summary(folder, labels, genes)
        for name in ("profiles", *DETable._fields):
            array = getattr(summary.de if name in DETable._fields else summary, name)
            if array.shape != (len(labels), len(genes)):
                msg = (
                    f"{folder / name}.npy is damaged or missing (its shape is {array.shape}, not "
                    f"{(len(labels), len(genes))}); build the truth again with: starter truth build"
                )
                raise InputError(msg)
        return summary


def open_truth(folder: str | Path) -> Truth:
    """Open a prepared truth.

    Raises
    ------
    InputError
        If the folder holds none, or one that another version of the kit wrote.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{folder} holds no prepared truth ({error}); make one with: starter truth build REAL.h5ad --out TRUTH"
        raise InputError(msg) from error
    version = about.get("version") if isinstance(about, dict) else None
    if version == VERSION and (missing := [key for key in ABOUT if key not in about]):
        msg = f"{folder}/truth.json is damaged (it lacks {', '.join(missing)}); build the truth again"
        raise InputError(msg)
    if version != VERSION:
        msg = (
            f"{folder} has the layout of version {version}, this kit reads version {VERSION}; "
            "build the truth again with: starter truth build"
        )
        raise InputError(msg)
    if about["kit"] != (kit := importlib.metadata.version("virtual-cell-course")):
        msg = f"{folder} was written by version {about['kit']} of the kit, this is {kit}; build the truth again"
        raise InputError(msg)
    return Truth(folder, about)


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
    chosen = [get_profile(profile)] if profile else list(PROFILES.values())
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
        folder = stack.enter_context(whole(out, replaces=("truth.json", *PROFILES)))
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


def _open_summary(folder: Path, perturbations: np.ndarray, genes: np.ndarray) -> Reference:
    arrays = {
        field.name: _open(folder / f"{field.name}.npy")
        for field in fields(Reference)
        if field.name not in (*LABELS, "de") and (field.default is not None or (folder / f"{field.name}.npy").exists())
    }
    arrays["control_noise"] = float(arrays["control_noise"])
    de = DETable(*(_open(folder / f"{name}.npy") for name in DETable._fields))
    return Reference(perturbations=perturbations, genes=genes, de=de, **arrays)


def _save_arrays(folder: Path, arrays: Mapping[str, np.ndarray | float | None]) -> None:
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / name, np.asarray(array))


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path} is damaged or missing ({error}); build the truth again with: starter truth build"
        raise InputError(msg) from error
