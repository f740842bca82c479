"""Figures of notebook 09: what a score counts, what an ensemble is made of, and what an upload holds."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from starter.plots.models import MARKERS, MODEL_COLOURS
from starter.plots.style import BLUE, GREEN, GREY, ORANGE, SKY, wrapped


def share_bars(shares: pd.DataFrame, scores: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how far each prediction goes in each metric from the baseline to perfection, and the scores made of it.

    Parameters
    ----------
    shares
        Predictions x three metrics: share of the way, below 0 where it is worse than the baseline.
    scores
        Predictions x two: the score as the challenge has it, and with nothing clipped.
    """
    ax = ax or plt.subplots(figsize=(8, 1.6 + 0.75 * len(shares)), layout="constrained")[1]
    y = np.arange(len(shares))
    for number, (metric, colour) in enumerate(zip(shares.columns, (BLUE, ORANGE, SKY), strict=True)):
        ax.barh(y + 0.25 * (number - 1), 100 * shares[metric], height=0.22, color=colour, label=metric)
    for name, marker, filled in zip(scores.columns, "Do", ("black", "white"), strict=True):
        ax.scatter(100 * scores[name], y, marker=marker, c=filled, edgecolors="black", s=46, zorder=3, label=name)
    ax.axvline(0, color="black", lw=1)
    lowest = min(ax.get_xlim()[0], -1.0)
    ax.axvspan(lowest, 0, color=GREY, alpha=0.25, lw=0, zorder=0, label="counts 0 in the challenge")
    ax.set_yticks(y, shares.index)
    ax.set(xlim=(lowest, ax.get_xlim()[1]), ylim=(len(shares) - 0.5, -0.5))
    ax.set_xlabel("share of the way from the baseline (0) to perfection (100)")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def factor_curves(
    curves: pd.DataFrame, factors: pd.Series, baseline: float, label: str, title: str, ax: Axes | None = None
) -> Axes:
    """Draw something against the factor on predicted deviations from the train mean, and the factor that was found.

    Parameters
    ----------
    curves
        Factors x what is drawn, a curve each.
    factors
        Name of a curve to the factor that was found, which is marked on it.
    baseline
        The train mean's value.
    label
        What the curves show, with its unit.
    """
    ax = ax or plt.subplots(figsize=(7, 3.4), layout="constrained")[1]
    for (name, values), colour, marker in zip(curves.items(), MODEL_COLOURS, MARKERS, strict=False):
        ax.plot(curves.index, values, color=colour, label=name)
        found = factors[name]
        ax.plot(found, np.interp(found, curves.index, values), marker, color=colour, ms=9, mec="black", clip_on=False)
    ax.axhline(baseline, color=GREY, lw=1, ls="--", label="train mean")
    ax.set(xlabel="factor on the predicted deviations from the train mean (marks: found)", ylabel=label)
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def weight_bars(weights: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw the weight of each model in an ensemble, and how much it moves from fold to fold.

    Parameters
    ----------
    weights
        Models x fits: a column for each time that weights were fitted, the first one of all perturbations.
    """
    ax = ax or plt.subplots(figsize=(7, 1.1 + 0.4 * len(weights)), layout="constrained")[1]
    y = np.arange(len(weights))
    ax.barh(y, weights.iloc[:, 0], color=BLUE, height=0.6, label="of all perturbations")
    for number, (_, column) in enumerate(weights.iloc[:, 1:].items()):
        label = "with one fold hidden" if number == 0 else None
        ax.plot(column, y, "o", color=ORANGE, mec="black", ms=6, label=label)
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(y, weights.index)
    ax.set(xlabel=f"weight (their sum: {weights.iloc[:, 0].sum():.2f})", ylim=(len(weights) - 0.5, -0.5))
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def count_figure(controls: np.ndarray, made: np.ndarray, values: np.ndarray, title: str) -> Figure:
    """Draw the depth of cells that were made beside that of control cells, and how often each count stands there.

    Parameters
    ----------
    controls, made
        UMIs of each cell over the measured genes.
    values
        Stored values of the cells that were made; counts are whole.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    most = float(np.quantile(np.concatenate([controls, made]), 0.995))
    bins = np.linspace(0, most, 40)
    for totals, colour, label, style in ((controls, GREY, "control cells", "-"), (made, ORANGE, "made cells", "--")):
        left.hist(totals, bins, density=True, histtype="step", color=colour, ls=style, lw=2, label=label)
    left.set(xlabel="UMIs of a cell (measured genes)", ylabel="density of cells")
    left.legend(fontsize="small")
    shown = values[values < 6]
    right.hist(shown, np.arange(-0.05, 6.05, 0.1), color=GREEN)
    right.set(xlabel="stored value of the made cells (UMIs, bins of 0.1)", ylabel="values", yscale="log")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def upload_grid(lacking: dict[str, pd.DataFrame], title: str) -> Figure:
    """Draw how many cells uploads lack, a panel an upload, a row a context, a column a perturbation.

    Parameters
    ----------
    lacking
        What the upload is to contexts x perturbations: cells that lack, below 0 where there are too many.
    """
    n_contexts = len(next(iter(lacking.values())))
    size = (9, 0.9 + (0.75 + 0.25 * n_contexts) * len(lacking))
    figure, axes = plt.subplots(len(lacking), 1, figsize=size, layout="constrained", squeeze=False)
    largest = max(max(abs(table.to_numpy()).max() for table in lacking.values()), 1)
    norm = TwoSlopeNorm(0, -largest, largest)
    for ax, (name, table) in zip(axes.flat, lacking.items(), strict=True):
        image = ax.imshow(table.to_numpy(), cmap="PuOr_r", norm=norm, aspect="auto")
        ax.set_yticks(range(len(table)), table.index, fontsize="small")
        ax.set_xticks([])
        ax.set_title(f"{name}: {int(abs(table.to_numpy()).sum()):,} cells too few or too many", fontsize="small")
    axes[-1, 0].set_xlabel(f"{next(iter(lacking.values())).shape[1]} perturbations")
    figure.colorbar(image, ax=list(axes.flat), label="cells lacking")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
