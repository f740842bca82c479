"""Cells of a notebook, run one by one inside the sandbox, and what went wrong in them."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from waiting import own_clock

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

MESSAGE = 300
"""Characters of an error's message that are passed on."""
LEFT_OUT = "what answers questions is not there while grading; import it in a cell that draws or trains"
"""Said of a part of the kit that cannot be imported."""
AGAIN = 0.5
"""Seconds after which code that caught the end of its time is interrupted again."""


class TimeIsUpError(BaseException):
    """Raised in the student's code at its time limit; no Exception, so that it is rarely caught."""


@dataclass(frozen=True)
class Ran:
    """How one cell ran."""

    number: int
    """In the notebook, from 1."""
    seconds: float
    error: BaseException | None
    out_of_time: bool
    """Whether the notebook's time ended in it; it is the last one then."""


def new_shell() -> "InteractiveShell":
    """Give the shell in which a notebook's cells run, in this folder."""
    from IPython.core.interactiveshell import InteractiveShell

    class Shell(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            """Let `%matplotlib inline` pass: the plain shell has no front end and raises."""

    sys.path.insert(0, os.getcwd())
    return Shell.instance()


def run_silently(shell: "InteractiveShell", number: int, source: str) -> "ExecutionResult":
    """Run a cell whose number is of no matter, and display nothing."""
    del number
    return shell.run_cell(source, store_history=False, silent=True)


def each_cell(cells: Mapping[int, str], seconds: float, run: Callable[[int, str], "ExecutionResult"]) -> Iterator[Ran]:
    """Run cells in order, going on after errors, for some seconds in all.

    Parameters
    ----------
    cells
        Number in the notebook -> source of a code cell.
    seconds
        Time for all of them; while this process waits for a core it stands still.
    run
        Runs a cell by its number and source.
    """
    end = own_clock() + seconds
    for number, source in cells.items():
        start = time.monotonic()
        try:
            with time_limit(max(end - own_clock(), 0.01)):
                result = run(number, source)
                error = result.error_before_exec or result.error_in_exec
        except TimeIsUpError as late:
            error = late
        out_of_time = own_clock() >= end
        yield Ran(number, time.monotonic() - start, error, out_of_time)
        if out_of_time:
            return


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
