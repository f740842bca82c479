"""A large notebook, opened in the sandbox and written anew without its output."""

from pathlib import Path

from autograder.handed_in.submissions import LARGE_NOTEBOOK
from autograder.sandbox import run
from autograder.sandbox.inside.frames import read_frames
from autograder.sandbox.ready import MachineError, NoSandboxError, last_line

SECONDS = 300
MEMORY_GIB = 4


def drop_output(path: Path) -> str | None:
    """Replace a notebook by itself without its output.

    Returns
    -------
    What is wrong with it, if anything is; it stays as it was then.

    Raises
    ------
    NoSandboxError
        If the sandbox did not start.
    MachineError
        If it did not come to its end, which is nobody's fault.
    """
    path.chmod(0o644)
    outcome = run.run(
        [f"{run.INSIDE}/read_notebook.py"],
        read_only={"/notebook/file": path},
        seconds=SECONDS,
        memory_gib=MEMORY_GIB,
        processes=20,
        workdir="/home/student/notebook",
        max_output=LARGE_NOTEBOOK + (1 << 10),
    )
    frames, _ = read_frames(outcome.output)
    if "notebook" in frames:
        path.write_bytes(frames["notebook"])
        return None
    if outcome.status in ("output", "memory") or "large" in frames:
        return (
            f"{path.name} has more than {LARGE_NOTEBOOK >> 20} MiB besides its output; take pasted pictures and data "
            "out of its cells, save it, and hand it in anew"
        )
    if "damaged" in frames:
        return f"{path.name} is damaged and cannot be opened; save it again and hand it in anew"
    why = f"{path.name} was not opened in the sandbox ({outcome.status}: {last_line(outcome.errors)})"
    if "start" not in frames:
        raise NoSandboxError(why)
    raise MachineError(why)
