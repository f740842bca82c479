"""Figures of the way back: from a signature to the perturbation that made it."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.models import MARKERS, MODEL_COLOURS
from starter.plots.style import BLUE, GREY, wrapped


def rank_curves(ranks: Mapping[str, np.ndarray], n_candidates: int, title: str, ax: Axes | None = None) -> Axes:
    """Draw for how many signatures the right perturbation is among the first k.

    Parameters
    ----------
    ranks
        Where one looks, and the right perturbation's place for each signature, 1 the best.
    n_candidates
        How many perturbations there are to choose from.
    """
    ax = ax or plt.subplots(figsize=(6.8, 3.8), layout="constrained")[1]
    k = np.arange(1, n_candidates + 1)
    for (name, places), colour, marker in zip(ranks.items(), MODEL_COLOURS, MARKERS, strict=False):
        found = (np.asarray(places)[:, None] <= k).mean(axis=0)
        ax.plot(k, found, color=colour, marker=marker, markevery=0.1, ms=5, label=name)
    ax.plot(k, k / n_candidates, color="black", lw=1, ls="--", label="chance")
    ax.set(xscale="log", title=wrapped(title), xlabel=f"k, of {n_candidates:,} perturbations", ylim=(0, 1.03))
    ax.set_ylabel("signatures whose perturbation\nis among the first k (share)")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick < n_candidates / 1.5]
    ax.set_xticks([*ticks, n_candidates], [f"{tick:,}" for tick in (*ticks, n_candidates)], fontsize="small")
    ax.minorticks_off()
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def retrieval_figure(table: pd.DataFrame, metrics: Mapping[str, str], title: str) -> Figure:
    """Draw how well perturbations are found, with intervals and chance: a row a library, a panel a metric.

    Parameters
    ----------
    table
        Index library and metric; columns value, low, high (95 % interval) and chance.
    metrics
        Metrics to draw, and what stands at their axes.
    """
    libraries = list(dict.fromkeys(table.index.get_level_values(0)))
    size = (4.4 * len(metrics) + 2, 1.3 + 0.45 * len(libraries))
    figure, axes = plt.subplots(1, len(metrics), figsize=size, layout="constrained", squeeze=False, sharey=True)
    y = np.arange(len(libraries))
    for ax, (metric, label) in zip(axes.flat, metrics.items(), strict=True):
        rows = table.xs(metric, level=1).loc[libraries]
        ax.hlines(y, rows["low"], rows["high"], color=BLUE, lw=3)
        ax.scatter(rows["value"], y, color="black", zorder=3, s=28, label="value, 95 % interval")
        ax.scatter(rows["chance"], y, color=GREY, marker="|", s=160, zorder=2, label="chance")
        ax.set(xlabel=label, xlim=(0, 1.02), ylim=(len(libraries) - 0.5, -0.5))
    axes[0, 0].set_yticks(y, libraries)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
