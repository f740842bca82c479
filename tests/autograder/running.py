"""What runs in sandboxes for these tests, and not for others beside them."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MARK = f"of_the_tests_in_process_{os.getpid()}"
"""Stands in the command of each zygote and each fork of one that is started here, beside those of other tests."""


def running() -> set[int]:
    """List what runs with `MARK` in its command."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            if MARK.encode() in path.read_bytes():
                found.add(int(path.parent.name))
    return found


def soon(true: Callable[[], bool]) -> bool:
    """Wait for the kernel to end what was killed."""
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()
