"""How long a process was ready to run and the machine had no core for it. Runs on both sides."""

import time


def waited(process: str = "self") -> float:
    """Give the seconds for which a process' first thread waited for a core; 0 where the kernel does not say."""
    try:
        with open(f"/proc/{process}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def own_clock() -> float:
    """Give a clock in seconds that stands still while this process waits for a core."""
    return time.monotonic() - waited()
