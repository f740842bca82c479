"""A measured screen prepared for scoring: its profiles and DE tables, its control cells sorted, its anchors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse

from starter.data.blocks import Cells, gather
from starter.data.scale import scale_ratio
from starter.data.scan import sample
from starter.errors import InputError
from starter.prediction.controls import Controls, counts_from_logs
from starter.scoring.metrics.rule_sets import RuleSet, score_perturbations
from starter.scoring.screens.from_logs import LogControls, summarise_by_rules, summarise_logs
from starter.scoring.screens.logs import Logs, fingerprint, library_totals
from starter.scoring.screens.summary import Reference, Summaries, Summary, needed
from starter.scoring.truth.baseline import baseline_groups, constant_cells, constant_summary, thinned_cells, train_mean
from starter.scoring.truth.measured import Companions, Prepared, ScreenPart, reference_of, sorted_arrays, with_depth
from starter.scoring.truth.others import SplitOthers, means_of_groups, no_others, split_others, together
from starter.scoring.truth.replicate import NOT_ASKED, SPLITS, Halves, anchor_scores, split_layers, undefined_anchors
from starter.statistics.components import MAX_CELLS, Components, components, project
from starter.statistics.de import CELL_EVAL_082, DERule

TRAIN_TOLERANCE = 0.25
"""REAL and TRAIN may have control cells of different batches, but not of different scales."""
TRAIN_STREAM, REST_STREAM = 2, 3
"""Random streams for the halves of perturbations that are not scored."""


def prepare_logs(
    chosen: Sequence[RuleSet],
    part: ScreenPart,
    beside: Companions | None,
    seed: int,
    target: float | None,
    *,
    anchors: bool,
) -> Iterator[tuple[RuleSet, Prepared]]:
    """Prepare rule sets that start from log1p expression; what they share is reduced once.

    Parameters
    ----------
    chosen
        The rule sets.
    part
        The measured cells.
    beside
        The training perturbations, of which the train mean is made, and others that were measured; None to make the
        mean from the measured cells.
    seed
        Fixes the anchors' cells and splits.
    target
        UMIs to which counts are scaled; None for the median of the control cells, or as the rule set has it.
    anchors
        Whether to make baseline and replicate.

    Yields
    ------
    Each rule set, in their order, and what it needs.

    Raises
    ------
    InputError
        If the two files are on different scales, or a value is negative.
    """
    layers = np.vstack([part.groups, split_layers(part.groups, seed)]) if anchors else part.groups[None]
    for alike in _on_one_scale(chosen, part, target):
        reduced = _reduce(alike, part, beside, part.logs(alike[0], target), layers, seed)
        for rules in alike:
            yield rules, _prepare(rules, reduced, part, beside, layers, seed, anchors=anchors)


def _on_one_scale(chosen: Sequence[RuleSet], part: ScreenPart, target: float | None) -> list[list[RuleSet]]:
    """Put rule sets together that bring the cells to the same log1p expression."""
    runs: list[list[RuleSet]] = []
    before = None
    for rules in chosen:
        logs = part.logs(rules, target)
        if (scale := (logs.how, logs.target_sum)) != before:
            runs.append([])
        runs[-1].append(rules)
        before = scale
    return runs


class _Reduced(NamedTuple):
    """The measured cells on one scale, reduced for rule sets that share it."""

    logs: Logs
    control_totals: np.ndarray
    control_hash: np.ndarray
    by_rule: Mapping[DERule, Summaries[LogControls]]
    """By each rule for DE."""
    means: np.ndarray
    """Profiles that the train mean is made of, control first."""
    others: SplitOthers | None
    """Other perturbations, where a rule set compares with them."""


def _reduce(
    alike: Sequence[RuleSet],
    part: ScreenPart,
    beside: Companions | None,
    logs: Logs,
    layers: np.ndarray,
    seed: int,
) -> _Reduced:
    control_totals = logs.totals[(part.groups == 0) & part.marked]
    gains = any(rules.gains for rules in alike)
    means, others = None, no_others(len(part.screen.genes)) if gains else None
    if beside:
        _check_companions(beside, part, logs, alike[0], control_totals)
        means, others = _read_companions(beside, alike[0], part, logs, seed, with_others=gains)
    rules_of_de = list(dict.fromkeys(rules.de_of_logs() for rules in alike))
    by_rule = summarise_by_rules(
        logs.cells,
        layers,
        part.perturbations,
        part.screen.genes,
        rules_of_de,
        known=part.scan,
        t_scores=gains,
        others=others.of_panels() if others else None,
        keep_controls=True,
    )
    own_means = by_rule[0].means
    assert own_means is not None  # they were asked for
    return _Reduced(
        logs,
        control_totals,
        fingerprint(logs, part.scan, part.groups == 0),
        dict(zip(rules_of_de, by_rule, strict=True)),
        own_means if means is None else means,
        others,
    )


def _prepare(
    rules: RuleSet,
    reduced: _Reduced,
    part: ScreenPart,
    beside: Companions | None,
    layers: np.ndarray,
    seed: int,
    *,
    anchors: bool,
) -> Prepared:
    """Prepare one rule set."""
    logs, means = reduced.logs, reduced.means
    others = reduced.others if rules.gains else None
    summaries, controls, _ = reduced.by_rule[rules.de_of_logs()]
    assert controls is not None  # they were asked for
    if not rules.gains:  # what another rule set needs
        summaries = [replace(summary, t_score=None, weights=None, change_fdr=None) for summary in summaries]
    of_all, *of_halves = summaries
    mean = means.mean(axis=0) if rules.baseline == "constant" else train_mean(means[1:])
    truth = with_depth(reference_of(of_all, mean, others and others.whole.profiles), part, logs.totals)
    halves = [
        Halves(reference_of(first, mean, others and others.halves[split][0].profiles), second)
        for split, (first, second) in enumerate(zip(of_halves[::2], of_halves[1::2], strict=True))
    ]
    basis = _basis(logs.cells, part.groups, seed) if rules.gains else None
    if basis:
        truth = replace(truth, points=project(logs.cells, part.groups, basis))
        halves = [_with_points(half, truth, part.groups, layer) for half, layer in zip(halves, layers[1:], strict=True)]
    arrays = {
        **sorted_arrays(controls.logs),
        **{f"control_{name}": values for name, values in controls._asdict().items() if name != "logs"},
        "control_totals": reduced.control_totals,
        "control_hash": reduced.control_hash,
        "control_form": np.array([logs.cells.dense, part.scan.itemsize]),
    }
    if basis:
        arrays |= {"component_vectors": basis.vectors, "component_offset": basis.offset}
    about = _about(rules, part, beside, logs.how)
    if not anchors:
        undefined = undefined_anchors(rules, len(part.perturbations))
        about |= {"baseline": "undefined", "replicate": "undefined"}
        return Prepared(truth, [], arrays, undefined, about, NOT_ASKED, logs.target_sum)
    if rules.baseline == "constant":
        of_baseline, how = _constant_baseline(rules, part, logs, mean, truth, controls), "every cell is the mean"
    else:
        of_baseline, how = _thinned_baseline(rules, part, logs, mean, basis, seed)
    about["baseline"] = f"{about['baseline']}; {how}"
    baseline_values = score_perturbations(rules, truth, of_baseline)
    large = np.flatnonzero(truth.n_cells >= 2)
    scores = anchor_scores(rules, halves, truth, of_baseline, baseline_values, large)
    # metrics on cells are scored against them, and those do not look at other perturbations
    of_first_halves = [replace(half.first, others=None) for half in halves] if rules.gains else []
    return Prepared(truth, of_first_halves, arrays, scores, about, target_sum=logs.target_sum)


def _basis(cells: Cells, groups: np.ndarray, seed: int) -> Components:
    """Take the principal components of evenly spaced cells."""
    return components(gather(cells, sample(np.where(groups >= 0, 1, -1), 0, MAX_CELLS)), seed)


def _constant_baseline(
    rules: RuleSet, part: ScreenPart, logs: Logs, mean: np.ndarray, truth: Reference, controls: LogControls
) -> Summary:
    """Summarise cells that all equal the mean."""
    if rules.de is CELL_EVAL_082 and not logs.cells.dense:
        return constant_summary(mean, truth, controls.logs, controls.natural)
    made = constant_cells(mean, gather(logs.cells, part.groups == 0), truth.n_cells)
    return _summary_of_made(made, rules, part)[0]


def _thinned_baseline(
    rules: RuleSet,
    part: ScreenPart,
    logs: Logs,
    mean: np.ndarray,
    basis: Components | None,
    seed: int,
) -> tuple[Summary, str]:
    """Summarise control cells thinned to the mean, and say how they are made."""
    controls, n_cells = gather(logs.cells, part.groups == 0), part.n_cells()[1:]
    made, how = thinned_cells(mean, controls, _control_counts(part, logs, controls), n_cells, seed)
    summary, groups = _summary_of_made(made, rules, part)
    # the baseline is the mean itself; making cells rounds it to whole UMIs
    profiles = np.broadcast_to(mean.astype(np.float32), summary.profiles.shape)
    return replace(summary, profiles=profiles, points=project(made, groups, basis) if basis else None), how


def _summary_of_made(made: Cells, rules: RuleSet, part: ScreenPart) -> tuple[Summary, np.ndarray]:
    """Summarise the baseline's cells, as many of each group as were measured; and give their groups."""
    n_control, *n_cells = part.n_cells()
    groups = baseline_groups(n_control, np.array(n_cells))
    reduced = summarise_logs(
        made, groups[None], part.perturbations, part.screen.genes, rules.de_of_logs(), t_scores=rules.gains
    )
    return reduced.summaries[0], groups


