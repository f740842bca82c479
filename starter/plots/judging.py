"""Figures of notebook 03: what scores see, how sure they are, and what a trick does to them."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, RED, wrapped

JITTER = 0.18
"""Half the height over which the dots of one row are spread, in rows."""
BINS = 24
FDR = 0.05
"""False discovery rate below which a gene is called."""


def score_strips(scores: pd.DataFrame, label: str, title: str, ax: Axes | None = None) -> Axes:
    """Draw every perturbation's score as a dot and their mean as a bar, a row a prediction.

    Parameters
    ----------
    scores
        Perturbations x predictions; missing values are left out.
    label
        Name of the score, with its unit.
    """
    ax = ax or plt.subplots(figsize=(7, 0.9 + 0.5 * scores.shape[1]), layout="constrained")[1]
    rng = np.random.default_rng(0)
    for row, name in enumerate(scores.columns):
        values = scores[name].dropna()
        ax.scatter(values, row + rng.uniform(-JITTER, JITTER, len(values)), s=9, color=BLUE, alpha=0.5, lw=0)
        ax.plot([values.mean()] * 2, [row - 0.35, row + 0.35], color="black", lw=2)
    ax.set_yticks(range(scores.shape[1]), scores.columns)
    ax.set(xlabel=f"{label} (a dot is a perturbation, the bar their mean)", ylim=(scores.shape[1] - 0.5, -0.5))
    ax.set_title(wrapped(title), fontsize="medium")
    return ax


def reference_strips(by_reference: Mapping[str, pd.DataFrame], label: str, title: str) -> Figure:
    """Draw the same score against several references, a panel each.

    Parameters
    ----------
    by_reference
        Reference to scores, perturbations x predictions.
    label
        Name of the score.
    """
    rows = next(iter(by_reference.values())).shape[1]
    size = (4.2 * len(by_reference), 1.4 + 0.5 * rows)
    figure, axes = plt.subplots(1, len(by_reference), figsize=size, layout="constrained", sharex=True, sharey=True)
    for ax, (name, scores) in zip(axes, by_reference.items(), strict=True):
        score_strips(scores, label, f"reference: {name}", ax)
        ax.axvline(0, color=GREY, lw=1, ls="--")
        ax.set_xlabel(label)
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def cosine_histograms(cosines: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how alike single effects and the mean effect are.

    Parameters
    ----------
    cosines
        Perturbations x references, in [-1, 1].
    """
    ax = ax or plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
    for name, colour in zip(cosines.columns, (BLUE, ORANGE), strict=True):
        label = f"minus {name},\nmedian {cosines[name].median():.2f}"
        ax.hist(cosines[name], np.linspace(-1, 1, 2 * BINS + 1).tolist(), color=colour, alpha=0.6, label=label)
    ax.axvline(0, color="black", lw=1, ls=":")
    ax.set(xlabel="cosine of an effect with the mean effect of the others", ylabel="perturbations", xlim=(-1, 1))
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def nearest_effects(distances: pd.Series, target: str, title: str, ax: Axes | None = None) -> Axes:
    """Draw how far every measured effect is from one prediction, the nearest first.

    Parameters
    ----------
    distances
        From the prediction for `target` to the measured effect of each perturbation.
    target
        The perturbation that was predicted.
    """
    ax = ax or plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
    ordered = distances.sort_values()
    own = int(np.flatnonzero(ordered.index == target)[0])
    ax.bar(range(len(ordered)), ordered, width=1, color=GREY, label="another perturbation")
    ax.bar([own], ordered.iloc[[own]], width=1, color=RED, label=f"{target} itself")
    ax.scatter([own], [ordered.iloc[own] + 0.06 * ordered.max()], marker="v", color=RED, s=30)
    ax.set(xlabel="measured effects, nearest first", ylabel="L1 distance\n(log1p expression, summed)", xticks=[])
    ax.set_ylim(0, 1.12 * ordered.max())
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def called_genes(measured: pd.DataFrame, predicted: pd.DataFrame, title: str) -> Figure:
    """Draw two DE tables as volcano plots; genes among the first n of both lists are green.

    Parameters
    ----------
    measured, predicted
        Index genes, columns fdr and log2_fold_change; n is the number of measured genes below FDR 5 %.
    """
    called = [
        side[side["fdr"] < FDR]["log2_fold_change"].abs().sort_values(ascending=False).index
        for side in (measured, predicted)
    ]
    n = len(called[0])
    shared = called[0].intersection(called[1][:n])
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharex=True)
    for ax, side, genes, name in zip(axes, (measured, predicted), called, ("measured", "predicted"), strict=True):
        fold = side["log2_fold_change"].replace([np.inf, -np.inf], np.nan)
        height = -np.log10(side["fdr"].clip(lower=1e-300))
        for chosen, colour, label in (
            (side.index.difference(genes), GREY, "not called"),
            (genes.difference(shared), ORANGE, "called"),
            (shared, GREEN, "among the first n of both lists"),
        ):
            ax.scatter(fold[chosen], height[chosen], s=10, color=colour, lw=0, label=f"{label}: {len(chosen)}")
        ax.axhline(-np.log10(FDR), color="black", lw=0.8, ls=":")
        ax.set(xlabel="log2 fold change", ylabel="-log10 FDR", title=f"{name} cells")
        ax.legend(fontsize="x-small")
    figure.suptitle(f"{wrapped(title)} (n = {n})", fontsize="medium")
    return figure


