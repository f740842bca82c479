"""Figures of a course's cells and of a prediction's scores."""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from starter.plots.style import BLUE, EFFECT, GREEN, GREY, ORANGE, wrapped

if TYPE_CHECKING:
    pass


def effect_scatter(measured: pd.Series, predicted: pd.Series, title: str, ax: Axes | None = None) -> Axes:
    """Draw predicted against measured effect, a point a gene.

    Parameters
    ----------
    measured, predicted
        Effects over the same genes, in log1p expression.
    """
    ax = ax or plt.subplots(figsize=(4, 4), layout="constrained")[1]
    limit = 1.05 * max(np.abs(measured).max(), np.abs(predicted).max(), 1e-3)
    ax.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
    ax.scatter(measured, predicted, s=6, color=BLUE, alpha=0.5, lw=0)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=wrapped(title))
    ax.set_xlabel(f"measured {EFFECT}", fontsize="small")
    ax.set_ylabel(f"predicted {EFFECT}", fontsize="small")
    return ax


def cells_per_perturbation(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how many cells each perturbation has, coloured by its part of the split.

    Parameters
    ----------
    table
        The table of a `starter.data.split.Split`: columns part and n_cells.
    """
    ax = ax or plt.subplots(figsize=(8, 3), layout="constrained")[1]
    colours = {"train": BLUE, "public": GREEN, "hidden": ORANGE}
    start = 0
    for part, colour in colours.items():
        heights = np.sort(table.loc[table["part"] == part, "n_cells"])[::-1]
        ax.bar(
            np.arange(start, start + len(heights)),
            heights,
            width=1,
            color=colour,
            label=f"{part} ({len(heights)})",
        )
        start += len(heights)
    ax.set(title=wrapped(title), xlabel="perturbation, sorted by its number of cells", ylabel="cells", xticks=[])
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
