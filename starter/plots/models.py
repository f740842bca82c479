"""Figures of models and of what they learn from: how alike effects are, settings, features, who wins."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.effects import effect_scatter
from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped

if TYPE_CHECKING:
    from starter.statistics.heterogeneity import PublishedScreen

MODEL_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY)
MARKERS = "osD^vPX"
"""A model has a colour and a marker, so that the figure can be read without colours."""
MOST_TICKS = 7
"""Values of a setting that can be written below an axis."""


def effect_panels(measured: pd.Series, predicted: dict[str, pd.Series], title: str) -> Figure:
    """Draw several predictions of one effect side by side, a point a gene.

    Parameters
    ----------
    measured
        The effect, in log1p expression.
    predicted
        What stands above a panel, and the prediction over the same genes.
    """
    figure, axes = plt.subplots(1, len(predicted), figsize=(4.2 * len(predicted), 4.6), layout="constrained")
    for ax, (name, values) in zip(np.atleast_1d(axes), predicted.items(), strict=True):
        effect_scatter(measured, values, name, ax)
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def correlation_histogram(correlations: np.ndarray, middle: float, title: str, ax: Axes | None = None) -> Axes:
    """Draw how alike effects are, every two of them.

    Parameters
    ----------
    correlations
        Pearson correlation of every two effects.
    middle
        Where to draw a line, the median.
    """
    ax = ax or plt.subplots(figsize=(6, 3), layout="constrained")[1]
    ax.hist(correlations, bins=np.linspace(-1, 1, 61).tolist(), color=SKY)
    ax.axvline(0, color="black", lw=1)
    ax.axvline(middle, color=RED, lw=2, ls="--", label=f"median {middle:.3f}")
    ax.set(title=wrapped(title), xlabel="Pearson correlation of two effects", ylabel="pairs of perturbations")
    ax.legend(fontsize="small")
    return ax


def value_bars(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw values of metrics, a group of bars a metric and a bar a model.

    Parameters
    ----------
    table
        Models x metrics, on a scale where 1 is perfect.
    """
    ax = ax or plt.subplots(figsize=(7, 3), layout="constrained")[1]
    table.T.plot.bar(ax=ax, color=list(MODEL_COLOURS[: len(table)]), width=0.8)
    ax.set_xticks(range(table.shape[1]), [textwrap.fill(name, 14) for name in table.columns], rotation=0)
    ax.axhline(0, color="black", lw=1)
    ax.set(title=wrapped(title), ylabel="score (1 = perfect)", xlabel="metric")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def setting_curves(curves: dict[str, pd.DataFrame], baseline: pd.Series, ylabel: str, title: str) -> Figure:
    """Draw scores against a setting of a model, a panel a setting.

    Parameters
    ----------
    curves
        What the setting is, and a table: index its values (drawn on a log scale), a column a curve.
    baseline
        The train mean's value of each curve: a dashed line.
    ylabel
        What the curves show, with units.
    """
    size = (1.5 + 3.8 * len(curves), 3.4)
    figure, axes = plt.subplots(1, len(curves), figsize=size, layout="constrained", squeeze=False)
    for ax, (setting, table) in zip(axes.flat, curves.items(), strict=True):
        for (name, values), colour, marker in zip(table.items(), MODEL_COLOURS, MARKERS, strict=False):
            ax.plot(table.index, values, color=colour, marker=marker, label=name)
            ax.axhline(baseline[name], color=colour, ls="--", lw=1)
        ax.plot([], [], color="black", ls="--", lw=1, label="train mean")
        ax.set(xscale="log", xlabel=setting)
        # a long table has its values near each other: powers of ten suffice there
        values = table.index if len(table) <= MOST_TICKS else np.intersect1d(table.index, 10.0 ** np.arange(-9, 10))
        ax.set_xticks(values, [f"{value:g}" for value in values])
        ax.minorticks_off()
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize="x-small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def knowledge_bars(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how much more alike the features of genes are that belong together.

    Parameters
    ----------
    table
        One row a kind of features and of gene sets: features, sets, gain, low, high (95 % interval; NaN for none).
    """
    ax = ax or plt.subplots(figsize=(7, 3), layout="constrained")[1]
    names, kinds = list(dict.fromkeys(table["features"])), list(dict.fromkeys(table["sets"]))
    width = 0.8 / len(kinds)
    for number, (kind, colour) in enumerate(zip(kinds, MODEL_COLOURS, strict=False)):
        rows = table[table["sets"] == kind].set_index("features").reindex(names)
        x = np.arange(len(names)) + (number - (len(kinds) - 1) / 2) * width
        ax.bar(x, rows["gain"], width, color=colour, label=kind)
        ax.vlines(x, rows["low"], rows["high"], color="black", lw=1.5)
    ax.axhline(0, color="black", lw=1)
    ax.set_xticks(range(len(names)), names)
    ax.set(title=wrapped(title), xlabel="features", ylabel="correlation within sets\nless that of shuffled genes")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def study_figure(table: pd.DataFrame, titles: dict[str, str], title: str) -> Figure:
    """Draw every model with every kind of features, beside the train mean: a panel a metric.

    Parameters
    ----------
    table
        Rows with model, features, metric, value, difference from the train mean, low and high of the difference.
    titles
        Metrics to draw, with their titles.
    """
    figure, axes = plt.subplots(1, len(titles), figsize=(4 * len(titles), 4.2), layout="constrained", squeeze=False)
    kinds, models = (list(dict.fromkeys(table[column])) for column in ("features", "model"))
    for ax, (metric, name) in zip(axes.flat, titles.items(), strict=True):
        rows = table[table["metric"] == metric]
        train_mean = (rows["value"] - rows["difference"]).iloc[0]
        for number, (model, colour, marker) in enumerate(zip(models, MODEL_COLOURS, MARKERS, strict=False)):
            own = rows[rows["model"] == model]
            y = np.array([kinds.index(kind) for kind in own["features"]]) + (number + 0.5) / len(models) * 0.8 - 0.4
            ax.hlines(y, train_mean + own["low"], train_mean + own["high"], color=colour, lw=1.5)
            ax.scatter(own["value"], y, color=colour, marker=marker, s=28, zorder=3, label=model)
        ax.axvline(train_mean, color="black", ls="--", lw=1, label="train mean")
        for line in np.arange(len(kinds) - 1) + 0.5:
            ax.axhline(line, color=GREY, lw=0.5)
        ax.set(xlabel=name, ylim=(len(kinds) - 0.5, -0.5))
        ax.set_yticks(range(len(kinds)), kinds if ax is axes[0, 0] else [])
    axes[0, 0].set_ylabel("features")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def gain_figure(
    published: "Sequence[PublishedScreen]", own: tuple[str, float, float], title: str, ax: Axes | None = None
) -> Axes:
    """Draw what the best model gains over the train mean against how alike a screen's effects are.

    Parameters
    ----------
    published
        Public screens. Filled: the published median; hollow: the estimate from E-distances.
    own
        Name, median effect correlation and gain in Pearson delta of the screen at hand.
    title
        What is shown, and whether the data at hand are simulated.
    """
    ax = ax or plt.subplots(figsize=(6.5, 3.8), layout="constrained")[1]
    for screen in published:
        ends = [x for x in (screen.estimate, screen.effect_correlation) if x is not None]
        ax.plot(ends, [screen.gain] * len(ends), color=GREY, lw=1, zorder=1)
        ax.scatter(screen.estimate, screen.gain, facecolor="white", edgecolor=BLUE, s=45)
        if screen.effect_correlation is not None:
            ax.scatter(screen.effect_correlation, screen.gain, color=BLUE, s=45)
        offset = (6, 5) if len(ends) > 1 else (6, -11)
        ax.annotate(screen.name, (ends[-1], screen.gain), xytext=offset, textcoords="offset points", fontsize="small")
    ax.scatter([], [], color=BLUE, label="published median")
    ax.scatter([], [], facecolor="white", edgecolor=BLUE, label="estimate from E-distances")
    name, correlation, gain = own
    ax.scatter(correlation, gain, color=RED, marker="D", s=50, label=name)
    ax.axhline(0, color="black", lw=1)
    ax.set(
        title=wrapped(title),
        xlabel="median correlation of two effects",
        ylabel="best model less train mean,\nPearson delta",
    )
    ax.set_xlim(0, 0.85)
    ax.margins(y=0.15)
    ax.legend(fontsize="x-small")
    return ax
