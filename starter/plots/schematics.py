"""Drawings of notebook 01: how a gene becomes a protein, how it is switched off, how a pooled screen works."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Rectangle

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped


def central_dogma() -> Figure:
    """Draw how a gene becomes a protein, and where a screen measures."""
    figure, ax = plt.subplots(figsize=(8.5, 2.4), layout="constrained")
    x = np.linspace(0, 2, 200)
    for phase in (0, np.pi):
        ax.plot(x, 0.3 * np.sin(2 * np.pi * x + phase), color=BLUE, lw=2)
    for step in np.arange(0.125, 2, 0.125):
        height = 0.3 * np.sin(2 * np.pi * step)
        ax.plot([step, step], [-height, height], color=GREY, lw=1)
    for y in (-0.35, 0, 0.35):
        ax.plot(x + 4, y + 0.06 * np.sin(6 * np.pi * x), color=ORANGE, lw=2)
    for dx, dy in ((0, 0), (0.28, 0.12), (0.5, -0.1), (0.2, -0.24), (0.5, 0.28)):
        ax.add_patch(Circle((8.3 + dx, dy), 0.22, color=GREEN, lw=0))
    for start, stop, word in ((2.2, 3.8, "transcription"), (6.2, 7.8, "translation")):
        ax.annotate("", (stop, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "lw": 2})
        ax.text((start + stop) / 2, 0.12, word, ha="center")
    back = FancyArrowPatch((8.5, -0.62), (1, -0.62), connectionstyle="arc3,rad=-0.13", arrowstyle="-|>", color=GREY)
    ax.add_patch(back)
    back.set(mutation_scale=14)
    ax.text(4.8, -0.92, "some proteins switch genes on or off", ha="center", color="dimgrey")
    for place, word in ((1, "gene (DNA)"), (5, "RNA: counted here"), (8.55, "protein")):
        ax.text(place, 0.62, word, ha="center", fontweight="bold")
    ax.set(xlim=(-0.2, 9.4), ylim=(-1.45, 0.9), aspect="equal", title="From a gene to a protein")
    ax.set_axis_off()
    return figure


def crispr_ways() -> Figure:
    """Draw what knock-out, interference and activation do to a gene and its RNA."""
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.5), layout="constrained")
    ways = (
        ("untouched gene", None, "", 3),
        ("knock-out\nCas9 cuts, the repair leaves an error", 0.72, RED, 3),
        ("interference (CRISPRi)\ndead Cas9 blocks the promoter", 0.3, ORANGE, 1),
        ("activation (CRISPRa)\ndead Cas9 brings an activator", 0.12, GREEN, 6),
    )
    x = np.linspace(0.5, 0.95, 60)
    for ax, (name, place, colour, n_rna) in zip(axes, ways, strict=True):
        ax.axhline(0.3, color=GREY, lw=2)
        ax.add_patch(Rectangle((0.22, 0.24), 0.16, 0.12, color=SKY, lw=0))
        ax.add_patch(Rectangle((0.5, 0.24), 0.45, 0.12, color=BLUE, lw=0))
        ax.text(0.3, 0.12, "promoter", ha="center", fontsize="small")
        ax.text(0.72, 0.12, "gene", ha="center", fontsize="small")
        if place:
            ax.add_patch(Ellipse((place, 0.38), 0.2, 0.2, color=colour, alpha=0.8, lw=0))
        for copy in range(n_rna):
            broken = colour == RED
            height = 0.56 + 0.07 * copy + 0.012 * np.sin(40 * x)
            ax.plot(x, np.where(broken & (np.abs(x - 0.72) < 0.025), np.nan, height), color=ORANGE, lw=1.5)
        ax.text(0.47, 0.56, "RNA", ha="right", va="center", fontsize="small")
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_title(name, fontsize="small")
        ax.set_axis_off()
    return figure


def pooled_screen(part: pd.DataFrame, n_guides: int, n_cells: int, n_genes: int, title: str) -> Figure:
    """Draw how a pooled screen becomes a table.

    Parameters
    ----------
    part
        Counts of some cells and genes, index the guide of each cell.
    n_guides, n_cells, n_genes
        Of the screen.
    """
    figure, ax = plt.subplots(figsize=(10, 2.5), layout="constrained")
    colours = (BLUE, ORANGE, GREEN, PINK, SKY, GREY)
    for i, colour in enumerate(colours):
        ax.plot([0.2, 1], [0.15 + 0.27 * i] * 2, color=colour, lw=3)
    places = [(x, y) for x in (2.7, 3.25, 3.8) for y in (0.3, 0.85, 1.4)]
    for i, (x, y) in enumerate(places):
        ax.add_patch(Circle((x, y), 0.22, facecolor="white", edgecolor="black"))
        ax.plot([x - 0.1, x + 0.1], [y, y], color=colours[i * i % len(colours)], lw=3)
    for i, (guide, counts) in enumerate(zip(part.index, part.to_numpy(), strict=True)):
        ax.text(5.6, 0.2 + 0.26 * i, guide, va="center", fontsize="small")
        for j, count in enumerate(counts):
            ax.text(7.6 + 0.26 * j, 0.2 + 0.26 * i, f"{count:.0f}", ha="center", va="center", fontsize="small")
    for start, stop, word in ((1.2, 2.2, "one a cell"), (4.3, 5.4, "sequence")):
        ax.annotate("", (stop, 0.85), (start, 0.85), arrowprops={"arrowstyle": "-|>", "lw": 2})
        ax.text((start + stop) / 2, 0.98, word, ha="center", fontsize="small")
    words = f"{n_guides:,} guides", f"{n_cells:,} cells", f"guide, and counts of {n_genes:,} genes"
    for x, text in zip((0.6, 3.25, 7.6), words, strict=True):
        ax.text(x, 1.85, text, ha="center", fontweight="bold")
    ax.set(xlim=(0, 10), ylim=(-0.05, 2.1), aspect="equal")
    ax.set_title(wrapped(title), fontsize="medium")
    ax.set_axis_off()
    return figure
