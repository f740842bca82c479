"""Runs INSIDE the sandbox: all cells of a notebook, those that are not graded too, as Jupyter would run them.

What it tells is a stream of frames on standard output, one a cell, and the files that are asked for.
"""

import io
import json
import os
import resource
import shutil
import sys
from pathlib import Path

from ask import copy_caches
from frames import write_file, write_frame
from kept_values import LEFT_OUT, Keeper
from notebook_cells import describe_error, each_cell, new_shell

INLINE = "module://matplotlib_inline.backend_inline"
"""The backend by which Jupyter draws a figure below its cell."""


def main(job_folder: str) -> None:
    """Run a notebook.

    Parameters
    ----------
    job_folder
        Holds `job.json`: `submission` (a folder, copied to where it starts), `notebook` (its name there), `seconds`
        (for all cells), `send` (files to send at the end, those of them that are there) and `keep` (what `Keeper`
        takes).
    """
    channel = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    write_frame(channel, "start", b"")
    job = json.loads(Path(job_folder, "job.json").read_text(encoding="utf-8"))
    copy_caches()
    shutil.copytree(job["submission"], ".", dirs_exist_ok=True)
    os.environ["MPLBACKEND"] = INLINE
    notebook = json.loads(Path(job["notebook"]).read_text(encoding="utf-8"))["cells"]
    cells = {
        number: "".join(cell["source"]) for number, cell in enumerate(notebook, start=1) if cell["cell_type"] == "code"
    }
    shell = new_shell()
    # by its being there the kit knows a notebook that a person runs, in which cells may be left out
    setattr(shell, "kernel", None)  # noqa: B010
    os.dup2(silence, 2)
    write_frame(channel, "ready", b"")
    blanks, kept = ({int(number): names for number, names in job["keep"][part].items()} for part in ("blanks", "cells"))
    keeper = Keeper(shell, blanks, kept, job["keep"]["checks"])
    sys.stdout = said = io.StringIO()
    for ran in each_cell(cells, job["seconds"], keeper.run):
        error = None if ran.error is None else describe_error(ran.error)
        left_out = [line for line in said.getvalue().splitlines() if line.startswith(LEFT_OUT)]
        said.seek(0)
        said.truncate()
        told = {
            "seconds": ran.seconds,
            "error": error,
            "left_out": left_out[0] if left_out else "",
            "out_of_time": ran.out_of_time,
            "peak": peak(),
        }
        write_frame(channel, f"cell {ran.number}", json.dumps(told).encode())
    for name, content in keeper.frames():
        write_frame(channel, name, content)
    for name in job["send"]:
        if Path(name).is_file():
            write_file(channel, name, Path(name))
    write_frame(channel, "end", b"")
    os._exit(0)  # the libraries' farewell takes half a second


def peak() -> int:
    """Give the most memory in bytes that this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    main(sys.argv[1])
