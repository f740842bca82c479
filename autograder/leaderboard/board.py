"""A course's leaderboard: its settings and folders."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autograder.course import FILE, Course
from autograder.folders import ARRIVING, BOARD_DATABASE, ENTRIES, GRADED_BOARD, LEADERBOARD, PICTURES, TRUTH, WORK
from autograder.settings import Leaderboard, Prediction
from starter.errors import InputError
from starter.files import sha256


@dataclass(frozen=True)
class Board:
    """A leaderboard of a course."""

    course: Course
    settings: Leaderboard
    served: bool = True
    """Whether teams upload entries; else entries are made of what was graded."""

    @property
    def stage(self) -> str:
        """The stage whose prediction is scored."""
        return self.settings.stage

    @property
    def title(self) -> str:
        """What stands above the table."""
        return self.settings.title or self.course.settings.course.title or self.course.name

    @property
    def prediction(self) -> Prediction:
        """What the stage asks for."""
        due = self.course.stages[self.stage].prediction
        assert due is not None  # as the settings were checked
        return due

    @property
    def measure(self) -> str:
        """Hash what scores are measured by, the truth and the rule set: by another all are other scores."""
        truth = sha256(self.course.hidden_folder / TRUTH / "truth.json")
        return hashlib.sha256(f"{truth} {self.prediction.profile}".encode()).hexdigest()

    @property
    def ends(self) -> datetime | None:
        """When no more entries are taken, and the private half is shown."""
        return self.settings.ends or self.course.stages[self.stage].deadline

    @property
    def folder(self) -> Path:
        """Where all of it lies."""
        return self.course.grading / (LEADERBOARD if self.served else GRADED_BOARD)

    @property
    def web(self) -> Path:
        """All that the web process writes to."""
        return self.folder / "web"

    @property
    def stages(self) -> Path:
        """What instructors see of the course's stages, which the web process reads alone."""
        return self.folder / "stages"

    @property
    def private(self) -> Path:
        """What scoring workers keep for themselves."""
        return self.folder / "private"

    @property
    def work(self) -> Path:
        """Where files are while they are scored."""
        return self.course.grading / WORK / LEADERBOARD

    @property
    def url(self) -> str:
        """Where the database is."""
        named = self.settings.database if self.served else None
        return named or f"sqlite:///{self.folder / BOARD_DATABASE}"


def board_of(course: Course, *, served: bool = True) -> Board:
    """Give a course's leaderboard, and make its folders.

    Parameters
    ----------
    served
        The one to which teams upload; else the one of what was graded.

    Raises
    ------
    InputError
        If `course.toml` names none.
    """
    if course.settings.leaderboard is None:
        msg = (
            f"{course.root / FILE} has no [leaderboard]; name the stage whose predictions it ranks, as in "
            'stage = "04_baselines" (docs/instructor.md)'
        )
        raise InputError(msg)
    board = Board(course, course.settings.leaderboard, served)
    made = [board.web / ENTRIES, board.web / PICTURES, board.web / ARRIVING, board.private]
    for folder in [*made, board.stages] if served else made:
        folder.mkdir(parents=True, exist_ok=True)
    board.private.chmod(0o700)
    return board
