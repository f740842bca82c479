"""Figures of perturbations of two genes at once."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.models import MARKERS, MODEL_COLOURS
from starter.plots.style import wrapped

NONE_ONE_BOTH = ("none", "one", "both")


def interaction_figure(table: pd.DataFrame, title: str) -> Figure:
    """Draw how simulated doubles are made of their singles: the two weights, and what is left over.

    Parameters
    ----------
    table
        Index double; columns weight_a and weight_b as they were found, drawn_a and drawn_b as they were simulated,
        length_a and length_b of the singles' effects and length of the double's (square root of the sum of squares),
        unexplained (share of the double's sum of squares) and kind.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for kind, colour, marker in zip(dict.fromkeys(table["kind"]), MODEL_COLOURS, MARKERS, strict=False):
        rows = table[table["kind"] == kind]
        style = {"color": colour, "marker": marker, "alpha": 0.7, "lw": 0}
        for side in ("a", "b"):
            left.scatter(rows[f"drawn_{side}"], rows[f"weight_{side}"], s=rows[f"length_{side}"] ** 2, **style)
        right.scatter(rows["length"], rows["unexplained"], s=26, **style, label=f"{kind} ({len(rows)})")
    left.axline((0, 0), slope=1, color="black", lw=1, ls="--")
    left.set(xlabel="weight as it was drawn", ylabel="weight that was found\n(the larger, the stronger the single)")
    right.set(xlabel="length of the double's effect, log1p expression", ylabel="share that no weights explain")
    right.set_ylim(0, 1)
    figure.legend(loc="outside right center", fontsize="small", title="drawn as")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def seen_curves(shares: Sequence[float], counts: np.ndarray, title: str, ax: Axes | None = None) -> Axes:
    """Draw how many doubles have none, one and both of their genes seen, against the share of genes that were.

    Parameters
    ----------
    shares
        Of the genes, 0 to 1.
    counts
        Shares x 3: doubles with none, one and both seen. Dashed is what chance gives.
    """
    ax = ax or plt.subplots(figsize=(6.5, 3.6), layout="constrained")[1]
    p, n = np.linspace(0, 1, 101), counts.sum(axis=1).max()
    for number, (name, colour, marker) in enumerate(zip(NONE_ONE_BOTH, MODEL_COLOURS, MARKERS, strict=False)):
        chance = ((1 - p) ** 2, 2 * p * (1 - p), p**2)[number]
        ax.plot(p, n * chance, color=colour, ls="--", lw=1)
        ax.scatter(shares, counts[:, number], color=colour, marker=marker, label=f"combo_seen{number}: {name}")
    ax.plot([], [], color="black", ls="--", lw=1, label="by chance")
    ax.set(title=wrapped(title), xlabel="share of the genes that training perturbs", ylabel="doubles")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def seen_figure(table: pd.DataFrame, labels: Mapping[str, str], title: str) -> Figure:
    """Draw models' scores on doubles, by how many of the two genes were seen: a panel a metric.

    Parameters
    ----------
    table
        Rows with seen (0, 1, 2), model, value, low and high (95 % interval; NaN for none), metric.
    labels
        Metrics to draw, and what stands at their axes.
    """
    figure, axes = plt.subplots(1, len(labels), figsize=(4.6 * len(labels), 3.8), layout="constrained", squeeze=False)
    models = list(dict.fromkeys(table["model"]))
    for ax, (metric, label) in zip(axes.flat, labels.items(), strict=True):
        for number, (model, colour, marker) in enumerate(zip(models, MODEL_COLOURS, MARKERS, strict=False)):
            rows = table[(table["metric"] == metric) & (table["model"] == model)].sort_values("seen")
            x = rows["seen"].to_numpy() + 0.16 * (number - (len(models) - 1) / 2)
            ax.vlines(x, rows["low"].astype(float), rows["high"].astype(float), color=colour, lw=2)
            ax.scatter(x, rows["value"], color=colour, marker=marker, zorder=3, label=model)
        ax.set_xticks(range(3), [f"combo_seen{n}\n({name})" for n, name in enumerate(NONE_ONE_BOTH)])
        ax.set(xlabel="genes of the double that training perturbs", ylabel=label)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(models), fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
