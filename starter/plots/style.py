"""What all figures share. Colours are Okabe and Ito's, which colour-blind readers tell apart."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
RED, PINK, SKY = "#D55E00", "#CC79A7", "#56B4E9"
EFFECT = "effect, change of mean log1p expression"


def wrapped(title: str) -> str:
    """Break the lines of a title that are too long for a figure."""
    return "\n".join(textwrap.fill(line, 60) for line in title.splitlines())


def log_axis(ax: Axes, label: str) -> None:
    """Make the x axis logarithmic, with numbers written out."""
    ax.set(xscale="log", xlabel=label)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", labelsize="small")
