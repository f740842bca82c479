"""Score predicted cells in memory by the course's metrics on cells, beside no baseline and with no truth prepared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.blocks import in_memory
from starter.errors import InputError, difference
from starter.schema import CONTROL, PERTURBATION
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.screens.summary import Summary
from starter.statistics.components import MAX_CELLS, Components, components, project

METRICS = ("overlap_at_N", "e_distance")
"""DES and E-distance."""
Screen = Mapping[str, scipy.sparse.csr_matrix]
"""Cells x genes of each label, log1p expression."""


def cell_scores(measured: Screen, predicted: Mapping[str, Screen], genes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Score several predictions of the same perturbations, perturbation by perturbation.

    Parameters
    ----------
    measured
        Cells of each perturbation, and of the control; log1p expression.
    predicted
        Predictions by name. Each has cells of the same perturbations, best as many as were measured; genes are called
        against the measured control cells, whatever a prediction says of those.
    genes
        The columns of all.

    Returns
    -------
    By name, perturbations x `METRICS`: DES, which is NaN where no measured gene is differentially expressed (higher is
    better), and E-distance to all measured cells, in their 50 principal components (lower is better). A scorecard's
    E-distance is to half of them, so that it can set a second half beside it.

    Raises
    ------
    InputError
        If a prediction has not the measured perturbations, or a value is negative, NaN or infinite.
    """
    names = [name for name in measured if name != CONTROL]
    controls = measured[CONTROL]
    for prediction, cells in predicted.items():
        if what := difference(names, [name for name in cells if name != CONTROL]):
            msg = f"the perturbations of the cells of {prediction} are not those that were measured: {what}"
            raise InputError(msg)
    every = scipy.sparse.vstack([controls, *(measured[name] for name in names)]).tocsr()
    evenly = np.linspace(0, every.shape[0] - 1, min(every.shape[0], MAX_CELLS)).astype(int)
    basis = components(every[evenly], seed=0)
    truth = _summary(controls, measured, names, genes, basis)
    metrics = [metric for metric in get_rule_set("course").metrics if metric.name in METRICS]
    scores = {}
    for prediction, cells in predicted.items():
        came = _summary(controls, cells, names, genes, basis)
        values = {metric.name: metric.compute(truth, came) for metric in metrics}
        scores[prediction] = pd.DataFrame(values, pd.Index(names, name=PERTURBATION))
    return scores


def _summary(
    controls: scipy.sparse.csr_matrix, cells: Screen, names: list[str], genes: Sequence[str], basis: Components
) -> Summary:
    blocks = [controls, *(cells[name] for name in names)]
    groups = np.repeat(np.arange(len(blocks)), [block.shape[0] for block in blocks])
    joined = in_memory(scipy.sparse.vstack(blocks).tocsr().astype(np.float32))
    labels, columns, rule = np.array(names, str), np.array(genes, str), get_rule_set("course").de_of_logs()
    (summary,) = summarise_logs(joined, groups[None], labels, columns, rule).summaries
    return replace(summary, points=project(joined, groups, basis))
