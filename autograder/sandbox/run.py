"""Run a student's code, or open a student's file, where it can do no harm (bubblewrap).

Inside there is no network, no home, no grader: only the Python installation and the files and folders that a run
names, all read-only. All that comes out is a stream of bytes of limited length.
"""

import functools
import io
import os
import selectors
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal

import psutil

from autograder.sandbox import syscalls
from autograder.sandbox.bubblewrap import SCRATCH, command_inside, outer_environment
from autograder.sandbox.inside.waiting import waited
from autograder.sandbox.ready import MachineError, NoSandboxError, check_sandbox

SCRIPTS = Path(__file__).with_name("inside")
"""The grader's own scripts."""
INSIDE = "/inside"
"""Where a run finds them."""
MAX_OUTPUT = 256 << 20
"""Bytes that may come out."""
ERROR_TAIL = 2_000
LOOK_SECONDS = 0.2
"""Between two looks at the memory in use."""
KILLED = 128 + signal.SIGKILL
"""Exit status of a sandbox that was killed from outside, which no process inside can do; one may end so by itself."""
MOST_WAITING = 2.0
"""How often its time limit a run may have waited for a core and still be given that time."""
LAST_BREATH = 5
"""Seconds that the processes inside have to be gone once they are killed."""
STOP = threading.Event()
"""Set when the grader is interrupted: every run in this process ends at once."""
CORES = threading.local()
"""`CORES.given`: those on which a thread's runs stay; all, where it was given none."""
Status = Literal["ended", "time", "output", "memory"]


@dataclass(frozen=True)
class Wanted:
    """What is run, and what it may use: as `run` takes them."""

    command: Sequence[str]
    read_only: Mapping[str, Path]
    seconds: float
    memory_gib: float
    processes: int
    workdir: str
    devices: Sequence[Path]
    scratch: int


@dataclass(frozen=True)
class Started:
    """A run that has begun."""

    pid: int
    """Of the process whose memory and time count, with those of its children."""
    wait: Callable[[float], int | None]
    """Wait some seconds for its end; the exit status, None if it goes on."""
    kill: Callable[[], int]
    """End all its processes; the exit status."""


