"""Figures of gene graphs: whom they link, how messages travel, and what two bugs of a graph network look like."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.sparse import csgraph, spmatrix

from starter.errors import counted
from starter.plots.style import BLUE, GREY, ORANGE, RED, SKY, wrapped

FEWEST_PAIRS = 10
"""Pairs of genes of which a mean is drawn."""
QUIETEST = 1e-3
"""Share of a message below which a gene is drawn as if it had not heard it."""


def similarity_curve(similarity: np.ndarray, correlation: np.ndarray, title: str, ax: Axes | None = None) -> Axes:
    """Draw how alike the effects of two genes are against how alike their annotations are.

    Parameters
    ----------
    similarity
        Jaccard similarity of every two genes, 0 to 1.
    correlation
        Pearson correlation of their effects, -1 to 1.
    """
    ax = ax or plt.subplots(figsize=(6.5, 3.4), layout="constrained")[1]
    bins = np.arange(0, 1.01, 0.05)
    pairs = pd.DataFrame({"similarity": similarity, "correlation": correlation})
    table = pairs.groupby(np.digitize(similarity, bins)).agg(["mean", "sem", "size"])
    table = table[table["similarity", "size"] >= FEWEST_PAIRS]
    x, y = table["similarity", "mean"], table["correlation", "mean"]
    ax.errorbar(x, y, 1.96 * table["correlation", "sem"], color=BLUE, marker="o", capsize=3)
    for place, height, n in zip(x, y, table["similarity", "size"], strict=True):
        ax.annotate(f"{n:,}", (place, height), xytext=(5, -12), textcoords="offset points", fontsize="x-small")
    ax.axhline(0, color=GREY, lw=1, ls="--")
    ax.set(
        title=wrapped(title),
        xlabel="Jaccard similarity of two genes' annotations (number of pairs beside the point)",
        ylabel="Pearson correlation\nof their effects (mean)",
    )
    ax.margins(0.12)
    return ax


def likeness_figure(table: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how alike linked genes' effects are, graph by graph, beside the same graph with genes shuffled.

    Parameters
    ----------
    table
        Index graph; columns mean, low and high (95 % interval; NaN for none), and shuffled.
    """
    ax = ax or plt.subplots(figsize=(7, 1.3 + 0.45 * len(table)), layout="constrained")[1]
    y = np.arange(len(table))
    ax.hlines(y, table["low"], table["high"], color=BLUE, lw=3)
    ax.scatter(table["mean"], y, color=BLUE, zorder=3, label="graph")
    ax.scatter(table["shuffled"], y, color=ORANGE, marker="D", zorder=3, label="genes shuffled")
    ax.axvline(0, color=GREY, lw=1, ls="--")
    ax.set_yticks(y, table.index)
    ax.set(xlabel="Pearson correlation of neighbours' effects, common part taken off (mean, 95 % interval)")
    ax.set(title=wrapped(title), ylim=(len(table) - 0.5, -0.5))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def loudness_figure(degree: np.ndarray, weight: np.ndarray, own: int, title: str, ax: Axes | None = None) -> Axes:
    """Draw how loudly a gene hears its neighbours against how many neighbours those have.

    Parameters
    ----------
    degree
        Neighbours of each neighbour.
    weight
        Its entry in the normalised matrix.
    own
        Neighbours of the gene that listens.
    title
        Who listens, and whether the data are simulated.
    """
    ax = ax or plt.subplots(figsize=(6, 3.4), layout="constrained")[1]
    x = np.linspace(max(degree.min() - 1, 0), degree.max() + 1, 100)
    ax.plot(x, 1 / np.sqrt((x + 1) * (own + 1)), color=GREY, ls="--", label=r"$1/\sqrt{(d_i+1)(d_j+1)}$")
    ax.scatter(degree, weight, color=BLUE, zorder=3, label="your matrix")
    ax.set(title=wrapped(title), xlabel="neighbours of the gene that speaks", ylabel="weight of its message")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize="small")
    return ax


def message_figure(matrix: spmatrix, amounts: Mapping[str, np.ndarray], source: int, title: str) -> Figure:
    """Draw how a message spreads from one gene; the others stand on rings by their distance.

    Parameters
    ----------
    matrix
        Adjacency, genes x genes.
    amounts
        What stands above a panel, and how much of the message each gene holds.
    source
        Number of the gene from which it starts.
    title
        Who speaks, and whether the data are simulated.
    """
    distance = csgraph.shortest_path(matrix, unweighted=True, directed=False, indices=source)
    shown = np.flatnonzero(np.isfinite(distance))
    places = np.zeros((matrix.shape[0], 2))
    for ring in np.unique(distance[shown]):
        genes = shown[distance[shown] == ring]
        angle = 2 * np.pi * (np.arange(len(genes)) / len(genes) + ring / 7)
        places[genes] = ring * np.column_stack([np.cos(angle), np.sin(angle)])
    links = np.stack(matrix.nonzero(), axis=1)
    links = links[np.isin(links[:, 0], shown)]
    thin = min(1, 500 / max(len(links), 1))
    figure, axes = plt.subplots(1, len(amounts), figsize=(3 * len(amounts) + 1, 3.6), layout="constrained")
    for ax, (name, amount) in zip(np.atleast_1d(axes), amounts.items(), strict=True):
        ax.add_collection(LineCollection(list(places[links]), colors=GREY, linewidths=thin, alpha=0.25))
        heard = shown[amount[shown] > QUIETEST]
        ax.scatter(*places[np.setdiff1d(shown, heard)].T, s=10, facecolor="white", edgecolor="black", lw=0.5, zorder=2)
        dots = ax.scatter(
            *places[heard].T, s=28, c=amount[heard], cmap="viridis_r", norm=LogNorm(QUIETEST, 1), zorder=3
        )
        ax.set_title(f"{name}: {counted(len(heard), 'gene')}", fontsize="medium")
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.set_xlabel(f"rings: steps from the gene\n({counted(len(shown), 'gene')})", fontsize="small")
    figure.colorbar(dots, ax=axes, label="amount of the message")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def gradient_figure(table: pd.DataFrame, title: str) -> Figure:
    """Draw a loss and the length of its gradient against the weight of a term.

    Parameters
    ----------
    table
        Rows with term, weight (above 0), loss and gradient (Euclidean length).
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    for (term, rows), colour, style in zip(table.groupby("term", sort=False), (RED, BLUE), ("o--", "s-"), strict=False):
        for ax, column in zip(axes, ("loss", "gradient"), strict=True):
            ax.plot(rows["weight"], rows[column], style, color=colour, label=term)
    for ax, label in zip(axes, ("loss", "length of the loss's gradient"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel="weight of the direction term", ylabel=label)
    axes[0].legend(fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def cell_bars(changes: Mapping[str, np.ndarray], title: str, ax: Axes | None = None) -> Axes:
    """Draw how much each cell's output changes when a graph's edges are removed.

    Parameters
    ----------
    changes
        Which edges, and mean absolute change of the output of each cell of a batch.
    """
    ax = ax or plt.subplots(figsize=(7, 3), layout="constrained")[1]
    table = pd.DataFrame(changes)
    table.index = [f"cell {number + 1}" for number in table.index]
    table.plot.bar(ax=ax, color=[ORANGE, BLUE, SKY][: table.shape[1]], width=0.8, rot=0)
    ax.set(title=wrapped(title), ylabel="change of the output\nwithout edges", xlabel="cell of the batch")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
