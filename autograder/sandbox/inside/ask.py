"""Runs INSIDE the sandbox: runs the student's cells, asks the questions, writes plain values.

It knows no answer. What it sends is a stream of frames on standard output: name, length, content. The student's code
can forge frames; that gains nothing, since only right values earn points.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import BinaryIO

from cells import cells_to_run
from frames import write_frame
from notebook_cells import TimeIsUpError, describe_error, each_cell, new_shell, run_silently, time_limit

LARGEST = 16 << 20
"""Bytes of the answer to one case; what is due takes kilobytes."""
CACHES = "/caches"
"""What libraries compute at their first use, made beforehand; copied, since they want to write there."""


def main(job_folder: str) -> None:
    """Answer the questions of a job.

    Parameters
    ----------
    job_folder
        Holds `job.json` (notebook, submission, seconds, questions) and a file of cases for each question.
    """
    channel = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    write_frame(channel, "start", b"")
    job = json.loads(Path(job_folder, "job.json").read_text(encoding="utf-8"))
    copy_caches()
    shutil.copytree(job["submission"], ".", dirs_exist_ok=True)
    # before the student's code: what fails up to here is not the student's fault
    import IPython.core.interactiveshell  # noqa: F401

    import starter.answers.asked
    import starter.answers.kinds
    import starter.answers.values  # noqa: F401

    os.dup2(silence, 2)
    write_frame(channel, "ready", b"")
    names = run_cells(Path(job["notebook"]), job["seconds"], channel)
    for question in job["questions"]:
        start = time.monotonic()
        cases = Path(job_folder, f"{question['name']}.npz").read_bytes()
        write_frame(channel, question["name"], answer(names, question, cases))
        write_frame(channel, f"seconds of {question['name']}", str(time.monotonic() - start).encode())
    write_frame(channel, "end", b"")
    os._exit(0)  # the libraries' farewell takes half a second


def copy_caches() -> None:
    """Put what libraries computed beforehand where they look for it, if it was given."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(CACHES, "/tmp", dirs_exist_ok=True)


def run_cells(notebook: Path, seconds: float, channel: BinaryIO) -> dict[str, object]:
    """Run the student's cells in order, going on after errors, for some seconds in all.

    Returns
    -------
    The names that the cells defined.
    """
    cells = dict(cells_to_run(json.loads(notebook.read_text(encoding="utf-8"))))
    errors = []
    shell = new_shell()
    for ran in each_cell(cells, seconds, partial(run_silently, shell)):
        if ran.error is not None and not isinstance(ran.error, TimeIsUpError):
            errors.append(f"cell {ran.number}: {describe_error(ran.error)}")
        if ran.out_of_time:
            stopped = f"cell {ran.number} was stopped: all cells together took longer than {seconds:g} s"
            write_frame(channel, "stopped", stopped.encode())
            errors.insert(0, stopped)
    write_frame(channel, "cells", json.dumps(errors[:20]).encode())
    return shell.user_ns


def answer(names: dict[str, object], question: dict, cases: bytes) -> bytes:
    """Get the student's answer to every case.

    Returns
    -------
    An encoded list with {"value": ...} or {"error": text} for each case.
    """
    from starter.answers import kinds, values
    from starter.answers.asked import asked

    settings = dict(question["asks"])
    kind = kinds.KINDS[settings.pop("kind")](**settings)
    came = []
    try:
        with time_limit(question["seconds"]):
            for inputs in values.decode(cases):
                try:
                    value, changed = asked(kind, kind.find(names), inputs)
                    encoded = values.encode(value)  # at once, since the next call may fill the same array again
                    if len(encoded) > LARGEST:
                        changed = f"what came takes {len(encoded) >> 20:,} MiB; at most {LARGEST >> 20} MiB are taken"
                    came.append({"error": changed} if changed else {"value": values.decode(encoded)})
                except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever the student's code raises)
                    came.append({"error": describe_error(error)})
    except TimeIsUpError:
        came.append({"error": f"it took longer than {question['seconds']:g} s"})
    return values.encode(came)


if __name__ == "__main__":
    main(sys.argv[1])
