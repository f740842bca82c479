"""Run a student's code, or open a student's file, where it can do no harm (bubblewrap).

Inside there is no network, no home, no grader: only the Python installation and the files and folders that a run
names, all read-only. All that comes out is a stream of bytes of limited length.
"""

import io
import os
import platform
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import psutil

from autograder import syscalls
from starter.schema import InputError

KIT = "/kit"
"""Where a run puts `starter`: on the path of Python inside."""
COURSE_ROOT = "/home/student/course"
"""The folder of `course.toml` inside."""
MAX_OUTPUT = 256 << 20
"""Bytes that may come out."""
SCRATCH = 256 << 20
"""Bytes of each scratch folder (in memory) inside."""
SCRATCH_GIB = 4 * SCRATCH / 2**30
"""Memory that all of them together may take, beside that of the processes."""
USER = 65534
"""User and group that run what is inside."""
STAGE = "/tmp"
"""Where root mounts the given folders for that user, in a mount namespace of its own."""
ERROR_TAIL = 2_000
LOOK = 0.2
"""Seconds between two looks at the memory in use."""
LAST_BREATH = 5
"""Seconds that the processes inside have to be gone once they are killed."""
DEVICES = Path("/dev")
GPU_DEVICES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "kfd", "dri/renderD*")
"""Below /dev, of the makers whose GPUs torch uses."""
STOP = threading.Event()
"""Set when the grader is interrupted: every run in this process ends at once."""
CORES = threading.local()
"""`CORES.given`: those on which a thread's runs stay; all, where it was given none."""
Status = Literal["ended", "time", "output", "memory"]
PROGRAMS = ("bwrap", "prlimit", "setpriv", "choom", "taskset")
"""Of bubblewrap and of util-linux, with which a sandbox is made."""
HIDDEN_PACKAGES = ("autograder", "data_scripts", "starter")
"""Packages of the kit that the installation may hold; inside, only `KIT` has one of them."""


class NoSandboxError(InputError):
    """The machine cannot run students' code safely; the message says what to install."""


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


def check_sandbox() -> None:
    """Refuse to go on where bubblewrap is missing or does not work.

    Raises
    ------
    NoSandboxError
        With what to install.
    """
    if platform.system() != "Linux":
        msg = (
            f"grading runs students' code and needs Linux with bubblewrap, which {platform.system()} has not: "
            "use WSL2 or a Linux virtual machine"
        )
        raise NoSandboxError(msg)
    if not syscalls.is_known():
        msg = f"grading runs students' code and needs an x86_64 or aarch64 machine, which {platform.machine()} is not"
        raise NoSandboxError(msg)
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        package = "bubblewrap" if "bwrap" in missing else "util-linux"
        msg = f"grading runs students' code and needs {missing[0]}, which is not here: apt install {package}"
        raise NoSandboxError(msg)
    with syscalls.refused(unnamed_shared=True) as calls:
        command = _inside(["/usr/bin/env", "true"], {}, "/tmp", calls)
        probe = subprocess.run(
            command, env=_outer_environment(), capture_output=True, text=True, check=False, pass_fds=[calls]
        )
    if probe.returncode:
        msg = (
            f"bubblewrap is here but cannot make a sandbox ({last_line(probe.stderr)}); allow user namespaces "
            "(on Ubuntu 24.04 give bwrap an AppArmor profile), grade as an ordinary user, or on another machine"
        )
        raise NoSandboxError(msg)


def last_line(errors: str) -> str:
    """Give the line in which a failed program usually says why."""
    return (errors.strip().splitlines() or ["no message"])[-1]


