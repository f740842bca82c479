"""Web processes of the leaderboard, as tests start them and wait for them."""

import socket
import time
import urllib.error
import urllib.request


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(port: int, seconds: float = 90) -> int:
    """Wait for a page, and give its status."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.1)
    msg = f"nothing answers at {port}"
    raise AssertionError(msg)
