"""Whether this machine has a sandbox that hides what it must."""

import platform
import shutil
import subprocess
from pathlib import Path

from autograder.folders import SOLUTIONS
from autograder.sandbox import syscalls
from autograder.sandbox.bubblewrap import (
    HIDDEN_PACKAGES,
    command_inside,
    outer_environment,
    shared_folders,
    site_packages,
)
from starter.errors import InputError

DEVICES = Path("/dev")
GPU_DEVICES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "kfd", "dri/renderD*")
"""Below /dev, of the makers whose GPUs torch uses."""
PROGRAMS = ("bwrap", "prlimit", "setpriv", "choom", "taskset")
"""Of bubblewrap and of util-linux, with which a sandbox is made."""


class NoSandboxError(InputError):
    """The machine cannot run students' code safely; the message says what to install."""


class MachineError(InputError):
    """The machine kept a run from its end; the submission is not graded, and the next batch tries again."""


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
        command = command_inside(["/usr/bin/env", "true"], {}, "/tmp", calls)
        probe = subprocess.run(
            command, env=outer_environment(), capture_output=True, text=True, check=False, pass_fds=[calls]
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
    kit = Path(__file__).parents[2]
    covered = kit in site_packages()
    of_kit = [] if covered else [kit / name for name in (SOLUTIONS, *HIDDEN_PACKAGES)]
    for hidden in (*folders, *of_kit):
        for shared in shared_folders():
            if hidden.resolve().is_relative_to(shared.resolve()):
                msg = f"{hidden} lies in {shared}, which students' code can read; move it to another folder"
                raise NoSandboxError(msg)
