"""A measured screen prepared for scoring: its profiles and DE tables, its control cells sorted, its anchors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse

from starter import anchors, bulk
from starter.cells import Controls, counts_from_logs
from starter.columns import Cells, Seen, columns, group_sums
from starter.de import CELL_EVAL_082
from starter.metrics import Profile, score_perturbations
from starter.metrics.vcc2026 import lfc_nmae_of_halves
from starter.points import MAX_CELLS, components, project
from starter.preprocess import scale_ratio
from starter.schema import CONTROL, N_UMIS, InputError
from starter.screen import (
    WEIGHED,
    WEIGHED_CONTROLS,
    Logs,
    Screen,
    fingerprint,
    gather,
    is_log,
    library_totals,
    log_expression_of,
    look,
    median_depth,
    sample,
)
from starter.summary import Reference, Summary, summarise

TRAIN_TOLERANCE = 0.25
"""REAL and TRAIN may have control cells of different batches, but not of different scales."""
COUNTS_PART = 3 << 30
"""Memory for columns of counts while a screen and its halves are summarised at once."""


class Prepared(NamedTuple):
    """What a rule set needs of one context of a measured screen."""

    measured: Reference
    halves: Sequence[Reference]
    """First halves of the measured cells in each split, where metrics on cells need them."""
    arrays: Mapping[str, np.ndarray]
    """Control cells and components, as `starter.truth.Truth` opens them."""
    anchor_scores: Mapping[str, Mapping[str, np.ndarray]]
    """Baseline and replicate: metric name to splits x perturbations (x 2 for a ratio)."""
    about: Mapping[str, str]
    """How the values came to be, for the page."""


@dataclass(frozen=True)
class ScreenPart:
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


def perturbations_of(screen: Screen, keep: np.ndarray) -> dict[str, list[str]]:
    """List the perturbations of each context among some cells.

    Raises
    ------
    InputError
        If a context has no control cells.
    """
    found = {}
    for context in np.unique(screen.contexts[keep]):
        labels = np.unique(screen.labels[keep & (screen.contexts == context)])
        if names := [str(label) for label in labels if label != CONTROL]:
            if CONTROL not in labels:
                msg = f"{screen.name} has no {CONTROL!r} cells in the context {context}"
                raise InputError(msg)
            found[str(context)] = names
    return found


def part_of(screen: Screen, keep: np.ndarray, names: list[str]) -> ScreenPart:
    """Look at the cells of some perturbations and of the control.

    Parameters
    ----------
    screen
        An open screen.
    keep
        Which cells are meant, those of one context, boolean.
    names
        The perturbations.

    Raises
    ------
    InputError
        If the matrix is damaged, or holds neither counts nor log1p expression.
    """
    code = {CONTROL: 0} | {name: row for row, name in enumerate(names, start=1)}
    groups = np.full(len(keep), -1)
    groups[keep] = [code.get(label, -1) for label in screen.labels[keep]]
    marked = sample(groups, WEIGHED_CONTROLS, WEIGHED)
    cells, seen = look(screen.cells, groups >= 0, marked)
    return ScreenPart(screen, cells, seen, marked, groups, np.array(names), is_log(seen, screen.name))


def training_part(screen: Screen, keep: np.ndarray, context: str, measured: ScreenPart) -> ScreenPart:
    """Take the training perturbations of a context.

    Raises
    ------
    InputError
        If there are none, or they are not in the form of the measured cells.
    """
    keep = keep & (screen.contexts == context)
    names = perturbations_of(screen, keep).get(context)
    if not names:
        msg = f"{screen.name} has no training perturbation in the context {context}, so there is no train mean for it"
        raise InputError(msg)
    part = part_of(screen, keep, names)
    if part.is_log != measured.is_log:
        msg = (
            f"of {measured.screen.name} and {screen.name} one holds counts and the other logs; give both in the same "
            "form"
        )
        raise InputError(msg)
    return part


def _unfit(part: ScreenPart) -> str:
    """Say why a screen cannot be scored by the rules of 2026, if it cannot."""
    if part.is_log:
        return "they need counts, and REAL holds log1p expression"
    if N_UMIS in part.screen.obs:
        return f"they need counts of the whole transcriptome, and REAL has a column {N_UMIS!r}, so it holds a part"
    if not set(part.perturbations) & set(part.screen.genes):
        return "none of the perturbed genes is measured"
    return ""


def prepare_logs(rules: Profile, part: ScreenPart, trained: ScreenPart | None, seed: int) -> Prepared:
    """Prepare a rule set that starts from log1p expression.

    Parameters
    ----------
    rules
        The rule set.
    part
        The measured cells.
    trained
        The training perturbations, of which the train mean is made; None to make it from the measured cells.
    seed
        Fixes the anchors' cells and splits.

    Raises
    ------
    InputError
        If the two parts are on different scales, or a value is negative.
    """
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
    if basis:
        arrays |= {"component_vectors": basis.vectors, "component_offset": basis.offset}
    source = "the training perturbations" if trained else "the measured perturbations themselves"
    of = "profiles, control included" if rules.baseline == "constant" else "profiles"
    n_mean_of = len(trained.perturbations if trained else part.perturbations)
    about = {
        "scale": logs.how,
        "baseline": f"mean of the {of}, of {source} ({n_mean_of}); {how}",
        "replicate": f"split halves, mean of {anchors.SPLITS} splits"
        + ("; metrics on profiles: its gain over the baseline, added to the baseline" if rules.gains else ""),
    }
    of_halves = [half.first for half in halves] if rules.gains else []
    return Prepared(truth, of_halves, arrays, {"baseline": baseline, "replicate": replicate}, about)


def prepare_counts(rules: Profile, part: ScreenPart, trained: ScreenPart | None, seed: int) -> Prepared:
    """Prepare the rules of 2026, which start from counts, know no training and fix their seeds.

    Raises
    ------
    InputError
        If the cells are no counts of a whole transcriptome.
    """
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
    arrays = {
        "n_control": np.array([controls.logs.n_cells]),
        "mean_cpm": controls.mean_cpm,
        "sorted_values": controls.logs.values,
        "sorted_pointers": controls.logs.pointers,
    }
    baseline = score_perturbations(rules, truth, of_baseline)
    anchor_scores = {
        "baseline": {name: values[None] for name, values in baseline.items()},
        "replicate": {name: np.stack(values) for name, values in replicate.items()},
    }
    about = {
        "scale": "counts",
        "baseline": "the mean perturbation response, as control cells drawn at random and scaled gene by gene",
        "replicate": f"split halves, each with half of the control cells, mean of {anchors.SPLITS} splits",
    }
    return Prepared(truth, [], arrays, anchor_scores, about)


def _training_means(trained: ScreenPart, rules: Profile, target: float, control_totals: np.ndarray) -> np.ndarray:
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


def _control_counts(part: ScreenPart, target: float, logs: scipy.sparse.csr_matrix) -> Controls | None:
    """Give the control cells as counts, of which cells are made by thinning."""
    if part.is_log:
        return counts_from_logs(logs)
    control = part.groups == 0
    return Controls(gather(part.cells, control), target / library_totals(part.screen, part.seen)[control])


def _power(part: ScreenPart, n_cells: np.ndarray) -> np.ndarray:
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
