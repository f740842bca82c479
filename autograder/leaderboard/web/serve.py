"""The leaderboard's processes: pages where no truth is, scoring outside; a part that dies is started again."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import autograder
import starter
from autograder.leaderboard.board import Board
from autograder.leaderboard.store import open_board
from autograder.leaderboard.worker import run_workers
from autograder.sandbox.bubblewrap import command_beside
from autograder.sandbox.ready import check_sandbox

SOON = 2.0
"""Seconds until a part that died is started again."""
ENDS_IN = 20
"""Seconds that a part has to end."""


def web_command(board: Board) -> list[str]:
    """Write the command of the web process: it sees the system, Python, the kit without its answers, and its folder."""
    houses = {f"/kit/{house.__name__}": Path(str(house.__file__)).parent for house in (autograder, starter)}
    program = [sys.executable, "-m", "autograder.leaderboard.web.process"]
    return command_beside(program, houses, ["/kit/autograder/questions"], board.web)


def _start_web(board: Board, host: str, port: int) -> subprocess.Popen[str]:
    most = board.course.limits.prediction_mib << 20
    zone = board.course.zone(board.stage)
    told = {
        "database": board.url, "folder": str(board.web), "title": board.title, "per_day": board.settings.per_day,
        "max_bytes": most, "ends": board.ends.isoformat() if board.ends else "", "zone": getattr(zone, "key", "UTC"),
        "host": host, "port": port,
    }  # fmt: skip
    process = subprocess.Popen(web_command(board), stdin=subprocess.PIPE, text=True, env={"PATH": os.defpath})
    assert process.stdin is not None
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    return process


def serve(board: Board, host: str, port: int, work: Callable[[], None], say: Callable[[str], object]) -> None:
    """Serve pages and score entries until told to end.

    Parameters
    ----------
    work
        Scores entries, in a process of its own.
    say
        Tells what happens.
    """
    check_sandbox()
    open_board(board.url).dispose()
    fork = multiprocessing.get_context("spawn")

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ended)
    web, worker = None, None
    try:
        while True:
            if web is None or web.poll() is not None:
                if web is not None:
                    say(f"the web process ended ({web.returncode}); it is started again")
                web = _start_web(board, host, port)
            if worker is None or not worker.is_alive():
                if worker is not None:
                    say(f"the scoring process ended ({worker.exitcode}); it is started again")
                worker = fork.Process(target=work)
                worker.start()
            time.sleep(SOON)
    except KeyboardInterrupt:
        say("ending")
    finally:
        if web is not None:
            web.terminate()
            web.wait(ENDS_IN)
        if worker is not None:
            worker.terminate()
            worker.join(ENDS_IN)
            if worker.is_alive():
                worker.kill()


__all__ = ["run_workers", "serve", "web_command"]
