"""The bubblewrap command: what a program inside can see, and as whom it runs."""

import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

KIT = "/kit"
"""Where a run puts `starter`: on the path of Python inside."""
COURSE_ROOT = "/home/student/course"
"""The folder of `course.toml` inside."""
SCRATCH = 256 << 20
"""Bytes of each scratch folder (in memory) inside."""
SCRATCH_GIB = 4 * SCRATCH / 2**30
"""Memory that all of them together may take, beside that of the processes."""
USER = 65534
"""User and group that run what is inside."""
STAGE = "/tmp"
"""Where root mounts the given folders for that user, in a mount namespace of its own."""
HIDDEN_PACKAGES = ("autograder", "data_scripts", "starter")
"""Packages of the kit that the installation may hold; inside, only `KIT` has one of them."""


def command_inside(
    program: Sequence[str],
    read_only: Mapping[str, Path],
    workdir: str,
    calls: int,
    devices: Sequence[Path] = (),
    scratch: int = SCRATCH,
    *,
    outer: bool = False,
) -> list[str]:
    """Write the command that runs a program inside.

    Called by root, it becomes another user first. Root's own sandbox would leave it root's powers over what no
    namespace covers, such as the kernel's settings in /proc/sys; and only root may be able to open the given folders,
    so they are mounted where that user finds them. The outer process namespace ends with the grader: a parent's death
    does not reach across the change of user.

    Parameters
    ----------
    program
        Its arguments.
    read_only
        Path inside -> file or folder outside.
    workdir
        An empty, writable folder inside in which it starts.
    calls
        What `syscalls.refused` gave.
    devices
        Device files that it may use.
    scratch
        Bytes that fit into each writable folder inside, which are in memory.
    outer
        Whether the program may make sandboxes within its own: `command_within`.
    """
    given = {**_shared(), **read_only}
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
    return [*prefix, *_sandbox(program, given, workdir, ["--seccomp", str(calls)], devices, scratch, outer=outer)]


def command_within(
    program: Sequence[str], read_only: Mapping[str, Path], workdir: str, devices: Sequence[Path], scratch: int
) -> list[str]:
    """Write the command that makes a sandbox within one that may, with what is given there; calls stay refused."""
    return _sandbox(program, {**_shared(), **read_only}, workdir, [], devices, scratch, outer=False)


def _sandbox(
    program: Sequence[str],
    given: Mapping[str, Path],
    workdir: str,
    calls: Sequence[str],
    devices: Sequence[Path],
    scratch: int,
    *,
    outer: bool,
) -> list[str]:
    return [
        "bwrap",
        *_isolation(),
        *(() if outer else ("--disable-userns",)),
        *calls,
        *_environment(),
        # scratch first: the installation may lie below /tmp or /home
        *_scratch("/tmp", "/home", workdir, size=scratch),
        *_system(),
        *(part for inside, outside in given.items() for part in ("--ro-bind", str(outside), inside)),
        *_hidden_packages(),
        *(part for device in devices for part in ("--dev-bind", str(device), str(device))),
        *_sealed(scratch, outer=outer),
        "--chdir",
        workdir,
        *program,
    ]


def _isolation() -> list[str]:
    return [
        "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1",
        "--uid", str(USER), "--gid", str(USER), "--hostname", "sandbox", "--cap-drop", "ALL",
    ]  # fmt: skip


def outer_environment() -> dict[str, str]:
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
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # of pyarrow's memory; a process with threads cannot fork
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
    for folder in site_packages():
        for package in HIDDEN_PACKAGES:
            if (folder / package).is_dir():
                options += ["--tmpfs", str(folder / package)]
    return options


def site_packages() -> list[Path]:
    """List the folders of this Python's installed packages."""
    return list(dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")))


def _shared() -> dict[str, Path]:
    return {str(folder): folder for folder in shared_folders() if not folder.is_relative_to("/usr")}


def shared_folders() -> list[Path]:
    """List the folders of this machine that everything inside can read, besides what a run names."""
    return list(dict.fromkeys([Path("/usr"), Path(sys.base_prefix), Path(sys.prefix)]))


def _sealed(scratch: int, *, outer: bool) -> list[str]:
    """Leave no place to write but the scratch folders, whose sizes are limited; within, /proc says who is who."""
    paths = ("/dev", "/") if outer else ("/proc", "/dev", "/")
    return [*_scratch("/dev/shm", size=scratch), *(part for path in paths for part in ("--remount-ro", path))]


def _scratch(*folders: str, size: int) -> list[str]:
    return [part for folder in folders for part in ("--size", str(size), "--tmpfs", folder)]


def command_beside(
    program: Sequence[str], read_only: Mapping[str, Path], covered: Sequence[str], writable: Path
) -> list[str]:
    """Write the command that runs a program of ours that serves the network, with one folder to write to.

    It keeps its user and the network, and sees the system, Python and what is given; no other process, no home, no
    other folder of the course.

    Parameters
    ----------
    read_only
        Path inside -> file or folder outside.
    covered
        Paths inside in whose place an empty folder is.
    writable
        A folder, at its own path inside.
    """
    etc = ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/ssl", "/etc/passwd", "/etc/localtime")
    return [
        "bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent",
        "--new-session", "--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin",
        "--setenv", "PYTHONPATH", KIT, "--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "LANG", "C.UTF-8",
        "--setenv", "MALLOC_ARENA_MAX", "2",  # each thread that renders pages would keep memory of its own
        *_scratch("/tmp", "/home", size=SCRATCH),
        *_system(),
        *(part for name in (*etc, "/run/postgresql") for part in ("--ro-bind-try", name, name)),
        *(part for to, of in {**_shared(), **read_only}.items() for part in ("--ro-bind", str(of), to)),
        *_hidden_packages(),
        *(part for inside in covered for part in ("--tmpfs", inside)),
        "--bind", str(writable), str(writable), "--remount-ro", "/", "--chdir", "/", *program,
    ]  # fmt: skip
