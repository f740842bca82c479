"""The bench as a picture: what each arm scores by each metric, with its interval."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from starter.bench.standings import BASELINE, REPLICATE, Standings
from starter.plots.style import BLUE, GREY, ORANGE, wrapped
from starter.scoring.compare import OVERALL

COLUMNS = 4
"""Panels of the figure side by side."""


def standings_figure(standings: Standings, title: str) -> Figure:
    """Draw the scaled scores of every arm, a panel a metric and one for the overall score.

    A bar is the 95 % interval of the difference from the reference, drawn from the reference's own score on: an arm
    whose bar does not hold that score differs from it beyond noise.

    Parameters
    ----------
    standings
        How arms stand to each other.
    title
        Of the screen.
    """
    titles = {OVERALL: "overall"} | {metric.name: metric.title for metric in standings.rules.metrics}
    shown = [OVERALL, *standings.graded]
    arms = list(standings.ranks.index)
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    size = (4.2 + 2.4 * columns, 1.4 + rows * (0.7 + 0.28 * len(arms)))
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, sharey=True)
    places = np.arange(len(arms))
    for ax, name in zip(axes.flat, shown, strict=False):
        lines = standings.metrics.xs(name, level="metric")
        of_arms = lines.loc[arms]
        sure = ((of_arms["difference_low"] > 0) | (of_arms["difference_high"] < 0)).to_numpy()
        origin = lines.loc[standings.reference, "scaled"]
        for chosen, colour, marker, said in (
            (sure, BLUE, "o", f"differs from {standings.reference} beyond noise"),
            (~sure, GREY, "s", "within noise of it"),
        ):
            some, where = of_arms[chosen], places[chosen]
            ax.hlines(where, origin + some["difference_low"], origin + some["difference_high"], color=colour, lw=3)
            ax.plot(some["scaled"], where, marker, color=colour, label=said)
        ax.axvline(origin, color=GREY, lw=0.8, label=standings.reference)
        ax.axvline(lines.loc[BASELINE, "scaled"], color="black", lw=0.8, ls=":", label=BASELINE)
        ax.axvline(lines.loc[REPLICATE, "scaled"], color=ORANGE, lw=1.5, ls="--", label=REPLICATE)
        ax.set_title(titles[name], fontsize="medium")
        ax.set_yticks(places, [f"{standings.ranks[arm]}  {arm}" for arm in arms], fontsize="small")
    axes.flat[0].invert_yaxis()
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", loc="outside right upper")
    full = "a perfect prediction" if standings.rules.full_score == "perfection" else "the replicate"
    figure.supxlabel(
        f"scaled score, not clipped (0 baseline, 1 {full}); bars: 95 % interval of the difference from "
        f"{standings.reference}",
        fontsize="medium",
    )
    figure.supylabel("rank and arm", fontsize="medium")
    hidden = f"{standings.n_perturbations} perturbations hidden in {standings.n_panels} panels"
    figure.suptitle(wrapped(f"{title}: {hidden}"), fontsize="medium")
    return figure
