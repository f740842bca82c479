"""A measured screen prepared for scoring: profiles, DE tables, anchors. Built once, opened many times.

A truth is a folder: `truth.json` and one folder for each rule set, because the sets differ in how they bring cells to
log scale and call DE.
"""

import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from starter import anchors, progress
from starter.blocks import plain_csr
from starter.cells import Controls, counts_from_logs
from starter.dataset import Part, Split, contexts, perturbations, read_cells, read_split
from starter.de import DETable
from starter.files import sha256, whole
from starter.metrics import PROFILES, Profile, get_profile, score_perturbations
from starter.preprocess import (
    is_log_normalised,
    library_sizes,
    log_expression,
    median_log_expression,
    natural_totals,
    scale_ratio,
    target_sum,
)
from starter.pseudobulk import group_means
from starter.schema import CONTROL, COURSE, N_UMIS, PERTURBATION, TARGET_GENE, InputError
from starter.summary import Summary, summarise

ARRAYS = ("n_cells", "profiles", "control")
"""Parts of a summary that are stored as they are."""
ABOUT = ("real", "split", "train", "title", "simulated", "perturbations", "genes", "profiles")
"""Keys of `truth.json` that are read."""
VERSION = 1
"""Layout of the folder; a truth of another version is refused."""
TRAIN_TOLERANCE = 0.25
"""REAL and TRAIN may have control cells of different batches, but not of different scales."""


