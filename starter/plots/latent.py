"""Figures of notebook 05: counts and their distributions, the latent space, generated cells."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from starter.plots.loading import agreement
from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped

COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
MARKERS = "osD^vP"

NOTHING = 0.005
"""Nats that are written as 0.00."""


def count_fit(counts: np.ndarray, fits: Mapping[str, np.ndarray], gene: str, title: str) -> Axes:
    """Draw how often cells have each count of a gene, and how often distributions say they do.

    Parameters
    ----------
    counts
        One count a cell.
    fits
        Name of a distribution -> probabilities of the counts 0, 1, 2, ...
    gene
        Its symbol.
    """
    ax = plt.subplots(figsize=(7, 3), layout="constrained")[1]
    n = len(next(iter(fits.values())))
    share = np.bincount(counts.astype(int), minlength=n)[:n] / len(counts)
    ax.bar(range(n), share, color=GREY, alpha=0.6, label=f"measured, {len(counts):,} cells")
    for (name, values), colour, marker in zip(fits.items(), COLOURS, MARKERS, strict=False):
        ax.plot(range(n), values, color=colour, marker=marker, ms=4, lw=1, label=name)
    ax.set(xlabel=f"UMI counts of {gene} in a cell", ylabel="share of cells", title=wrapped(title))
    ax.legend(fontsize="small")
    return ax


def draw_figure(
    means: np.ndarray,
    spreads: np.ndarray,
    draws: np.ndarray,
    noise: np.ndarray,
    gradients: Mapping[str, np.ndarray],
    title: str,
) -> Figure:
    """Draw draws from normal distributions, and the derivative of each drawn number by its parameters.

    Parameters
    ----------
    means, spreads
        Cells x 2: means and standard deviations; the ellipses are two standard deviations wide to each side.
    draws
        Draws x cells x 2.
    noise
        The standard normal numbers from which `draws` were made, same shape.
    gradients
        Name of a parameter -> derivative of each drawn number by it, same shape.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    angle = np.linspace(0, 2 * np.pi, 100)
    for cell, (mean, spread, colour) in enumerate(zip(means, spreads, COLOURS, strict=False)):
        left.scatter(*draws[:, cell].T, s=6, color=colour, alpha=0.5, lw=0, label=f"cell {cell}")
        left.plot(mean[0] + 2 * spread[0] * np.cos(angle), mean[1] + 2 * spread[1] * np.sin(angle), color="black", lw=1)
        left.plot(*mean, "k+")
    left.set(xlabel="latent number 1", ylabel="latent number 2", title="draws of z")
    left.legend(fontsize="x-small")
    for (name, values), colour, marker in zip(gradients.items(), (GREEN, RED), "os", strict=False):
        right.scatter(noise.ravel(), values.ravel(), s=8, color=colour, marker=marker, lw=0, label=f"by the {name}")
    right.axhline(0, color=GREY, lw=1, ls="--")
    right.set(xlabel="noise", ylabel="derivative of z", title="what reaches the encoder")
    right.legend(fontsize="x-small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def weight_curves(curves: pd.DataFrame, title: str) -> Axes:
    """Draw how the weight of a loss term goes over the training.

    Parameters
    ----------
    curves
        Index share of the training that is over, a column a setting.
    """
    ax = plt.subplots(figsize=(6, 2.8), layout="constrained")[1]
    for (name, values), colour, style in zip(curves.items(), COLOURS, ("-", "--", ":", "-."), strict=False):
        ax.plot(curves.index, values, color=colour, ls=style, lw=2, label=name)
    ax.set(xlabel="share of the training that is over", ylabel="weight of the KL term", title=wrapped(title))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def kl_bars(runs: Mapping[str, np.ndarray], title: str) -> Figure:
    """Draw how much each latent number tells of a cell, the most telling first, a panel a training.

    Parameters
    ----------
    runs
        What was trained -> mean KL divergence of each latent number, in nats.
    """
    size = (1 + 2.8 * len(runs), 2.9)
    figure, axes = plt.subplots(1, len(runs), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for ax, (name, values) in zip(axes.flat, runs.items(), strict=True):
        ax.bar(range(1, len(values) + 1), np.sort(values)[::-1], color=BLUE)
        ax.set(xlabel="latent numbers, largest first")
        if values.sum() < NOTHING:
            ax.text(0.5, 0.5, "all at 0", transform=ax.transAxes, ha="center")
        ax.set_title(f"{name}\nin all {max(values.sum(), 0):.2f} nats", fontsize="small")
    axes[0, 0].set_ylabel("mean KL divergence, nats a cell")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def generated_figure(
    values: Mapping[str, np.ndarray], gene: str, zeros: tuple[pd.Series, pd.Series], title: str
) -> Figure:
    """Draw one gene's distribution over measured and generated cells, and the share of zeros of every gene.

    Parameters
    ----------
    values
        Kind of cells -> log1p expression of the gene, a number a cell.
    gene
        Its symbol.
    zeros
        Share of cells without a count, one number a gene, in measured and in generated cells; names say which.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained", width_ratios=[1.4, 1])
    low, high = (function([function(part) for part in values.values()]) for function in (np.min, np.max))
    edges = np.linspace(min(low, 0), high + 1e-6, 26)
    for (name, part), colour, fill in zip(values.items(), (GREY, BLUE, ORANGE), (True, False, False), strict=False):
        left.hist(
            part,
            edges,
            weights=np.full(len(part), 1 / len(part)),
            histtype="stepfilled" if fill else "step",
            color=colour,
            alpha=0.6 if fill else 1,
            lw=2,
            label=f"{name}: {np.mean(part == 0):.0%} zeros",
        )
    left.set(xlabel=f"log1p expression of {gene}", ylabel="share of cells")
    left.legend(fontsize="small")
    agreement(*zeros, "a point is a gene", right)
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def transport_figure(
    control: np.ndarray, perturbed: np.ndarray, partners: Mapping[str, np.ndarray], title: str
) -> Figure:
    """Draw who becomes whom: a line from each control cell to its partner, a panel a way of choosing.

    Parameters
    ----------
    control, perturbed
        Cells x 2, coordinates.
    partners
        How partners were chosen -> the row of each control cell's partner.
    """
    size = (4.2 * len(partners), 3.8)
    figure, axes = plt.subplots(1, len(partners), figsize=size, layout="constrained", sharex=True, sharey=True)
    for ax, (way, rows) in zip(axes, partners.items(), strict=True):
        ax.add_collection(
            LineCollection(list(np.stack([control, perturbed[rows]], axis=1)), color=GREY, lw=0.6, alpha=0.7)
        )
        ax.scatter(*control.T, s=14, color=BLUE, label="control cells", zorder=3)
        ax.scatter(*perturbed.T, s=14, color=ORANGE, marker="D", label="perturbed cells", zorder=3)
        ax.set(xlabel="principal component 1", title=way)
    axes[0].set_ylabel("principal component 2")
    axes[0].legend(fontsize="x-small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
