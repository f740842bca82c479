"""Runs INSIDE the sandbox: runs the student's cells, calls the student's functions, writes plain values.

It knows no answer. What it sends is a stream of frames on standard output: name, length, content. The student's code
can forge frames; that gains nothing, since only right values earn points.
"""

import contextlib
import json
import os
import shutil
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

NOT_GRADED = "not-graded"
"""Tag of cells that are left out: plots, training, local checks."""
MESSAGE = 300
"""Characters of an error's message that are passed on."""


def main(job_folder: str) -> None:
    """Answer the questions of a job.

    Parameters
    ----------
    job_folder
        Holds `job.json` (notebook, submission, questions) and a file of cases for each question.
    """
    channel = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    send(channel, "start", b"")
    job = json.loads(Path(job_folder, "job.json").read_text(encoding="utf-8"))
    shutil.copytree(job["submission"], ".", dirs_exist_ok=True)
    names = run_cells(Path(job["notebook"]), channel)
    for question in job["questions"]:
        cases = Path(job_folder, f"{question['name']}.npz").read_bytes()
        send(channel, question["name"], answer(names, question, cases))
    send(channel, "end", b"")


def run_cells(notebook: Path, channel: object) -> dict[str, object]:
    """Run the student's cells in order, going on after errors.

    Returns
    -------
    The names that the cells defined.
    """
    from IPython.core.interactiveshell import InteractiveShell

    class Shell(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            """Let `%matplotlib inline` pass: the plain shell has no front end and raises."""

    sys.path.insert(0, os.getcwd())
    shell = Shell.instance()
    errors = []
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"], start=1):
        grader = cell["metadata"].get("nbgrader", {})
        is_check = grader.get("grade", False) and not grader.get("solution", False)
        if cell["cell_type"] != "code" or is_check or NOT_GRADED in cell["metadata"].get("tags", []):
            continue
        result = shell.run_cell("".join(cell["source"]), store_history=False, silent=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            errors.append(f"cell {number}: {describe_error(error)}")
    send(channel, "cells", json.dumps(errors[:20]).encode())
    return shell.user_ns


def answer(names: dict[str, object], question: dict, cases: bytes) -> bytes:
    """Call the student's function on every case.

    Returns
    -------
    An encoded list with {"value": ...} or {"error": text} for each case.
    """
    from starter import values

    answers = []
    try:
        with time_limit(question["seconds"]):
            for inputs in values.decode(cases):
                if question["asks"] not in names:
                    answers.append({"error": f"the notebook defines no {question['asks']}"})
                    continue
                try:
                    value = names[question["asks"]](**inputs)
                    values.encode(value)
                    answers.append({"value": value})
                except TimeoutError:
                    raise
                except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever the student's code raises)
                    answers.append({"error": describe_error(error)})
    except TimeoutError:
        answers.append({"error": f"it took longer than {question['seconds']:g} s"})
    return values.encode(answers)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after some seconds."""

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def describe_error(error: BaseException) -> str:
    """Write an error's type and the start of its message."""
    if isinstance(error, NotImplementedError):
        return "the blank is still empty (NotImplementedError)"
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  (a student's exception may fail to print)
        message = "(no message)"
    return f"{type(error).__name__}: {message[:MESSAGE]}"


def send(channel: object, name: str, content: bytes) -> None:
    """Write one frame."""
    channel.write(struct.pack(">HQ", len(name.encode()), len(content)) + name.encode() + content)
    channel.flush()


if __name__ == "__main__":
    main(sys.argv[1])