def _about(rules: RuleSet, part: ScreenPart, beside: Companions | None, scale: str) -> dict[str, str]:
    """Say how the values came to be."""
    source = "the training perturbations" if beside else "the measured perturbations themselves"
    n_averaged = int(beside.in_mean.sum()) if beside else len(part.perturbations)
    of = "profiles, control included" if rules.baseline == "constant" else "profiles"
    replicate = f"split halves, mean of {SPLITS} splits"
    if rules.gains:
        replicate += (
            "; metrics on profiles: the half where it differs from all others, the baseline elsewhere (interpolated "
            "duplicate), its gain over the baseline added to the baseline"
        )
    return {"scale": scale, "baseline": f"mean of the {of}, of {source} ({n_averaged})", "replicate": replicate}


def _check_companions(
    beside: Companions, measured: ScreenPart, scored: Logs, rules: RuleSet, control_totals: np.ndarray
) -> None:
    """Refuse training cells on another scale."""
    training = beside.training
    logs = training.logs(rules, scored.target_sum)
    ratio = scale_ratio(logs.totals[(training.groups == 0) & training.marked], control_totals)
    if abs(ratio - 1) > TRAIN_TOLERANCE:
        msg = (
            f"the control cells of TRAIN, {training.screen.name}, add up to {ratio:.3g} times those of REAL, "
            f"{measured.screen.name}, on the natural scale; give both as counts, or both as logs of one target sum"
        )
        raise InputError(msg)