def gpu_devices() -> list[Path]:
    """List the device files of this machine's GPUs."""
    return sorted(path for pattern in GPU_DEVICES for path in DEVICES.glob(pattern))


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
) -> Outcome:
    """Run a Python command inside.

    Parameters
    ----------
    command
        Arguments of the Python interpreter.
    read_only
        Path inside -> file or folder outside.
    seconds
        Wall-clock limit.
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

    Raises
    ------
    NoSandboxError
        If this machine has no working sandbox.
    """
    check_sandbox()
    for outside in read_only.values():
        if os.geteuid() == 0 and not outside.stat().st_mode & stat.S_IROTH:
            msg = f"{outside} cannot be read by the user who runs students' code; run: chmod -R a+rX {outside}"
            raise NoSandboxError(msg)
    memory = int(memory_gib * 2**30)
    limits = [
        # if the machine's memory ends all the same, nobody else pays
        *("choom", "--adjust=1000", "--"),
        *("taskset", "--cpu-list", ",".join(map(str, getattr(CORES, "given", os.sched_getaffinity(0))))),
        "prlimit",
        f"--data={memory}",
        f"--cpu={int(seconds * (os.cpu_count() or 1)) + 1}",
        f"--fsize={SCRATCH}",
        "--core=0",
        "--nofile=1024",
        "--",
    ]
    # counted in the innermost user namespace, so the grader's other processes do not count
    program = ["prlimit", f"--nproc={processes}", "--", sys.executable, *command]
    with tempfile.TemporaryFile() as errors, syscalls.refused(unnamed_shared=not devices) as calls:
        inside = _inside(program, read_only, workdir, calls, devices)
        return _watch([*limits, *inside], calls, errors, seconds, memory, into or io.BytesIO(), max_output)


def scripts(name: str) -> dict[str, Path]:
    """Give what a run binds to have a script of the grader at /job, with the module that it imports from there."""
    return {f"/job/{file}": Path(__file__).with_name(file) for file in (name, "frames.py")}


def _watch(
    arguments: Sequence[str],
    calls: int,
    errors: BinaryIO,
    seconds: float,
    memory: int,
    into: BinaryIO,
    max_output: int,
) -> Outcome:
    start = time.monotonic()
    looked = start
    status: Status = "ended"
    size = 0
    process = subprocess.Popen(
        arguments,
        env=_outer_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
        pass_fds=[calls],
    )
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if STOP.is_set():
                    raise InterruptedError
                if now >= start + seconds:
                    status = "time"
                    break
                if now >= looked + LOOK:
                    looked = now
                    if _memory_of(process.pid) > memory:
                        status = "memory"
                        break
                if not selector.select(min(LOOK, start + seconds - now)):
                    continue
                chunk = os.read(process.stdout.fileno(), 1 << 20)
                if not chunk:
                    break
                into.write(chunk)
                size += len(chunk)
                if size > max_output:
                    status = "output"
                    break
        if status == "ended":
            try:
                process.wait(max(0.1, start + seconds - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = "time"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _await_end(process.stdout)
        process.stdout.close()
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - ERROR_TAIL))
    tail = errors.read().decode(errors="replace")
    output = into.getvalue() if isinstance(into, io.BytesIO) else b""
    return Outcome(status, process.returncode, output, tail, time.monotonic() - start)


def _await_end(output: BinaryIO) -> None:
    """Read on until nobody inside is left to write, since the kernel ends a sandbox of many processes bit by bit."""
    deadline = time.monotonic() + LAST_BREATH
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left) and not os.read(output.fileno(), 1 << 20):
                return


def _memory_of(pid: int) -> int:
    """Add up the memory that a process and its children do not share with others, in bytes."""
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            used = process.memory_info()
            total += max(used.rss - used.shared, 0)
    return total


