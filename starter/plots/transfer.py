"""Figures of effects that are carried from one cell line to another."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.models import MARKERS, MODEL_COLOURS
from starter.plots.style import BLUE, GREY, ORANGE, RED, wrapped

BARS = 25
"""Bars of a histogram at most."""


def shared_gene_histograms(shared: Mapping[str, np.ndarray], title: str) -> Figure:
    """Draw how many top genes the same perturbation shares between two lines, beside two different perturbations.

    Parameters
    ----------
    shared
        Which two lines, and perturbations x perturbations: genes that both lists have; on the diagonal the
        perturbation is the same.
    """
    figure, axes = plt.subplots(1, len(shared), figsize=(5.4 * len(shared), 3.4), layout="constrained", squeeze=False)
    for ax, (name, table) in zip(axes.flat, shared.items(), strict=True):
        same = np.eye(len(table), dtype=bool)
        bins = np.arange(0, table.max() + 2, max(1, int(table.max()) // BARS)) - 0.5
        for rows, colour, label in ((~same, GREY, "different"), (same, ORANGE, "same")):
            values = table[rows]
            weights = np.full(len(values), 1 / len(values))
            text = f"{label} perturbation, mean {values.mean():.1f}"
            ax.hist(values, bins.tolist(), weights=weights, color=colour, alpha=0.7, label=text)
            ax.axvline(values.mean(), color=colour if colour != GREY else "black", lw=1.5, ls="--")
        ax.set(title=wrapped(name), xlabel="genes that both lists have", ylabel="share of pairs of lists")
        ax.title.set_fontsize("medium")
        ax.legend(fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def factor_curve(
    factors: Sequence[float], errors: Sequence[float], own: float, title: str, ax: Axes | None = None
) -> Axes:
    """Draw the error of effects of another line that are multiplied by a factor.

    Parameters
    ----------
    factors
        What they are multiplied by.
    errors
        Squared error, as a share of that of predicting no effect.
    own
        The factor that is marked.
    """
    ax = ax or plt.subplots(figsize=(6, 3.4), layout="constrained")[1]
    ax.plot(factors, errors, color=BLUE)
    ax.axhline(1, color=GREY, lw=1, ls="--", label="no effect is predicted")
    ax.axvline(own, color=RED, lw=2, ls="--", label=f"your factor {own:.2f}")
    ax.set(
        title=wrapped(title),
        xlabel="factor by which the old line's effects are multiplied",
        ylabel="squared error in the new line\n(1 = predicting no effect)",
    )
    ax.legend(fontsize="small")
    return ax


def few_shot_curves(table: pd.DataFrame, title: str) -> Figure:
    """Draw scores against how many targets were measured in a new line: a panel a metric, a curve a model.

    Parameters
    ----------
    table
        Rows with n, model, metric, value, low and high (95 % interval; NaN for none). Steps of n are drawn equally far.
    """
    metrics, models = (list(dict.fromkeys(table[column])) for column in ("metric", "model"))
    numbers = sorted(set(table["n"]))
    figure, axes = plt.subplots(1, len(metrics), figsize=(4 * len(metrics), 3.8), layout="constrained", squeeze=False)
    for ax, metric in zip(axes.flat, metrics, strict=True):
        for model, colour, marker in zip(models, MODEL_COLOURS, MARKERS, strict=False):
            rows = table[(table["metric"] == metric) & (table["model"] == model)].sort_values("n")
            x = [numbers.index(n) for n in rows["n"]]
            ax.fill_between(x, rows["low"].astype(float), rows["high"].astype(float), color=colour, alpha=0.2, lw=0)
            ax.plot(x, rows["value"], color=colour, marker=marker, label=model)
        ax.set_xticks(range(len(numbers)), [f"{n}" for n in numbers])
        ax.set(xlabel="targets measured in the new line", ylabel=metric)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(models), fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
