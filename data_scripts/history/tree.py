"""A lineage as a tree in the terminal."""

from collections.abc import Mapping

from rich.text import Text
from rich.tree import Tree

from data_scripts.history.ancestors import Made, State

STYLES = {State.same: "green", State.changed: "bold red", State.missing: "bold yellow"}
WIDTH = 100
"""Characters of the parameters that are shown."""


def draw_tree(made: Made) -> Tree:
    """Draw a file and below it what it was made of; what is missing or changed says so."""
    drawn: set[str] = set()

    def draw(one: Made) -> Tree:
        tree = Tree(label(one))
        if one.parents and one.sha256 in drawn:
            tree.add(Text("as above", style="dim"))
            return tree
        drawn.add(one.sha256)
        for parent in one.parents:
            tree.add(draw(parent))
        return tree

    return draw(made)


def label(made: Made) -> Text:
    """Say of a file its name, size, hash and state, and how it was made or where it can be downloaded."""
    text = Text(made.name, style="bold")
    text.append(f"  {size(made.bytes)}  {made.sha256[:12]}  ", style="dim")
    text.append(made.state, style=STYLES[made.state])
    if made.lineage:
        text.append(
            f"\nmade {made.lineage['made'][:16].replace('T', ' ')} UTC by {code(made.lineage)}", style="not bold"
        )
        if parameters := ", ".join(f"{key} = {value}" for key, value in made.lineage["parameters"].items()):
            shown = parameters if len(parameters) <= WIDTH else f"{parameters[:WIDTH]} ..."
            text.append(f"\nwith {shown}", style="dim")
    elif made.urls:
        text.append(f"\nfrom {made.urls[0]}", style="not bold")
    return text


def code(lineage: Mapping) -> str:
    """Name the builder, the version of the kit, and the commit."""
    what = lineage["code"]
    commit = what.get("commit", "")[:10]
    changed = " with changes" if what.get("changed_since") else ""
    version = what.get("version", "")
    return ", ".join(part for part in (what["name"], version, f"commit {commit}{changed}" if commit else "") if part)


def size(n_bytes: int) -> str:
    """Write a size for people, in decimal units.

    >>> size(999), size(2_937_952)
    ('999 B', '2.9 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes} B"
