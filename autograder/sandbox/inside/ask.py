"""Runs INSIDE the sandbox: runs the student's cells, asks the questions, writes plain values.

It knows no answer. What it sends is a stream of frames on standard output: name, length, content. The student's code
can forge frames; that gains nothing, since only right values earn points.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from frames import write_frame
from waiting import own_clock

NOT_GRADED = "not-graded"
"""Tag of cells that are left out: plots, training, local checks."""
LARGEST = 16 << 20
"""Bytes of the answer to one case; what is due takes kilobytes."""
MESSAGE = 300
"""Characters of an error's message that are passed on."""
CACHES = "/caches"
"""What libraries compute at their first use, made beforehand; copied, since they want to write there."""
LEFT_OUT = "what answers questions is not there while grading; import it in a cell that draws or trains"
"""Said of a part of the kit that cannot be imported."""
AGAIN = 0.5
"""Seconds after which code that caught the end of its time is interrupted again."""


class TimeIsUpError(BaseException):
    """Raised in the student's code at its time limit; no Exception, so that it is rarely caught."""


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
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(CACHES, "/tmp", dirs_exist_ok=True)
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


def run_cells(notebook: Path, seconds: float, channel: BinaryIO) -> dict[str, object]:
    """Run the student's cells in order, going on after errors, for some seconds in all.

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
    end = own_clock() + seconds
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"], start=1):
        grader = cell["metadata"].get("nbgrader", {})
        is_check = grader.get("grade", False) and not grader.get("solution", False)
        if cell["cell_type"] != "code" or is_check or NOT_GRADED in cell["metadata"].get("tags", []):
            continue
        try:
            with time_limit(max(end - own_clock(), 0.01)):
                result = shell.run_cell("".join(cell["source"]), store_history=False, silent=True)
                error = result.error_before_exec or result.error_in_exec
        except TimeIsUpError as late:
            error = late
        if error is not None and not isinstance(error, TimeIsUpError):
            errors.append(f"cell {number}: {describe_error(error)}")
        if own_clock() >= end:
            stopped = f"cell {number} was stopped: all cells together took longer than {seconds:g} s"
            write_frame(channel, "stopped", stopped.encode())
            errors.insert(0, stopped)
            break
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


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeIsUpError in the block after some seconds of its own, and again while the block goes on."""
    end = own_clock() + seconds

    def stop(signum: int, frame: object) -> None:
        if (left := end - own_clock()) <= 0:
            raise TimeIsUpError
        signal.setitimer(signal.ITIMER_REAL, left, AGAIN)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
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
        of_kit = isinstance(error, ImportError) and str(error.name).split(".")[0] == "starter"
    except Exception:  # noqa: BLE001  (a student's exception may fail to print)
        message, of_kit = "(no message)", False
    if of_kit:
        message = f"{message[: MESSAGE - len(LEFT_OUT) - 2]}; {LEFT_OUT}"
    return message[:MESSAGE] if _says_the_kit(error) else f"{type(error).__name__}: {message[:MESSAGE]}"


def _says_the_kit(error: BaseException) -> bool:
    """Tell whether a message is the kit's own, which needs no name of an error: raised by it, and of its class."""
    import starter
    from starter.errors import InputError

    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    kit = str(Path(starter.__file__).parent)
    return type(error) is InputError and last is not None and last.tb_frame.f_code.co_filename.startswith(kit)


if __name__ == "__main__":
    main(sys.argv[1])
