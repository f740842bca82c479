"""How the kit's commands end: a fault in the input is one message and exit status 2, never a traceback."""

import errno
import shutil
import sys

import typer

from starter.errors import InputError
from starter.files import reason_of

DEBUG = "--debug"
KIT = ("starter", "autograder", "data_scripts")
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""Errors that no program can prevent: no room, or no leave to write."""
INSTALL = 'python -m pip install --constraint constraints.txt --editable ".[student]"'
"""Adds what models and notebooks need, such as torch; the demo and most of grading do without."""


def run(app: typer.Typer) -> None:
    """Run a command line; `--debug` anywhere on it lets tracebacks through.

    Parameters
    ----------
    app
        The commands.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        raise SystemExit(app(args=arguments, standalone_mode=False) or 0)
    except typer.Abort:
        _fail("stopped")
    except InputError as error:
        if debug:
            raise
        _fail(f"error: {error}")
    except MemoryError:
        if debug:
            raise
        _fail("error: this machine's memory is too small for that; close other programs, or use a larger machine")
    except Exception as error:
        if debug:
            raise
        if complaint := getattr(error, "format_message", None):  # the command line itself is wrong
            if not (message := complaint()):  # no command was given: its help was printed, in boxes
                raise SystemExit(2) from None
            if message.startswith("Usage: "):  # the same, where help is plain
                _fail(message)
            _fail(f"error: {message} (--help explains)")
        if isinstance(error, OSError) and (error.errno in OF_THE_DISK or isinstance(error, shutil.Error)):
            where = f" ({error.filename})" if error.filename else ""
            _fail(f"error: {reason_of(error)}{where}; make room, or see who may write there, and run this again")
        if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] not in KIT:
            _fail(f"error: this needs {error.name}, which is not installed here; run: {INSTALL}")
        _fail(f"fault of the kit ({type(error).__name__}: {error}); run again with {DEBUG} and report what it prints")


def _fail(message: str) -> None:
    typer.echo(message, err=True)
    raise SystemExit(2)
