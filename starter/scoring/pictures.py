"""The pictures on a scorecard's page: scores with intervals, best and worst perturbations, effects, ranks, genes."""

from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.effects import effect_scatter
from starter.plots.style import BLUE, EFFECT, GREEN, GREY, ORANGE, wrapped
from starter.scoring.metrics.discrimination import rank_matrix
from starter.scoring.metrics.overlap import de_genes
from starter.scoring.metrics.vcc2026 import called_directions, cosine_distances
from starter.scoring.scorecard import Scorecard, number

PANELS = 6
BARS = 24
SQUARES = 60
"""Perturbations in a matrix of ranks; those with the largest measured effects."""
EXAMPLES = 3
"""Best perturbations shown, and worst ones."""
TOP_GENES = 8
FARTHEST = 3.0
"""Scaled scores beyond +- this are drawn at the edge, with an arrow."""
BESIDE = ("axes fraction", "data")
L1_PDS, DES = "discrimination_score_l1", "overlap_at_N"
COSINE_PDS, FIDELITY = "pds_cosine", "de_wilcoxon_direction_fidelity_yield_raw"
REACH, FOLD_CHANGES = "de_wilcoxon_direction_reach_raw", "de_wilcoxon_lfc_nmae"


class Picture(NamedTuple):
    """A picture on the page."""

    text: str
    """What it shows."""
    draw: Callable[[Scorecard, str], Figure | None]
    """(scorecard, title) -> the figure; None where the rule set, or the truth, has nothing of the kind."""
    names_genes: bool = False
    """Names genes that hidden cells change, which is not for students who may hand in again."""


def scores_figure(card: Scorecard, title: str) -> Figure | None:
    """Draw every scaled score with its interval, and the overall score."""
    del title  # which names the first context, where there are several
    scored = [metric for metric in card.rules.metrics if metric.name in card.rules.scored]
    lines = [("overall", card.overall, card.overall_interval)]
    for metric in scored:
        row = card.metrics[metric.name]
        lines.append((metric.title, row["scaled"], (row["scaled_low"], row["scaled_high"])))
    if not any(value is not None for _, value, _ in lines):
        return None
    figure, ax = plt.subplots(figsize=(9, 1.3 + 0.34 * len(lines)), layout="constrained")
    for place, (_, value, (low, high)) in enumerate(lines):
        if value is None:
            ax.text(0.5, place, "not gradable on this screen", color=GREY, ha="center", va="center", fontsize="small")
            continue
        colour = ORANGE if place == 0 else BLUE
        if low is not None and high is not None:
            ax.hlines(place, *np.clip([low, high], -FARTHEST, FARTHEST), color=colour, linewidth=3)
        beyond = abs(value) > FARTHEST
        marker = "o" if not beyond else "<" if value < 0 else ">"
        ax.plot(np.clip(value, -FARTHEST, FARTHEST), place, marker, color=colour, markersize=8, clip_on=False)
        between = "" if low is None else f"  ({number(low)} to {number(high)})"
        ax.annotate(
            f"{number(value)}{between}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
        )
    for context in card.contexts.values():
        values = [context["overall"], *(context["metrics"][metric.name]["scaled"] for metric in scored)]
        known = [(value, place) for place, value in enumerate(values) if value is not None]
        ax.plot(
            [np.clip(value, -FARTHEST, FARTHEST) for value, _ in known],
            [place for _, place in known],
            "o", color="none", markeredgecolor="black", markersize=5,
        )  # fmt: skip
    full = "a perfect prediction" if card.rules.full_score == "perfection" else "the replicate"
    ax.axvline(0, color="black", linewidth=1)
    ax.axvline(1, color="black", linewidth=1, linestyle=":")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, -0.1), max(high, 1.1))
    ax.set_yticks(range(len(lines)), [name for name, _, _ in lines])
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.axhline(0.5, color=GREY, linewidth=0.8)
    ax.set_xlabel(f"scaled score (0: the baseline; 1, dotted: {full})")
    ax.set_title(wrapped(f"{card.name} on {card.about['truth']['title']}"), fontsize="medium")  # all contexts
    return figure


