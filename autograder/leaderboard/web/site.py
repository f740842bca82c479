"""What the web process knows of its course: where the board is, and what may be handed in."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import Engine


@dataclass(frozen=True)
class Site:
    """A board that is served. It has no path to the truth, the secret or the answers."""

    engine: Engine
    folder: Path
    """Holds `arriving/`, `entries/` and `pictures/`."""
    title: str
    per_day: int
    """Entries that a team may hand in on a day of UTC."""
    max_bytes: int
    """Of a file."""
    ends: datetime | None = None
    """When no more entries are taken."""
    zone: str = "UTC"
    """In which times are shown."""
    stages: Path | None = None
    """What instructors see of the course's stages: `STAGE.json` and `pages/STAGE/STUDENT.html`. None: nothing."""