Start = Callable[[Wanted, int, int], Started]
"""Starts what is wanted, with file descriptors for its output and its errors."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: Status
    """It ended by itself, was stopped at the time limit, wrote more than is allowed, or took too much memory."""
    returncode: int
    output: bytes
    """Empty where the run was given a file for it."""
    errors: str
    """The end of its standard error, for the instructor."""
    seconds: float

    def check_machine(self) -> None:
        """Refuse to blame anybody where the machine ended it.

        Raises
        ------
        MachineError
            If it was killed from outside.
        """
        if self.status == "ended" and self.returncode == KILLED:
            msg = (
                "the sandbox was killed, as where this machine's memory ends; grade again with fewer --jobs, and if it "
                f"comes again look at the notebook, which may end itself with status {KILLED}"
            )
            raise MachineError(msg)


def from_scratch(wanted: Wanted, output: int, errors: int) -> Started:
    """Start a Python of its own in a sandbox.

    Raises
    ------
    NoSandboxError
        If this machine has no working sandbox.
    """
    check_sandbox()
    # counted in the innermost user namespace, so the grader's other processes do not count
    program = ["prlimit", f"--nproc={wanted.processes}", "--", sys.executable, *wanted.command]
    with syscalls.refused(unnamed_shared=not wanted.devices) as calls:
        inside = command_inside(program, wanted.read_only, wanted.workdir, calls, wanted.devices, wanted.scratch)
        process = start_session([*limits(wanted), *inside], subprocess.DEVNULL, output, errors, calls)
    return Started(process.pid, functools.partial(waited_for, process), functools.partial(end, process))


def limits(wanted: Wanted) -> list[str]:
    """Write the beginning of a command whose processes keep to what each may use; how many is counted inside."""
    return [
        # if the machine's memory ends all the same, nobody else pays
        *("choom", "--adjust=1000", "--"),
        *("taskset", "--cpu-list", ",".join(map(str, cores_given()))),
        "prlimit",
        f"--data={_bytes(wanted.memory_gib)}",
        f"--cpu={int(wanted.seconds * (os.cpu_count() or 1)) + 1}",
        f"--fsize={wanted.scratch}",
        "--core=0",
        "--nofile=1024",
        "--",
    ]


def start_session(arguments: Sequence[str], given: int, output: int, errors: int, calls: int) -> subprocess.Popen:
    """Start a command with its standard input, output and errors, and the file descriptor of refused calls."""
    return subprocess.Popen(
        arguments,
        env=outer_environment(),
        stdin=given,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        pass_fds=[calls],
    )


def waited_for(process: subprocess.Popen, seconds: float) -> int | None:
    """Wait for a process; give its exit status, None if it goes on."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def end(process: subprocess.Popen) -> int:
    """Kill what `start_session` gave, with all that it started; give its exit status."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def run(
    command: Sequence[str],
    *,
    read_only: Mapping[str, Path],
    seconds: float,
    memory_gib: float,
    processes: int,
    workdir: str,
    devices: Sequence[Path] = (),
    into: BinaryIO | None = None,
    max_output: int = MAX_OUTPUT,
    scratch: int = SCRATCH,
    start: Start = from_scratch,
) -> Outcome:
    """Run a Python command inside.

    Parameters
    ----------
    command
        Arguments of the Python interpreter; the grader's own scripts are in `INSIDE`.
    read_only
        Path inside -> file or folder outside.
    seconds
        Wall-clock limit; time for which the machine had no core for what runs inside does not count.
    memory_gib
        Limit of the data of each process, which cannot be passed, and of all processes together, which are stopped
        soon after they pass it; in GiB.
    processes
        Limit of processes and threads.
    workdir
        An empty, writable folder inside in which it starts.
    devices
        Device files that what runs inside may use, such as `gpu_devices` gives.
    into
        Receives what comes out; default: it is kept in memory.
    max_output
        Bytes that may come out.
    scratch
        Bytes that fit into each writable folder inside, which are in memory.
    start
        How it is started; `Zygotes.start` takes a script alone.

    Raises
    ------
    NoSandboxError
        If this machine has no working sandbox.
    """
    given = {INSIDE: SCRIPTS, **read_only}
    for outside in (*SCRIPTS.glob("*.py"), *given.values()):
        if os.geteuid() == 0 and not outside.stat().st_mode & stat.S_IROTH:
            msg = f"{outside} cannot be read by the user who runs students' code; run: chmod -R a+rX {outside}"
            raise NoSandboxError(msg)
    wanted = Wanted(command, given, seconds, memory_gib, processes, workdir, devices, scratch)
    sink = into or io.BytesIO()
    with tempfile.TemporaryFile() as errors, _pipe() as (output, writing):
        try:
            started = start(wanted, writing.fileno(), errors.fileno())
        finally:
            writing.close()  # so that the output ends when nobody inside is left to write
        begin = time.monotonic()
        status, returncode = _watch(started, output, seconds, _bytes(memory_gib), sink, max_output)
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - ERROR_TAIL))
        tail = errors.read().decode(errors="replace")
    came = sink.getvalue() if isinstance(sink, io.BytesIO) else b""
    return Outcome(status, returncode, came, tail, time.monotonic() - begin)


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as output, open(writing, "wb", buffering=0) as given:
        yield output, given


def _bytes(gib: float) -> int:
    return int(gib * 2**30)


def _watch(
    started: Started, output: IO[bytes], seconds: float, memory: int, into: BinaryIO, max_output: int
) -> tuple[Status, int]:
    start = looked = time.monotonic()
    end = start + seconds
    status: Status = "ended"
    returncode = None
    size = 0
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if STOP.is_set():
                    raise InterruptedError
                if now >= looked + LOOK_SECONDS:
                    looked = now
                    used, worked, without_core = _look_at(started.pid)
                    # it may also have waited for what runs beside it inside
                    for_others = min(without_core, now - start - worked / len(cores_given()))
                    end = max(end, start + seconds + min(for_others, MOST_WAITING * seconds))
                    if used > memory:
                        status = "memory"
                        break
                if now >= end:
                    status = "time"
                    break
                if not selector.select(min(LOOK_SECONDS, end - now)):
                    continue
                chunk = os.read(output.fileno(), 1 << 20)
                if not chunk:
                    break
                into.write(chunk)
                size += len(chunk)
                if size > max_output:
                    status = "output"
                    break
        if status == "ended":
            returncode = started.wait(max(0.1, end - time.monotonic()))
            status = "ended" if returncode is not None else "time"
    finally:
        if returncode is None:
            returncode = started.kill()
        _await_end(output)
    return status, returncode


def _await_end(output: IO[bytes]) -> None:
    """Read on until nobody inside is left to write, since the kernel ends a sandbox of many processes bit by bit."""
    deadline = time.monotonic() + LAST_BREATH
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left) and not os.read(output.fileno(), 1 << 20):
                return


def _look_at(pid: int) -> tuple[int, float, float]:
    """Look at a process and its children.

    Returns
    -------
    The memory that they do not share with others, in bytes; the seconds for which they worked, all together; and the
    seconds for which the one that waited longest was ready to run and had no core.
    """
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0.0, 0.0
    total, worked, longest = 0, 0.0, 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            used = process.memory_info()
            total += max(used.rss - used.shared, 0)
            worked += sum(process.cpu_times()[:4])  # and that of children which ended
            longest = max(longest, waited(str(process.pid)))
    return total, worked, longest


def cores_given() -> list[int]:
    """List the cores on which this thread's runs stay."""
    return sorted(getattr(CORES, "given", os.sched_getaffinity(0)))


def open_to_all(folder: Path) -> None:
    """Let the user who runs students' code read a folder, whatever the grader's umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
