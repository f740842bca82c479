"""The web process: it reads what it serves from standard input, so that no password is in its arguments."""

import json
import sys
from datetime import datetime
from pathlib import Path

import uvicorn

from autograder.leaderboard.store import open_board
from autograder.leaderboard.web.app import make_app
from autograder.leaderboard.web.pages import LATER
from autograder.leaderboard.web.site import Site


def main() -> None:
    """Serve until told to end."""
    told = json.load(sys.stdin)
    ends = datetime.fromisoformat(told["ends"]) if told["ends"] else None
    site = Site(
        open_board(told["database"]), Path(told["folder"]), told["title"], told["per_day"], told["max_bytes"], ends,
        told["zone"], Path(told["stages"]),
    )  # fmt: skip
    uvicorn.run(
        make_app(site), host=told["host"], port=told["port"], log_level="warning", server_header=False,
        timeout_keep_alive=2 * LATER, forwarded_allow_ips=told["proxies"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
