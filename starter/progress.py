"""Progress of long work, on standard error: a bar with an estimate, which vanishes when the work is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar while the block runs; nothing is shown where standard error is not a terminal.

    Parameters
    ----------
    what
        The work, as a person would say it.
    total
        Steps to do.

    Yields
    ------
    A function to call after each step.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not _watched(console)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def spinner(what: str, console: Console | None = None) -> Iterator[None]:
    """Show that something is going on while the block runs, where somebody can see it.

    Parameters
    ----------
    what
        The work, as a person would say it.
    console
        Where to show it; default: standard error.
    """
    console = console or Console(stderr=True)
    with console.status(what) if _watched(console) else nullcontext():
        yield


def _watched(console: Console) -> bool:
    return console.is_terminal or console.is_jupyter
