"""Figures of a count matrix: zeros, depth, the quality of cells."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.errors import counted
from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, log_axis, wrapped


def count_triangles(links: np.ndarray) -> int:
    """Count the triples of genes that are all linked.

    Parameters
    ----------
    links
        Genes x genes, symmetric, boolean, False on the diagonal.
    """
    steps = links.astype(np.int64)
    return int(((steps @ steps) * steps).sum() // 6)


def count_table(counts: pd.DataFrame, title: str) -> Figure:
    """Write out a small part of a count matrix, coloured by the counts.

    Parameters
    ----------
    counts
        Cells x genes, UMIs.
    """
    figure, ax = plt.subplots(figsize=(8.5, 0.3 * len(counts) + 1.6), layout="constrained")
    values = counts.to_numpy()
    ax.imshow(np.log1p(values), cmap="Blues", aspect="auto", vmax=1.3 * np.log1p(values.max()))
    for (cell, gene), value in np.ndenumerate(values):
        ax.text(gene, cell, f"{value:.0f}", ha="center", va="center", color="black" if value else GREY)
    ax.set_xticks(range(len(counts.columns)), counts.columns, rotation=90, fontsize="small")
    ax.set_yticks(range(len(counts)), counts.index, fontsize="small")
    ax.set(xlabel="gene", ylabel="cell", title=wrapped(title))
    return figure


def zeros_by_depth(depth: np.ndarray, zeros: np.ndarray, title: str) -> Axes:
    """Draw the share of zeros in groups of cells against their depth.

    Parameters
    ----------
    depth
        Median UMIs of each group's cells.
    zeros
        Share of zeros of each group, 0 to 1.
    """
    ax = plt.subplots(figsize=(5, 3.2), layout="constrained")[1]
    ax.plot(depth, 100 * np.asarray(zeros), "o-", color=BLUE)
    ax.set(ylim=(0, 100), title=wrapped(title), ylabel="zeros, % of the table")
    log_axis(ax, "UMIs of a cell (median of a tenth of the cells)")
    return ax


def zeros_by_mean(mean: np.ndarray, seen: np.ndarray, expected: np.ndarray, title: str) -> Axes:
    """Draw for every gene the share of cells in which it is zero, seen and expected.

    Parameters
    ----------
    mean
        Mean UMIs of each gene.
    seen, expected
        Share of cells in which it is zero, 0 to 1.
    """
    ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")[1]
    ax.scatter(mean, 100 * np.asarray(seen), s=8, color=BLUE, alpha=0.5, lw=0, label="seen")
    ax.scatter(mean, 100 * np.asarray(expected), s=8, color=ORANGE, lw=0, label="expected of counting alone")
    ax.set(xscale="log", title=wrapped(title), xlabel="mean UMIs of the gene in a cell", ylabel="zeros, % of cells")
    ax.legend(fontsize="small")
    return ax


def cell_quality(n_umis: np.ndarray, percent_mito: np.ndarray, kept: np.ndarray, title: str) -> Axes:
    """Draw every cell's depth and its share of mitochondrial RNA.

    Parameters
    ----------
    n_umis
        Total UMIs of each cell.
    percent_mito
        Percent of them from mitochondrial genes.
    kept
        Which cells pass quality control.
    """
    ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")[1]
    for which, colour, size, label in ((kept, BLUE, 2, "kept"), (~kept, RED, 8, "removed")):
        label = f"{label} ({counted(int(which.sum()), 'cell')})"
        ax.scatter(n_umis[which], percent_mito[which], s=size, color=colour, alpha=0.5, lw=0, label=label)
    if kept.any():
        for limit in (n_umis[kept].min(), n_umis[kept].max()):
            ax.axvline(limit, color="black", lw=0.8, ls=":")
        ax.axhline(percent_mito[kept].max(), color="black", lw=0.8, ls=":", label="range of the cells kept")
    ax.set(title=wrapped(title), ylabel="mitochondrial, % of UMIs")
    log_axis(ax, "UMIs of the cell")
    ax.legend(fontsize="small", markerscale=3)
    return ax


def depth_figure(depth: np.ndarray, before: pd.DataFrame, after: pd.DataFrame, title: str) -> Figure:
    """Draw some genes' means against the depth of the cells, before and after normalisation.

    Parameters
    ----------
    depth
        Median UMIs of groups of cells.
    before, after
        Mean count and mean expression, groups x the same genes.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
    colours = (BLUE, ORANGE, GREEN, PINK, SKY)
    labels = ("mean count, UMIs", "mean log1p expression")
    for ax, table, label, scale in zip(axes, (before, after), labels, ("log", "linear"), strict=True):
        for i, gene in enumerate(table.columns):
            ax.plot(depth, table[gene], "o-", ms=3, color=colours[i % len(colours)], label=gene)
        ax.set(yscale=scale, ylabel=label)
        log_axis(ax, "UMIs of a cell (median of a tenth of the cells)")
    axes[1].set_ylim(bottom=0)
    axes[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
