"""A folder of pieces: `plan.json` says what is to be written, `pieces.json` that all of it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from starter.data.h5ad import open_h5ad, read_frame
from starter.errors import InputError, counted

PLAN, COMPLETE = "plan.json", "pieces.json"


@dataclass(frozen=True)
class Pieces:
    """A screen in pieces; each is an AnnData object with the same genes."""

    paths: tuple[Path, ...]
    n_cells: np.ndarray
    """Of each piece."""
    hashes: tuple[str, ...]
    """SHA-256 of each, as `data_scripts.content.describe` gives it."""
    genes: pd.Index
    course: Mapping[str, Any]
    """What the screen is; `target_sum` is the scale of its log expression."""

    @property
    def starts(self) -> np.ndarray:
        """Number of the first cell of each piece, and the number of all cells."""
        return np.concatenate([[0], np.cumsum(self.n_cells)])


def open_pieces(folder: str | Path) -> Pieces:
    """Open a folder of pieces.

    Raises
    ------
    InputError
        If it is none, or some are missing.
    """
    folder = Path(folder)
    path = folder / COMPLETE
    if not path.is_file():
        plan = read_plan(folder)
        if not plan:
            msg = f"{folder} is no folder of pieces; write one with: python -m data_scripts pieces write"
            raise InputError(msg)
        due = len(piece_names(plan))
        there = sum(1 for _ in folder.glob("piece-*"))
        msg = f"{folder} has {there:,} of {counted(due, 'piece')}; run the command that writes them again, to go on"
        raise InputError(msg)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        paths = tuple(folder / piece["name"] for piece in content["pieces"])
        n_cells = np.array([piece["cells"] for piece in content["pieces"]], np.int64)
        hashes = tuple(piece["sha256"] for piece in content["pieces"])
        course = content["course"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is damaged ({type(error).__name__}: {error}); write the pieces again into another folder"
        raise InputError(msg) from error
    if missing := [each.name for each in paths if not each.exists()]:
        msg = f"{folder} lacks {missing[0]} and {len(missing) - 1:,} more; copy or write the pieces again"
        raise InputError(msg)
    with open_h5ad(paths[0]) as first:
        genes = read_frame(first, "var").index
    return Pieces(paths, n_cells, hashes, genes, course)


def read_plan(folder: Path) -> dict:
    """Read what is to be written to a folder; nothing if no plan stands there.

    Raises
    ------
    InputError
        If it is damaged.
    """
    path = folder / PLAN
    if not path.is_file():
        return {}
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        piece_names(plan)
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is damaged ({type(error).__name__}: {error}); write the pieces into another folder"
        raise InputError(msg) from error
    return plan


def piece_names(plan: Mapping) -> list[str]:
    """Name the pieces of a plan, in order."""
    n_pieces = -(-plan["n_cells"] // plan["cells"])
    return [f"piece-{number:05d}.{plan['kind']}" for number in range(n_pieces)]