def gene_by_way(values: Mapping[str, np.ndarray], gene: str, title: str) -> Figure:
    """Draw one gene's distribution over cells, a panel a way of making them.

    Parameters
    ----------
    values
        Name of the way to log1p expression of the gene, a number a cell.
    gene
        Its symbol.
    """
    columns = 5
    rows = -(-len(values) // columns)
    size = (2.1 * columns, 1.7 * rows + 0.9)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True)
    top = max(of_way.max() for of_way in values.values())
    edges = np.linspace(0, max(1.02 * top, 0.1), BINS)
    for ax, (name, of_way) in zip(axes.flat, values.items(), strict=False):
        ax.hist(of_way, edges, weights=np.full(len(of_way), 1 / len(of_way)), color=BLUE)
        ax.axvline(of_way.mean(), color=ORANGE, lw=1.5)
        ax.set_title(f"{name}\nzeros: {np.mean(of_way == 0):.0%}", fontsize="small")
    for ax in axes.flat[len(values) :]:
        ax.set_axis_off()
    figure.supxlabel(f"{gene}, log1p expression (the line is the mean)", fontsize="small")
    figure.supylabel("share of cells", fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def ways_bars(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw what each way of making cells costs.

    Parameters
    ----------
    table
        Index ways, columns DES and MAE of a perfect profile.
    """
    ax = ax or plt.subplots(figsize=(7, 3.6), layout="constrained")[1]
    ordered = table.sort_values("DES")
    y = range(len(ordered))
    ax.barh(y, ordered["DES"], color=BLUE)
    for place, row in zip(y, ordered.itertuples(), strict=True):
        ax.text(row.DES + 0.01, place, f"MAE {row.MAE:.4f}", va="center", fontsize="small")
    ax.set_yticks(y, ordered.index)
    ax.set(xlabel="DES, with the true profile given", xlim=(0, 1.2 * ordered["DES"].max() + 0.05))
    ax.set_title(wrapped(title), fontsize="medium")
    return ax


def interval_bars(table: pd.DataFrame, label: str, title: str, ax: Axes | None = None) -> Axes:
    """Draw means with their intervals, a row each.

    Parameters
    ----------
    table
        Index what it is, columns mean, low and high.
    label
        Name of the score.
    """
    ax = ax or plt.subplots(figsize=(7, 1.1 + 0.4 * len(table)), layout="constrained")[1]
    y = np.arange(len(table))
    ax.hlines(y, table["low"], table["high"], color=BLUE, lw=3)
    ax.scatter(table["mean"], y, color="black", zorder=3, s=28)
    ax.axvline(0, color=GREY, lw=1, ls="--")
    ax.set_yticks(y, table.index)
    ax.set(xlabel=f"{label} (mean and 95 % interval)", ylim=(len(table) - 0.5, -0.5))
    ax.set_title(wrapped(title), fontsize="medium")
    return ax


def coverage_curve(shares: pd.Series, title: str, ax: Axes | None = None) -> Axes:
    """Draw how often a 95 % interval holds the mean that it should hold.

    Parameters
    ----------
    shares
        Index number of perturbations, values share of intervals, 0 to 1.
    """
    ax = ax or plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
    ax.plot(shares.index, shares, color=BLUE, marker="o")
    ax.axhline(0.95, color="black", lw=1, ls=":", label="what it promises")
    ax.set_xscale("log")
    ax.set_xticks(shares.index, [str(n) for n in shares.index])
    ax.minorticks_off()
    ax.set(xlabel="perturbations", ylabel="share of intervals\nthat hold the mean", ylim=(min(0.6, shares.min()), 1))
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="lower right")
    return ax


def room_to_improve(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how far replicate and model go from the baseline (0) to a perfect prediction (1), a row a metric.

    Parameters
    ----------
    table
        Index metrics, columns shares of that way: first a replicate (bars), then up to three others (dots).
    """
    ax = ax or plt.subplots(figsize=(7, 1.3 + 0.45 * len(table)), layout="constrained")[1]
    y = np.arange(len(table))
    ax.barh(y, table.iloc[:, 0], height=0.5, color=GREY, alpha=0.5, label=table.columns[0])
    for name, colour, marker in zip(table.columns[1:], (BLUE, ORANGE, GREEN), "osD", strict=False):
        ax.scatter(table[name], y, color=colour, marker=marker, s=40, label=name, zorder=3)
    for place in (0, 1):
        ax.axvline(place, color="black", lw=1)
    ax.set_yticks(y, table.index)
    ax.set(xlabel="share of the way from the train mean (0) to perfection (1), median", ylim=(len(table) - 0.5, -0.5))
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def limits_bars(numbers: pd.Series, limits: tuple[float, float], label: str, title: str) -> Axes:
    """Draw numbers beside the limits outside of which a flag is raised.

    Parameters
    ----------
    numbers
        Index what was measured.
    limits
        Lowest and highest number that raise no flag.
    label
        What the numbers are.
    """
    ax = plt.subplots(figsize=(7, 1.2 + 0.32 * len(numbers)), layout="constrained")[1]
    inside = numbers.between(*limits)
    ax.barh(range(len(numbers)), numbers, color=np.where(inside, GREEN, RED))
    ax.axvspan(*limits, color=GREEN, alpha=0.15, lw=0, label="no flag")
    ax.set_yticks(range(len(numbers)), numbers.index)
    ax.set(xlabel=label, ylim=(len(numbers) - 0.5, -0.5))
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small")
    return ax


def trick_bars(table: pd.DataFrame, title: str) -> Figure:
    """Draw DES of each trick, and the score as it is and as it would be without its lower limit.

    Parameters
    ----------
    table
        Index predictions, the first one honest; columns DES, official and unclipped.
    """
    size = (9, 1.5 + 0.4 * len(table))
    figure, axes = plt.subplots(1, 2, figsize=size, layout="constrained", sharey=True, width_ratios=[1, 1.6])
    y = np.arange(len(table))
    axes[0].barh(y, table["DES"], color=[GREY, *[ORANGE] * (len(table) - 1)])
    axes[0].axvline(table["DES"].iloc[0], color="black", lw=1, ls=":")
    axes[0].set_yticks(y, table.index)
    axes[0].set(xlabel="DES (dotted: the honest one)", ylim=(len(table) - 0.5, -0.5))
    axes[1].barh(y - 0.2, table["official"], height=0.36, color=ORANGE, label="official: every share at least 0")
    axes[1].barh(y + 0.2, table["unclipped"], height=0.36, color=BLUE, label="the same shares, not clipped")
    axes[1].axvline(0, color="black", lw=1)
    axes[1].set_xlabel("VCC 2025 score (0 baseline, 1 perfect)")
    figure.suptitle(wrapped(title), fontsize="medium")
    figure.legend(*axes[1].get_legend_handles_labels(), fontsize="small", loc="outside lower right", ncols=2)
    return figure


def scaling_curves(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw scores against the factor by which predicted effects are scaled.

    Parameters
    ----------
    table
        Index factors, a column a score.
    """
    ax = ax or plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
    for name, colour, marker in zip(table.columns, (ORANGE, BLUE, GREEN), "osD", strict=False):
        ax.plot(table.index, table[name], color=colour, marker=marker, label=name)
    ax.set(xlabel="factor on every predicted effect", ylabel="mean score")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small")
    return ax
