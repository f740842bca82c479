"""Who imports whom: reads every import of the kit, and draws the picture of `architecture.md`.

    python docs/architecture.py

`tests/test_imports.py` holds the imports to the table in `architecture.md`, and the picture to the imports.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from starter.plots.style import BLUE, GREEN, GREY, ORANGE, RED, SKY

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "architecture.svg"
HOUSES = ("autograder", "data_scripts", "starter")
NOTEBOOKS = "solutions"
ROW = re.compile(r"^\| (?P<rooms>[^|]*`[^|]*) \| (?P<holds>[^|]+) \| (?P<autograder>[^|]+) \| (?P<starter>[^|]+) \|$")
NAME = re.compile(r"`([\w.]+)`")


@dataclass(frozen=True)
class Source:
    """Code that imports: a module, or the cells of a notebook."""

    text: str
    is_package: bool = False


@dataclass(frozen=True)
class Room:
    """A row of the table."""

    names: tuple[str, ...]
    """Packages or modules; several for modules that stand in one row."""
    holds: str
    may_import: frozenset[str]
    is_ground: bool
    """Whether everything may import it."""


def read_table(text: str) -> list[Room]:
    """Read the rooms of `architecture.md`, the highest first."""
    rooms = []
    for row in filter(None, map(ROW.match, text.splitlines())):
        doors = {f"{house}.{name}" for house in ("autograder", "starter") for name in NAME.findall(row[house])}
        names = tuple(NAME.findall(row["rooms"]))
        rooms.append(Room(names, row["holds"].replace("`", ""), frozenset(doors), row["rooms"].startswith("ground")))
    return rooms


def read_sources(root: Path) -> dict[str, Source]:
    """Read every module and notebook below a project's root, by its dotted name."""
    sources = {}
    for path in (path for house in HOUSES for path in sorted((root / house).rglob("*.py"))):
        package = path.name == "__init__.py"
        parts = (path.parent if package else path.with_suffix("")).relative_to(root).parts
        sources[".".join(parts)] = Source(path.read_text(encoding="utf-8"), package)
    for path in sorted((root / NOTEBOOKS).glob("*/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        sources[f"{NOTEBOOKS}.{path.stem}"] = Source(code)
    return sources


def imports_of(name: str, sources: Mapping[str, Source]) -> set[str]:
    """List what a module imports of the project: at its head, inside functions, and for type hints alone.

    What is imported of a package is a module of it, since packages hold nothing else.
    """
    found = set()
    for node in ast.walk(ast.parse(sources[name].text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = name.split(".")[: -node.level + sources[name].is_package or None] if node.level else []
            whole = ".".join([*start, *([node.module] if node.module else [])])
            is_package = whole in sources and sources[whole].is_package
            found |= {f"{whole}.{alias.name}" if is_package else whole for alias in node.names}
    ours = {source.split(".")[0] for source in sources} | {"tests", "benchmarks", "demo"}
    return {imported for imported in found if imported.split(".")[0] in ours} - {name}


def all_imports(sources: Mapping[str, Source]) -> dict[str, set[str]]:
    """Give what each module imports."""
    return {name: imports_of(name, sources) for name in sources}


def room_of(module: str, rooms: Iterable[str]) -> str | None:
    """Find the innermost room that a module is in."""
    return max((room for room in rooms if f"{module}.".startswith(f"{room}.")), key=len, default=None)


def arrows(imports: Mapping[str, set[str]], rooms: Iterable[str]) -> dict[str, set[str]]:
    """Join the imports of modules to those of rooms; modules in no room are left out."""
    rooms = list(rooms)
    joined = {room: set() for room in rooms}
    for importer, imported in imports.items():
        here = room_of(importer, rooms)
        if here:
            joined[here] |= {
                there for there in (room_of(name, rooms) for name in imported) if there not in (None, here)
            }
    return joined


# -- the picture ------------------------------------------------------------------------------------------------------

PLACES = {
    "autograder.commands": 1.0, "autograder.release": 1.5, "autograder.gradebook": 1.5, "autograder.grading": 2.0,
    "autograder.sandbox": 3.0, "autograder.sandbox.inside": 3.0, "autograder.roster": 0.0, "autograder.handed_in": 1.0,
    "autograder.questions": 2.0,
    "starter.models": 1.0, "starter.training": 2.0, "starter.cli": 3.0, "starter.scoring": 2.5, "starter.plots": 2.0,
    "starter.simulation": 1.0, "starter.statistics": 2.0, "starter.prediction": 3.0, "starter.check": 4.0,
    "starter.priors": 0.0, "starter.data": 2.0, "starter.answers": 4.0,
}  # fmt: skip
"""Where a room stands from left to right; how high follows from the imports."""
GROUND = {"autograder": ("autograder.course", "autograder.settings", "autograder.text", "autograder.folders")}
BOX = (0.95, 0.8)
"""Width and height of a room, in columns and rows."""


def picture_of(imports: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Give what the picture shows: of each room the arrows within its house, and the rooms of `starter` that it uses.

    An arrow is left out where a longer way leads to the same room.
    """
    rooms = [*PLACES, "data_scripts", NOTEBOOKS]
    joined = arrows(imports, [*rooms, *GROUND["autograder"]])
    shown = {}
    for room in rooms:
        house = room.split(".")[0]
        beside = {there for there in joined[room] if there.split(".")[0] == house and there in PLACES}
        longer = set().union(*(_reached(there, joined) for there in beside))
        uses = {there for there in joined[room] if there.startswith("starter.")} if house != "starter" else set()
        shown[room] = sorted((beside - longer) | uses)
    return shown


def _reached(room: str, joined: Mapping[str, set[str]]) -> set[str]:
    """List the rooms that a room needs, itself not counted."""
    found, waiting = set(), [room]
    while waiting:
        new = joined[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def described(picture: Mapping[str, list[str]], rooms: Iterable[Room]) -> str:
    """Write what a picture shows as text, which is kept in its file."""
    holds = {name: room.holds for room in rooms for name in room.names}
    return "; ".join(f"{room}: {holds[room]}: {', '.join(others) or 'nothing'}" for room, others in picture.items())


def height_of(room: str, picture: Mapping[str, list[str]]) -> int:
    """Count the levels below a room in its house."""
    house = room.split(".")[0]
    return 1 + max((height_of(there, picture) for there in picture[room] if there.startswith(house)), default=0)


def draw(picture: Mapping[str, list[str]], rooms: Iterable[Room]) -> Figure:
    """Draw the rooms: `autograder` above, `starter` below, a room always above those that it imports."""
    holds = {name: room.holds for room in rooms for name in room.names}
    levels = {room: height_of(room, picture) for room in PLACES}
    top = {house: max(level for room, level in levels.items() if room.startswith(house)) for house in HOUSES[::2]}
    floor = {"starter": 0.0, "autograder": top["starter"] + 1.6}
    figure = Figure(figsize=(11, 15.3), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-0.56, 4.56), ylim=(-0.52, floor["autograder"] + top["autograder"] + 0.75))
    axes.axis("off")
    for house, colour, right, what in (
        ("starter", SKY, 4.5, "what notebooks import; students have it"),
        ("autograder", ORANGE, 3.5, "what instructors run; students never get it"),
    ):
        low, high = floor[house] - 0.47, floor[house] + top[house] + 0.68
        axes.add_patch(Rectangle((-0.5, low), right + 0.5, high - low, color=colour, alpha=0.13, lw=0))
        axes.text(-0.44, high - 0.06, house, fontsize=17, fontweight="bold", va="top")
        axes.text(-0.44, high - 0.33, fill(what, 24), fontsize=10.5, va="top")
    for room, x in PLACES.items():
        y = floor[room.split(".")[0]] + levels[room]
        inside = room == "autograder.sandbox.inside"
        beside = [there for there in picture[room] if there in PLACES and there.split(".")[0] == room.split(".")[0]]
        uses = [there for there in picture[room] if there not in beside]
        _box(axes, (x, y), _short(room), holds[room], uses, edge=RED if inside else BLUE, dashed=inside)
        for there in beside:
            _arrow(axes, (x, y), (PLACES[there], floor[there.split(".")[0]] + levels[there]))
    _bar(axes, (-0.44, 4.44), floor["starter"], "ground, for all: schema · errors · files · progress · console")
    _bar(axes, (-0.44, 2.46), floor["autograder"], "for all of the house: course → settings → folders · text")
    _guests(axes, picture, holds, floor["autograder"])
    return figure


def _guests(axes: Axes, picture: Mapping[str, list[str]], holds: Mapping[str, str], low: float) -> None:
    """Draw what stands outside of both houses, and how to read the picture."""
    _box(axes, (4.04, low + 2.55), NOTEBOOKS, holds[NOTEBOOKS], picture[NOTEBOOKS], edge=GREEN, height=1.15)
    _box(axes, (4.04, low + 1.35), "data_scripts", holds["data_scripts"], picture["data_scripts"], edge=GREEN)
    lines = (
        "An arrow: this room imports that one. Where a longer way leads there too, it is left out.",
        "Italic: the rooms of starter that a room outside of it imports.",
        "Dashed: runs beside a student's code, and imports nothing of the autograder.",
    )
    text = "\n\n".join(fill(line, 26) for line in lines)
    axes.text(3.58, low + 6.62, text, fontsize=10.5, va="top", linespacing=1.3)


def _short(room: str) -> str:
    return room.split(".", 1)[1].replace(".", "/")


def _box(
    axes: Axes,
    at: tuple[float, float],
    name: str,
    holds: str,
    uses: Iterable[str],
    *,
    edge: str,
    dashed: bool = False,
    height: float = BOX[1],
) -> None:
    (x, y), width = at, BOX[0]
    style = "round,pad=0,rounding_size=.04"
    corner = (x - width / 2, y - height / 2)
    line = (0, (4, 2)) if dashed else "-"
    axes.add_patch(FancyBboxPatch(corner, width, height, style, fc="white", ec=edge, lw=1.6, ls=line, zorder=2))
    used = fill(", ".join(_short(there) for there in uses), 30)
    axes.text(x - width / 2 + 0.03, y + height / 2 - 0.05, name, fontsize=12.5, fontweight="bold", va="top", zorder=3)
    axes.text(x - width / 2 + 0.03, y + height / 2 - 0.27, fill(holds, 26), fontsize=10, va="top", zorder=3)
    axes.text(x - width / 2 + 0.03, y - height / 2 + 0.06, used, fontsize=9, style="italic", color=BLUE, zorder=3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    lean = 0.25 * max(min(end[0] - start[0], 1), -1)  # arrows of one room start and end apart
    tail, head = (start[0] + lean, start[1] - BOX[1] / 2), (end[0] - lean, end[1] + BOX[1] / 2)
    axes.annotate(
        "", head, tail, arrowprops={"arrowstyle": "-|>", "color": "0.25", "lw": 1.5, "shrinkA": 0, "shrinkB": 1}
    )


def _bar(axes: Axes, span: tuple[float, float], y: float, text: str) -> None:
    style = "round,pad=0,rounding_size=.04"
    corner, width = (span[0], y - 0.17), span[1] - span[0]
    axes.add_patch(FancyBboxPatch(corner, width, 0.34, style, fc="white", ec=GREY, lw=1.6))
    axes.text(sum(span) / 2, y, text, fontsize=10.5, ha="center", va="center")


def main() -> None:
    """Draw the picture anew."""
    picture = picture_of(all_imports(read_sources(ROOT)))
    rooms = read_table(PAGE.read_text(encoding="utf-8"))
    about = {"Date": None, "Title": "Who imports whom", "Description": described(picture, rooms)}
    with mpl.rc_context({"svg.hashsalt": "architecture"}):
        draw(picture, rooms).savefig(PICTURE, metadata=about)


if __name__ == "__main__":
    main()
