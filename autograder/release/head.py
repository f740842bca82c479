"""The head of a students' notebook: points, minutes, what it needs, where to go from it. Points at each question."""

import re
from collections.abc import Mapping

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from autograder.release.minutes import OWN_LINES, in_parts
from autograder.release.needs import needs_of
from starter.assignment.stage import Stage, StageQuestion
from starter.errors import counted

MACHINE = "machine_seconds"
"""Key of a notebook's metadata: seconds that the solved one takes on the demo's screen, start included."""


def add_head(
    notebook: NotebookNode,
    stage: Stage,
    stages: Mapping[str, str],
    minutes: Mapping[int, int],
    papers: Mapping[str, str],
) -> None:
    """Put the head below a notebook's title, and its points at each question.

    Parameters
    ----------
    notebook
        As students get it.
    stage
        What it asks.
    stages
        All stages of the course, name to title, in their order.
    minutes
        Of each section.
    papers
        Those that it quotes, name to link.
    """
    before, after = _neighbours(stage.name, stages)
    rows = {
        "points": f"{stage.points:g}: " + ", ".join(f"{asked.name} {asked.points:g}" for asked in stage.questions),
        "your time": _time(minutes),
        "machine time": _machine_time(notebook.metadata.get(MACHINE)),
        "needs": f"{needs_of(notebook)}; no other notebook",
        "before": before,
        "after": after,
        "words": "[glossary](../glossary.md), in English and Chinese",
        "papers": ", ".join(f"[{paper}]({link})" for paper, link in papers.items()),
    }
    for asked in stage.questions:
        _say_points(notebook, asked)
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items() if text)
    head = new_markdown_cell(f"| | |\n|---|---|\n{table}", id="head")
    notebook.cells.insert(1, head)


def points_of(asked: StageQuestion) -> str:
    """Say the points of a question.

    >>> points_of(StageQuestion("mae", 1.0, "function", "mae"))
    'mae: 1 point'
    """
    return (
        f"{asked.name}: {counted(int(asked.points), 'point') if asked.points % 1 == 0 else f'{asked.points:g} points'}"
    )


def _say_points(notebook: NotebookNode, asked: StageQuestion) -> None:
    """Say them in the first blank of a question; where it has none, at the end of the text before its cell."""
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    for blank in asked.blanks[-1:]:
        said, n = re.subn(OWN_LINES, lambda found: f"{found[0]} ({points_of(asked)})", cells[blank].source, count=1)
        if n:
            cells[blank].source = said
            return
    before = notebook.cells[: notebook.cells.index(cells[asked.name])]
    text = next((cell for cell in reversed(before) if cell.cell_type == "markdown" and _is_free(cell)), None)
    if text is not None:
        text.source += f"\n\n({points_of(asked)})"


def _is_free(cell: NotebookNode) -> bool:
    return "nbgrader" not in cell.metadata


def _time(minutes: Mapping[int, int]) -> str:
    parts = [f"{_span(first, last)} ({some})" for first, last, some in in_parts(minutes)]
    return f"about {sum(minutes.values())} minutes, by estimate; in parts: {', '.join(parts)}" if parts else ""


def _span(first: int, last: int) -> str:
    return f"sections {first} to {last}" if last > first else f"section {first}"


def _machine_time(seconds: float | None) -> str:
    return "" if seconds is None else f"about {seconds:g} seconds on two processor cores, with the demo's screen"


def _neighbours(name: str, stages: Mapping[str, str]) -> tuple[str, str]:
    """Link the notebooks before and after; nothing where there is none."""
    names = list(stages)
    place = names.index(name)
    before, after = (
        f"[{_title(other, stages[other])}](../{other}/{other}.ipynb)" if other else ""
        for other in (names[place - 1] if place else "", names[place + 1] if place + 1 < len(names) else "")
    )
    return before, after


def _title(name: str, title: str) -> str:
    return f"{name[:2]} {title.partition(':')[0] or name[3:]}"
