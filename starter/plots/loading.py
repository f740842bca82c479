"""Figures of notebook 02: how cells are stored, tested, split, matched and read."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from starter.plots.style import BLUE, EFFECT, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped

COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
SMALLEST_P = 1e-300


def csr_figure(counts: scipy.sparse.csr_matrix, genes: Sequence[str], title: str) -> Figure:
    """Draw a small matrix and, below it, the three arrays that store it.

    Parameters
    ----------
    counts
        A few cells x a few genes.
    genes
        The genes' names.
    """
    n_cells, n_genes = counts.shape
    figure, (top, below) = plt.subplots(2, 1, figsize=(8, 1.9 + 0.3 * n_cells), height_ratios=[n_cells, 3])
    owner = np.repeat(np.arange(n_cells), np.diff(counts.indptr))
    for cell, gene, value in zip(owner, counts.indices, counts.data, strict=True):
        top.add_patch(Rectangle((gene - 0.5, cell - 0.5), 1, 1, color=COLOURS[cell % len(COLOURS)], alpha=0.4, lw=0))
        top.text(gene, cell, f"{value:g}", ha="center", va="center", fontsize="small")
    top.set(xlim=(-0.5, n_genes - 0.5), ylim=(n_cells - 0.5, -0.5), ylabel="cell", title=wrapped(title))
    top.set_xticks(range(n_genes), [f"{number}\n{gene}" for number, gene in enumerate(genes)], fontsize="x-small")
    top.set_yticks(range(n_cells))
    for row, values in enumerate((counts.data, counts.indices)):
        for place, value in enumerate(values):
            colour = COLOURS[owner[place] % len(COLOURS)]
            below.add_patch(Rectangle((place - 0.5, row - 0.5), 1, 1, color=colour, alpha=0.4, lw=0))
            below.text(place, row, f"{value:g}", ha="center", va="center", fontsize="x-small")
    below.set(xlim=(-0.7, counts.nnz - 0.3), ylim=(1.6, -0.6), xlabel="indptr: where each cell begins, and the end")
    below.set_yticks([0, 1], ["data", "indices"])
    below.set_xticks(np.unique(counts.indptr) - 0.5, np.unique(counts.indptr), fontsize="small")
    figure.tight_layout()
    return figure


def row_figure(row: np.ndarray, genes: np.ndarray, counts: np.ndarray, title: str) -> Axes:
    """Draw a cell's counts gene by gene, over the values that are stored for it.

    Parameters
    ----------
    row
        One count a gene.
    genes, counts
        Columns and values of the stored counts.
    """
    ax = plt.subplots(figsize=(8, 2.6), layout="constrained")[1]
    ax.scatter(genes, counts, s=18, color=ORANGE, label="stored", zorder=2)
    ax.vlines(np.flatnonzero(row), 0, row[np.flatnonzero(row)], color=BLUE, lw=1, label="your row", zorder=3)
    ax.set(xlabel="gene (column of X)", ylabel="UMI counts", yscale="symlog", title=wrapped(title))
    ax.set(xlim=(-1, max(len(row), int(genes.max(initial=0)) + 1)), ylim=(0, None))
    ax.legend(fontsize="small")
    return ax


def product_figure(membership: np.ndarray, expression: np.ndarray, groups: Sequence[str], title: str) -> Figure:
    """Draw membership x expression = sums; empty squares are zeros, which a sparse product skips.

    Parameters
    ----------
    membership
        Groups x cells, 0 or 1.
    expression
        Cells x genes, log1p expression.
    groups
        Their names.
    """
    parts = {"membership": membership, "expression": expression, "sums": membership @ expression}
    widths = [part.shape[1] for part in parts.values()]
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained", width_ratios=widths)
    labels = (("cell", ""), ("gene", "cell"), ("gene", ""))
    for ax, (name, part), (across, down) in zip(axes, parts.items(), labels, strict=True):
        ax.imshow(np.ma.masked_equal(part, 0), cmap="cividis", aspect="equal")
        ax.set(xticks=[], yticks=[], xlabel=across, ylabel=down, title=name)
    axes[0].set_yticks(range(len(groups)), groups, fontsize="small")
    figure.suptitle(f"{wrapped(title)}\nlog1p expression; white is 0", fontsize="medium")
    for ax, sign in zip(axes[1:], "x=", strict=True):
        ax.text(-0.28, 0.5, {"x": "×", "=": "="}[sign], transform=ax.transAxes, fontsize=18, va="center")
    return figure


def agreement(x: pd.Series, y: pd.Series, title: str, ax: Axes | None = None) -> Axes:
    """Draw two numbers of each gene, or perturbation, against each other; on the dashed line they are equal.

    Parameters
    ----------
    x, y
        One number a gene or perturbation; their names say what they are.
    """
    ax = ax or plt.subplots(figsize=(4, 4), layout="constrained")[1]
    ax.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
    ax.scatter(x, y, s=8, color=BLUE, alpha=0.5, lw=0)
    ax.set_xlabel(x.name, fontsize="small")
    ax.set_ylabel(y.name, fontsize="small")
    ax.set_title(wrapped(title), fontsize="medium")
    return ax


def tie_figure(tests: pd.DataFrame, title: str) -> Figure:
    """Draw what the correction for ties does to the p-values of a rank-sum test, and to which genes.

    Parameters
    ----------
    tests
        Index genes; columns p (of `starter.statistics.de`), scanpy and tie_correct (scanpy's p without and with
        correction), and zeros (share of the cells without a count).
    """
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    logs = -np.log10(tests[["p", "scanpy", "tie_correct"]].clip(lower=SMALLEST_P))
    for ax, column, name in zip(axes, ("scanpy", "tie_correct"), ("default", "tie_correct=True"), strict=False):
        agreement(logs["p"].rename("-log10 p, the kit"), logs[column].rename("-log10 p, scanpy"), name, ax)
    shown = (logs["p"] > 1).to_numpy()
    axes[2].scatter(100 * tests["zeros"][shown], (logs["scanpy"] / logs["p"])[shown], s=8, color=BLUE, alpha=0.5, lw=0)
    axes[2].axhline(1, color=GREY, lw=1, ls="--")
    axes[2].set_xlabel("cells without a count, %", fontsize="small")
    axes[2].set_ylabel("log p by scanpy's default / by the kit", fontsize="small")
    axes[2].set_title("genes with p < 0.1", fontsize="medium")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def de_curve(counts: pd.DataFrame, title: str) -> Axes:
    """Draw how many genes are called DE as more of the same perturbation's cells are tested.

    Parameters
    ----------
    counts
        Columns perturbation, n_cells, n_de.
    """
    ax = plt.subplots(figsize=(6, 3.4), layout="constrained")[1]
    for colour, (name, part) in zip(COLOURS, counts.groupby("perturbation", sort=False), strict=False):
        ax.plot(part["n_cells"], part["n_de"], marker="o", ms=4, color=colour, label=name)
    ax.set(xlabel="perturbed cells that are tested", ylabel="DE genes (FDR < 5 %)", xscale="log", title=wrapped(title))
    ticks = np.unique(np.geomspace(counts["n_cells"].min(), counts["n_cells"].max(), 6).round().astype(int))
    ax.set_xticks(ticks, ticks)
    ax.minorticks_off()
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def qq_figure(p_values: Mapping[str, Sequence[np.ndarray]], title: str) -> Axes:
    """Draw the p-values of comparisons in which no gene was perturbed against what chance gives.

    Parameters
    ----------
    p_values
        Kind of comparison -> the p-values of each comparison, one a gene.
    """
    ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")[1]
    ax.axline((0, 0), slope=1, color="black", lw=1, ls="--", label="chance")
    for colour, (kind, comparisons) in zip(COLOURS, p_values.items(), strict=False):
        for number, p in enumerate(comparisons):
            due = -np.log10((np.arange(len(p)) + 0.5) / len(p))
            came = -np.log10(np.sort(p).clip(min=SMALLEST_P))
            ax.plot(due, came, color=colour, lw=1, alpha=0.8, label=None if number else kind)
    ax.set(xlabel="-log10 p expected by chance", ylabel="-log10 p that came", title=wrapped(title))
    ax.legend(fontsize="small")
    return ax


def guide_figure(effects: pd.DataFrame, title: str) -> Axes:
    """Draw the effect of every guide on some genes.

    Parameters
    ----------
    effects
        Guides x genes, change of mean log1p expression against all non-targeting guides.
    """
    n_guides, n_genes = effects.shape
    ax = plt.subplots(figsize=(1.8 + 0.26 * n_genes, 1.9 + 0.24 * n_guides), layout="constrained")[1]
    limit = np.abs(effects.to_numpy()).max()
    image = ax.imshow(effects, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(n_genes), effects.columns, rotation=90, fontsize="x-small")
    ax.set_yticks(range(n_guides), effects.index, fontsize="x-small")
    ax.set(xlabel="gene", ylabel="guide")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.figure.colorbar(image, ax=ax).set_label("effect, change of\nmean log1p expression", fontsize="x-small")
    return ax


def two_tests(cells: pd.Series, guides: pd.Series, marked: str, title: str) -> Axes:
    """Draw the p-values of a test between cells against those of a test between guides.

    Parameters
    ----------
    cells, guides
        p-values of the same genes.
    marked
        The gene that gets a ring and its name.
    """
    ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")[1]
    x, y = (-np.log10(p.clip(lower=SMALLEST_P)) for p in (cells, guides))
    colours = np.where(guides < 0.05, BLUE, ORANGE)
    ax.scatter(x, y, s=12, c=colours, alpha=0.7, lw=0)
    ax.axhline(-np.log10(0.05), color=GREY, lw=1, ls="--")
    ax.text(x.max(), -np.log10(0.05), "p = 0.05", fontsize="x-small", ha="right", va="bottom")
    ax.scatter(x[marked], y[marked], s=60, facecolor="none", edgecolor="black")
    ax.annotate(marked, (x[marked], y[marked]), (5, 5), textcoords="offset points", fontsize="small")
    ax.set(xlabel="-log10 p between cells", ylabel="-log10 p between guides", title=wrapped(title))
    return ax


def fold_figure(target_gene: np.ndarray, fold: np.ndarray, title: str) -> Axes:
    """Draw how many cells of each perturbation are in each fold.

    Parameters
    ----------
    target_gene, fold
        Of each cell.
    """
    table = pd.crosstab(fold, target_gene)
    table = table[table.idxmax().sort_values(kind="stable").index]
    ax = plt.subplots(figsize=(8, 2.6), layout="constrained")[1]
    image = ax.imshow(np.ma.masked_equal(table, 0), cmap="cividis", aspect="auto", interpolation="nearest", norm="log")
    ax.set_yticks(range(len(table)), table.index)
    ax.set(xticks=[], xlabel=f"{table.shape[1]} labels (the control among them)", ylabel="fold", title=wrapped(title))
    ax.figure.colorbar(image, ax=ax, label="cells")
    return ax


def leak_figure(scores: pd.DataFrame, title: str) -> Figure:
    """Draw the scores of one model under two splits, a panel a metric.

    Parameters
    ----------
    scores
        Columns metric, split and value, one row a tested perturbation.
    """
    metrics, splits = scores["metric"].unique(), scores["split"].unique()
    figure, axes = plt.subplots(1, len(metrics), figsize=(4 * len(metrics), 3.4), layout="constrained")
    for ax, metric in zip(axes, metrics, strict=True):
        of_metric = scores[scores["metric"] == metric]
        values = [of_metric.loc[of_metric["split"] == split, "value"] for split in splits]
        parts = ax.boxplot(values, widths=0.5, patch_artist=True, showfliers=False, medianprops={"color": "black"})
        for box, colour in zip(parts["boxes"], COLOURS, strict=False):
            box.set(facecolor=colour, alpha=0.6)
        ax.set_xticks(range(1, len(splits) + 1), [f"split by\n{split}" for split in splits])
        ax.set(ylabel=metric, xlabel="one value a perturbation")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def matched_pairs(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw the depth of each cell against that of its control; on the dashed line they are equal.

    Parameters
    ----------
    pairs
        How controls were chosen -> UMIs of the cells and of their controls.
    """
    figure, axes = plt.subplots(
        1, len(pairs), figsize=(4 * len(pairs), 3.9), layout="constrained", sharex=True, sharey=True
    )
    for ax, (how, (cells, controls)) in zip(axes, pairs.items(), strict=True):
        difference = np.abs(np.log(cells) - np.log(controls)).mean()
        ax.scatter(cells, controls, s=10, color=BLUE, alpha=0.6, lw=0)
        ax.axline((1e4, 1e4), (1e5, 1e5), color=GREY, lw=1, ls="--")
        ax.set(xscale="log", yscale="log", xlabel="UMIs of the cell", ylabel="UMIs of its control")
        ax.set_title(f"{how}: mean |difference of log UMIs| {difference:.3f}", fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def error_figure(errors: pd.DataFrame, title: str) -> Axes:
    """Draw what an estimate of a known effect is off by: always the same way, and by chance.

    Parameters
    ----------
    errors
        Index ways of choosing controls; columns systematic and by chance.
    """
    ax = plt.subplots(figsize=(7, 3), layout="constrained")[1]
    errors.plot.barh(ax=ax, color=[ORANGE, BLUE], width=0.7)
    ax.invert_yaxis()
    ax.set(xlabel=f"error of the {EFFECT}", ylabel="", title=wrapped(title))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def set_figure(control: np.ndarray, perturbed: np.ndarray, genes: Sequence[str], title: str) -> Figure:
    """Draw one example of a set model: its control cells and its perturbed cells.

    Parameters
    ----------
    control, perturbed
        Cells x genes, log1p expression.
    genes
        Their names.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    top = max(control.max(), perturbed.max())
    for ax, cells, name in zip(axes, (control, perturbed), ("control set", "perturbed set"), strict=True):
        image = ax.imshow(cells, cmap="cividis", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        ax.set_xticks(range(len(genes)), genes, rotation=90, fontsize="x-small")
        ax.set(xlabel="gene", title=name)
    axes[0].set(ylabel="cell of the set", yticks=[])
    figure.colorbar(image, ax=axes, label="log1p expression")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def order_figure(orders: Mapping[str, np.ndarray], title: str) -> Figure:
    """Draw in which order the rows of a file are read.

    Parameters
    ----------
    orders
        Name -> rows in the order in which they are read.
    """
    figure, axes = plt.subplots(1, len(orders), figsize=(3.2 * len(orders), 3.4), layout="constrained", sharey=True)
    for ax, (name, rows) in zip(axes, orders.items(), strict=True):
        ax.scatter(np.arange(len(rows)), rows, s=2, color=BLUE, lw=0)
        ax.set(xlabel="read as number", title=name)
    axes[0].set_ylabel("row of the file")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def speed_bars(speeds: Mapping[str, float], title: str) -> Axes:
    """Draw how many cells a second come in each way of reading.

    Parameters
    ----------
    speeds
        Way -> cells a second.
    """
    ax = plt.subplots(figsize=(7, 0.9 + 0.4 * len(speeds)), layout="constrained")[1]
    names = list(speeds)[::-1]
    bars = ax.barh(names, [speeds[name] for name in names], color=BLUE)
    ax.bar_label(bars, [f"{speeds[name]:,.0f}" for name in names], padding=3, fontsize="small")
    ax.set(xscale="log", xlabel="cells a second (logarithmic)", title=wrapped(title))
    ax.set_xlim(min(speeds.values()) / 3, max(speeds.values()) * 6)
    return ax