def _read_companions(
    beside: Companions, rules: RuleSet, measured: ScreenPart, scored: Logs, seed: int, *, with_others: bool
) -> tuple[np.ndarray, SplitOthers | None]:
    """Average what the train mean is made of, control first; and reduce the perturbations that are not scored."""
    training = beside.training
    logs = training.logs(rules, scored.target_sum)
    in_mean = np.append(True, beside.in_mean)
    if not with_others:
        return means_of_groups(training, logs)[in_mean], None
    not_scored = ~np.isin(training.perturbations, measured.perturbations)
    means, others = split_others(training, logs, not_scored, seed, TRAIN_STREAM)
    if rest := beside.rest:
        everything = np.ones(len(rest.perturbations), bool)
        of_rest = split_others(rest, rest.logs(rules, scored.target_sum), everything, seed, REST_STREAM)[1]
        others = together([others, of_rest])
    return means[in_mean], others


def _control_counts(part: ScreenPart, scored: Logs, logs: scipy.sparse.csr_matrix) -> Controls | None:
    """Give the control cells as counts, of which cells are made by thinning."""
    if part.is_log:
        return counts_from_logs(logs)
    control = part.groups == 0
    totals = library_totals(part.screen, part.scan)[control]
    assert scored.target_sum is not None  # counts are always scaled
    return Controls(gather(part.cells, control), scored.target_sum / totals)


def _with_points(half: Halves, truth: Reference, groups: np.ndarray, layer: np.ndarray) -> Halves:
    """Share the measured points out to the two halves."""
    perturbed = np.flatnonzero(groups > 0)
    order = perturbed[np.argsort(groups[perturbed], kind="stable")]
    n_perturbations, points = len(truth.perturbations), needed(truth.points, "points")

    def of(low: int) -> np.ndarray:
        within = (layer[order] > low) & (layer[order] <= low + n_perturbations)
        return points[within]

    return Halves(replace(half.first, points=of(0)), replace(half.second, points=of(n_perturbations)))
