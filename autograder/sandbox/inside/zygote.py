"""Runs INSIDE a sandbox of its own: imports the libraries once, and forks for each run, which enters a new sandbox.

It never opens a student's file and runs no student's code. It does not even read what is to be run: the fork does, so
that the next one finds the memory as the first one found it. What a fork enters was made by bubblewrap for it alone,
as for a Python that starts from scratch; it arrives there as process 1 of a new process namespace, whose end the kernel
makes the end of all others in it.
"""

import ctypes
import gc
import json
import os
import resource
import runpy
import select
import socket
import subprocess
import sys
from contextlib import suppress

CONTROL = 0
"""File descriptor of the socket to the grader, until student's code runs."""
READY, ENTERED = b"ready", b"entered"
ALWAYS = (
    "import IPython.core.interactiveshell",
    "import starter.answers.asked",
    "import starter.answers.kinds",
    "import starter.answers.values",
)
"""What every run imports."""
MESSAGE = 1 << 20
"""Bytes of a request at most."""
# of Linux, <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>, <linux/capability.h>
NEW_MOUNTS, NEW_CGROUP, NEW_NAMES, NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEW_USER, NEW_PROCESSES, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SETUID, NO_DEVICES, NO_PROGRAMS = 1, 2, 4, 8
SET_DUMPABLE, DROP_CAPABILITY = 4, 24
CAPABILITY_VERSION = 0x20080522
LIBC = ctypes.CDLL(None, use_errno=True)


def main(statements: list[str]) -> None:
    """Import, then fork for each request, one at a time; return in the fork, inside its sandbox.

    Parameters
    ----------
    statements
        What to import besides `ALWAYS`, as Python has it.
    """
    import_all([*ALWAYS, *statements])
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("a library started threads when it was imported, and a fork could wait for them for ever")
    with open("/proc/self/maps", encoding="utf-8") as maps:
        shared = [line for line in maps if line.split()[1][1::2] == "ws"]
    if shared:
        sys.exit("a library shared memory when it was imported, by which forks could reach each other")
    gc.collect()
    gc.freeze()  # or the collector would write to, and thereby copy, all that is shared
    control = socket.socket(fileno=CONTROL)
    control.send(READY)
    while select.select([control], [], []):
        fork = os.fork()
        if fork == 0:
            enter(control)
            return
        _, status = os.waitpid(fork, 0)
        if status:  # it did not come to its end, so nobody knows what it left
            os._exit(exit_status(status))


def import_all(statements: list[str]) -> None:
    """Import what can be imported; what fails here fails in the notebook too, where the student is told."""
    from ask import copy_caches  # beside this file, inside

    copy_caches()
    for statement in statements:
        with suppress(Exception):
            exec(statement, {})  # as the instructor's notebook has it


def enter(control: socket.socket) -> None:
    """Read a request, and go on as process 1 of a sandbox that is made for it."""
    message, (output, errors), _, _ = socket.recv_fds(control, MESSAGE, 2)
    os.dup2(errors, 2)
    request = json.loads(message)
    join_sandbox(request["sandbox"])
    first = os.fork()
    if first:
        os.close(output)
        _, status = os.waitpid(first, 0)  # which all others of its namespace have to end before
        control.send(str(exit_status(status)).encode())
        os._exit(0)
    flags = READ_ONLY | NO_SETUID | NO_DEVICES | NO_PROGRAMS
    call("mount", b"proc", b"/proc", b"proc", ctypes.c_ulong(flags), None)
    drop_powers()
    os.setsid()
    os.chdir(request["workdir"])
    most = request["processes"] + 1  # the one that waits for this counts too
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    reseed()
    control.send(ENTERED)
    control.detach()
    os.dup2(os.open(os.devnull, os.O_RDONLY), CONTROL)
    os.dup2(output, 1)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    sys.argv[:] = request["command"]


def join_sandbox(command: list[str]) -> None:
    """Have bubblewrap make a sandbox and move into its namespaces, all but that of processes: there a new one follows.

    Parameters
    ----------
    command
        Of bubblewrap, with a program that ends when its standard input ends.
    """
    reading, writing = os.pipe()
    told = [command[0], "--info-fd", str(writing), *command[1:]]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[writing], bufsize=0) as holder:
        assert holder.stdin is not None  # pipes were asked for
        assert holder.stdout is not None
        os.close(writing)
        with suppress(BrokenPipeError):
            holder.stdin.write(b".")
        if holder.stdout.read(1) != b".":  # it comes back once all is mounted; if not, bubblewrap said why
            os._exit(1)
        with open(reading, "rb") as info:
            process = os.pidfd_open(json.load(info)["child-pid"])
        call("setns", process, NEW_USER | NEW_MOUNTS | NEW_CGROUP | NEW_NAMES | NEW_IPC | NEW_NETWORK)
        call("unshare", NEW_PROCESSES | NEW_MOUNTS)


def drop_powers() -> None:
    """Give up every capability for ever, as bubblewrap does before it starts a program."""
    capability = 0
    while LIBC.prctl(DROP_CAPABILITY, ctypes.c_ulong(capability), 0, 0, 0) == 0:
        capability += 1
    call("capset", (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)())
    call("prctl", SET_DUMPABLE, ctypes.c_ulong(1), 0, 0, 0)  # or its own files in /proc would be root's


def reseed() -> None:
    """Let each run have random numbers of its own; Python's `random` sees to itself."""
    if numpy := sys.modules.get("numpy.random"):
        numpy.seed()


def call(name: str, *arguments: object) -> None:
    """Call the C library, whose failure is an OSError."""
    if getattr(LIBC, name)(*arguments) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def exit_status(status: int) -> int:
    """Give what a shell and bubblewrap say of a process that ended, 128 + the signal where one ended it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    runpy.run_path(sys.argv[0], run_name="__main__")
