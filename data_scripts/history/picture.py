"""A lineage as a picture: downloads on the left, the file on the right, arrows from what was used to what was made."""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from data_scripts.history.ancestors import Made, State
from data_scripts.history.tree import size
from starter.errors import InputError
from starter.files import whole

FORMATS = ("svg", "pdf", "png")
COLOURS = {State.same: "#e8f1ea", State.changed: "#f6d5d0", State.missing: "#fbeecb"}
EDGES = {State.same: "#4a7c59", State.changed: "#b3261e", State.missing: "#8a6d00"}
WIDE, HIGH = 3.4, 1.1
"""Inches of a column and a row."""
BOX = (0.76, 0.76)
"""Width and height of a box, as a part of its column and row."""
LETTERS = 36
"""Letters of a line in a box."""


def draw_picture(made: list[Made], path: str | Path) -> None:
    """Draw files and all that they were made of; a file that was used twice stands there once.

    Parameters
    ----------
    made
        The files.
    path
        Where the picture goes: .svg, .pdf or .png.

    Raises
    ------
    InputError
        If it is of another kind or cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        msg = f"{path} is no picture that can be drawn; choose a name that ends with .{', .'.join(FORMATS)}"
        raise InputError(msg)
    nodes: dict[str, Made] = {}
    columns: dict[str, int] = {}
    arrows: set[tuple[str, str]] = set()

    def place(one: Made, steps: int) -> None:
        nodes[_key(one)] = one
        columns[_key(one)] = max(steps, columns.get(_key(one), 0))
        for parent in one.parents:
            arrows.add((_key(parent), _key(one)))
            place(parent, steps + 1)

    for one in made:
        place(one, 0)
    last = max(columns.values())
    by_column = {number: [key for key in nodes if columns[key] == number] for number in range(last + 1)}
    rows = max(len(keys) for keys in by_column.values())
    figure = Figure(figsize=(WIDE * (last + 1), HIGH * rows))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, last + 1), ylim=(rows, 0))
    axes.axis("off")
    spots = {
        key: (last - column + 0.5, (row + 0.5) * rows / len(keys))
        for column, keys in by_column.items()
        for row, key in enumerate(keys)
    }
    for key, (x, y) in spots.items():
        one = nodes[key]
        corner = (x - BOX[0] / 2, y - BOX[1] / 2)
        axes.add_patch(Rectangle(corner, *BOX, facecolor=COLOURS[one.state], edgecolor=EDGES[one.state], zorder=2))
        axes.text(x, y, _words(one), ha="center", va="center", fontsize=8, zorder=3, parse_math=False)
    for start, end in sorted(arrows):
        (x, y), (to_x, to_y) = spots[start], spots[end]
        style = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (to_x - BOX[0] / 2, to_y), (x + BOX[0] / 2, y), arrowprops=style, zorder=1)
    with whole(path) as part:
        figure.savefig(part, format=kind, dpi=150)


def _key(made: Made) -> str:
    return f"{made.name} {made.sha256}"


def _words(made: Made) -> str:
    lines = [*textwrap.wrap(made.name, LETTERS), f"{size(made.bytes)}, {made.sha256[:12]}"]
    if made.lineage:
        what = made.lineage["code"]
        commit = f" at {what['commit'][:10]}" if "commit" in what else ""
        lines.append(f"by {what['name']}{commit}")
    elif made.urls:
        lines.append(f"from {made.urls[0].split('/')[2]}")
    return "\n".join([*lines, *([made.state.upper()] if made.state is not State.same else [])])
