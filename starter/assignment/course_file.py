"""A course's `course.toml` as far as students have it: where to hand in, by when, and how much."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starter.assignment.files import Sizes
from starter.errors import InputError

FILE = "course.toml"
SUBMISSION_MIB, PREDICTION_MIB = 64, 1024
"""What may be handed in where the file says nothing."""


@dataclass(frozen=True)
class HandIn:
    """`[hand_in]`: where submissions go; without any of these a student is told to ask."""

    folder: str = ""
    """One that all students can write to; `autograder collect STAGE FOLDER` reads it."""
    exchange: str = ""
    """The root of nbgrader's exchange, as `c.Exchange.root` names it."""
    url: str = ""
    """The page of a learning platform where files are uploaded."""
    leaderboard: str = ""
    """The page of the class's table of predictions."""


@dataclass(frozen=True)
class CourseFile:
    """What a student's `course.toml` says."""

    root: Path
    """Its folder."""
    name: str
    hand_in: HandIn
    sizes: Sizes
    deadlines: Mapping[str, datetime]
    """By stage, with their time zone."""


def read_course_file(folder: Path) -> CourseFile:
    """Read the nearest `course.toml` in a folder or above.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    place = folder.absolute()
    path = next((above / FILE for above in (place, *place.parents) if (above / FILE).is_file()), None)
    if path is None:
        msg = f"no {FILE} in {place} or above; work in the course's folder"
        raise InputError(msg)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        limits, stages = content.get("limits", {}), content.get("stages", {})
        return CourseFile(
            root=path.parent,
            name=str(content["course"]["name"]),
            hand_in=HandIn(**{key: str(value) for key, value in content.get("hand_in", {}).items()}),
            sizes=Sizes(
                int(limits.get("submission_mib", SUBMISSION_MIB)) << 20,
                int(limits.get("prediction_mib", PREDICTION_MIB)) << 20,
            ),
            deadlines={name: stage["deadline"] for name, stage in stages.items() if _is_time(stage.get("deadline"))},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} cannot be read ({error}); take it from the course's files again"
        raise InputError(msg) from error


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None
