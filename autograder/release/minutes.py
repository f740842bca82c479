"""How long a notebook takes a student: an estimate, counted from what there is to read, to write and to look at."""

import math
import re
from collections.abc import Mapping

from nbformat import NotebookNode

PART_MINUTES = 45
"""The longest part that is proposed between two breaks."""
WORDS = 120
"""Of text a minute: half of what people read of plain prose, since here is something to understand."""
GIVEN_LINES = 20
"""Of code that is there, a minute."""
OWN_LINE_MINUTES = 2.0
"""For a line of one's own, with its mistakes."""
ANSWER_MINUTES = 8.0
"""For an answer in words."""
FIGURE_MINUTES = 1.0
"""To look at a figure."""
SECTION = re.compile(r"^## (\d+)", re.MULTILINE)
OWN_LINES = re.compile(r"# about (\d+) lines?")
FIGURE = re.compile(r"\bplots\.\w+\(")


def section_minutes(notebook: NotebookNode) -> dict[int, int]:
    """Estimate the minutes of each section of a students' notebook; what stands before the first belongs to it."""
    minutes: dict[int, float] = {}
    before, section = 0.0, None
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := SECTION.search(cell.source)):
            section = int(found[1])
        if section is None:
            before += _minutes(cell)
        else:
            minutes[section] = minutes.get(section, before) + _minutes(cell)
            before = 0.0
    return {section: math.ceil(some) for section, some in minutes.items()}


def in_parts(minutes: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Group sections into parts of at most `PART_MINUTES`: first section, last section, minutes."""
    parts: list[tuple[int, int, int]] = []
    for section, some in minutes.items():
        if parts and parts[-1][2] + some <= PART_MINUTES:
            parts[-1] = (parts[-1][0], section, parts[-1][2] + some)
        else:
            parts.append((section, section, some))
    return parts


def _minutes(cell: NotebookNode) -> float:
    grader = cell.metadata.get("nbgrader", {})
    if cell.cell_type == "markdown":
        return ANSWER_MINUTES if grader.get("solution") else len(cell.source.split()) / WORDS
    if grader.get("grade"):
        return 0.0
    given = sum(bool(line.strip()) for line in cell.source.splitlines()) / GIVEN_LINES
    own = OWN_LINE_MINUTES * sum(map(int, OWN_LINES.findall(cell.source)))
    return given + own + FIGURE_MINUTES * len(FIGURE.findall(cell.source))
