"""Figures of notebook 07: tokens, who looks at whom, what attention costs, sets of cells."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped

COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
BINS = 12
"""Groups of pairs of genes in a curve."""
SHOWN_CELLS = 400
"""Cells of a set that are drawn."""


def likeness_curves(likeness: Mapping[str, np.ndarray], response: np.ndarray, title: str) -> Axes:
    """Draw whether genes with like tokens respond alike: the mean response of pairs, by the likeness of their tokens.

    Parameters
    ----------
    likeness
        Kind of tokens -> cosine of the tokens of pairs of genes.
    response
        Of the same pairs: how alike their responses are.
    """
    ax = plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    for (kind, values), colour in zip(likeness.items(), COLOURS, strict=False):
        groups = np.array_split(np.argsort(values), BINS)
        x, y = ([part[group].mean() for group in groups] for part in (values, response))
        ax.plot(x, y, color=colour, marker="o", label=kind)
    ax.axhline(0, color=GREY, lw=1, ls="--")
    ax.set(xlabel="cosine of two genes' tokens", ylabel="correlation of their\nunseen effects", title=wrapped(title))
    ax.legend(fontsize="small")
    return ax


def attention_map(weights: np.ndarray, names: Sequence[str], n_hidden: int, title: str) -> Axes:
    """Draw who looks at whom; what each row sums to stands beside it.

    Parameters
    ----------
    weights
        Tokens that look x tokens that are looked at.
    names
        Of the tokens.
    n_hidden
        How many of the last tokens nobody may look at: they are framed.
    """
    ax = plt.subplots(figsize=(6, 4.6), layout="constrained")[1]
    image = ax.imshow(np.ma.masked_equal(weights, 0), cmap="cividis", vmin=0)
    n = len(names)
    ax.set_xticks(range(n), names, rotation=90, fontsize="x-small")
    ax.set_yticks(range(n), [f"{name}  sum {row.sum():.2f}" for name, row in zip(names, weights, strict=True)])
    ax.tick_params(axis="y", labelsize="x-small")
    if n_hidden:
        frame = Rectangle((n - n_hidden - 0.5, -0.5), n_hidden, n, fill=False, ec=RED, lw=2, clip_on=False)
        ax.add_patch(frame)
    ax.set(xlabel="is looked at (framed: hidden)", ylabel="looks")
    ax.figure.colorbar(image, ax=ax, label="weight (white: exactly 0)")
    ax.set_title(wrapped(title), fontsize="medium")
    return ax


def cost_curve(seconds: pd.Series, title: str) -> Axes:
    """Draw how long attention takes, and a line of slope 2, a square, through the longest.

    Parameters
    ----------
    seconds
        Index tokens, values seconds.
    title
        What was measured.
    """
    ax = plt.subplots(figsize=(5, 3.2), layout="constrained")[1]
    n = seconds.index.to_numpy(float)
    ax.plot(n, seconds.iloc[-1] * (n / n[-1]) ** 2, color=GREY, ls="--", lw=1, label="slope 2")
    ax.plot(n, seconds, color=BLUE, marker="o", label="measured")
    ax.set(xscale="log", yscale="log", xlabel="tokens", ylabel="seconds, attention once", title=wrapped(title))
    ax.set_xticks(n, [f"{size:.0f}" for size in n])
    ax.minorticks_off()
    ax.legend(fontsize="small")
    return ax


def loss_curves(losses: pd.DataFrame, label: str, title: str) -> Axes:
    """Draw the losses of several trainings.

    Parameters
    ----------
    losses
        Index epoch, a column a training.
    label
        What the loss is, with units.
    """
    ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")[1]
    for (name, values), colour in zip(losses.items(), COLOURS, strict=False):
        ax.plot(losses.index, values, color=colour, label=name)
    ax.set(xlabel="epoch", ylabel=label, ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_title(wrapped(title), fontsize="small")
    ax.legend(fontsize="small")
    return ax


def cell_panels(sets: Mapping[str, np.ndarray], reference: np.ndarray, title: str) -> Figure:
    """Draw sets of cells in their first two components, each over a reference set in grey.

    Parameters
    ----------
    sets
        What stands above a panel -> cells x components (the first two are drawn).
    reference
        Cells x components.
    """
    size = (1 + 2.9 * len(sets), 3.6)
    figure, axes = plt.subplots(1, len(sets), figsize=size, layout="constrained", sharex=True, sharey=True)
    for ax, (name, cells), colour in zip(np.atleast_1d(axes), sets.items(), COLOURS, strict=False):
        for points, shade, marker in ((reference, GREY, "."), (cells, colour, "o")):
            points = points[:SHOWN_CELLS]
            ax.scatter(points[:, 0], points[:, 1], s=9, color=shade, marker=marker, alpha=0.4, lw=0)
        ax.scatter(*cells[:, :2].mean(axis=0), color="black", marker="X", s=60)
        ax.set(title=name, xlabel="component 1")
    np.atleast_1d(axes)[0].set_ylabel("component 2")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def flow_paths(paths: np.ndarray, end: np.ndarray, title: str) -> Axes:
    """Draw the ways of cells from where they began, in the first two components.

    Parameters
    ----------
    paths
        Times x cells x components.
    end
        Measured cells x components: where the ways should lead.
    """
    ax = plt.subplots(figsize=(5, 4.2), layout="constrained")[1]
    drawn = paths[:, :60]
    ax.plot(drawn[..., 0], drawn[..., 1], color=GREY, lw=0.6, zorder=1)
    points = {
        "begin: control cells": (paths[0], BLUE, "^"),
        "measured cells": (end, "black", "."),
        "end": (paths[-1], ORANGE, "o"),
    }
    for label, (cells, colour, marker) in points.items():
        ax.scatter(*cells[:SHOWN_CELLS, :2].T, s=12, color=colour, marker=marker, alpha=0.5, lw=0, label=label)
    ax.set(xlabel="component 1", ylabel="component 2")
    ax.set_title(wrapped(title), fontsize="small")
    ax.legend(fontsize="x-small")
    return ax
