"""What `progress()` found of a notebook: kept beside its checks, so that it can be told without running anything."""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from starter.assignment.stage import CHECKS
from starter.files import whole

FILE = "progress.json"
"""In the folder of the checks."""
State = Literal["right", "open", "not run", "wrong", "waits"]


@dataclass(frozen=True)
class Standing:
    """How one question stands."""

    name: str
    points: float
    """What the question carries."""
    state: State
    """`waits`: for grading, since no local check knows the answer."""
    why: str = ""
    """A sentence, where there is something to say."""


@dataclass(frozen=True)
class Record:
    """What `progress()` found of a notebook."""

    when: datetime
    standings: tuple[Standing, ...]
    ran: frozenset[str]
    """Hashes of all cells that had been run."""


def write_record(folder: Path, standings: Iterable[Standing], ran: Iterable[str]) -> None:
    """Keep what was found.

    Raises
    ------
    InputError
        If the folder of the checks cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"when": now, "standings": [asdict(standing) for standing in standings], "ran": sorted(ran)}
    with whole(folder / CHECKS / FILE) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record | None:
    """Read what `progress()` found last in a stage's folder; None if it never ran, or what it kept is damaged."""
    try:
        content = json.loads((folder / CHECKS / FILE).read_text(encoding="utf-8"))
        standings = tuple(Standing(**found) for found in content["standings"])
        if any(standing.state not in get_args(State) for standing in standings):
            return None
        return Record(datetime.fromisoformat(content["when"]), standings, frozenset(content["ran"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def hash_text(text: str) -> str:
    """Name a cell's text, by 16 hexadecimal digits of SHA-256, whatever blanks stand at its end."""
    return hashlib.sha256(text.strip().encode(errors="replace")).hexdigest()[:16]


def run_cells() -> set[str]:
    """Hash the cells that this kernel ran; none outside of one."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return {hash_text(text) for text in shell.history_manager.input_hist_raw} if shell else set()
