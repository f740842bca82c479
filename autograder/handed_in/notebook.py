"""A handed-in notebook rebuilt from the released one, with only the students' cells taken over."""

import difflib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from starter.assignment.notebook import CELL_TYPES, grader_of, read_cells
from starter.errors import InputError

CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MISSING = "(The cell for this answer was missing, and no text stood in its place: look through the notebook.)"
"""Stands in such a cell, so that a person looks: nbgrader gives a cell that was not changed 0 points by itself."""


def rebuild_notebook(path: Path, released: dict, notes: list[str]) -> tuple[dict, str | None]:
    """Rebuild the handed-in notebook from the released one; else give the released one, and what is wrong."""
    if not path.is_file():
        fault = f"there is no notebook {path.name} in the submission; hand it in under the name it was given out"
        return released, fault
    try:
        given = read_cells(path)
    except InputError as error:
        return released, str(error)
    due = {grader["grade_id"]: cell for cell in released["cells"] if (grader := grader_of(cell))}
    place_of = match_cells(given, released["cells"])
    cells, seen, ids = [], set(), set()
    for number, (cell, name) in enumerate(given, start=1):
        match = released["cells"][place_of[number - 1]] if number - 1 in place_of else {"metadata": {}}
        question = (grader_of(match) or {}).get("grade_id")
        if question:
            seen.add(question)
            cell["metadata"] |= match["metadata"]
            cell["cell_type"] = match["cell_type"]
            if cell["cell_type"] != "markdown":
                cell.pop("attachments", None)  # which no other cell may have
            if match["metadata"]["nbgrader"].get("locked"):
                cell["source"] = match["source"]
        elif "tags" in match["metadata"]:
            cell["metadata"].setdefault("tags", match["metadata"]["tags"])
        if name is not None and name != question:
            notes.append(
                f"cell {number} is marked as {name[:60]!r}, which is no question or came before; it is an ordinary cell"
            )
        elif name is None and question:
            notes.append(f"cell {number} had lost its mark and was recognised as {question!r} by text and place")
        if not CELL_ID.fullmatch(cell["id"]) or cell["id"] in ids:
            cell["id"] = f"cell-{number}"
        ids.add(cell["id"])
        cells.append(_with_outputs(cell))
    for name in (name for name in due if _is_answer(due[name])):
        if _find_text(due[name], released["cells"], cells, place_of):
            seen.add(name)
            notes.append(f"the cell {name!r} holds no answer; the text beside it was taken")
    # only cells that carry points: a blank that is added would undo an answer that stands elsewhere
    for name in (name for name in due if name not in seen and due[name]["metadata"]["nbgrader"].get("grade")):
        notes.append(f"the cell {name!r} is missing and was added as it was given out")
        text = {"source": MISSING} if _is_answer(due[name]) else {}
        cells.append(due[name] | {"id": f"added-{len(cells)}"} | text)
    return {**released, "cells": cells}, None


def match_cells(given: Sequence[tuple[dict, str | None]], released: Sequence[dict]) -> dict[int, int]:
    """Find which released cell each handed-in cell was.

    Parameters
    ----------
    given
        Cells as they were handed in, each with the question it is marked as.
    released
        The notebook's cells as they were given out.

    Returns
    -------
    Position among the given to position among the released. A question's cell is found by its mark, of several copies
    the first that was changed; without a mark cells are found by their text, and then by their place between others.
    """
    found: dict[int, int] = {}
    for place, cell in enumerate(released):
        name = (grader_of(cell) or {}).get("grade_id")
        copies = [i for i, (_, mark) in enumerate(given) if name is not None and mark == name]
        if copies:
            found[next((i for i in copies if _key(given[i][0]) != _key(cell)), copies[0])] = place
    places = [place for place in range(len(released)) if place not in found.values()]
    unmarked = [i for i in range(len(given)) if i not in found and given[i][1] is None]
    texts = [_key(given[i][0]) for i in unmarked], [_key(released[place]) for place in places]
    for block in difflib.SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            found[unmarked[block.a + k]] = places[block.b + k]
    ends = [(-1, -1), *sorted(found.items()), (len(given), len(released))]
    for (first, first_place), (last, last_place) in itertools.pairwise(ends):
        for kind in CELL_TYPES:
            between = [i for i in range(first + 1, last) if given[i][1] is None and given[i][0]["cell_type"] == kind]
            left = [j for j in range(first_place + 1, last_place) if released[j]["cell_type"] == kind]
            left = [j for j in left if j not in found.values()]
            if len(between) == len(left):
                found |= dict(zip(between, left, strict=True))
    return found


def _key(cell: dict) -> tuple[str, str]:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    return cell["cell_type"], " ".join(source.split())


def _is_answer(cell: dict) -> bool:
    """Tell whether a question's cell is answered in words, for a person to grade."""
    grader = cell["metadata"]["nbgrader"]
    return cell["cell_type"] == "markdown" and bool(grader.get("grade") and grader.get("solution"))


def _find_text(due: dict, released: list[dict], cells: list[dict], place_of: dict[int, int]) -> bool:
    """Take text that stands beside a question's cell, or in its place, as its answer, if the cell holds none itself."""
    place = released.index(due)
    own = next((i for i, j in place_of.items() if j == place), None)
    if own is not None and _key(cells[own]) != _key(due):
        return False
    before = max((i for i, j in place_of.items() if j < place), default=-1) if own is None else own
    below = itertools.takewhile(lambda i: i not in place_of, range(before + 1, len(cells)))
    above = itertools.takewhile(lambda i: i not in place_of, range(before - 1, -1, -1)) if own is not None else ()
    for beside in (list(below), list(above)[::-1]):
        texts = [i for i in beside if cells[i]["cell_type"] != "code" and cells[i]["source"].strip()]
        if texts:
            if own is None:
                own = texts[0]
                place_of[own] = place
                cells[own]["metadata"] |= due["metadata"]
                cells[own]["cell_type"] = due["cell_type"]
            cells[own]["source"] = "\n\n".join(cells[i]["source"] for i in texts)
            return True
    return False


def _with_outputs(cell: dict) -> dict:
    return cell | ({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})
