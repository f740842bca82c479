"""Figures of several scores: side by side, compared with each other, and one after the other."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starter.plots.effects import effect_scatter
from starter.plots.style import BLUE, GREEN, GREY, ORANGE, wrapped

if TYPE_CHECKING:
    from starter.scoring.scorecard import Scorecard


def score_bars(scores: pd.DataFrame, title: str, ax: Axes | None = None) -> Axes:
    """Draw scaled scores, a group of bars a metric and a bar a model.

    Parameters
    ----------
    scores
        Models x metrics; 0 is the baseline, 1 the replicate.
    """
    ax = ax or plt.subplots(figsize=(7, 3), layout="constrained")[1]
    colours = (BLUE, ORANGE, GREEN, GREY)
    scores.T.plot.bar(ax=ax, color=[colours[i % len(colours)] for i in range(len(scores))], width=0.8)
    names = [textwrap.fill(name, 10) for name in scores.columns]
    ax.set_xticks(range(len(names)), names, rotation=0, fontsize="small")
    ax.axhline(0, color="black", lw=1)
    ax.axhline(1, color="black", lw=1, ls=":")
    ax.set(title=wrapped(title), ylabel="scaled score\n(0 baseline, 1 replicate)", xlabel="metric")
    ax.legend(fontsize="small")
    return ax


def overview_figure(cards: "Sequence[Scorecard]") -> Figure:
    """Draw what predictions scored, and the best one's strongest effect and rank matrix.

    Parameters
    ----------
    cards
        Scorecards of predictions against one truth.
    """
    # here: scoring takes a second to import, which other figures do not need
    from starter.scoring.metrics.discrimination import rank_matrix

    best = max(cards, key=lambda card: -np.inf if card.overall is None else card.overall)
    truth, prediction = best.truth, best.prediction
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained", width_ratios=[1.7, 1, 1])
    figure.suptitle(best.about["truth"]["title"])
    scaled = pd.DataFrame(
        {
            card.name: {
                metric.title: card.metrics[metric.name]["scaled"]
                for metric in card.rules.metrics
                if metric.name in card.rules.scored and card.metrics[metric.name]["gradable"]
            }
            for card in cards
        }
    )
    score_bars(scaled.T.astype(float), "hidden perturbations, scaled scores", axes[0])
    row = np.abs(truth.effects()).sum(axis=1).argmax()
    measured, predicted = (pd.Series(side.effects()[row], truth.genes) for side in (truth, prediction))
    effect_scatter(measured, predicted, f"{best.name}: {truth.perturbations[row]}", axes[1])
    image = axes[2].imshow(rank_matrix(truth, prediction), cmap="cividis")
    axes[2].set(
        title=f"{best.name}: nearest measured effects",
        xlabel="measured effect of",
        ylabel="predicted effect of",
    )
    axes[2].set(xticks=[], yticks=[])
    figure.colorbar(image, ax=axes[2], label="rank by L1 distance (0 = nearest)")
    return figure


def comparison_figure(differences: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw, for each pair of predictions, the difference of every scaled score with its interval.

    Parameters
    ----------
    differences
        As `starter.scoring.compare.Comparison` has them.
    titles
        Metric name to what stands on the axis.
    """
    pairs = list(differences.groupby(["first", "second"], sort=False))
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    n_lines = max(len(lines) for _, lines in pairs)
    size = (1.6 + 3.4 * columns, rows * (1.4 + 0.32 * n_lines))
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, sharex=True)
    for ax, ((first, second), lines) in zip(axes.flat, pairs, strict=False):
        places = np.arange(len(lines))
        sure = (lines["low"] > 0) | (lines["high"] < 0)
        for chosen, colour, label in ((sure, BLUE, "beyond noise"), (~sure, GREY, "within noise, or too few")):
            some, where = lines[chosen], places[chosen]
            ax.hlines(where, some["low"], some["high"], color=colour, linewidth=3)
            ax.plot(some["difference"], where, "o", color=colour, label=label)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(places, [titles.get(name, name) for name in lines["metric"]], fontsize="small")
        ax.invert_yaxis()
        ax.set_title(wrapped(f"{first} less {second}"), fontsize="medium")
        ax.label_outer()
    for ax in axes.flat[len(pairs) :]:
        ax.set_axis_off()
    axes.flat[0].legend(fontsize="small", loc="best")
    figure.supxlabel("difference of scaled scores (0 baseline, 1 full score), 95 % interval", fontsize="medium")
    return figure


def history_figure(looks: pd.DataFrame, title: str) -> Figure:
    """Draw the overall score of every look at a truth, and the best one so far.

    Parameters
    ----------
    looks
        Columns name, rule_set, overall, low and high, one line a look in their order.
    title
        Of the truth.
    """
    kinds = list(looks.groupby("rule_set", sort=False))
    size = (7, 1 + 2.4 * len(kinds))
    figure, axes = plt.subplots(len(kinds), 1, figsize=size, layout="constrained", squeeze=False)
    for ax, (rules, some) in zip(axes.flat, kinds, strict=True):
        places = np.arange(1, len(some) + 1)
        ax.vlines(places, some["low"], some["high"], color=GREY, linewidth=2)
        ax.plot(places, some["overall"], "o", color=BLUE, label="look, with its 95 % interval")
        ax.step(places, some["overall"].cummax(), where="post", color=ORANGE, label="best so far")
        ax.axhline(0, color="black", linewidth=0.8)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(xlabel="look", ylabel="overall score", title=rules)
    axes.flat[0].legend(fontsize="small", loc="best")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
