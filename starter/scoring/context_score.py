"""A prediction file reduced to profiles and DE tables and scored against a truth, one context at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from starter.data.blocks import Cells
from starter.data.scale import scale_ratio
from starter.data.scan import Scan, sample, tidied
from starter.data.targets import how_genes_differ
from starter.errors import InputError, difference, listed
from starter.prediction.season_2026 import FRACTION, MAX_TOTAL
from starter.schema import CONTEXT, CONTROL, N_UMIS
from starter.scoring.cell_numbers import say_numbers, thin_to_measured
from starter.scoring.metrics.rule_sets import RuleSet, score_perturbations
from starter.scoring.screens.from_counts import summarise_counts
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.screens.logs import (
    WEIGHED,
    WEIGHED_CONTROLS,
    Logs,
    fingerprint,
    is_log_throughout,
    log_expression_of,
    median_depth,
)
from starter.scoring.screens.opened import Screen
from starter.scoring.screens.summary import Reference, Summary, needed
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.replicate import mean_of_defined
from starter.statistics.components import project
from starter.statistics.de import CELL_EVAL_066, SMALL


@dataclass(frozen=True)
class ContextValues:
    """Values of each perturbation of a context, all of them or some, beside those of the anchors."""

    context: str
    per_metric: Mapping[str, np.ndarray]
    """Metric name to one value a perturbation (two for a ratio)."""
    anchors: Mapping[str, Mapping[str, np.ndarray]]
    """The rule set's anchors, baseline and replicate first: metric name to splits x perturbations; NaN where there are
    none."""
    no_anchors: str
    """Why there are none."""


@dataclass(frozen=True)
class ContextScore(ContextValues):
    """What a prediction scored in one context."""

    truth: Reference
    prediction: Summary
    notes: tuple[str, ...] = ()
    """What a reader must know of this prediction."""


def check_genes(screen: Screen, truth: Truth) -> None:
    """Refuse a prediction of other genes than the truth's.

    Raises
    ------
    InputError
        With the genes that differ.
    """
    due = truth.about["genes"]
    if list(screen.genes) != list(due):
        what = difference(due, screen.genes) or "their order differs"
        way_out = how_genes_differ(due, screen.var) or "starter check lists everything"
        msg = f"the genes of {screen.name} are not the truth's: {what}; {way_out}"
        raise InputError(msg)


def cells_of_contexts(screen: Screen, truth: Truth) -> dict[str, np.ndarray]:
    """Tell which cells are to be scored in each context of the truth, boolean.

    Raises
    ------
    InputError
        If the contexts, or the perturbations in one, are not the truth's.
    """
    due = list(truth.contexts)
    perturbed = screen.labels != CONTROL
    given = [str(context) for context in np.unique(screen.contexts[perturbed])]
    if len(due) == len(given) == 1 and CONTEXT not in screen.obs:
        chosen = {due[0]: np.ones(len(screen.obs), bool)}
    elif what := difference(due, given):
        msg = f"the contexts of {screen.name} are not the truth's: {what}; obs.{CONTEXT} names the context of each cell"
        raise InputError(msg)
    else:
        chosen = {context: screen.contexts == context for context in due}
    for context, cells in chosen.items():
        where = f" in the context {context}" if len(due) > 1 else ""
        if what := difference(truth.contexts[context], np.unique(screen.labels[cells & perturbed])):
            msg = f"the perturbations of {screen.name}{where} are not the truth's: {what}; predict exactly those due"
            raise InputError(msg)
    return chosen


def score_context(screen: Screen, chosen: np.ndarray, truth: Truth, rules: RuleSet, context: str) -> ContextScore:
    """Score the cells of one context.

    Parameters
    ----------
    screen
        The open prediction.
    chosen
        Its cells in the context, boolean.
    truth, rules, context
        What to score against, how and where.

    Raises
    ------
    InputError
        If values are not what the rule set scores.
    """
    measured = truth.measured(rules, context)
    code = {CONTROL: 0} | {label: row for row, label in enumerate(measured.perturbations, start=1)}
    groups = np.full(len(chosen), -1)
    groups[chosen] = [code[label] for label in screen.labels[chosen]]
    notes = []
    if rules.gains:
        written = np.bincount(groups[groups >= 0], minlength=len(code))[1:]
        on_cells = listed([metric.title for metric in rules.metrics if metric.on_cells])
        notes = [
            _say_panel(measured),
            *say_numbers(written, measured.n_cells, measured.perturbations, on_cells),
        ]
        groups = thin_to_measured(groups, measured.n_cells)
    if rules.counts == "needed":
        prediction = _reduce_counts(screen, groups, truth, rules, context, measured)
    else:
        prediction, on_scale = _reduce_logs(screen, groups, truth, rules, context, measured)
        notes += on_scale
    values = score_perturbations(rules, measured, prediction)
    halves = truth.halves(rules, context)
    for metric in rules.metrics:
        if halves and metric.on_cells:
            values[metric.name] = mean_of_defined(np.stack([metric.compute(half, prediction) for half in halves]))
    return ContextScore(
        context,
        values,
        {anchor: truth.anchor_scores(rules, anchor, context) for anchor in rules.anchors},
        truth.no_anchors(rules, context),
        measured,
        prediction,
        tuple(notes),
    )


def _say_panel(truth: Reference) -> str:
    """Say what a perturbation is compared with."""
    n, n_others = len(truth.perturbations), len(needed(truth.others, "the other perturbations"))
    where = "In centroid accuracy and in the weights of genes"
    if not n_others:
        return (
            f"{where} a perturbation is compared with the {n:,} scored ones alone, a small panel, so both read "
            "differently from papers; starter truth build --train adds all others that were measured."
        )
    return (
        f"{where} a perturbation is compared with all {n + n_others:,} that were measured; PDS ranks the {n:,} scored."
    )


def _reduce_logs(
    screen: Screen,
    groups: np.ndarray,
    truth: Truth,
    rules: RuleSet,
    context: str,
    measured: Reference,
) -> tuple[Summary, list[str]]:
    """Reduce a prediction by a rule set that starts from log1p expression; and say if it is on another scale."""
    marked = sample(groups, WEIGHED_CONTROLS, WEIGHED)
    control = groups == 0
    if not control.any():
        msg = f"{screen.name} has no {CONTROL!r} cells in the context {context}; add the course's control cells"
        raise InputError(msg)
    cells, scan = tidied(screen.cells, groups >= 0, marked)
    logs = _on_scale(screen, cells, scan, groups, rules)
    same = bool((fingerprint(logs, scan, control) == truth.array(rules, "control_hash", context)).all())
    fault = _other_scale(screen.name, logs.totals[control & marked], truth, rules, context)
    if fault and rules.counts == "refused":
        msg = f"{fault}; include the course's control cells unchanged and scale alike"
        raise InputError(msg)
    # sums over dense cells are taken in another order than the stored ones; an exact p of 0.6.6 wants every cell
    form = tuple(truth.array(rules, "control_form", context)) == (0, 4)
    exact = rules.de is CELL_EVAL_066 and np.bincount(groups[groups >= 0]).min() <= SMALL
    reuse = same and form and not exact and not cells.dense and scan.itemsize == 4
    taken = np.where(control, -1, groups) if reuse else groups
    controls = truth.log_controls(rules, context) if reuse else None
    if controls:
        scan = scan._replace(n_values=scan.n_values - np.diff(controls.logs.pointers))
    summary = summarise_logs(
        logs.cells,
        taken[None],
        measured.perturbations,
        measured.genes,
        rules.de_of_logs(),
        known=scan,
        controls=controls,
        t_scores=rules.gains,
    ).summaries[0]
    basis = truth.components(rules, context)
    summary = replace(
        summary,
        depth=median_depth(logs.totals, groups, marked, len(measured.perturbations) + 1),
        points=project(logs.cells, groups, basis) if basis else None,
    )
    return summary, [f"Another scale: {fault}; errors of profiles are mostly that."] if fault else []


def _other_scale(name: str, totals: np.ndarray, truth: Truth, rules: RuleSet, context: str) -> str:
    """Say if the control cells' natural totals are not on the truth's scale, with both numbers."""
    due = truth.array(rules, "control_totals", context)
    ratio = scale_ratio(totals, due)
    if ratio == 1:
        return ""
    target = truth.about["profiles"][rules.name]["target_sum"][context]
    scales = f" (target_sum about {ratio * target:,.0f} for {target:,.0f})" if target else ""
    return (
        f"the control cells of {name} add up to {np.median(totals):,.0f} on the natural scale, the truth's to "
        f"{np.median(due):,.0f}: it is scaled to another target_sum{scales}"
    )


def _on_scale(screen: Screen, cells: Cells, scan: Scan, groups: np.ndarray, rules: RuleSet) -> Logs:
    logged = is_log_throughout(screen, scan, groups, measured=False)
    if rules.counts == "refused" and not logged:
        msg = (
            f"{screen.name} holds counts (every value is a whole number); the course scores log1p expression, because "
            f"counts of {len(screen.genes):,} genes do not tell a cell's total; "
            "write log1p(target_sum x count / n_umis)"
        )
        raise InputError(msg)
    without_totals = replace(screen, obs=screen.obs.drop(columns=N_UMIS, errors="ignore"))
    return log_expression_of(without_totals, cells, scan, groups >= 0, None)


def _reduce_counts(
    screen: Screen,
    groups: np.ndarray,
    truth: Truth,
    rules: RuleSet,
    context: str,
    measured: Reference,
) -> Summary:
    """Reduce a prediction by the rules of 2026, which start from counts and know no controls but the measured ones."""
    groups = np.where(groups == 0, -1, groups)
    cells, scan = tidied(screen.cells, groups >= 0)
    if scan.n_not_finite or scan.lowest < 0:
        what = (
            f"NaN or infinite values: {scan.n_not_finite:,}"
            if scan.n_not_finite
            else f"negative values (lowest {scan.lowest:.3g})"
        )
        msg = f"{screen.name} holds {what}; counts are whole numbers, 0 or more"
        raise InputError(msg)
    if scan.off_whole > FRACTION:
        msg = f"{screen.name} holds fractions; the rules of 2026 score raw counts: whole numbers, no log, no scaling"
        raise InputError(msg)
    if scan.totals.max() > MAX_TOTAL:
        msg = (
            f"{screen.name} has cells with more than {MAX_TOTAL:,.0f} counts (up to {scan.totals.max():,.0f}): "
            f"{int((scan.totals > MAX_TOTAL).sum()):,}; write counts of real depth"
        )
        raise InputError(msg)
    (summary,) = summarise_counts(
        cells,
        groups[None],
        measured.perturbations,
        measured.genes,
        scan.totals,
        truth.count_controls(rules, context),
        known=scan,
    ).summaries
    return replace(summary, depth=median_depth(scan.totals, groups, groups > 0, len(measured.perturbations) + 1))
