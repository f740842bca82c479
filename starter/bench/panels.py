"""Who is hidden from the models: panels of perturbations, dealt out as the challenge hides them.

The Virtual Cell Challenge of 2025 showed 150 perturbations and hid 50. A panel is one such deal; several panels that
share no perturbation are the folds of one deal, and every seed deals anew.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from starter.data.dataset import PAIR
from starter.data.split import Split
from starter.errors import InputError, counted
from starter.schema import CONTEXT, PERTURBATION

MOST_HIDDEN = 50
"""Perturbations that the challenge of 2025 hid in each phase."""
FOLDS = 4
"""Of a screen of the challenge's size, 200 perturbations, so that each is hidden once."""


class Panel(NamedTuple):
    """One deal: the pairs that are hidden, the others being there to learn from."""

    seed: int
    fold: int
    hidden: pd.MultiIndex

    @property
    def title(self) -> str:
        """What to call it."""
        return f"seed {self.seed}, fold {self.fold}"


def deal(
    pairs: pd.MultiIndex, hide: int | None = None, folds: int = FOLDS, seeds: int = 1, context: str | None = None
) -> list[Panel]:
    """Hide perturbations at random, panel after panel.

    Parameters
    ----------
    pairs
        The measured pairs of context and perturbation, without controls.
    hide
        Perturbations to hide in each panel; default: a quarter of them, `MOST_HIDDEN` at most.
    folds
        Panels of one seed, which share no perturbation.
    seeds
        How often perturbations are dealt out anew: seeds 0 to seeds - 1.
    context
        Hide them in this context only: what they do elsewhere may be learned from. Default: in every context.

    Returns
    -------
    The panels, seed by seed.

    Raises
    ------
    InputError
        If there are too few perturbations, or there is no such context.
    """
    contexts = pairs.get_level_values(CONTEXT)
    if context is not None and context not in contexts:
        msg = f"nothing was perturbed in the context {context!r}; the contexts are {', '.join(sorted(set(contexts)))}"
        raise InputError(msg)
    asked = pairs if context is None else pairs[contexts == context]
    names = np.array(sorted(set(asked.get_level_values(PERTURBATION))))
    hide = max(1, min(MOST_HIDDEN, len(names) // 4)) if hide is None else hide
    if hide < 1 or folds < 1 or seeds < 1:
        msg = f"there must be something to hide: --hide {hide}, --folds {folds} and --seeds {seeds} are 1 or more each"
        raise InputError(msg)
    if hide >= len(names) or hide * folds > len(names):
        msg = (
            f"of {counted(len(names), 'perturbation')} there can be {len(names) // hide} panels of {hide} that share "
            f"none, not {folds}, and one must be left to learn from; lower --hide or --folds"
        )
        raise InputError(msg)
    panels = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(names)
        for fold in range(folds):
            chosen = order[fold * hide : (fold + 1) * hide]
            panels.append(Panel(seed, fold, asked[asked.get_level_values(PERTURBATION).isin(chosen)].sort_values()))
    return panels


def panel_of(held: pd.MultiIndex, pairs: pd.MultiIndex) -> Panel:
    """Hide the pairs that ready-made predictions hold.

    Parameters
    ----------
    held
        The pairs predicted.
    pairs
        The measured pairs.

    Raises
    ------
    InputError
        If one was not measured, or none is left to learn from.
    """
    if len(unknown := held.difference(pairs)):
        context, name = unknown[0]
        msg = (
            f"the prediction holds {name} in the context {context!r}, which was not measured in the screen, so it "
            "cannot be judged there; give the screen with the cells that were predicted"
        )
        raise InputError(msg)
    if not len(pairs.difference(held)):
        msg = "the prediction holds every measured perturbation, so none is left to learn from; predict some of them"
        raise InputError(msg)
    return Panel(0, 0, held.sort_values())


def split_of(panel: Panel, n_cells: pd.Series) -> Split:
    """Write a panel as a split: its pairs hidden, all others for training.

    Parameters
    ----------
    panel
        Who is hidden.
    n_cells
        Cells of each measured pair.
    """
    table = pd.DataFrame({"part": "train", "n_cells": n_cells.astype(int)}, index=n_cells.index.set_names(PAIR))
    table.loc[panel.hidden, "part"] = "hidden"
    return Split(table.sort_index())
