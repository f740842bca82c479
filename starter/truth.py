"""A measured screen prepared for scoring: profiles, DE tables, sorted controls, anchors. Built once, opened many times.

A truth is a folder: `truth.json` and, for each rule set and context, a folder of arrays that are opened memory-mapped.
Rule sets have folders of their own because they differ in how they bring cells to log scale and call DE.
"""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import scipy.sparse

from starter import anchors, bulk, progress
from starter.blocks import check_room
from starter.bulk import ControlCells
from starter.cells import Controls, counts_from_logs
from starter.columns import Cells, Seen, columns, group_sums
from starter.dataset import Part, Split, read_split
from starter.de import CELL_EVAL_082, DETable
from starter.files import sha256, whole
from starter.metrics import PROFILES, Profile, get_profile, score_perturbations
from starter.metrics.vcc2026 import lfc_nmae_of_halves
from starter.points import MAX_CELLS, Components, components, project
from starter.preprocess import scale_ratio
from starter.ranksum import SortedControls
from starter.schema import CONTROL, N_UMIS, InputError
from starter.screen import (
    Logs,
    Screen,
    fingerprint,
    gather,
    is_log,
    library_totals,
    log_expression_of,
    look,
    median_depth,
    open_screen,
    sample,
)
from starter.summary import LogControls, Reference, Summary, summarise

ABOUT = ("kit", "real", "split", "train", "title", "simulated", "contexts", "genes", "profiles")
"""Keys of `truth.json` that are read."""
VERSION = 2
"""Layout of the folder; a truth of another version is refused."""
TRAIN_TOLERANCE = 0.25
"""REAL and TRAIN may have control cells of different batches, but not of different scales."""
WEIGHED = 200
"""Cells of each perturbation whose natural total is taken."""
WEIGHED_CONTROLS = 2_000
"""Control cells whose natural total is taken."""
READINGS = {"logs": 7, "counts": 14}
"""How often a file is read for a rule set, about, for the estimate of the time left."""
COUNTS_PART = 3 << 30
"""Memory for columns of counts while eleven groupings are summarised at once."""
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


