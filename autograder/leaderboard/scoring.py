"""The scoring process: it is told its course by standard input, and scores entries until it is told to end."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from autograder.course import read_course
from autograder.leaderboard.worker import run_workers

BEHIND = 10
"""How far it stands back where pages want the same core."""


def main() -> None:
    """Score entries until told to end."""
    told = json.load(sys.stdin)
    os.nice(BEHIND)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; who serves passes on what it means
    course = read_course(Path(told["course"]))
    run_workers(course, stop, told["jobs"], told["dask"], remark=lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