def examples_figure(card: Scorecard, title: str) -> Figure:
    """Draw the genes that change most in the best and the worst perturbations, as measured and as predicted."""
    order = _best_first(card)
    n = min(EXAMPLES, -(-len(order) // 2))
    rows = [*order[:n], *order[n:][-n:]]
    measured, predicted = card.truth.effects(), card.prediction.effects()
    figure, axes = plt.subplots(
        len(rows), 2, figsize=(10.5, 0.9 + 1.85 * len(rows)), layout="constrained", squeeze=False, sharey="row"
    )
    for place, row in enumerate(rows):
        name = str(card.truth.perturbations[row])
        said = f"{name}: {_ordinal(place + 1)}best" if place < n else f"{name}: {_ordinal(len(rows) - place)}worst"
        for ax, by in zip(axes[place], (measured[row], predicted[row]), strict=True):
            top = np.argsort(-np.abs(by), kind="stable")[:TOP_GENES]
            genes = card.truth.genes[top]
            x = np.arange(len(top))
            ax.bar(x - 0.2, measured[row, top], 0.4, color=BLUE, label="measured")
            ax.bar(x + 0.2, predicted[row, top], 0.4, color=ORANGE, label="predicted")
            ax.axhline(0, color="black", linewidth=0.8)
            labels = [f"{gene}*" if gene == name else str(gene) for gene in genes]
            ax.set_xticks(x, labels, rotation=30, ha="right", rotation_mode="anchor", fontsize="x-small")
            ax.tick_params(axis="y", labelsize="x-small")
        axes[place, 0].set_title(said, loc="left", fontsize="small", fontweight="bold")
    axes[0, 0].set_title("the genes measured to change most", loc="right", fontsize="small")
    axes[0, 1].set_title("the genes predicted to change most", loc="right", fontsize="small")
    axes[0, 1].legend(fontsize="x-small", ncols=2, loc="upper left", bbox_to_anchor=(0, 1.22), frameon=False)
    figure.supylabel(EFFECT, fontsize="small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure


def _best_first(card: Scorecard) -> list[int]:
    """Order the first context's perturbations by their mean rank over the scored metrics, undefined ones in the middle.

    Ranked is the gain over the baseline, since a perturbation that changes little has a small error whatever is
    predicted; where there is no baseline, the value.
    """
    table = card.per_perturbation[card.per_perturbation["context"] == next(iter(card.sides))]
    ranks = []
    for metric in card.rules.metrics:
        of_metric = table[table["metric"] == metric.name].set_index("perturbation")
        if metric.name not in card.rules.scored:
            continue
        raw = of_metric["baseline"].isna().all()
        gain = of_metric["value"] if raw else of_metric["value"] - of_metric["baseline"]
        ranks.append((gain if metric.direction == "lower" else -gain).rank(pct=True).fillna(0.5))
    mean = pd.concat(ranks, axis=1).mean(axis=1)
    return [int(row) for row in np.argsort(mean.to_numpy(), kind="stable")]


def _ordinal(n: int) -> str:
    return {1: "", 2: "2nd ", 3: "3rd "}[n]


def effects_figure(card: Scorecard, title: str) -> Figure:
    """Draw predicted against measured effects of the perturbations with the largest measured effects."""
    measured, predicted = (
        pd.DataFrame(side.effects(), card.truth.perturbations, card.truth.genes)
        for side in (card.truth, card.prediction)
    )
    largest = measured.abs().sum(axis=1).nlargest(PANELS).index
    columns = min(3, len(largest))
    rows = -(-len(largest) // columns)
    size = (3 * columns, 3 * rows + 0.8)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    limit = 1.05 * max(measured.loc[largest].abs().max(axis=None), predicted.loc[largest].abs().max(axis=None), 1e-3)
    for ax, name in zip(axes.flat, largest, strict=False):
        effect_scatter(measured.loc[name], predicted.loc[name], name, ax)
        if name in measured.columns:
            ax.scatter(measured.loc[name, name], predicted.loc[name, name], s=36, color=ORANGE, marker="D")
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xlabel="", ylabel="")
    for ax in axes.flat[len(largest) :]:
        ax.set_axis_off()
    figure.suptitle(f"{wrapped(title)}\n(a point is a gene; the diamond is the target itself)", fontsize="medium")
    figure.supxlabel(f"measured {EFFECT}", fontsize="medium")
    figure.supylabel(f"predicted {EFFECT}", fontsize="medium")
    return figure


def rank_figure(card: Scorecard, title: str) -> Figure | None:
    """Draw for every prediction how near each measured effect is by L1; a good prediction is dark on the diagonal."""
    if L1_PDS not in card.metrics:
        return None
    largest = _largest(card)
    ranks = rank_matrix(card.truth.select(largest), card.prediction.select(largest))
    return _matrix(ranks, card.truth.perturbations[largest], title, "rank by L1 distance (0 = nearest)")


def cosine_rank_figure(card: Scorecard, title: str) -> Figure | None:
    """Draw the same by cosine over all but the target genes, as the PDS of 2026 sees it."""
    if COSINE_PDS not in card.metrics:
        return None
    largest = _largest(card)
    distances = cosine_distances(card.truth, card.prediction)[np.ix_(largest, largest)]
    ranks = scipy.stats.rankdata(distances, axis=1) - 1
    return _matrix(
        ranks, card.truth.perturbations[largest], title, "rank by cosine distance (0 = nearest, ties shared)"
    )


def _largest(card: Scorecard) -> np.ndarray:
    sizes = np.linalg.norm(card.truth.effects(), axis=1)
    return np.sort(np.argsort(-sizes, kind="stable")[:SQUARES])


def _matrix(ranks: np.ndarray, perturbations: np.ndarray, title: str, label: str) -> Figure:
    n = len(ranks)
    side = np.clip(0.16 * n, 4.5, 9)
    figure, ax = plt.subplots(figsize=(side + 1.5, side), layout="constrained")
    image = ax.imshow(ranks, cmap="cividis", vmin=0, vmax=max(n - 1, 1))
    names = [str(name) for name in perturbations]
    size = "small" if n <= 20 else "xx-small"
    ax.set_xticks(range(n), names, rotation=90, fontsize=size)
    ax.set_yticks(range(n), names, fontsize=size)
    ax.set(xlabel="measured effect of", ylabel="predicted effect of")
    ax.set_title(wrapped(title), fontsize="medium")
    figure.colorbar(image, ax=ax, shrink=0.7, label=label)
    return figure


def overlap_figure(card: Scorecard, title: str) -> Figure | None:
    """Draw how many measured DE genes were found, for the perturbations with most of them."""
    if DES not in card.metrics:
        return None
    measured, predicted = de_genes(card.truth.de), de_genes(card.prediction.de)
    order = np.argsort([-len(genes) for genes in measured], kind="stable")[:BARS][::-1]
    n = np.array([len(measured[row]) for row in order])
    found = np.array([len(np.intersect1d(measured[row], predicted[row][: len(measured[row])])) for row in order])
    called = np.array([len(predicted[row]) for row in order])
    figure, ax = plt.subplots(figsize=(7, 1.4 + 0.24 * len(order)), layout="constrained")
    y = np.arange(len(order))
    ax.barh(y, found, color=GREEN, label="measured and among the first n predicted")
    ax.barh(y, n - found, left=found, color=ORANGE, label="measured, not among them")
    ax.scatter(called, y, color="black", s=14, zorder=3, label="predicted DE genes in all")
    _name_bars(ax, card, order, title)
    ax.set_xlabel("differentially expressed genes (false discovery rate below 5 %)")
    ax.set_ylim(-0.6, len(order) - 0.4)
    figure.legend(fontsize="x-small", loc="outside lower center", ncols=3)
    return figure


def directions_figure(card: Scorecard, title: str) -> Figure | None:
    """Draw direction fidelity, reach and fold change error, for the perturbations with most measured DE genes."""
    if FIDELITY not in card.metrics:
        return None
    called, right, measured = called_directions(card.truth, card.prediction)
    values = next(iter(card.scores.values()))
    order = np.argsort(-measured, kind="stable")[:BARS][::-1]
    size = (11, 1.6 + 0.24 * len(order))
    figure, axes = plt.subplots(1, 3, figsize=size, layout="constrained", sharey=True, width_ratios=[2, 1, 1])
    y = np.arange(len(order))
    axes[0].barh(y, right[order], color=GREEN, label="called, right direction")
    axes[0].barh(y, (called - right)[order], left=right[order], color=ORANGE, label="called, wrong direction")
    axes[0].scatter(measured[order], y, color="black", s=14, zorder=3, label="measured significant genes")
    axes[0].set_xlabel("genes")
    axes[0].legend(fontsize="x-small", loc="lower right")
    for ax, name, label, best in (
        (axes[1], REACH, "direction reach\n(1 is best)", 1),
        (axes[2], FOLD_CHANGES, "fold change error\n(0 is best, 1: no change predicted)", 0),
    ):
        shown = values[name][order]
        ax.hlines(y, best, shown, color=GREY, linewidth=1)
        ax.scatter(shown, y, color=BLUE, s=24, zorder=3)
        for place in np.flatnonzero(np.isnan(shown)):
            ax.annotate(
                "undefined", (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize="xx-small"
            )
        ax.axvline(best, color="black", linewidth=0.8)
        ax.set_xlabel(label)
    axes[1].set_xlim(-0.03, 1.03)
    axes[2].axvline(1, color="black", linewidth=0.8, linestyle=":")
    axes[2].set_xlim(-0.03, max(1.1, axes[2].get_xlim()[1]))
    axes[0].set_ylim(-0.6, len(order) - 0.4)
    _name_bars(axes[0], card, order, "")
    shown = f" ({len(order)} of {len(measured)} perturbations)" if len(order) < len(measured) else ""
    figure.suptitle(f"{wrapped(title)}{shown}", fontsize="medium")
    return figure


def _name_bars(ax: Axes, card: Scorecard, order: np.ndarray, title: str) -> None:
    ax.set_yticks(np.arange(len(order)), [str(card.truth.perturbations[row]) for row in order], fontsize="x-small")
    n = len(card.truth.perturbations)
    if title:
        shown = f" ({len(order)} of {n} perturbations)" if len(order) < n else ""
        ax.set_title(f"{wrapped(title)}{shown}", fontsize="medium")


PICTURES = {
    "scores.png": Picture(
        "Scaled scores with 95 % intervals over perturbations, none if there are fewer than 10. Open circles are "
        "single contexts; an arrow lies beyond the edge.",
        scores_figure,
    ),
    "examples.png": Picture(
        "The perturbations in which this prediction gains most over the baseline, and those in which it gains least "
        "(by mean rank over the scored metrics), each with the genes that are measured to change most and those "
        "that are predicted to. Where there is no baseline, raw values are ranked. A star marks the target itself.",
        examples_figure,
        names_genes=True,
    ),
    "effects.png": Picture(
        "Predicted against measured effects of the perturbations with the largest measured effects. Good predictions "
        "lie on the dashed line.",
        effects_figure,
    ),
    "ranks.png": Picture(
        "PDS: each row ranks the measured effects by their distance from one prediction. A good prediction is dark on "
        "the diagonal; dark columns mean that every prediction looks alike.",
        rank_figure,
    ),
    "cosine_ranks.png": Picture(
        "PDS cosine: each row ranks the measured effects by their cosine distance from one prediction, target genes "
        "left out. A good prediction is dark on the diagonal; dark columns mean that every prediction looks alike.",
        cosine_rank_figure,
    ),
    "overlap.png": Picture(
        "DES: how many of the n measured DE genes are among the first n predicted ones.", overlap_figure
    ),
    "directions.png": Picture(
        "Left, direction fidelity: right calls over the larger of called and measured genes. Middle, direction reach: "
        "how far down its list 90 % of the directions are right. Right, the error of the fold changes over their size.",
        directions_figure,
    ),
}
"""File name of each picture, in the order of the page."""
