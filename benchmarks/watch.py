"""A command watched to its end: its time and the memory of all its processes; and the machine it ran on."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL = 0.05
"""Seconds between two looks at a command's memory."""


@dataclass(frozen=True)
class Watched:
    """How a command ended."""

    seconds: float
    cpu: float
    """Seconds of processors, of the command and the children that it waited for; other work hardly changes them."""
    peak: int
    """Bytes of memory, of the command and its children together."""
    failure: str
    """Empty if it succeeded."""


def watch(command: Sequence[str | Path], log: Path, **options: object) -> Watched:
    """Run a command to its end.

    Parameters
    ----------
    command
        Its arguments.
    log
        Receives what it prints.
    options
        As `subprocess.Popen` takes them, such as `cwd` and `env`.
    """
    with log.open("w") as file:
        start = time.monotonic()
        child = subprocess.Popen([str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, **options)
        seen = 0
        while True:
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            seen = max(seen, _resident(child.pid), _mark(child.pid))
            time.sleep(POLL)
        seconds = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    peak = max(seen, usage.ru_maxrss) if sys.platform == "darwin" else seen
    failure = ""
    if child.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
        failure = f"failed (exit status {child.returncode}): {last[:200]}"
    return Watched(seconds, usage.ru_utime + usage.ru_stime, peak, failure)


def _mark(pid: int) -> int:
    """Read the kernel's own mark of a process's peak, which misses nothing between two looks.

    Not `ru_maxrss`: on Linux a child inherits that of the process which started it.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _resident(pid: int) -> int:
    """Add up the memory of a process and its children."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended meanwhile
    return total


def machine(packages: Sequence[str]) -> str:
    """Describe this machine and the versions of packages in one sentence."""
    memory = psutil.virtual_memory().total / 2**30
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    return (
        f"Machine: {psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.platform(terse=True)}, Python "
        f"{platform.python_version()}, {time.strftime('%B %Y')}; {', '.join(versions)}."
    )


def forget(path: Path) -> None:
    """Take a file, or all files of a folder, out of the page cache, so that they are read from disk."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file() and hasattr(os, "posix_fadvise"):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def watch_module(module: str, command: Iterable[object], work: Path, cold: Iterable[Path]) -> tuple[float, Watched]:
    """Run a benchmark's own command in a process of its own, files out of the page cache before.

    Parameters
    ----------
    module
        The benchmark, such as `benchmarks.data`.
    command
        What stands behind it; the path of a file is added, into which `timed` writes.
    work
        A folder for that file and the log.
    cold
        Files that are read from disk.

    Returns
    -------
    Its seconds without imports, NaN if it failed; and how it ended.
    """
    for path in cold:
        forget(path)
    told = work / "seconds"
    ended = watch([sys.executable, "-m", module, *map(str, command), told], work / "log.txt")
    return (float("nan") if ended.failure else float(told.read_text())), ended


@contextmanager
def timed(told: Path) -> Iterator[None]:
    """Write down how many seconds the block takes."""
    start = time.perf_counter()
    yield
    told.write_text(str(time.perf_counter() - start))
