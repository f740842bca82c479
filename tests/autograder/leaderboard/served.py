"""A web process of the leaderboard, for tests that kill it: `python served.py FOLDER PORT`."""

import sys
from pathlib import Path

import uvicorn

from autograder.leaderboard.store import open_board
from autograder.leaderboard.web.app import make_app
from autograder.leaderboard.web.site import Site

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    site = Site(open_board(f"sqlite:///{folder}/board.db"), folder, "A board", 5, 64 << 20)
    uvicorn.run(make_app(site, slow=0.1), port=int(sys.argv[2]), log_level="warning")
