"""`starter submit` against the real application, whose process is killed and whose connections break half-way."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from serving import free_port
from sqlalchemy import select

from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.store import open_board, session
from autograder.leaderboard.tables import TEAM, Entry
from starter.assignment import leaderboard
from starter.assignment.leaderboard import PART, submit
from starter.errors import InputError

SIZE = 24 << 20
SERVED = Path(__file__).with_name("served.py")


@pytest.fixture
def token(tmp_path: Path) -> str:
    return make_tokens(open_board(f"sqlite:///{tmp_path}/board.db"), ["owls"], TEAM)["owls"]


@pytest.fixture
def prediction(tmp_path: Path) -> Path:
    path = tmp_path / "mine.h5ad"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + os.urandom(SIZE - 8))
    return path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen]]:
    started = []

    def start(port: int) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, str(SERVED), str(tmp_path), str(port)])
        started.append(process)
        end = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return process
            except OSError:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)

    yield start
    for process in started:
        process.kill()
        process.wait()


def entries(folder: Path) -> list[Entry]:
    with session(open_board(f"sqlite:///{folder}/board.db")) as now:
        return list(now.scalars(select(Entry)))


def relay(port: int, cut_after: int | None = None) -> tuple[int, list[int], list[int]]:
    """Listen, and hand bytes on; the first connections are cut after some bytes.

    Returns
    -------
    Where it listens, the bytes after which it cut connections, and the sizes of the pieces that clients sent.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    cuts: list[int] = []
    sent: list[int] = []

    def pump(source: socket.socket, sink: socket.socket, most: int | None, sizes: list[int]) -> None:
        came = 0
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                came += len(piece)
                sizes.append(len(piece))
                if most is not None and came > most:
                    cuts.append(came)
                    break
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def listen() -> None:
        number = 0
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            number += 1
            most = cut_after if number % 4 == 3 and len(cuts) < 3 else None
            threading.Thread(target=pump, args=(near, far, most, sent), daemon=True).start()
            threading.Thread(target=pump, args=(far, near, None, []), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    return listener.getsockname()[1], cuts, sent


def test_a_connection_that_breaks_half_way_costs_nothing(
    tmp_path: Path, token: str, prediction: Path, serve: Callable[[int], subprocess.Popen]
):
    port = free_port()
    serve(port)
    between, cuts, _ = relay(port, 300_000)
    place = submit(prediction, f"http://127.0.0.1:{between}", token)
    assert len(cuts) == 3
    assert place.endswith("/entries/1")
    assert (tmp_path / "entries" / "1" / "mine.h5ad").read_bytes() == prediction.read_bytes()


def test_who_stops_half_way_and_runs_it_again_goes_on_and_sends_nothing_twice(
    tmp_path: Path,
    token: str,
    prediction: Path,
    serve: Callable[[int], subprocess.Popen],
    monkeypatch: pytest.MonkeyPatch,
):
    """Also when the first run is killed; and when it is run once more after all came, it is the same entry."""
    port = free_port()
    serve(port)
    between, _, sent = relay(port)
    program = [sys.executable, "-c", "from starter.cli import main; main()"]
    program += ["submit", str(prediction), "--to", f"http://127.0.0.1:{between}", "--note", "ridge on GO"]
    there = {**os.environ, "VCC_TOKEN": token}
    first = subprocess.Popen(program, env=there, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    arriving = tmp_path / "arriving"
    end = time.monotonic() + 30
    while not any(path.stat().st_size > SIZE / 4 for path in arriving.glob("*")):
        assert time.monotonic() < end
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (path,) = arriving.iterdir()
    came = settled(path)
    assert SIZE / 4 < came < SIZE
    sent.clear()
    again = subprocess.run(program, env=there, capture_output=True, text=True, check=True)
    assert again.stdout.strip() == f"handed in: http://127.0.0.1:{between}/entries/1"
    heads = 1000 * (SIZE // PART + 3)  # of its requests
    assert SIZE - came <= sum(sent) < SIZE - came + heads
    (entry,) = entries(tmp_path)
    assert entry.note == "ridge on GO"
    assert (tmp_path / "entries" / "1" / "mine.h5ad").read_bytes() == prediction.read_bytes()
    sent.clear()
    notes: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(leaderboard.progress, "bar", lambda what, total: nullcontext(notes.append))
        assert submit(prediction, f"http://127.0.0.1:{between}", token).endswith("/entries/1")
    assert sum(sent) < 2000
    assert set(notes) == {"24.0 MiB were there already"}
    prediction.write_bytes(prediction.read_bytes()[:-1] + b"!")
    assert submit(prediction, f"http://127.0.0.1:{between}", token).endswith("/entries/2"), "it is another file"


def settled(path: Path) -> int:
    """Wait until the last piece that a killed client sent is written, and give the size."""
    size = -1
    while size != (size := path.stat().st_size):
        time.sleep(0.3)
    return size


def test_a_file_that_changes_while_it_is_sent_is_refused(
    tmp_path: Path,
    token: str,
    prediction: Path,
    serve: Callable[[int], subprocess.Popen],
    monkeypatch: pytest.MonkeyPatch,
):
    port = free_port()
    serve(port)
    monkeypatch.setattr(leaderboard, "sha256", lambda path: "0" * 64)
    with pytest.raises(InputError, match="What arrived is not the file as it was when the upload began"):
        submit(prediction, f"http://127.0.0.1:{port}", token)
    assert entries(tmp_path) == []
    assert list((tmp_path / "arriving").iterdir()) == []


@pytest.mark.slow
def test_a_web_process_that_is_killed_half_way_goes_on_with_what_came(
    tmp_path: Path, token: str, prediction: Path, serve: Callable[[int], subprocess.Popen]
):
    port = free_port()
    process = serve(port)
    found: list[str] = []
    sender = threading.Thread(target=lambda: found.append(submit(prediction, f"http://127.0.0.1:{port}", token)))
    sender.start()
    arriving = tmp_path / "arriving"
    end = time.monotonic() + 30
    while not any(path.stat().st_size > SIZE / 4 for path in arriving.glob("*")):
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    came = sum(path.stat().st_size for path in arriving.glob("*"))
    assert SIZE / 4 < came < SIZE
    assert entries(tmp_path) == []
    serve(port)
    sender.join(60)
    assert found == [f"http://127.0.0.1:{port}/entries/1"]
    assert [entry.size for entry in entries(tmp_path)] == [SIZE]
    assert (tmp_path / "entries" / "1" / "mine.h5ad").read_bytes() == prediction.read_bytes()


def test_what_the_board_refuses_is_one_sentence(tmp_path: Path, token: str, serve: Callable[[int], subprocess.Popen]):
    port = free_port()
    serve(port)
    url = f"http://127.0.0.1:{port}"
    wrong = tmp_path / "wrong.h5ad"
    wrong.write_bytes(b"x" * 5000)
    with pytest.raises(InputError, match=r"ends in \.h5ad, but it holds something else"):
        submit(wrong, url, token)
    with pytest.raises(InputError, match="This token is nobody's"):
        submit(wrong, url, "guess")
    with pytest.raises(InputError, match="is not encrypted"):
        submit(wrong, "http://board.example", token)
    with pytest.raises(InputError, match="cannot be reached"):
        submit(wrong, f"http://127.0.0.1:{free_port()}", token, patience=0.5)
