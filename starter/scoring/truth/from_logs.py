"""A measured screen prepared for scoring: its profiles and DE tables, its control cells sorted, its anchors."""

from dataclasses import replace

import numpy as np
import scipy.sparse

from starter.data.blocks import gather
from starter.data.scale import scale_ratio
from starter.errors import InputError
from starter.prediction.controls import Controls, counts_from_logs
from starter.scoring.metrics.rule_sets import RuleSet, score_perturbations
from starter.scoring.screens.from_logs import summarise
from starter.scoring.screens.logs import fingerprint, library_totals, median_depth, sample
from starter.scoring.screens.summary import Reference
from starter.scoring.truth.baseline import baseline_groups, constant_cells, constant_summary, thinned_cells, train_mean
from starter.scoring.truth.measured import Prepared, ScreenPart, reference_of, umis_of
from starter.scoring.truth.replicate import SPLITS, Halves, replicate_scores, split_layers
from starter.statistics.columns import columns
from starter.statistics.components import MAX_CELLS, components, project
from starter.statistics.de import CELL_EVAL_082
from starter.statistics.sums import group_sums

TRAIN_TOLERANCE = 0.25
"""REAL and TRAIN may have control cells of different batches, but not of different scales."""


def prepare_logs(rules: RuleSet, part: ScreenPart, trained: ScreenPart | None, seed: int) -> Prepared:
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
    layers = np.vstack([part.groups, split_layers(part.groups, seed)])
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
    mean = means.mean(axis=0) if rules.baseline == "constant" else train_mean(means[1:])

    basis = None
    if rules.gains:
        evenly = sample(np.where(part.groups >= 0, 1, -1), 0, MAX_CELLS)
        basis = components(gather(logs.cells, evenly), seed)
    truth = reference_of(reduced.summaries[0], mean)
    truth = replace(
        truth,
        depth=median_depth(logs.totals, part.groups, part.marked, n_perturbations + 1),
        power=umis_of(part, n_cells),
    )
    halves = [
        Halves(reference_of(first, mean), second)
        for first, second in zip(reduced.summaries[1::2], reduced.summaries[2::2], strict=True)
    ]
    if basis:
        truth = replace(truth, points=project(logs.cells, part.groups, basis))
        halves = [_with_points(half, truth, part.groups, layer) for half, layer in zip(halves, layers[1:], strict=True)]

    sorted_controls = reduced.controls
    if rules.de is CELL_EVAL_082 and rules.baseline == "constant" and not logs.cells.dense:
        how = "every cell is the mean"
        of_baseline = constant_summary(mean, truth, sorted_controls, reduced.natural[0])
    else:
        controls = gather(logs.cells, control)
        if rules.baseline == "constant":
            made, how = constant_cells(mean, controls, n_cells), "every cell is the mean"
        else:
            made, how = thinned_cells(mean, controls, _control_counts(part, target, controls), n_cells, seed)
        groups = baseline_groups(n_control, n_cells)
        of_baseline = summarise(
            made, groups[None], part.perturbations, part.screen.genes, rules.de, moments=rules.gains
        ).summaries[0]
        if rules.baseline == "thinned":
            # the baseline is the mean itself; making cells rounds it to whole UMIs
            profiles = np.broadcast_to(mean.astype(np.float32), of_baseline.profiles.shape)
            of_baseline = replace(of_baseline, profiles=profiles, points=project(made, groups, basis))
    baseline_values = score_perturbations(rules, truth, of_baseline)
    large = np.flatnonzero(n_cells >= 2)
    replicate, baseline = replicate_scores(rules, halves, truth, of_baseline, baseline_values, large)

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
        "replicate": f"split halves, mean of {SPLITS} splits"
        + ("; metrics on profiles: its gain over the baseline, added to the baseline" if rules.gains else ""),
    }
    of_halves = [half.first for half in halves] if rules.gains else []
    return Prepared(truth, of_halves, arrays, {"baseline": baseline, "replicate": replicate}, about)


def _training_means(trained: ScreenPart, rules: RuleSet, target: float, control_totals: np.ndarray) -> np.ndarray:
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


def _with_points(half: Halves, truth: Reference, groups: np.ndarray, layer: np.ndarray) -> Halves:
    """Share the measured points out to the two halves."""
    perturbed = np.flatnonzero(groups > 0)
    order = perturbed[np.argsort(groups[perturbed], kind="stable")]
    n_perturbations = len(truth.perturbations)

    def of(low: int) -> np.ndarray:
        within = (layer[order] > low) & (layer[order] <= low + n_perturbations)
        return truth.points[within]

    return Halves(replace(half.first, points=of(0)), replace(half.second, points=of(n_perturbations)))
