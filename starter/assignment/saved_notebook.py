"""A notebook as it is saved: its cells' text, and nothing of it is run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def cell_text(cell: Mapping[str, Any]) -> str:
    """Give the text of a cell, which is stored as one string or as lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def alike(one: str, other: str) -> bool:
    """Tell whether two texts differ in spaces and line ends alone."""
    return one.split() == other.split()


def saved_text(notebook: Path, name: str) -> str | None:
    """Read a question's cell in a saved notebook; None if there is no notebook, or no such cell in it."""
    return next((cell_text(cell) for cell in saved_cells(notebook) if question_of(cell) == name), None)


def saved_cells(notebook: Path) -> list[dict[str, Any]]:
    """Read a saved notebook's cells; none if it is not there or damaged."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
        return [cell for cell in cells if isinstance(cell, dict) and "source" in cell]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def question_of(cell: Mapping[str, Any]) -> str | None:
    """Give the id under which nbgrader knows a cell, if it does."""
    return ((cell.get("metadata") or {}).get("nbgrader") or {}).get("grade_id")
