"""The kit's commands as a user calls them, without the seconds that an interpreter of their own takes to start."""

import contextlib
import importlib
import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from unittest import mock


def run(
    program: str, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run `starter` or `autograder` in this process; what it printed and its exit status come as of a process."""
    command = [program, *map(str, arguments)]
    main = importlib.import_module(f"{program}.cli").main
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.dict(os.environ, env or {}),
        mock.patch("sys.argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())