@dataclass(frozen=True)
class Truth:
    """A prepared truth."""

    folder: Path
    about: dict
    """Content of `truth.json`."""

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
                f"prepare it for all: {command}"
            )
            raise InputError(msg)

    def measured(self, profile: Profile) -> Summary:
        """Open the measured side, memory-mapped."""
        self.check_prepared(profile)
        load = {name: self._array(profile, name) for name in (*ARRAYS, *DETable._fields)}
        return Summary(
            perturbations=np.array(self.about["perturbations"]),
            genes=np.array(self.about["genes"]),
            n_cells=load["n_cells"],
            profiles=load["profiles"],
            control=load["control"],
            de=DETable(*(load[name] for name in DETable._fields)),
        )

    def control_totals(self, profile: Profile) -> np.ndarray:
        """Open the natural totals of the measured control cells, by which another scale is noticed."""
        self.check_prepared(profile)
        return self._array(profile, "control_totals")

    def anchor_scores(self, profile: Profile) -> pd.DataFrame:
        """Read the anchors' scores: columns anchor (baseline or replicate), perturbation, metric, value."""
        self.check_prepared(profile)
        path = self.folder / profile.name / "anchors.parquet"
        try:
            return pd.read_parquet(path, columns=["anchor", PERTURBATION, "metric", "value"])
        except (OSError, ValueError) as error:
            msg = f"{path} is damaged or missing ({error}); build the truth again with: starter truth build"
            raise InputError(msg) from error

    def _array(self, profile: Profile, name: str) -> np.ndarray:
        path = self.folder / profile.name / f"{name}.npy"
        n, n_genes = len(self.about["perturbations"]), len(self.about["genes"])
        shape = {"n_cells": (n,), "control": (n_genes,)}.get(name, (n, n_genes))
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if name != "control_totals" and array.shape != shape:
                msg = f"its shape is {array.shape}, not {shape}"
                raise ValueError(msg)
        except (OSError, ValueError, EOFError) as error:
            msg = f"{path} is damaged or missing ({error}); build the truth again with: starter truth build"
            raise InputError(msg) from error
        return array


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
        `.h5ad` of measured cells with their controls: raw counts or log1p expression.
    out
        The folder to write. What stood there stays until the new truth is complete.
    split, part
        Take only the pairs of this part of `split.json`.
    train
        `.h5ad` whose training perturbations give the train mean; with `split`, only its train pairs count. Without it
        the mean is made from `real`, and every scorecard says so.
    profile
        Prepare for one rule set; default: all.
    seed
        Fixes the anchors' cells and splits.

    Raises
    ------
    InputError
        If a file cannot be used, the screen has several contexts, or `real` and `train` do not fit together.
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
    measured = _select(read_cells(real), parts, part)
    training = _select(read_cells(train), parts, "train") if train else None
    names = perturbations(measured)
    _check_pair(measured, training, real, train)
    also_scored = sorted(set(names) & set(perturbations(training))) if training is not None else names
    about = {
        "version": VERSION,
        "kit": importlib.metadata.version("virtual-cell-course"),
        "real": {"name": Path(real).name, "sha256": sha256(real), "part": part},
        "split": {"name": Path(split).name, "sha256": sha256(split)} if split else None,
        "train": {"name": Path(train).name, "sha256": sha256(train), "also_scored": also_scored} if train else None,
        "seed": seed,
        "simulated": bool(measured.uns.get(COURSE, {}).get("simulated", False)),
        "title": str(measured.uns.get(COURSE, {}).get("title", Path(real).name)),
        "perturbations": names,
        "genes": [str(gene) for gene in measured.var_names],
        "profiles": {},
    }
    with (
        whole(out, replaces=("truth.json", *PROFILES)) as folder,
        progress.bar("prepare the truth", (2 + anchors.SPLITS) * len(chosen)) as advance,
    ):
        folder.mkdir()
        for rules in chosen:
            about["profiles"][rules.name] = _prepare(
                folder / rules.name, rules, measured, training, names, seed, advance
            )
        (folder / "truth.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return open_truth(out)


def _prepare(
    folder: Path,
    rules: Profile,
    measured: anndata.AnnData,
    training: anndata.AnnData | None,
    names: list[str],
    seed: int,
    advance: Callable[[], None],
) -> dict:
    target = target_sum(measured if training is None or COURSE in measured.uns else training)
    cells, scale = _on_scale(measured, names, rules, target)
    summary = summarise(cells.x, cells.groups, cells.perturbations, cells.genes, rules.de)
    advance()
    totals = natural_totals(cells.x[cells.groups == 0])
    if training is None:
        mean_of = cells
    else:
        mean_of, _ = _on_scale(training, perturbations(training), rules, target)
        ratio = scale_ratio(natural_totals(mean_of.x[mean_of.groups == 0]), totals)
        if abs(ratio - 1) > TRAIN_TOLERANCE:
            msg = (
                f"the control cells of TRAIN add up to {ratio:.3g} times those of REAL on the natural scale; give both "
                "as counts, or both as logs of one target sum"
            )
            raise InputError(msg)
    means = group_means(mean_of.x, mean_of.groups, len(mean_of.perturbations) + 1)
    mean = means.mean(axis=0) if rules.baseline == "constant" else anchors.train_mean(means[1:])
    baseline, how = anchors.baseline(rules, cells, mean, seed)
    baseline_scores = score_perturbations(rules, summary, baseline)
    advance()
    replicate_scores = anchors.replicate(rules, cells, mean, summary, baseline, seed, advance)
    folder.mkdir()
    for name in ARRAYS:
        np.save(folder / name, getattr(summary, name))
    np.save(folder / "control_totals", totals)
    for name, column in summary.de._asdict().items():
        np.save(folder / name, column)
    rows = [
        pd.DataFrame({"anchor": anchor, PERTURBATION: names, "metric": metric, "value": values})
        for anchor, scores in (("baseline", baseline_scores), ("replicate", replicate_scores))
        for metric, values in scores.items()
    ]
    pd.concat(rows, ignore_index=True).to_parquet(folder / "anchors.parquet", index=False)
    source = "the training perturbations" if training is not None else "the measured perturbations themselves"
    of = "profiles, control included" if rules.baseline == "constant" else "profiles"
    return {
        "scale": scale,
        "baseline": f"mean of the {of}, of {source} ({len(mean_of.perturbations)}); {how}",
        "replicate": f"split halves, mean of {anchors.SPLITS} splits"
        + ("; its gain over the baseline, added to the baseline" if rules.replicate == "interpolated" else ""),
    }


def _select(adata: anndata.AnnData, split: Split | None, part: Part | None) -> anndata.AnnData:
    chosen = adata if split is None else adata[split.select(adata, part)].copy()
    if len(found := contexts(chosen)) > 1:
        msg = f"the screen has the contexts {', '.join(found)}; scoring takes one at a time, so give a file with one"
        raise InputError(msg)
    if not perturbations(chosen):
        msg = f"only {CONTROL!r} cells are left{f' in the {part} part' if part else ''}; there is nothing to score"
        raise InputError(msg)
    return chosen


def _check_pair(
    measured: anndata.AnnData, training: anndata.AnnData | None, real: str | Path, train: str | Path | None
) -> None:
    if training is None:
        return
    if list(measured.var_names) != list(training.var_names):
        msg = f"{real} and {train} have different genes, or in a different order"
        raise InputError(msg)
    if is_log_normalised(measured.X, str(real)) != is_log_normalised(training.X, str(train)):
        msg = f"of {real} and {train} one holds counts and the other logs; give both in the same form"
        raise InputError(msg)


def _on_scale(adata: anndata.AnnData, names: list[str], rules: Profile, target: float) -> tuple[anchors.Measured, str]:
    """Bring cells to log scale by a rule set; say how."""
    code = {CONTROL: 0} | {name: row for row, name in enumerate(names, start=1)}
    groups = adata.obs[TARGET_GENE].astype(str).map(code).to_numpy(np.int64)
    control = groups == 0
    given = plain_csr(adata.X)
    if is_log_normalised(given, "REAL"):
        x, scale = given.astype(np.float32), "log1p expression as given"
        controls = counts_from_logs(x[control])
    elif rules.counts == "scaled to their median" and N_UMIS not in adata.obs:
        x, scale = (
            median_log_expression(given),
            "counts scaled to their own median total, log1p (cell-eval's rule)",
        )
        totals = library_sizes(adata)
        controls = Controls(given[control], np.median(totals[totals > 0]) / totals[control])
    else:
        sizes = library_sizes(adata)
        x = log_expression(given, sizes, target)
        scale = f"log1p({target:,.0f} x count / {N_UMIS if N_UMIS in adata.obs else 'row sum'})"
        controls = Controls(given[control], target / sizes[control])
    measured = anchors.Measured(x, groups, np.array(names), np.array(adata.var_names, dtype=str), controls)
    return measured, scale
