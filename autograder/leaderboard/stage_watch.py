"""Keeps what instructors see of the stages up to date: a process that lives as long as there is something to write."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path

from autograder.course import read_course
from autograder.folders import GRADEBOOK
from autograder.leaderboard.stage_files import files_seen
from starter.errors import InputError

PAUSE = 15.0
"""Seconds between two looks at the files."""
SHARE = 5
"""What was written in a second rests for at least so many, so that a large course keeps no core busy."""
AGAIN = 60.0
"""Seconds until what failed is tried again."""
NICE = 10
"""Grading, scoring and pages go first."""


@dataclass
class StageWatch:
    """Looks whether the stages changed, and has their records written in a process of its own."""

    root: Path
    """The course's folder."""
    folder: Path
    """Where the records go."""
    say: Callable[[str], object]
    process: SpawnProcess | None = None
    seen: list[str] = field(default_factory=list)
    """The files as they were when the process was started."""
    begun: float = 0.0
    rests_until: float = 0.0

    def look(self) -> None:
        """Look whether there is something to write, unless that was done just now or is under way."""
        now = time.monotonic()
        if self.process is not None:
            if self.process.is_alive():
                return
            if self.process.exitcode:
                self.seen = []
                self.say(f"the instructor's pages of the stages were not written; tried again in {AGAIN:.0f} s")
            self.rests_until = now + (AGAIN if self.process.exitcode else max(PAUSE, SHARE * (now - self.begun)))
            self.process = None
        if now < self.rests_until:
            return
        self.rests_until = now + PAUSE
        try:
            course = read_course(self.root)
            seen = [files_seen(course, stage) for stage in course.stages]
            book = course.grading / GRADEBOOK
            seen.append(str(book.stat().st_mtime_ns) if book.is_file() else "")
        except (InputError, OSError):  # course.toml is being edited, or a folder was moved while it was looked at
            return
        if seen != self.seen:
            self.seen, self.begun = seen, now
            self.process = multiprocessing.get_context("spawn").Process(target=_write, args=(self.root, self.folder))
            self.process.start()

    def end(self) -> None:
        """End what is under way; each record is written whole or not at all."""
        if self.process is not None:
            self.process.terminate()
            self.process.join()


def _write(root: Path, folder: Path) -> None:
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; who serves ends this
    # nbgrader is large, and the process that looks is there all the time
    from sqlalchemy.exc import SQLAlchemyError

    from autograder.leaderboard.stage_records import write_records

    try:
        write_records(read_course(root), folder)
    except (InputError, SQLAlchemyError) as error:  # of nbgrader's book, which a grader may be writing to
        what = str(error).partition("\n")[0]
        print(f"the instructor's pages of the stages are not up to date: {what}", flush=True)
        raise SystemExit(1) from error
