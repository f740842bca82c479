"""Prepare a truth that starts from counts, with its baseline and replicates (the rules of 2026)."""

from dataclasses import fields, replace

import numpy as np

from starter.data.blocks import gather
from starter.errors import InputError
from starter.schema import N_UMIS
from starter.scoring.metrics.rule_sets import RuleSet, score_perturbations
from starter.scoring.metrics.vcc2026 import lfc_nmae_of_halves
from starter.scoring.screens import from_counts
from starter.scoring.screens.logs import median_depth
from starter.scoring.screens.summary import Reference, Summary
from starter.scoring.truth.baseline import resampled_cells
from starter.scoring.truth.measured import Prepared, ScreenPart, umis_of
from starter.scoring.truth.replicate import SPLITS, split_with_controls

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
    return ""


def prepare_counts(rules: RuleSet, part: ScreenPart, trained: ScreenPart | None, seed: int) -> Prepared:
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
    for split_seed in np.random.SeedSequence(0).generate_state(SPLITS):
        first, second = split_with_controls(part.groups, part.perturbations, int(split_seed))
        layer = np.full(len(part.groups), -1)
        layer[first] = part.groups[first]
        layer[second] = part.groups[second] + len(part.perturbations) + 1
        layers.append(layer)
        orders.append(np.concatenate([first, second]))
    summaries, controls, mean_counts = from_counts.summarise_counts(
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
        power=umis_of(part, summaries[0].n_cells),
    )
    replicate: dict[str, list[np.ndarray]] = {metric.name: [] for metric in rules.metrics}
    for first, second in zip(summaries[1::2], summaries[2::2], strict=True):
        values = score_perturbations(rules, first, second)
        values["de_wilcoxon_lfc_nmae"] = lfc_nmae_of_halves(summaries[0], first, second)
        for name, of_split in values.items():
            replicate[name].append(of_split)
    del summaries
    made, made_totals = resampled_cells(gather(cells, part.groups == 0), truth, mean_counts)
    groups = np.repeat(np.arange(1, len(part.perturbations) + 1), truth.n_cells)
    (of_baseline,) = from_counts.summarise_counts(
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
        "replicate": f"split halves, each with half of the control cells, mean of {SPLITS} splits",
    }
    return Prepared(truth, [], arrays, anchor_scores, about)
