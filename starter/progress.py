"""Progress of long work, on standard error: a bar with an estimate, or now and then a line for a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SOON_SECONDS = 0.5
"""In a notebook, where every bar leaves a trace below its cell, what is done sooner gets none."""
LINE_SECONDS = 60
"""Time between two lines where nobody watches."""
_inside = ContextVar("inside a bar", default=False)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs; where standard error is not a terminal, a line a minute, which stays.

    Work inside other work that has a bar shows none of its own.

    Parameters
    ----------
    what
        The work, as a person would say it.
    total
        Steps to do.

    Yields
    ------
    A function to call after each step; it may be given a note on how it goes, such as "loss 0.52", which stays until
    the next.
    """
    if _inside.get():
        yield lambda note=None: None
        return
    token = _inside.set(True)
    try:
        with _shown(what, total) as advance:
            yield advance
    finally:
        _inside.reset(token)


@contextmanager
def _shown(what: str, total: int) -> Iterator[Callable[..., None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if not _watched(console):
        yield _lines(what, total, console)
        return
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(what, total=total)
    start, shown = time.monotonic(), not console.is_jupyter
    if shown:
        progress.start()

    def advance(note: str | None = None) -> None:
        nonlocal shown
        progress.update(task, advance=1, description=None if note is None else f"{what}, {note}")
        if not shown and time.monotonic() >= start + SOON_SECONDS:
            shown = True
            progress.start()

    try:
        yield advance
    finally:
        if shown:
            progress.stop()


def _lines(what: str, total: int, console: Console) -> Callable[..., None]:
    start = said = time.monotonic()
    done, said_last = 0, ""

    def advance(note: str | None = None) -> None:
        nonlocal done, said, said_last
        done += 1
        said_last = said_last if note is None else f", {note}"
        now = time.monotonic()
        if now >= said + LINE_SECONDS and done < total:
            said = now
            left = (now - start) / done * (total - done) / 60
            line = f"{what}{said_last}: {done:,} of {total:,}, about {left:.0f} min left"
            console.print(line, highlight=False, markup=False)

    return advance


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
