"""The leaderboard's processes: pages where no truth is, scoring outside; a part that dies is started again."""

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import autograder
import starter
from autograder.leaderboard.board import Board
from autograder.leaderboard.stage_watch import StageWatch
from autograder.leaderboard.store import open_board
from autograder.sandbox.bubblewrap import command_beside
from autograder.sandbox.ready import check_sandbox
from starter.errors import InputError

SOON = 2.0
"""Seconds until a part that died is started again."""
LOCAL = ("127.0.0.1", "::1")
"""Where a proxy is whose word is always believed."""
ENDS_IN = 20
"""Seconds that a part has to end."""


def web_command(board: Board) -> list[str]:
    """Write the command of the web process: it sees the system, Python, the kit without its answers, and its folder."""
    houses = {f"/kit/{house.__name__}": Path(str(house.__file__)).parent for house in (autograder, starter)}
    read = {**houses, str(board.stages): board.stages}
    program = [sys.executable, "-m", "autograder.leaderboard.web.process"]
    return command_beside(program, read, ["/kit/autograder/questions"], board.web)


def web_settings(board: Board, host: str, port: int, proxies: Sequence[str]) -> dict[str, str | int | list[str]]:
    """Write what the web process is told, by standard input: all that it knows of its course."""
    most = board.course.limits.prediction_mib << 20
    zone = board.course.zone(board.stage)
    return {
        "database": board.url, "folder": str(board.web), "title": board.title, "per_day": board.settings.per_day,
        "stages": str(board.stages), "max_bytes": most,
        "ends": board.ends.isoformat() if board.ends else "", "zone": getattr(zone, "key", "UTC"),
        "host": host, "port": port, "proxies": list(proxies),
    }  # fmt: skip


def _start_web(board: Board, host: str, port: int, proxies: Sequence[str]) -> subprocess.Popen[str]:
    return _start(web_command(board), web_settings(board, host, port, proxies), {"PATH": os.defpath})


def _start_scoring(board: Board, jobs: int, dask: str | None) -> subprocess.Popen[str]:
    program = [sys.executable, "-P", "-m", "autograder.leaderboard.scoring"]
    return _start(program, {"course": str(board.course.root), "jobs": jobs, "dask": dask})


def _start(
    program: list[str], told: Mapping[str, str | int | list[str] | None], environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    process = subprocess.Popen(program, stdin=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    return process


def check_port(host: str, port: int) -> None:
    """Refuse an address at which nobody can listen.

    Raises
    ------
    InputError
        With the reason.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(found[0], socket.SOCK_STREAM)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found[4])
    except OSError as error:
        msg = f"cannot serve at {host}:{port}: {error.strerror}; name another with --host and --port"
        raise InputError(msg) from error


def proxies_of(named: str | None) -> list[str]:
    """List whose word on visitors' addresses and TLS is believed: this machine's, and that of a proxy that is named.

    Raises
    ------
    InputError
        If it is neither an address nor a network.
    """
    if named is None:
        return list(LOCAL)
    try:
        return [*LOCAL, str(ipaddress.ip_network(named))]
    except ValueError as error:
        msg = (
            f"--proxy {named} is no address of a proxy: {error}; name one as 172.17.0.1, or a network as 172.17.0.0/16"
        )
        raise InputError(msg) from error


def serve(
    board: Board,
    host: str,
    port: int,
    jobs: int = 2,
    dask: str | None = None,
    proxy: str | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Serve pages and score entries until told to end.

    Parameters
    ----------
    host, port
        Where pages are served.
    jobs, dask
        As of `run_workers`.
    proxy
        As of `proxies_of`.
    say
        Tells what happens.

    Raises
    ------
    NoSandboxError
        If this machine cannot open students' files safely.
    InputError
        If there is no database, something else listens there, or the proxy is none.
    """
    proxies = proxies_of(proxy)
    check_sandbox()
    check_port(host, port)
    open_board(board.url).dispose()

    def told(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, told)
    web, scoring, watch = None, None, StageWatch(board.course.root, board.stages, say)
    try:
        while True:
            if web is None or web.poll() is not None:
                if web is not None:
                    say(f"the web process ended ({web.returncode}); it is started again")
                web = _start_web(board, host, port, proxies)
            if scoring is None or scoring.poll() is not None:
                if scoring is not None:
                    say(f"the scoring process ended ({scoring.returncode}); it is started again")
                scoring = _start_scoring(board, jobs, dask)
            watch.look()
            time.sleep(SOON)
    except KeyboardInterrupt:
        say(f"ending; an entry that is being scored has {ENDS_IN} s, and is scored anew the next time if that is short")
    finally:
        signal.signal(signal.SIGTERM, before)
        watch.end()
        parts = [part for part in (web, scoring) if part is not None]
        for part in parts:
            part.terminate()
        for part in parts:
            try:
                part.wait(ENDS_IN)
            except subprocess.TimeoutExpired:
                part.kill()
