"""Figures of a training."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, wrapped

NO_CURVE = ("learning_rate", "seconds")


def training_curves(history: pd.DataFrame, title: str) -> Figure:
    """Draw how a training went: the loss and its terms, and a panel for each value that was validated.

    Parameters
    ----------
    history
        What `starter.training.loop.fit` gave: index epoch; loss, its terms, and what was validated.
    """
    names = [name for name in history.columns if name not in NO_CURVE]
    terms = [name for name in names if name in history.attrs.get("terms", ())]
    panels = [["loss", *terms], *([name] for name in names if name not in ("loss", *terms))]
    figure, axes = plt.subplots(1, len(panels), figsize=(1 + 3.2 * len(panels), 3), layout="constrained", squeeze=False)
    for ax, shown in zip(axes.flat, panels, strict=True):
        for name, colour in zip(shown, (BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY), strict=False):
            ax.plot(history.index, history[name], color=colour, marker="." if len(history) == 1 else "", label=name)
        ax.set(xlabel="epoch", ylabel=shown[0].replace("_", " "))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(shown) > 1:
            ax.legend(fontsize="x-small")
    figure.suptitle(wrapped(title), fontsize="medium")
    return figure
