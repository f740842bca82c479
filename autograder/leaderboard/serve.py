"""The leaderboard's processes: pages where no truth is, scoring outside; a part that dies is started again."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import autograder
import starter
from autograder.course import read_course
from autograder.leaderboard.board import Board
from autograder.leaderboard.stage_watch import StageWatch
from autograder.leaderboard.store import open_board
from autograder.leaderboard.worker import run_workers
from autograder.sandbox.bubblewrap import command_beside
from autograder.sandbox.ready import check_sandbox
from starter.errors import InputError

SOON = 2.0
"""Seconds until a part that died is started again."""
BEHIND = 10
"""How far scoring stands back where pages want the same core."""
ENDS_IN = 20
"""Seconds that a part has to end."""


def web_command(board: Board) -> list[str]:
    """Write the command of the web process: it sees the system, Python, the kit without its answers, and its folder."""
    houses = {f"/kit/{house.__name__}": Path(str(house.__file__)).parent for house in (autograder, starter)}
    read = {**houses, str(board.stages): board.stages}
    program = [sys.executable, "-m", "autograder.leaderboard.web.process"]
    return command_beside(program, read, ["/kit/autograder/questions"], board.web)


def web_settings(board: Board, host: str, port: int) -> dict[str, str | int]:
    """Write what the web process is told, by standard input: all that it knows of its course."""
    most = board.course.limits.prediction_mib << 20
    zone = board.course.zone(board.stage)
    return {
        "database": board.url, "folder": str(board.web), "title": board.title, "per_day": board.settings.per_day,
        "stages": str(board.stages), "max_bytes": most,
        "ends": board.ends.isoformat() if board.ends else "", "zone": getattr(zone, "key", "UTC"),
        "host": host, "port": port,
    }  # fmt: skip


def _start_web(board: Board, host: str, port: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(web_command(board), stdin=subprocess.PIPE, text=True, env={"PATH": os.defpath})
    assert process.stdin is not None
    process.stdin.write(json.dumps(web_settings(board, host, port)))
    process.stdin.close()
    return process


def _score(course: Path, jobs: int, dask: str | None) -> None:
    """Score entries in a process of its own, until it is told to end."""
    os.nice(BEHIND)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; who serves passes on what it means
    run_workers(read_course(course), stop, jobs, dask, remark=lambda text: print(text, flush=True))


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


def serve(
    board: Board,
    host: str,
    port: int,
    jobs: int = 2,
    dask: str | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Serve pages and score entries until told to end.

    Parameters
    ----------
    host, port
        Where pages are served.
    jobs, dask
        As of `run_workers`.
    say
        Tells what happens.

    Raises
    ------
    NoSandboxError
        If this machine cannot open students' files safely.
    InputError
        If there is no database, or something else listens there.
    """
    check_sandbox()
    check_port(host, port)
    open_board(board.url).dispose()
    spawning = multiprocessing.get_context("spawn")

    def told(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, told)
    web, worker, watch = None, None, StageWatch(board.course.root, board.stages, say)
    try:
        while True:
            if web is None or web.poll() is not None:
                if web is not None:
                    say(f"the web process ended ({web.returncode}); it is started again")
                web = _start_web(board, host, port)
            if worker is None or not worker.is_alive():
                if worker is not None:
                    say(f"the scoring process ended ({worker.exitcode}); it is started again")
                worker = spawning.Process(target=_score, args=(board.course.root, jobs, dask))
                worker.start()
            watch.look()
            time.sleep(SOON)
    except KeyboardInterrupt:
        say(f"ending; an entry that is being scored has {ENDS_IN} s, and is scored anew the next time if that is short")
    finally:
        signal.signal(signal.SIGTERM, before)
        watch.end()
        if web is not None:
            web.terminate()
        if worker is not None:
            worker.terminate()
            worker.join(ENDS_IN)
            if worker.is_alive():
                worker.kill()
        if web is not None:
            try:
                web.wait(ENDS_IN)
            except subprocess.TimeoutExpired:
                web.kill()
