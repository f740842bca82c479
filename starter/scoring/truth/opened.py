"""A truth opened: a measured screen that was prepared for scoring and is read many times.

A truth is a folder: `truth.json` and, for each rule set and context, a folder of arrays that are opened memory-mapped.
Rule sets have folders of their own because they differ in how they bring cells to log scale and call DE.
"""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from starter.errors import InputError
from starter.files import sha256
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.screens.from_counts import CountControls
from starter.scoring.screens.from_logs import LogControls
from starter.scoring.screens.summary import Reference
from starter.statistics.components import Components
from starter.statistics.de import DETable
from starter.statistics.sorted_controls import SortedControls

ABOUT = ("kit", "real", "split", "train", "title", "simulated", "contexts", "genes", "profiles")
"""Keys of `truth.json` that are read."""
VERSION = 3
"""Layout of the folder; a truth of another version is refused."""
HISTORY = "history.jsonl"
"""Beside `truth.json`: every look at the truth, a line each (`starter.scoring.history`); no part of the truth."""
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

    def digest(self) -> str:
        """Hash all of it by `truth.json`, which names the hash of its arrays.

        The arrays of a truth that was built before it named their hash are read.
        """
        arrays = self.about.get("arrays_sha256") or hash_arrays(self.folder)
        return hashlib.sha256(f"{sha256(self.folder / 'truth.json')} {arrays}".encode()).hexdigest()

    def check_prepared(self, rules: RuleSet) -> None:
        """Refuse a rule set for which nothing was prepared.

        Raises
        ------
        InputError
            With the command that prepares it.
        """
        if rules.name not in self.about["profiles"]:
            about = self.about
            command = f"starter truth build {about['real']['name']} --out {self.folder}"
            if about["split"]:
                command += f" --split {about['split']['name']} --part {about['real']['part']}"
            if about["train"]:
                command += f" --train {about['train']['name']}"
            msg = (
                f"{self.folder} was prepared for {', '.join(about['profiles'])}, not for {rules.name}; "
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

    def measured(self, rules: RuleSet, context: str | None = None) -> Reference:
        """Open the measured side of a context, memory-mapped; default: the first context."""
        return self._summary(self._folder(rules, context), context)

    def halves(self, rules: RuleSet, context: str | None = None) -> list[Reference]:
        """Open the first halves of the measured cells in each split, for metrics on cells; none if not prepared."""
        folders = sorted(self._folder(rules, context).glob("half_[0-9]*"))
        return [self._summary(folder, context) for folder in folders]

    def anchor_scores(self, rules: RuleSet, anchor: str, context: str | None = None) -> dict[str, np.ndarray]:
        """Open the scores of an anchor.

        Parameters
        ----------
        rules
            The rule set.
        anchor
            One of the rule set's anchors.
        context
            Default: the first.

        Returns
        -------
        Metric name to splits x perturbations (x 2 for a ratio).
        """
        folder = self._folder(rules, context)
        return {metric.name: _open(folder / f"{anchor}_{metric.name}.npy") for metric in rules.metrics}

    def no_anchors(self, rules: RuleSet, context: str) -> str:
        """Say why baseline and replicate are undefined in a context (their scores are NaN), if they are."""
        return self.about["profiles"][rules.name]["no_anchors"].get(context, "")

    def array(self, rules: RuleSet, name: str, context: str | None = None) -> np.ndarray:
        """Open what is known of the control cells: `control_totals`, `control_hash` or `control_form`.

        These are natural totals, the bytes of their fingerprint, and how they were stored (dense, bytes of a value).
        """
        return _open(self._folder(rules, context) / f"{name}.npy")

    def components(self, rules: RuleSet, context: str | None = None) -> Components | None:
        """Open the principal components of the measured cells; None if the rule set needs none."""
        folder = self._folder(rules, context)
        if not (folder / "component_vectors.npy").exists():
            return None
        return Components(_open(folder / "component_vectors.npy"), _open(folder / "component_offset.npy"))

    def log_controls(self, rules: RuleSet, context: str | None = None) -> LogControls:
        """Open the control cells of rules that start from log1p expression."""
        folder = self._folder(rules, context)
        sums, squares, natural = (_open(folder / f"control_{name}.npy") for name in LogControls._fields[1:])
        return LogControls(_open_sorted(folder), sums, squares, natural)

    def count_controls(self, rules: RuleSet, context: str | None = None) -> CountControls:
        """Open the control cells of the rules of 2026, which start from counts."""
        folder, measured = self._folder(rules, context), self.measured(rules, context)
        mean_cpm = _open(folder / "mean_cpm.npy")
        return CountControls(_open_sorted(folder), mean_cpm, measured.control, measured.control_noise)

    def _folder(self, rules: RuleSet, context: str | None) -> Path:
        self.check_prepared(rules)
        names = list(self.contexts)
        return self.folder / rules.name / str(names.index(context) if context else 0)

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


def hash_arrays(folder: Path) -> str:
    """Hash the names and contents of a truth's arrays, to 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.npy")):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


def _open_summary(folder: Path, perturbations: np.ndarray, genes: np.ndarray) -> Reference:
    arrays: dict[str, Any] = {
        field.name: _open(folder / f"{field.name}.npy")
        for field in fields(Reference)
        if field.name not in (*LABELS, "de") and (field.default is not None or (folder / f"{field.name}.npy").exists())
    }
    arrays["control_noise"] = float(arrays["control_noise"])
    de = DETable(*(_open(folder / f"{name}.npy") for name in DETable._fields))
    return Reference(perturbations=perturbations, genes=genes, de=de, **arrays)


def _open_sorted(folder: Path) -> SortedControls:
    n_control = int(_open(folder / "n_control.npy")[0])
    return SortedControls(_open(folder / "sorted_values.npy"), _open(folder / "sorted_pointers.npy"), n_control)


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path} is damaged or missing ({error}); build the truth again with: starter truth build"
        raise InputError(msg) from error