@dataclass(frozen=True)
class _Part:
    """The cells of one context that are scored, with their controls."""

    screen: Screen
    cells: Cells
    """As stored, tidy."""
    seen: Seen
    marked: np.ndarray
    """Cells whose natural total was taken."""
    groups: np.ndarray
    """0 for control, i + 1 for the i-th perturbation, negative for other cells."""
    perturbations: np.ndarray
    is_log: bool

    def logs(self, rules: Profile, target: float) -> Logs:
        """Bring the cells to log1p expression by a rule set."""
        return log_expression_of(self.screen, self.cells, self.seen, self.groups >= 0, rules.counts, target)

    def target(self) -> float:
        """UMIs to which cells are scaled: what the course says, else the median total of the control cells."""
        stated = self.screen.course.get("target_sum")
        if stated is not None:
            return float(stated)
        target = float(np.median(library_totals(self.screen, self.seen)[self.groups == 0]))
        if not target > 0 and not self.is_log:
            msg = f"more than half of the {CONTROL!r} cells of {self.screen.name} are empty; leave empty cells out"
            raise InputError(msg)
        return target


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
        names = _perturbations(measured, keep)
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
        check_room(Path(out).absolute().parent, len(chosen) * _bytes_of_truth(measured, keep, names, Path(real)))
        folder = stack.enter_context(whole(out, replaces=("truth.json", *PROFILES)))
        folder.mkdir()
        n_readings = sum(READINGS["logs" if rules.de else "counts"] for rules in chosen)
        total = n_readings * len(names) * (measured.n_blocks + (training.n_blocks if training else 0))
        advance = stack.enter_context(progress.bar("prepare the truth", total))
        measured, training = measured.watched(advance), training and training.watched(advance)
        digest = stack.enter_context(ThreadPoolExecutor(1)).submit(sha256, real)
        for number, context in enumerate(names):
            one = _part_of(measured, keep & (measured.contexts == context), names[context])
            trained_on = _training(training, of_training, context, one) if training is not None else None
            for rules in chosen:
                if rules.name in about["left_out"]:
                    continue
                prepare = _prepare_logs if rules.de else _prepare_counts
                target = folder / rules.name / str(number)
                target.mkdir(parents=True)
                try:
                    about["profiles"][rules.name] = prepare(target, rules, one, trained_on, seed)
                except InputError as error:
                    if profile or rules.counts != "needed":
                        raise
                    # a screen that the rules of 2026 cannot use is prepared for the others
                    about["left_out"][rules.name] = str(error)
                    about["profiles"].pop(rules.name, None)
                    shutil.rmtree(folder / rules.name)
        about["real"]["sha256"] = digest.result()
        (folder / "truth.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return open_truth(out)


def _selected(screen: Screen, split: Split | None, part: Part | None) -> np.ndarray:
    return np.ones(len(screen.obs), bool) if split is None else split.select(screen.obs, part)


def _perturbations(screen: Screen, keep: np.ndarray) -> dict[str, list[str]]:
    """List the perturbations of each context."""
    found = {}
    for context in np.unique(screen.contexts[keep]):
        labels = np.unique(screen.labels[keep & (screen.contexts == context)])
        if names := [str(label) for label in labels if label != CONTROL]:
            if CONTROL not in labels:
                msg = f"{screen.name} has no {CONTROL!r} cells in the context {context}"
                raise InputError(msg)
            found[str(context)] = names
    return found


def _bytes_of_truth(screen: Screen, keep: np.ndarray, names: dict[str, list[str]], path: Path) -> int:
    """Estimate what one rule set takes on the disk: the sorted control cells, and tables of perturbations x genes."""
    controls = (keep & (screen.labels == CONTROL)).sum() / len(keep) * path.stat().st_size
    tables = TABLES * 8 * sum(map(len, names.values())) * len(screen.genes)
    return int(controls + tables)


def _part_of(screen: Screen, keep: np.ndarray, names: list[str]) -> _Part:
    code = {CONTROL: 0} | {name: row for row, name in enumerate(names, start=1)}
    groups = np.full(len(keep), -1)
    groups[keep] = [code.get(label, -1) for label in screen.labels[keep]]
    marked = sample(groups, WEIGHED_CONTROLS, WEIGHED)
    cells, seen = look(screen.cells, groups >= 0, marked)
    return _Part(screen, cells, seen, marked, groups, np.array(names), is_log(seen, screen.name))


def _training(screen: Screen, keep: np.ndarray, context: str, measured: _Part) -> _Part:
    """Take the training perturbations of a context."""
    keep = keep & (screen.contexts == context)
    names = _perturbations(screen, keep).get(context)
    if not names:
        msg = f"{screen.name} has no training perturbation in the context {context}, so there is no train mean for it"
        raise InputError(msg)
    part = _part_of(screen, keep, names)
    if part.is_log != measured.is_log:
        msg = (
            f"of {measured.screen.name} and {screen.name} one holds counts and the other logs; give both in the same "
            "form"
        )
        raise InputError(msg)
    return part


def _unfit(part: _Part) -> str:
    """Say why a screen cannot be scored by the rules of 2026, if it cannot."""
    if part.is_log:
        return "they need counts, and REAL holds log1p expression"
    if N_UMIS in part.screen.obs:
        return f"they need counts of the whole transcriptome, and REAL has a column {N_UMIS!r}, so it holds a part"
    if not set(part.perturbations) & set(part.screen.genes):
        return "none of the perturbed genes is measured"
    return ""


def _prepare_logs(folder: Path, rules: Profile, part: _Part, trained: _Part | None, seed: int) -> dict:
    """Prepare a rule set that starts from log1p expression."""
    target = (part if trained is None or part.screen.course else trained).target()
    logs = part.logs(rules, target)
    control, n_perturbations = part.groups == 0, len(part.perturbations)
    control_totals = logs.totals[control & part.marked]
    layers = np.vstack([part.groups, anchors.split_layers(part.groups, seed)])
    reduced = summarise(
        logs.cells,
        layers,
        part.perturbations,
        part.screen.genes,
        rules.de,
        known=part.seen,
        moments=rules.gains,
        keep_controls=True,
    )
    n_cells = reduced.summaries[0].n_cells
    n_control = int(control.sum())
    if trained is None:
        means = reduced.sums / np.append(n_control, n_cells)[:, None]
    else:
        means = _training_means(trained, rules, target, control_totals)
    mean = means.mean(axis=0) if rules.baseline == "constant" else anchors.train_mean(means[1:])

    basis = None
    if rules.gains:
        evenly = sample(np.where(part.groups >= 0, 1, -1), 0, MAX_CELLS)
        basis = components(gather(logs.cells, evenly), seed)
    truth = _reference(reduced.summaries[0], mean)
    truth = replace(
        truth,
        depth=median_depth(logs.totals, part.groups, part.marked, n_perturbations + 1),
        power=_power(part, n_cells),
    )
    halves = [
        anchors.Halves(_reference(first, mean), second)
        for first, second in zip(reduced.summaries[1::2], reduced.summaries[2::2], strict=True)
    ]
    if basis:
        truth = replace(truth, points=project(logs.cells, part.groups, basis))
        halves = [_with_points(half, truth, part.groups, layer) for half, layer in zip(halves, layers[1:], strict=True)]

    sorted_controls = reduced.controls
    if rules.de is CELL_EVAL_082 and rules.baseline == "constant" and not logs.cells.dense:
        how = "every cell is the mean"
        of_baseline = anchors.constant_summary(mean, truth, sorted_controls, reduced.natural[0])
    else:
        controls = gather(logs.cells, control)
        if rules.baseline == "constant":
            made, how = anchors.constant_cells(mean, controls, n_cells), "every cell is the mean"
        else:
            made, how = anchors.thinned_cells(mean, controls, _control_counts(part, target, controls), n_cells, seed)
        groups = anchors.baseline_groups(n_control, n_cells)
        of_baseline = summarise(
            made, groups[None], part.perturbations, part.screen.genes, rules.de, moments=rules.gains
        ).summaries[0]
        if rules.baseline == "thinned":
            # the baseline is the mean itself; making cells rounds it to whole UMIs
            profiles = np.broadcast_to(mean.astype(np.float32), of_baseline.profiles.shape)
            of_baseline = replace(of_baseline, profiles=profiles, points=project(made, groups, basis))
    baseline_values = score_perturbations(rules, truth, of_baseline)
    large = np.flatnonzero(n_cells >= 2)
    replicate, baseline = anchors.replicate_scores(rules, halves, truth, of_baseline, baseline_values, large)

    _save_summary(folder, truth)
    if rules.gains:
        for number, half in enumerate(halves, start=1):
            _save_summary(folder / f"half_{number}", half.first)
        np.save(folder / "component_vectors", basis.vectors)
        np.save(folder / "component_offset", basis.offset)
    arrays = {
        "n_control": np.array([n_control]),
        "control_sums": reduced.sums[0],
        "control_squares": reduced.squares[0],
        "control_natural": reduced.natural[0],
        "control_totals": control_totals,
        "control_hash": fingerprint(logs, part.seen, control),
        "control_form": np.array([logs.cells.dense, part.seen.itemsize]),
        "sorted_values": sorted_controls.values,
        "sorted_pointers": sorted_controls.pointers,
    }
    _save_arrays(folder, arrays)
    _save_anchors(folder, {"baseline": baseline, "replicate": replicate})
    source = "the training perturbations" if trained else "the measured perturbations themselves"
    of = "profiles, control included" if rules.baseline == "constant" else "profiles"
    n_mean_of = len(trained.perturbations if trained else part.perturbations)
    return {
        "scale": logs.how,
        "baseline": f"mean of the {of}, of {source} ({n_mean_of}); {how}",
        "replicate": f"split halves, mean of {anchors.SPLITS} splits"
        + ("; metrics on profiles: its gain over the baseline, added to the baseline" if rules.gains else ""),
    }


def _prepare_counts(folder: Path, rules: Profile, part: _Part, trained: _Part | None, seed: int) -> dict:
    """Prepare the rules of 2026, which start from counts; their seeds are fixed."""
    del trained, seed
    if reason := _unfit(part):
        raise InputError(reason)
    cells, totals, genes = replace(part.cells, part_bytes=COUNTS_PART), part.seen.totals, part.screen.genes
    layers, orders = [part.groups], [np.flatnonzero(part.groups >= 0)]
    for split_seed in np.random.SeedSequence(0).generate_state(anchors.SPLITS):
        first, second = anchors.split_with_controls(part.groups, part.perturbations, int(split_seed))
        layer = np.full(len(part.groups), -1)
        layer[first] = part.groups[first]
        layer[second] = part.groups[second] + len(part.perturbations) + 1
        layers.append(layer)
        orders.append(np.concatenate([first, second]))
    summaries, controls, mean_counts = bulk.summarise_counts(
        cells,
        np.stack(layers),
        part.perturbations,
        genes,
        totals,
        orders=orders,
        known=part.seen,
        keep_controls=True,
    )
    truth = replace(
        Reference(**{field.name: getattr(summaries[0], field.name) for field in fields(Summary)}),
        depth=median_depth(totals, part.groups, part.marked, len(part.perturbations) + 1),
        power=_power(part, summaries[0].n_cells),
    )
    replicate: dict[str, list[np.ndarray]] = {metric.name: [] for metric in rules.metrics}
    for first, second in zip(summaries[1::2], summaries[2::2], strict=True):
        values = score_perturbations(rules, first, second)
        values["de_wilcoxon_lfc_nmae"] = lfc_nmae_of_halves(summaries[0], first, second)
        for name, of_split in values.items():
            replicate[name].append(of_split)
    del summaries
    made, made_totals = anchors.resampled_cells(gather(cells, part.groups == 0), truth, mean_counts)
    groups = np.repeat(np.arange(1, len(part.perturbations) + 1), truth.n_cells)
    (of_baseline,) = bulk.summarise_counts(
        made, groups[None], part.perturbations, genes, made_totals, controls
    ).summaries
    _save_summary(folder, truth)
    arrays = {
        "n_control": np.array([controls.logs.n_cells]),
        "mean_cpm": controls.mean_cpm,
        "sorted_values": controls.logs.values,
        "sorted_pointers": controls.logs.pointers,
    }
    _save_arrays(folder, arrays)
    baseline = score_perturbations(rules, truth, of_baseline)
    _save_anchors(
        folder,
        {
            "baseline": {name: values[None] for name, values in baseline.items()},
            "replicate": {name: np.stack(values) for name, values in replicate.items()},
        },
    )
    return {
        "scale": "counts",
        "baseline": "the mean perturbation response, as control cells drawn at random and scaled gene by gene",
        "replicate": f"split halves, each with half of the control cells, mean of {anchors.SPLITS} splits",
    }


def _training_means(trained: _Part, rules: Profile, target: float, control_totals: np.ndarray) -> np.ndarray:
    """Mean log1p expression of each training perturbation, control first; float64."""
    logs = trained.logs(rules, target)
    ratio = scale_ratio(logs.totals[(trained.groups == 0) & trained.marked], control_totals)
    if abs(ratio - 1) > TRAIN_TOLERANCE:
        msg = (
            f"the control cells of TRAIN add up to {ratio:.3g} times those of REAL on the natural scale; give both "
            "as counts, or both as logs of one target sum"
        )
        raise InputError(msg)
    n_groups = len(trained.perturbations) + 1
    sums = np.concatenate(
        [
            group_sums(part, trained.groups, n_groups)[0]
            for _, part in columns(logs.cells, trained.groups >= 0, trained.seen)
        ],
        axis=1,
    )
    return sums / np.bincount(trained.groups[trained.groups >= 0], minlength=n_groups)[:, None]


def _control_counts(part: _Part, target: float, logs: scipy.sparse.csr_matrix) -> Controls | None:
    """Give the control cells as counts, of which cells are made by thinning."""
    if part.is_log:
        return counts_from_logs(logs)
    control = part.groups == 0
    return Controls(gather(part.cells, control), target / library_totals(part.screen, part.seen)[control])


def _power(part: _Part, n_cells: np.ndarray) -> np.ndarray:
    """Multiply the number of cells by their median UMIs; by 1 where counts are not known."""
    if part.is_log:
        return n_cells.astype(float)
    totals = library_totals(part.screen, part.seen)
    return n_cells * median_depth(totals, part.groups, part.marked, len(n_cells) + 1)


def _reference(summary: Summary, mean: np.ndarray) -> Reference:
    values = {field.name: getattr(summary, field.name) for field in fields(Summary)}
    return Reference(**values, train_mean=mean.astype(np.float32))


def _with_points(half: anchors.Halves, truth: Reference, groups: np.ndarray, layer: np.ndarray) -> anchors.Halves:
    """Share the measured points out to the two halves."""
    perturbed = np.flatnonzero(groups > 0)
    order = perturbed[np.argsort(groups[perturbed], kind="stable")]
    n_perturbations = len(truth.perturbations)

    def of(low: int) -> np.ndarray:
        within = (layer[order] > low) & (layer[order] <= low + n_perturbations)
        return truth.points[within]

    return anchors.Halves(replace(half.first, points=of(0)), replace(half.second, points=of(n_perturbations)))


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


def _save_anchors(folder: Path, anchor_scores: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    for anchor, scores in anchor_scores.items():
        _save_arrays(folder, {f"{anchor}_{name}": values for name, values in scores.items()})


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path} is damaged or missing ({error}); build the truth again with: starter truth build"
        raise InputError(msg) from error
