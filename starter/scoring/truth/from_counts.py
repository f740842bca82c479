"""Prepare a truth that starts from counts, with its baseline and replicates (the rules of 2026)."""

from dataclasses import replace

import numpy as np

from starter.data.blocks import gather
from starter.errors import InputError, counted, listed
from starter.prediction.season_2026 import MAX_TOTAL
from starter.schema import CONTROL, N_UMIS
from starter.scoring.metrics.rule_sets import RuleSet, score_perturbations
from starter.scoring.metrics.vcc2026 import lfc_nmae_of_halves
from starter.scoring.screens.from_counts import summarise_counts
from starter.scoring.screens.summary import Summary
from starter.scoring.truth.baseline import resampled_cells
from starter.scoring.truth.measured import Prepared, ScreenPart, reference_of, sorted_arrays, with_depth
from starter.scoring.truth.replicate import NOT_ASKED, SPLITS, split_with_controls, undefined_anchors

COUNTS_PART = 3 << 30
"""Memory for columns of counts while a screen and its halves are summarised at once."""


def _unfit(part: ScreenPart) -> str:
    """Say why a screen cannot be scored by the rules of 2026, if it cannot."""
    if part.is_log:
        return "they need counts, and REAL holds log1p expression"
    if N_UMIS in part.screen.obs:
        return f"they need counts of the whole transcriptome, and REAL has a column {N_UMIS!r}, so it holds a part"
    if not set(part.perturbations) & set(part.screen.genes):
        return "none of the perturbed genes is measured"
    totals = part.scan.totals[part.groups >= 0]
    if (n := int((totals > MAX_TOTAL).sum())) > 0:
        return (
            f"they take cells of at most {MAX_TOTAL:,.0f} counts, and {counted(n, 'cell')} of REAL "
            f"{'has' if n == 1 else 'have'} more (up to {totals.max():,.0f}); leave them out"
        )
    return ""


def prepare_counts(rules: RuleSet, part: ScreenPart, *, anchors: bool) -> Prepared:
    """Prepare the rules of 2026, which start from counts, know no training and fix their seeds and target sums.

    Parameters
    ----------
    rules, part
        The rule set and the measured cells.
    anchors
        Whether to make baseline and replicate. Where a group has one cell they are undefined all the same.

    Raises
    ------
    InputError
        If the cells are no counts of a whole transcriptome.
    """
    if reason := _unfit(part):
        raise InputError(reason)
    cells = replace(part.cells, part_bytes=COUNTS_PART)
    no_anchors = _without_anchors(part) if anchors else NOT_ASKED
    layers, orders = (part.groups[None], None) if no_anchors else _split_layers(part)
    (of_all, *of_halves), controls, means = summarise_counts(
        cells,
        layers,
        part.perturbations,
        part.screen.genes,
        part.scan.totals,
        orders=orders,
        known=part.scan,
        keep_controls=True,
    )
    assert controls is not None and means is not None  # they were asked for
    truth = with_depth(reference_of(of_all), part, part.scan.totals)
    arrays = {**sorted_arrays(controls.logs), "mean_cpm": controls.mean_cpm}
    if no_anchors:
        about = {"scale": "counts", "baseline": "undefined", "replicate": "undefined"}
        undefined = undefined_anchors(rules, len(part.perturbations))
        return Prepared(truth, [], arrays, undefined, about, no_anchors)
    replicate = _replicate_scores(rules, of_all, of_halves)
    del of_halves
    made, made_totals = resampled_cells(gather(cells, part.groups == 0), truth, means)
    groups = np.repeat(np.arange(1, len(part.perturbations) + 1), truth.n_cells)
    (of_baseline,) = summarise_counts(
        made, groups[None], part.perturbations, part.screen.genes, made_totals, controls
    ).summaries
    baseline = score_perturbations(rules, truth, of_baseline)
    anchor_scores = {"baseline": {name: values[None] for name, values in baseline.items()}, "replicate": replicate}
    about = {
        "scale": "counts",
        "baseline": "the mean perturbation response, as control cells drawn at random and scaled gene by gene",
        "replicate": f"split halves, each with half of the control cells, mean of {SPLITS} splits",
    }
    return Prepared(truth, [], arrays, anchor_scores, about)


def _without_anchors(part: ScreenPart) -> str:
    """Say why the reference tool makes neither baseline nor replicate of a screen that it scores, if it does not."""
    labels, n_cells = np.append([CONTROL], part.perturbations), part.n_cells()
    if not (alone := labels[n_cells < 2]).size:
        return ""
    return (
        f"the rules of 2026 split every group in halves to make a replicate, and {listed(alone)} "
        f"{'has' if len(alone) == 1 else 'have'} one cell; score these groups with more cells, or without them"
    )


def _split_layers(part: ScreenPart) -> tuple[np.ndarray, list[np.ndarray]]:
    """Group the cells as they are, then as two panels in each split; and tell the order of each grouping's cells."""
    layers, orders = [part.groups], [np.flatnonzero(part.groups >= 0)]
    for split_seed in np.random.SeedSequence(0).generate_state(SPLITS):
        first, second = split_with_controls(part.groups, part.perturbations, int(split_seed))
        layer = np.full(len(part.groups), -1)
        layer[first] = part.groups[first]
        layer[second] = part.groups[second] + len(part.perturbations) + 1
        layers.append(layer)
        orders.append(np.concatenate([first, second]))
    return np.stack(layers), orders


def _replicate_scores(rules: RuleSet, truth: Summary, halves: list[Summary]) -> dict[str, np.ndarray]:
    """Score the second half of each split against the first; splits x perturbations (x 2 for a ratio)."""
    splits = []
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        values = score_perturbations(rules, first, second)
        splits.append(values | {"de_wilcoxon_lfc_nmae": lfc_nmae_of_halves(truth, first, second)})
    return {metric.name: np.stack([values[metric.name] for values in splits]) for metric in rules.metrics}
