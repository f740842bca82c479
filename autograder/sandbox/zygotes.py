"""Processes that imported the libraries before any student's code came; a fork of one is a run.

A fork is as far from the others as if it had started from scratch: bubblewrap makes a sandbox for it alone, and it
moves in before it opens anything of a student's. What happens inside: `autograder.sandbox.inside.zygote`.
"""

import ast
import functools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from autograder.sandbox import run, syscalls
from autograder.sandbox.bubblewrap import command_inside, command_within
from autograder.sandbox.inside.cells import cells_to_run
from autograder.sandbox.inside.zygote import ENTERED, READY
from autograder.sandbox.ready import check_sandbox, last_line
from autograder.sandbox.run import Started, Wanted

BATCH = "/batch"
"""Where a zygote has the folder whose files differ from run to run."""
READY_SECONDS = 300
"""For all imports on a busy machine."""
ENTER_SECONDS = 60
"""For a fork to come into its sandbox on a busy machine."""
HOLDER = ("cat",)
"""Holds a sandbox until the fork has moved in; ends with its standard input."""
CREDENTIALS = struct.Struct("3i")
"""Process, user and group of who sent a message, as the kernel says."""


def imports_of(notebook: Path) -> list[str]:
    """List the imports in the cells of a released notebook that are run for grading, as Python has them."""
    found = []
    for _, source in cells_to_run(json.loads(notebook.read_text(encoding="utf-8"))):
        lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
        with suppress(SyntaxError):
            statements = ast.parse("\n".join(lines)).body
            found += [ast.unparse(part) for part in statements if isinstance(part, ast.Import | ast.ImportFrom)]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Zygote:
    """One such process."""

    process: subprocess.Popen
    control: socket.socket

    def receive(self, seconds: float) -> tuple[bytes, int] | None:
        """Wait for its next message, or that of its fork.

        Returns
        -------
        The message, empty if it ended, and the process that sent it; None if nothing came.

        Raises
        ------
        InterruptedError
            If the grader is interrupted.
        """
        deadline = time.monotonic() + seconds
        while not select.select([self.control], [], [], run.LOOK_SECONDS)[0]:
            if run.STOP.is_set():
                raise InterruptedError
            if time.monotonic() >= deadline:
                return None
        try:
            message, about, _, _ = self.control.recvmsg(1 << 10, socket.CMSG_SPACE(CREDENTIALS.size))
        except ConnectionResetError:  # it was killed before it read what it was sent
            return b"", 0
        return message, CREDENTIALS.unpack(about[0][2])[0] if about else 0

    def kill(self) -> int:
        """End it and its fork; give its exit status."""
        self.control.close()
        return run.end(self.process)


class Zygotes:
    """Zygotes of a batch: one for each that runs at a time and for each selection of what is given alike to many runs.

    Parameters
    ----------
    changing
        The folder below which lies what a run is given for itself alone.
    imports
        What each imports, besides what every run does.

    Attributes
    ----------
    refusal
        Why this machine has none, and all runs start from scratch: just as safe, and slower. Empty if it has.
    """

    def __init__(self, changing: Path, imports: Sequence[str]) -> None:
        self.refusal = ""
        self._changing = changing
        self._imports = imports
        self._idle: dict[tuple, list[Zygote]] = {}

    def end(self) -> None:
        """End all that wait for a run."""
        for zygotes in self._idle.values():
            while zygotes:
                zygotes.pop().kill()

    def start(self, wanted: Wanted, output: int, errors: int) -> Started:
        """Start a script in a fork; as `run.from_scratch` where that cannot be.

        Raises
        ------
        NoSandboxError
            If this machine has no working sandbox.
        """
        fixed = {place: path for place, path in wanted.read_only.items() if not path.is_relative_to(self._changing)}
        limits = wanted.seconds, wanted.memory_gib, wanted.scratch
        key = (*run.cores_given(), *fixed.items(), *limits, *wanted.devices, wanted.workdir)
        idle = self._idle.setdefault(key, [])
        while not self.refusal:
            zygote, fresh = (idle.pop(), False) if idle else (self._made(wanted, fixed), True)
            if zygote is None:
                break
            if pid := self._forked(zygote, wanted, output, errors):
                wait = functools.partial(_waited_for, zygote, idle)
                return Started(pid, wait, zygote.kill)
            zygote.kill()
            if fresh:
                self.refusal = _said(errors)
        return run.from_scratch(wanted, output, errors)

    def _made(self, wanted: Wanted, fixed: dict[str, Path]) -> Zygote | None:
        check_sandbox()
        ours, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        program = [sys.executable, f"{run.INSIDE}/zygote.py", json.dumps(self._imports)]
        given = {**fixed, BATCH: self._changing}
        unnamed_shared = not wanted.devices
        with tempfile.TemporaryFile() as errors, control, syscalls.refused(unnamed_shared=unnamed_shared) as calls:
            inside = command_inside(program, given, wanted.workdir, calls, wanted.devices, outer=True)
            said = errors.fileno()
            zygote = Zygote(
                run.start_session([*run.limits(wanted), *inside], control.fileno(), said, said, calls), ours
            )
            control.close()
            ready = False
            try:
                ready = (came := zygote.receive(READY_SECONDS)) is not None and came[0] == READY
            finally:
                if not ready:
                    zygote.kill()
            if ready:
                return zygote
            self.refusal = _said(said)
            return None

    def _forked(self, zygote: Zygote, wanted: Wanted, output: int, errors: int) -> int | None:
        """Give the process of a fork that is in its sandbox, None if it did not come there."""
        changing = self._changing
        given = {
            place: Path(BATCH, path.relative_to(changing)) if path.is_relative_to(changing) else Path(place)
            for place, path in wanted.read_only.items()
        }
        request = {
            "sandbox": command_within(HOLDER, given, wanted.workdir, wanted.devices, wanted.scratch),
            "command": list(wanted.command),
            "workdir": wanted.workdir,
            "processes": wanted.processes,
        }
        with suppress(OSError):  # it may have ended
            socket.send_fds(zygote.control, [json.dumps(request).encode()], [output, errors])
            came = None
            try:
                came = zygote.receive(ENTER_SECONDS)
            finally:
                if came is None:
                    zygote.kill()
            if came is not None and came[0] == ENTERED:
                return came[1]
        return None


def _waited_for(zygote: Zygote, idle: list[Zygote], seconds: float) -> int | None:
    came = zygote.receive(seconds)
    if came is None:
        return None
    if not came[0]:
        return zygote.kill()
    idle.append(zygote)
    return int(came[0])


def _said(errors: int) -> str:
    return last_line(os.pread(errors, run.ERROR_TAIL, 0).decode(errors="replace"))


@contextmanager
def zygotes(changing: Path, imports: Sequence[str]) -> Iterator[Zygotes]:
    """Give a batch its zygotes, and end them after it."""
    batch = Zygotes(changing, imports)
    try:
        yield batch
    finally:
        batch.end()
