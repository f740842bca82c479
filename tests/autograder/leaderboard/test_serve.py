"""`autograder serve` as a command: it serves, starts again what dies, sees no truth, and ends cleanly."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from serving import answers, free_port

from autograder.course import Course
from autograder.leaderboard.serve import check_port, proxies_of
from starter.errors import InputError

SERVE = "from autograder.cli import main; main()"
PROGRAM = "autograder.leaderboard.web.process"


def web_processes(parent: int) -> list[int]:
    """Find the web process itself, inside of its sandbox."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if PROGRAM.encode() in command and b"bwrap" not in command[0] and _descends(int(folder.name), parent):
            found.append(int(folder.name))
    return found


def seen_by(process: int) -> Path:
    """Give the top of all that a process sees."""
    return Path("/proc", str(process), "root")


def _descends(process: int, parent: int) -> bool:
    while process > 1:
        if process == parent:
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def test_an_address_that_is_taken_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"cannot serve at 127.0.0.1:{port}: Address already in use; name another"
        ):
            check_port("127.0.0.1", port)


def test_a_proxy_is_an_address_or_a_network():
    assert proxies_of("10.0.0.7") == ["127.0.0.1", "::1", "10.0.0.7/32"]
    assert proxies_of("fd00::/8")[2] == "fd00::/8"
    for wrong in ("board.example.org", "10.0.0.7/8", "*"):
        with pytest.raises(InputError, match="is no address of a proxy: .*name one as"):
            proxies_of(wrong)


@pytest.mark.slow
def test_it_serves_starts_again_what_dies_and_ends(sandbox_here: None, course: Course, tmp_path: Path):
    with (course.root / "course.toml").open("a") as settings:
        settings.write('\n[leaderboard]\nstage = "04_baselines"\n')
    port, said = free_port(), tmp_path / "said.txt"
    with said.open("w") as out:
        served = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", "--port", str(port), "--course", str(course.root)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        assert answers(port) == 200
        (web,) = web_processes(served.pid)
        inside = seen_by(web) / str(course.grading)[1:]
        assert [path.name for path in inside.iterdir()] == ["leaderboard"]
        assert sorted(path.name for path in (inside / "leaderboard").iterdir()) == ["stages", "web"]
        with pytest.raises(OSError, match="Read-only"):
            (inside / "leaderboard" / "stages" / "more").write_text("")
        assert not list((seen_by(web) / "kit/autograder/questions").iterdir())
        os.kill(web, signal.SIGKILL)
        time.sleep(5)
        assert answers(port) == 200
        assert "the web process ended" in said.read_text()
        assert web_processes(served.pid) != [web]
        served.terminate()
        assert served.wait(60) == 0
        assert "ending" in said.read_text()
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=5)
    finally:
        served.kill()


def test_the_unit_in_the_document_is_one_that_systemd_takes(tmp_path: Path):
    if not (program := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    document = (Path(__file__).parents[3] / "docs" / "leaderboard.md").read_text()
    unit = re.search(r"```ini\n(.*?)```", document, re.DOTALL)[1]
    assert "/srv/kit/.venv/bin/autograder serve" in unit
    (tmp_path / "board.service").write_text(unit.replace("/srv/kit/.venv/bin/autograder", sys.executable))
    told = subprocess.run([program, "verify", tmp_path / "board.service"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    (tmp_path / "board.service").write_text(unit)
    told = subprocess.run([program, "verify", tmp_path / "board.service"], capture_output=True, text=True, check=False)
    assert "autograder is not executable" in told.stderr, "what is wrong is found"
