"""The measured cells of one context, chosen and named, as a truth is prepared from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from starter.data.blocks import Cells
from starter.data.scan import Scan, sample, tidied
from starter.errors import InputError
from starter.schema import CONTROL, N_UMIS
from starter.scoring.metrics.rule_sets import RuleSet
from starter.scoring.screens.logs import (
    WEIGHED,
    WEIGHED_CONTROLS,
    Logs,
    is_log_throughout,
    library_totals,
    log_expression_of,
    median_depth,
)
from starter.scoring.screens.opened import Screen
from starter.scoring.screens.summary import Reference, Summary
from starter.statistics.sorted_controls import SortedControls


class Prepared(NamedTuple):
    """What a rule set needs of one context of a measured screen."""

    measured: Reference
    halves: Sequence[Reference]
    """First halves of the measured cells in each split, where metrics on cells need them."""
    arrays: Mapping[str, np.ndarray]
    """Control cells and components, as `starter.scoring.truth.opened.Truth` opens them."""
    anchor_scores: Mapping[str, Mapping[str, np.ndarray]]
    """Baseline and replicate: metric name to splits x perturbations (x 2 for a ratio)."""
    about: Mapping[str, str]
    """How the values came to be, for the page."""
    no_anchors: str = ""
    """Why baseline and replicate are undefined here, if they are."""
    target_sum: float | None = None
    """UMIs to which cells were scaled before log1p, where known."""


@dataclass(frozen=True)
class ScreenPart:
    """The cells of one context that are scored, with their controls."""

    screen: Screen
    cells: Cells
    """As stored, tidy."""
    scan: Scan
    marked: np.ndarray
    """Cells whose natural total was taken."""
    groups: np.ndarray
    """0 for control, i + 1 for the i-th perturbation, negative for other cells."""
    perturbations: np.ndarray
    is_log: bool

    def n_cells(self) -> np.ndarray:
        """Count the cells of each group, control first."""
        return np.bincount(self.groups[self.groups >= 0], minlength=len(self.perturbations) + 1)

    def logs(self, rules: RuleSet, target: float | None) -> Logs:
        """Bring the cells to log1p expression by a rule set; counts to a target sum, or as the rule set has it."""
        if target is None and not (rules.counts == "scaled to their median" and N_UMIS not in self.screen.obs):
            target = self.target()
        return log_expression_of(self.screen, self.cells, self.scan, self.groups >= 0, target)

    def target(self) -> float:
        """UMIs to which counts are scaled: what the file says, else the median total of the control cells.

        Raises
        ------
        InputError
            If most control cells are empty.
        """
        if (stated := self.screen.course.get("target_sum")) is not None:
            return float(stated)
        target = float(np.median(library_totals(self.screen, self.scan)[self.groups == 0]))
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
    cells, scan = tidied(screen.cells, groups >= 0, marked)
    logged = is_log_throughout(screen, scan, groups, measured=True)
    return ScreenPart(screen, cells, scan, marked, groups, np.array(names), logged)


class Companions(NamedTuple):
    """What was measured beside the scored cells of one context."""

    training: ScreenPart
    """All perturbations of TRAIN."""
    in_mean: np.ndarray
    """Which of them make the train mean, boolean."""
    rest: ScreenPart | None
    """Those of REAL that are neither scored nor in TRAIN."""


def companions(training: Screen, keep: np.ndarray, context: str, measured: ScreenPart) -> Companions:
    """Look at what was measured beside the scored cells of a context.

    Parameters
    ----------
    training
        The open TRAIN.
    keep
        Its cells that may make the train mean, boolean.
    context
        Which context.
    measured
        The scored cells.

    Raises
    ------
    InputError
        If there are none, or they are not in the form of the measured cells.
    """
    within = training.contexts == context
    made_of = perturbations_of(training, keep & within).get(context)
    if not made_of:
        msg = f"{training.name} has no training perturbation in the context {context}, so there is no train mean for it"
        raise InputError(msg)
    names = perturbations_of(training, within)[context]
    part = part_of(training, within, names)
    real = measured.screen
    if part.is_log != measured.is_log:
        msg = f"of {real.name} and {training.name} one holds counts and the other logs; give both in the same form"
        raise InputError(msg)
    beside = real.contexts == context
    known = {CONTROL, *names, *measured.perturbations}
    left = sorted(set(map(str, np.unique(real.labels[beside]))) - known)
    return Companions(part, np.isin(names, made_of), part_of(real, beside, left) if left else None)


def reference_of(summary: Summary, mean: np.ndarray | None = None, others: np.ndarray | None = None) -> Reference:
    """Add the train mean and the profiles of other perturbations, where there are any, to a summary."""
    values = {field.name: getattr(summary, field.name) for field in fields(Summary)}
    return Reference(**values, train_mean=mean if mean is None else mean.astype(np.float32), others=others)


def with_depth(truth: Reference, part: ScreenPart, totals: np.ndarray) -> Reference:
    """Add what flags compare a prediction with: the depth of the cells, and how many DE genes they can show.

    Parameters
    ----------
    truth
        All measured cells.
    part
        The same cells.
    totals
        Of each marked cell, on the natural scale.
    """
    n_groups = len(part.perturbations) + 1
    umis = 1.0  # where counts are not known
    if not part.is_log:
        umis = median_depth(library_totals(part.screen, part.scan), part.groups, part.marked, n_groups)
    return replace(
        truth,
        depth=median_depth(totals, part.groups, part.marked, n_groups),
        power=truth.n_cells * umis,
    )


def sorted_arrays(controls: SortedControls) -> dict[str, np.ndarray]:
    """Name the arrays of sorted control cells, as `starter.scoring.truth.opened` opens them."""
    return {
        "n_control": np.array([controls.n_cells]),
        "sorted_values": controls.values,
        "sorted_pointers": controls.pointers,
    }
