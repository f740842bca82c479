"""A handed-in notebook rebuilt from the released one, with only the students' cells taken over."""

import json
import re
from pathlib import Path

MAX_CELLS = 2_000
"""Of a notebook; nbgrader takes minutes for a million, and each of them takes kilobytes there."""
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SIMPLE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Of a tag or a pasted picture."""
PICTURES = ("image/png", "image/jpeg", "image/gif")
BASE64 = re.compile(r"[A-Za-z0-9+/\s]++={0,2}\s*+")
"""Takes no step back, which a text of many spaces would make endless."""
CELL_TYPES = ("code", "markdown", "raw")


def rebuild_notebook(path: Path, released: dict, notes: list[str]) -> tuple[dict, str | None]:
    """Rebuild the handed-in notebook from the released one; else give the released one, and what is wrong."""
    if not path.is_file():
        fault = f"there is no notebook {path.name} in the submission; hand it in under the name it was given out"
        return released, fault
    try:
        content = json.loads(path.read_bytes())  # whose encoding is that of its byte order mark
        if content.get("nbformat", 4) != 4:
            fault = (
                f"{path.name} is saved in format {content['nbformat']}; open it in JupyterLab, save it, hand it in anew"
            )
            return released, fault[:200]
        if len(content["cells"]) > MAX_CELLS:
            fault = f"{path.name} has {len(content['cells']):,} cells; hand it in anew with at most {MAX_CELLS:,}"
            return released, fault
        given = [_plain_cell(cell) for cell in content["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return released, f"{path.name} is damaged and cannot be opened; save it again and hand it in anew"
    due = {grader["grade_id"]: cell for cell in released["cells"] if (grader := _grader(cell))}
    cells, seen, ids = [], set(), set()
    for number, (cell, name) in enumerate(given, start=1):
        if name in due and name not in seen:
            seen.add(name)
            cell["metadata"] |= due[name]["metadata"]
            cell["cell_type"] = due[name]["cell_type"]
            if cell["cell_type"] != "markdown":
                cell.pop("attachments", None)  # which no other cell may have
            if due[name]["metadata"]["nbgrader"].get("locked"):
                cell["source"] = due[name]["source"]
        elif name is not None:
            notes.append(
                f"cell {number} is marked as {name[:60]!r}, which is no question or came before; it is an ordinary cell"
            )
        if not CELL_ID.fullmatch(cell["id"]) or cell["id"] in ids:
            cell["id"] = f"cell-{number}"
        ids.add(cell["id"])
        cells.append(_with_outputs(cell))
    # only cells that carry points: a blank that is added would undo an answer that stands elsewhere
    for name in (name for name in due if name not in seen and due[name]["metadata"]["nbgrader"].get("grade")):
        notes.append(f"the cell {name!r} is missing and was added as it was given out")
        cells.append(due[name] | {"id": f"added-{len(cells)}"})
    return {**released, "cells": cells}, None


def _plain_cell(cell: dict) -> tuple[dict, str | None]:
    """Take a cell's kind, text, tags and question, and nothing else."""
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    kind = cell["cell_type"] if cell["cell_type"] in CELL_TYPES else "raw"
    tags = (cell.get("metadata") or {}).get("tags")
    known = (
        [tag for tag in tags if isinstance(tag, str) and SIMPLE_NAME.fullmatch(tag)] if isinstance(tags, list) else []
    )
    plain = {
        "cell_type": kind,
        "id": str(cell.get("id", "")),
        "metadata": {"tags": list(dict.fromkeys(known))} if known else {},
        "source": source.encode(errors="replace").decode(),  # half of a surrogate pair cannot be written
    }
    if kind == "markdown" and (pictures := _pictures(cell.get("attachments"))):
        plain["attachments"] = pictures
    grader = _grader(cell)
    return plain, grader["grade_id"] if grader else None


def _pictures(attachments: object) -> dict[str, dict[str, str]]:
    """Take the pictures that were pasted into a text cell."""
    if not isinstance(attachments, dict):
        return {}
    return {
        name: {kind: content}
        for name, bundle in attachments.items()
        if SIMPLE_NAME.fullmatch(name) and isinstance(bundle, dict)
        for kind, content in list(bundle.items())[:1]
        if kind in PICTURES and isinstance(content, str) and BASE64.fullmatch(content)
    }


def _grader(cell: dict) -> dict | None:
    grader = (cell.get("metadata") or {}).get("nbgrader")
    return grader if isinstance(grader, dict) and isinstance(grader.get("grade_id"), str) else None


def _with_outputs(cell: dict) -> dict:
    return cell | ({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})