def open_to_all(folder: Path) -> None:
    """Let the user who runs students' code read a folder, whatever the grader's umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _inside(
    program: Sequence[str], read_only: Mapping[str, Path], workdir: str, calls: int, devices: Sequence[Path] = ()
) -> list[str]:
    """Write the command that runs a program inside.

    Called by root, it becomes another user first. Root's own sandbox would leave it root's powers over what no
    namespace covers, such as the kernel's settings in /proc/sys; and only root may be able to open the given folders,
    so they are mounted where that user finds them. The outer process namespace ends with the grader: a parent's death
    does not reach across the change of user.
    """
    folders = {str(folder): folder for folder in shared_folders() if not folder.is_relative_to("/usr")}
    given = {**folders, **read_only}
    prefix = []
    if os.geteuid() == 0:
        found = {inside: Path(STAGE, str(number)) for number, inside in enumerate(given)}
        mounts = [part for inside in given for part in ("--ro-bind", str(given[inside]), str(found[inside]))]
        prefix = [
            "bwrap", "--dev-bind", "/", "/", "--tmpfs", STAGE, *mounts, "--unshare-pid", "--die-with-parent",
            "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--",
            "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--pdeathsig=KILL", "--",
        ]  # fmt: skip
        given = found
    return [
        *prefix,
        "bwrap",
        *_isolation(),
        "--seccomp",
        str(calls),
        *_environment(),
        # scratch first: the installation may lie below /tmp or /home
        *_scratch("/tmp", "/home", workdir),
        *_system(),
        *(part for inside, outside in given.items() for part in ("--ro-bind", str(outside), inside)),
        *_hidden_packages(),
        *(part for device in devices for part in ("--dev-bind", str(device), str(device))),
        *_sealed(),
        "--chdir",
        workdir,
        *program,
    ]


def _isolation() -> list[str]:
    return [
        "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1",
        "--uid", str(USER), "--gid", str(USER), "--hostname", "sandbox", "--cap-drop", "ALL",
    ]  # fmt: skip


def _outer_environment() -> dict[str, str]:
    """Give bubblewrap itself nothing of the grader's environment, which may hold passwords."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _environment() -> list[str]:
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": "/home/student",
        "USER": "student",
        "LANG": "C.UTF-8",
        "PYTHONPATH": KIT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "IPYTHONDIR": "/tmp/ipython",
        "NUMBA_CACHE_DIR": "/tmp/numba",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }
    return ["--clearenv", *(part for name, value in variables.items() for part in ("--setenv", name, value))]


def _system() -> list[str]:
    """Bind the operating system's libraries."""
    options = ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr"]
    options += ["--dev-bind", "/dev/null", "/dev/zero"]  # memory shared by way of it is counted nowhere
    for name in ("bin", "sbin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            options += ["--ro-bind", str(path), str(path)]
    for name in ("/etc/ld.so.cache", "/etc/alternatives"):
        options += ["--ro-bind-try", name, name]
    return options


def _hidden_packages() -> list[str]:
    """Cover the kit's own packages in the Python installation."""
    options = []
    for folder in _site_packages():
        for package in HIDDEN_PACKAGES:
            if (folder / package).is_dir():
                options += ["--tmpfs", str(folder / package)]
    return options


def _site_packages() -> list[Path]:
    return list(dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")))


def shared_folders() -> list[Path]:
    """List the folders of this machine that everything inside can read, besides what a run names."""
    return list(dict.fromkeys([Path("/usr"), Path(sys.base_prefix), Path(sys.prefix)]))


def check_hidden(*folders: Path) -> None:
    """Refuse to grade where what is hidden lies in a folder that students' code can read.

    Parameters
    ----------
    folders
        What must stay hidden, besides the kit's own packages and solutions.

    Raises
    ------
    NoSandboxError
        With the folder.
    """
    kit = Path(__file__).parents[1]
    covered = kit in _site_packages()
    of_kit = [] if covered else [kit / name for name in ("solutions", *HIDDEN_PACKAGES)]
    for hidden in (*folders, *of_kit):
        for shared in shared_folders():
            if hidden.resolve().is_relative_to(shared.resolve()):
                msg = f"{hidden} lies in {shared}, which students' code can read; move it to another folder"
                raise NoSandboxError(msg)


def _sealed() -> list[str]:
    """Leave no place to write but the scratch folders, whose sizes are limited."""
    return [*_scratch("/dev/shm"), *(part for path in ("/proc", "/dev", "/") for part in ("--remount-ro", path))]


def _scratch(*folders: str) -> list[str]:
    return [part for folder in folders for part in ("--size", str(SCRATCH), "--tmpfs", folder)]
