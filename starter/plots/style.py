"""What all figures share. Colours are Okabe and Ito's, which colour-blind readers tell apart."""

import math
import os
import textwrap

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
RED, PINK, SKY = "#D55E00", "#CC79A7", "#56B4E9"
EFFECT = "effect, change of mean log1p expression"


LONGEST = 60
"""Letters of a title's line."""
if os.environ.get("MPLBACKEND", "").startswith("module://matplotlib_inline"):  # in a notebook
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("retina")  # twice the points, for sharp screens


def wrapped(title: str) -> str:
    """Break the lines of a title that are too long for a figure, into pieces of about the same length."""
    return "\n".join(textwrap.fill(line, _even(line)) for line in title.splitlines())


def _even(line: str) -> int:
    """Give the smallest width at which a line breaks into no more pieces than it must."""
    fewest = len(textwrap.wrap(line, LONGEST))
    return next(
        width
        for width in range(max(1, math.ceil(len(line) / max(fewest, 1))), LONGEST + 1)
        if len(textwrap.wrap(line, width)) <= fewest
    )


def log_axis(ax: Axes, label: str) -> None:
    """Make the x axis logarithmic, with numbers written out."""
    ax.set(xscale="log", xlabel=label)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", labelsize="small")
