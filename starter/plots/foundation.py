"""Figures of a foundation model: its tokens, values, embedding, flags, and what it is chosen by."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped

COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
MARKERS = "osD^vP"
LINES = ("-", "-", ":", "--", "-.", "-")


def token_figure(ids: np.ndarray, known: np.ndarray, share: np.ndarray, title: str, ax: Axes | None = None) -> Axes:
    """Draw the token of each gene against how many cells express it.

    Parameters
    ----------
    ids, known
        Token number of each gene, and whether the vocabulary has the gene.
    share
        Share of the control cells that express the gene, 0 to 1.
    """
    ax = ax or plt.subplots(figsize=(6.5, 3.4), layout="constrained")[1]
    known = np.asarray(known, bool)
    for chosen, colour, marker, label in ((known, BLUE, ".", "known"), (~known, RED, "x", "unknown")):
        percent = 100 * np.asarray(share)[chosen]
        ax.scatter(
            percent, np.asarray(ids)[chosen], s=18, color=colour, marker=marker, label=f"{label}: {len(percent)}"
        )
    ax.set_xscale("symlog", linthresh=0.1)
    ax.set_xlim(left=-0.01)
    ax.set(xlabel="control cells that express the gene, percent", ylabel="number of the token")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", title="genes", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def bin_figure(cells: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw values of cells before and after binning.

    Parameters
    ----------
    cells
        What the cell is, its values (log1p expression), and their bins.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
    for (name, (values, bins)), colour, marker in zip(cells.items(), COLOURS, MARKERS, strict=False):
        axes[0].scatter(values, bins, s=16, color=colour, marker=marker, label=name, alpha=0.6)
        counts = np.bincount(bins[bins > 0].astype(int))[1:]  # an empty bin counts 0
        axes[1].plot(np.arange(1, len(counts) + 1), counts / counts.sum(), color=colour, marker=marker, label=name)
    axes[0].set(xlabel="log1p expression", ylabel="bin")
    for axis in (axes[0].yaxis, axes[1].xaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes[1].set(xlabel="bin", ylabel="share of the expressed genes", ylim=(0, None))
    axes[0].legend(fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def masked_figure(values: np.ndarray, guess: np.ndarray, counts: np.ndarray, title: str) -> Figure:
    """Draw a piece of a table with masked places, and the squared errors of a guess there.

    Parameters
    ----------
    values, guess, counts
        Cells x genes: the bins, what was guessed, and True where a value is masked.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    shown = np.ma.array(values, mask=counts)
    errors = np.ma.array((guess - values) ** 2, mask=~np.asarray(counts, bool))
    for ax, table, label in (
        (axes[0], shown, "bin (white: masked)"),
        (axes[1], errors, "squared error (white: not asked)"),
    ):
        figure.colorbar(ax.imshow(table, aspect="auto", cmap="cividis", interpolation="nearest"), ax=ax, label=label)
        ax.set(xlabel="gene", ylabel="control cell")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def entropy_curves(curves: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw how well batches mix among neighbours.

    Parameters
    ----------
    curves
        Index number of neighbours, a column a curve: batch entropy, 0 to 1.
    """
    ax = ax or plt.subplots(figsize=(5.5, 3.2), layout="constrained")[1]
    for (name, values), colour, marker, line in zip(curves.items(), COLOURS, MARKERS, LINES, strict=False):
        ax.plot(curves.index, values, color=colour, marker=marker, ls=line, label=name)  # curves may lie on each other
    ax.axhline(1, color="black", lw=1, ls="--")
    ax.set(xscale="log", ylim=(0, 1.05), xlabel="neighbours of a cell", ylabel="batch entropy (1 = mixed)")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", loc="lower right")
    return ax


def quality_bars(table: pd.DataFrame, title: str) -> Figure:
    """Draw measures of embeddings, a panel for each kind of label.

    Parameters
    ----------
    table
        Index (label, embedding), columns measures, all of which grow with how visible the label is.
    """
    labels = list(dict.fromkeys(table.index.get_level_values(0)))
    size = (1.5 + 5 * len(labels), 3.2)
    figure, axes = plt.subplots(1, len(labels), figsize=size, layout="constrained", squeeze=False, sharey=True)
    for ax, label in zip(axes.flat, labels, strict=True):
        rows = table.loc[label]
        for number, ((name, values), colour) in enumerate(zip(rows.iterrows(), COLOURS, strict=False)):
            x = np.arange(len(values)) + (number - (len(rows) - 1) / 2) * 0.8 / len(rows)
            ax.bar(x, values, 0.8 / len(rows), color=colour, label=name)
        ax.set_xticks(range(table.shape[1]), [name.replace(" ", "\n") for name in table.columns], fontsize="x-small")
        ax.set(xlabel=f"is the {label} visible?")
    axes[0, 0].set_ylabel("measure (1 = fully visible)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def flag_figure(flags: np.ndarray, genes: Sequence[str], targets: Sequence[str], title: str) -> Axes:
    """Draw which gene is flagged for which target.

    Parameters
    ----------
    flags
        Targets x genes, 0 or 1.
    genes, targets
        Their names.
    """
    ax = plt.subplots(figsize=(7, 1 + 0.28 * len(targets)), layout="constrained")[1]
    rows, columns = np.nonzero(np.asarray(flags))
    ax.scatter(columns, rows, color=RED, s=36)
    ax.set_xticks(range(len(genes)), genes, rotation=90, fontsize="x-small")
    ax.set_yticks(range(len(targets)), targets, fontsize="x-small")
    ax.set(xlim=(-0.7, len(genes) - 0.3), ylim=(len(targets) - 0.5, -0.5), xlabel="gene", ylabel="target")
    ax.grid(lw=0.3)
    ax.set_title(wrapped(title), fontsize="medium")
    return ax


def decoder_lines(values: np.ndarray, predicted: np.ndarray, names: Sequence[str], title: str) -> Axes:
    """Draw what a decoder makes of values, a line a token.

    Parameters
    ----------
    values
        Numbers that go in, log1p expression.
    predicted
        Tokens x values: what comes out.
    names
        Of the tokens.
    """
    ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")[1]
    for name, row, colour, marker in zip(names, predicted, COLOURS, MARKERS, strict=False):
        ax.plot(values, row, color=colour, marker=marker, lw=1, label=name)
    ax.set(xlabel="value, log1p expression", ylabel="predicted log1p expression")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.legend(fontsize="small", title="token", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def difference_panels(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw models' differences from a baseline, a panel a metric.

    Parameters
    ----------
    tables
        Name of the metric, and a table: index model; columns difference, low and high (95 % interval; NaN for none).
    """
    n = max(len(table) for table in tables.values())
    size = (2 + 3.4 * len(tables), 1.4 + 0.32 * n)
    figure, axes = plt.subplots(1, len(tables), figsize=size, layout="constrained", squeeze=False, sharey=True)
    for ax, (metric, table) in zip(axes.flat, tables.items(), strict=True):
        y = np.arange(len(table))
        ax.hlines(y, table["low"], table["high"], color=BLUE, lw=3)
        ax.scatter(table["difference"], y, color="black", zorder=3, s=28)
        ax.axvline(0, color=GREY, lw=1, ls="--")
        ax.set(xlabel=f"{metric}\nless that of the train mean", ylim=(len(table) - 0.5, -0.5))
        ax.set_yticks(y, table.index)
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
