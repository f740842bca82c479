"""Figures of notebook 01: from a gene to a count matrix, and what a switched-off gene changes."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from starter.errors import counted
from starter.plots.counts import count_triangles
from starter.plots.style import BLUE, EFFECT, GREEN, GREY, ORANGE, PINK, RED, SKY, log_axis, wrapped

GROUPS = 8
"""Eigenvectors by which the genes of a network are ordered."""
LABELLED = 5
"""Genes of a volcano plot that are named on each side."""


def order_by_groups(links: np.ndarray) -> np.ndarray:
    """Order genes so that those with links to the same genes stand together.

    They are clustered by the leading eigenvectors of the normalised links, as in spectral clustering (Ng, Jordan and
    Weiss 2001, "On spectral clustering: analysis and an algorithm").

    Parameters
    ----------
    links
        Genes x genes, symmetric.

    Returns
    -------
    Positions of the genes, in order.
    """
    scale = 1 / np.sqrt(np.maximum(links.sum(axis=1), 1))
    _, vectors = np.linalg.eigh(scale[:, None] * links * scale)
    leading = vectors[:, -GROUPS:]
    leading /= np.maximum(np.linalg.norm(leading, axis=1, keepdims=True), 1e-9)  # a gene without links has length 0
    return hierarchy.leaves_list(hierarchy.linkage(leading, "ward"))


def network_figure(edges: pd.DataFrame, title: str, rng: np.random.Generator) -> Figure:
    """Draw a gene network as a matrix, beside one with as many links drawn at random.

    Parameters
    ----------
    edges
        Columns gene_a and gene_b, each link once.
    title
        Which network it is.
    rng
        Source of randomness.
    """
    genes, numbers = np.unique(edges[["gene_a", "gene_b"]].to_numpy(dtype=str), return_inverse=True)
    row, column = np.triu_indices(len(genes), 1)
    drawn = rng.choice(len(row), len(edges), replace=False)
    pairs = {"known links": numbers.reshape(-1, 2).T, "as many, drawn at random": (row[drawn], column[drawn])}
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 4.6), layout="constrained")
    for ax, (name, (a, b)) in zip(axes, pairs.items(), strict=True):
        links = np.zeros((len(genes), len(genes)), dtype=bool)
        links[a, b] = links[b, a] = True
        order = order_by_groups(links)
        ax.imshow(links[np.ix_(order, order)], cmap="Greys", interpolation="none")
        ax.set_title(
            f"{name}\n{counted(len(a), 'link')}, {counted(count_triangles(links), 'triangle')}", fontsize="medium"
        )
        ax.set(xlabel="gene, in the order of its links", ylabel="gene", xticks=[], yticks=[])
    figure.suptitle(wrapped(title))
    return figure


def batch_maps(maps: Mapping[str, np.ndarray], batch: np.ndarray, title: str) -> Figure:
    """Draw maps of the same points side by side, coloured by batch.

    Parameters
    ----------
    maps
        What a map shows -> its coordinates, points x 2.
    batch
        The batch of each point.
    """
    figure, axes = plt.subplots(1, len(maps), figsize=(4.25 * len(maps), 4.2), layout="constrained")
    colours = (BLUE, ORANGE, GREEN, PINK, SKY)
    for ax, (name, place) in zip(axes, maps.items(), strict=True):
        for i, label in enumerate(np.unique(batch)):
            ax.scatter(*place[batch == label].T, s=7, color=colours[i % len(colours)], lw=0, label=label)
        ax.set(xlabel="UMAP 1 (no unit)", ylabel="UMAP 2 (no unit)", xticks=[], yticks=[])
        ax.set_title(name, fontsize="medium")
    axes[-1].legend(fontsize="small", markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def all_correlations(correlations: Mapping[str, np.ndarray], title: str) -> Axes:
    """Draw how the correlations of all pairs of genes are spread.

    Parameters
    ----------
    correlations
        What was correlated -> the correlation of each pair.
    """
    ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")[1]
    together = np.concatenate(list(correlations.values()))
    low, high = np.quantile(together, (0.001, 0.999))
    bins = np.linspace(low, high, 101)
    for (name, values), colour in zip(correlations.items(), (ORANGE, BLUE, GREEN), strict=False):
        ax.hist(values, bins, color=colour, alpha=0.6, label=name)
    ax.axvline(0, color="black", lw=1)
    ax.set(title=wrapped(title), xlabel="correlation of two genes over cells", ylabel="pairs of genes")
    ax.legend(fontsize="small")
    return ax


def pair_figure(
    cells: pd.DataFrame, groups: pd.DataFrame, thinned: pd.Series, title: str, rng: np.random.Generator
) -> Figure:
    """Draw two genes over single cells and over groups of cells, and their correlation in less deep cells.

    Parameters
    ----------
    cells, groups
        Expression and mean expression of the two genes, two columns.
    thinned
        Share of the UMIs that is kept -> correlation over cells.
    rng
        Moves the cells' points a little, so that equal ones can be seen.
    """
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
    spread = cells + rng.uniform(-0.06, 0.06, cells.shape)
    axes[0].scatter(*spread.to_numpy().T, s=2, color=BLUE, alpha=0.3, lw=0)
    axes[1].scatter(*groups.to_numpy().T, s=14, color=ORANGE, lw=0)
    for ax, table, name in ((axes[0], cells, "a point is a cell"), (axes[1], groups, "a point is a perturbation")):
        ax.set_title(f"{name}\ncorrelation {np.corrcoef(table.T)[0, 1]:.2f}", fontsize="medium")
        ax.set(xlabel=f"{table.columns[0]}, log1p expression", ylabel=f"{table.columns[1]}, log1p expression")
    axes[2].plot(100 * thinned.index, thinned, "o-", color=BLUE)
    axes[2].set_title("the same cells, read less deep", fontsize="medium")
    axes[2].set_ylabel("correlation over cells")
    axes[2].set_ylim(bottom=min(0, thinned.min()))
    log_axis(axes[2], "UMIs kept, %")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def residuals(table: pd.DataFrame, title: str) -> Axes:
    """Draw how much RNA of its target each guide leaves.

    Parameters
    ----------
    table
        A row a guide: columns target_gene and residual (share of the controls' RNA).
    """
    ax = plt.subplots(figsize=(8.5, 3.4), layout="constrained")[1]
    order = table.groupby("target_gene")["residual"].mean().sort_values().index
    place = order.get_indexer(table["target_gene"])
    means = table.groupby("target_gene")["residual"].mean()[order]
    ax.scatter(place, 100 * table["residual"], s=10, color=BLUE, lw=0, label="a guide")
    ax.plot(range(len(order)), 100 * means, color=ORANGE, label="mean of a target's guides")
    ax.axhline(100, color="black", lw=1, ls="--", label="controls")
    if len(order) <= 30:
        ax.set_xticks(range(len(order)), order, rotation=90)
    else:
        ax.set_xticks([])
    ax.set(title=wrapped(title), xlabel=f"target gene ({len(order)}, by the mean of its guides)")
    ax.set(ylabel="residual RNA of the target,\n% of the controls'", ylim=(0, None))
    ax.legend(fontsize="small")
    return ax


def volcano(table: pd.DataFrame, target: str, title: str) -> Axes:
    """Draw how much every gene changes, and how sure that is.

    Parameters
    ----------
    table
        Index gene; columns log2_fold_change, p_value and fdr.
    target
        The gene that was switched off; it is marked where it was measured.
    """
    ax = plt.subplots(figsize=(8, 4.2), layout="constrained")[1]
    fold = table["log2_fold_change"].clip(-5, 5)
    height = -np.log10(table["p_value"].astype(float).clip(lower=1e-300))
    significant = table["fdr"] < 0.05
    for which, colour, label in ((~significant, GREY, "other"), (significant, ORANGE, "fdr below 5 %")):
        ax.scatter(
            fold[which], height[which], s=9, color=colour, lw=0, label=f"{label} ({counted(which.sum(), 'gene')})"
        )
    if target in table.index:
        ax.scatter(fold[target], height[target], s=50, color=RED, marker="D", label=f"{target}, the target")
    for side, align, offset in ((fold < 0, "right", -4), (fold > 0, "left", 4)):
        lowest, step = np.inf, 0.04 * height.max()
        for gene in height[side & significant].nlargest(LABELLED).index:
            lowest = min(height[gene], lowest - step)  # one below the other, so that no name covers another
            if lowest < step:
                break
            ax.annotate(
                gene,
                (fold[gene], height[gene]),
                (offset, lowest),
                textcoords=("offset points", "data"),
                ha=align,
                va="center",
                fontsize="x-small",
            )
    ax.axvline(0, color="black", lw=1)
    ax.margins(x=0.15)  # room for the names
    ax.set(title=wrapped(title), xlabel="log2 fold change (drawn within -5 to 5)", ylabel="-log10 p")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def along_genome(changes: pd.DataFrame, title: str) -> Axes:
    """Draw how genes change that lie beside a switched-off gene.

    Parameters
    ----------
    changes
        A row a target and gene: columns distance (genes from the target, along the chromosome) and log2_fold_change.
    """
    ax = plt.subplots(figsize=(7, 3.4), layout="constrained")[1]
    distances = np.sort(changes["distance"].unique())
    rng = np.random.default_rng(0)
    for distance in distances:
        fold = changes.loc[changes["distance"] == distance, "log2_fold_change"].clip(-5, 5)
        beside = distance + rng.uniform(-0.25, 0.25, len(fold))
        ax.scatter(beside, fold, s=8, color=BLUE if distance else ORANGE, alpha=0.6, lw=0)
        ax.text(distance, 3.2, f"{100 * (fold < -1).mean():.0f} %", ha="center", fontsize="small")
    ax.axhline(-1, color="black", lw=1, ls="--")
    ax.set(xticks=distances, ylim=(-5.2, 3.8))
    ax.set_title(f"{wrapped(title)}\n%: share that fell below half (dashed line)", fontsize="medium")
    ax.set(xlabel="genes from the target along the chromosome (0 is the target itself)", ylabel="log2 fold change")
    return ax


def guide_against_others(effects: pd.DataFrame, odd: str, title: str) -> Axes:
    """Draw the effect of one guide against that of the target's other guides, a point a gene.

    Parameters
    ----------
    effects
        Index gene; first column the guide's effect, second that of the others, in log1p expression.
    odd
        The gene that only this guide changes.
    """
    ax = plt.subplots(figsize=(4.6, 4.4), layout="constrained")[1]
    own, others = (effects[column] for column in effects.columns)
    ax.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
    ax.scatter(others, own, s=8, color=BLUE, alpha=0.5, lw=0)
    ax.scatter(others[odd], own[odd], s=50, color=RED, marker="D", label=odd)
    ax.set_title(wrapped(title), fontsize="medium")
    ax.set_xlabel(f"{effects.columns[1]}:\n{EFFECT}", fontsize="small")
    ax.set_ylabel(f"{effects.columns[0]}:\n{EFFECT}", fontsize="small")
    ax.legend(fontsize="small")
    return ax


def escape_figure(scores: pd.DataFrame, rna: pd.Series, target: str, title: str) -> Figure:
    """Draw the perturbation scores of a target's cells and of controls, and the target's RNA that was not used for it.

    Parameters
    ----------
    scores
        A row a cell: columns score (0 is the mean control) and group (control, escaped or perturbed).
    rna
        Mean UMIs of the target's gene in 10,000, by group; empty where the gene was not measured.
    target
        The gene that was switched off.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.6), width_ratios=[2, 1], layout="constrained")
    colours = {"control": GREY, "escaped": SKY, "perturbed": RED}
    bins = np.linspace(scores["score"].min(), scores["score"].max(), 50)
    groups = {group: scores.loc[scores["group"] == group, "score"] for group in colours}
    cells = [groups["escaped"], groups["perturbed"]]
    axes[0].hist(cells, bins, color=[SKY, RED], stacked=True, label=[f"{target}: escaped", f"{target}: perturbed"])
    # as high as the target's cells, though there are many more
    n_cells = sum(map(len, cells))
    weights = np.full(len(groups["control"]), n_cells / max(len(groups["control"]), 1))
    axes[0].hist(groups["control"], bins, weights=weights, color="black", histtype="step", label="controls (scaled)")
    axes[0].set(xlabel=f"perturbation score (0: mean control, 1: mean {target} cell)", ylabel="cells")
    axes[0].legend(fontsize="small")
    axes[1].bar(rna.index, rna, color=[colours[group] for group in rna.index])
    axes[1].set_ylabel(f"RNA of {target}, UMIs in 10,000")
    if rna.empty:
        axes[1].set_axis_off()
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
