"""Memory of a service's processes over time, and whether it stays flat."""

import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import psutil
import scipy.stats

SETTLED = 0.2
"""Of the time, after which a process has all that it keeps."""
BLOCKS = 30
"""Means of neighbouring samples, which are less alike than the samples themselves."""
FLAT = 0.05
"""Share of its memory by which a flat process grows in an hour, at most."""


@dataclass(frozen=True)
class Memory:
    """Samples of the memory of a process and its children, by their roles."""

    roles: Mapping[str, str]
    """Role to a regular expression that finds it in a command line; the first that fits counts."""
    seconds: list[float] = field(default_factory=list)
    mib: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Role to proportional set size, in which memory that processes share is shared out."""

    def sample(self, pid: int) -> None:
        """Look at a process and all that it started."""
        now, parent = dict.fromkeys(self.roles, 0.0), psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            try:
                command = " ".join(process.cmdline())
                role = next((role for role, form in self.roles.items() if re.search(form, command)), None)
                if role is not None:
                    now[role] += process.memory_full_info().pss / 2**20
            except psutil.Error:
                continue  # it ended meanwhile
        self.seconds.append(time.monotonic())
        for role, mib in now.items():
            self.mib[role].append(mib)

    def table(self) -> list[str]:
        """Write a row a role: at first, at last, at most; growth an hour with its 95 % interval, and what it means."""
        lines = [
            "| memory (PSS), MiB | at first | at last | at most | growth in an hour (95 % interval) | |",
            "|---|---|---|---|---|---|",
        ]
        for role, mib in self.mib.items():
            tenth = max(1, len(mib) // 10)
            ends = f"{np.median(mib[:tenth]):.0f} | {np.median(mib[-tenth:]):.0f} | {max(mib):.0f}"
            lines.append(f"| {role} | {ends} | {self._growth(mib)} |")
        return lines

    def _growth(self, mib: Sequence[float]) -> str:
        settled = int(SETTLED * len(mib))
        hours, kept = np.array(self.seconds[settled:]) / 3600, np.array(mib[settled:])
        if len(kept) < 2 * BLOCKS:
            return "– | too short to say"
        means = [[part.mean() for part in np.array_split(values, BLOCKS)] for values in (kept, hours)]
        slope, _, low, high = scipy.stats.theilslopes(*means)
        most = FLAT * float(np.median(kept))
        verdict = "flat" if high <= most else "grows" if low > most else "not sure"
        return f"{slope:+.1f} ({low:+.1f} to {high:+.1f}) | {verdict}"
