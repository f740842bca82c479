"""A notebook as it is handed in: its cells, of which nothing but text, tags, marks and pasted pictures is taken."""

import json
import re
from pathlib import Path

from starter.errors import InputError

MAX_CELLS = 2_000
"""Of a notebook; nbgrader takes minutes for a million, and each of them takes kilobytes there."""
SIMPLE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Of a tag or a pasted picture."""
PICTURES = ("image/png", "image/jpeg", "image/gif")
BASE64 = re.compile(r"[A-Za-z0-9+/\s]++={0,2}\s*+")
"""Takes no step back, which a text of many spaces would make endless."""
CELL_TYPES = ("code", "markdown", "raw")


def read_cells(path: Path) -> list[tuple[dict, str | None]]:
    """Read the cells of a notebook, without output and whatever else it holds.

    Parameters
    ----------
    path
        The notebook.

    Returns
    -------
    Each cell with the id of the question that it is marked as, or None.

    Raises
    ------
    InputError
        If it cannot be graded: it is damaged, of an old format, or has too many cells.
    """
    try:
        content = json.loads(path.read_bytes())  # whose encoding is that of its byte order mark
        if content.get("nbformat", 4) != 4:
            found = str(content["nbformat"])[:100]
            msg = f"{path.name} is saved in format {found}; open it in JupyterLab, save it, hand it in anew"
            raise InputError(msg)
        if len(content["cells"]) > MAX_CELLS:
            msg = f"{path.name} has {len(content['cells']):,} cells; hand it in anew with at most {MAX_CELLS:,}"
            raise InputError(msg)
        return [_plain_cell(cell) for cell in content["cells"]]
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path.name} is damaged and cannot be opened; save it again and hand it in anew"
        raise InputError(msg) from error


def grader_of(cell: dict) -> dict | None:
    """Give what nbgrader keeps of a cell, if it is marked."""
    grader = (cell.get("metadata") or {}).get("nbgrader")
    return grader if isinstance(grader, dict) and isinstance(grader.get("grade_id"), str) else None


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
    grader = grader_of(cell)
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
