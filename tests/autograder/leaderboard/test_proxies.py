"""The leaderboard behind nginx and Caddy, with TLS, by the configurations of docs/leaderboard.md."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.serve import proxies_of
from autograder.leaderboard.store import open_board, session
from autograder.leaderboard.tables import TEAM, Entry
from autograder.leaderboard.web.security import CHUNK_BODY

DOCUMENT = Path(__file__).parents[3] / "docs" / "leaderboard.md"
SUBMIT = "from starter.cli import main; main()"
pytestmark = pytest.mark.slow


def documented(language: str) -> str:
    """Give a configuration as the document has it."""
    return re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]


def free_ports(n: int) -> list[int]:
    found = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in found]
    for one in found:
        one.close()
    return ports


def until_open(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for this machine that nobody signed."""
    path = tmp_path / "board.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-addext", names, "-out", path, "-keyout", path.with_suffix(".key")], check=True, capture_output=True
    )
    return path


@pytest.fixture
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Start the web process as `autograder serve` does, but for its sandbox; give its port and a team's token."""
    (tmp_path / "web").mkdir()
    (port,) = free_ports(1)
    told = {
        "database": f"sqlite:///{tmp_path}/web/board.db", "folder": str(tmp_path / "web"), "title": "A board",
        "per_day": 5, "max_bytes": 64 << 20, "ends": "", "zone": "UTC", "host": "127.0.0.1", "port": port,
        "stages": str(tmp_path / "stages"), "proxies": proxies_of(getattr(request, "param", None)),
    }  # fmt: skip
    token = make_tokens(open_board(told["database"]), ["owls"], TEAM)["owls"]
    process = subprocess.Popen(
        [sys.executable, "-m", "autograder.leaderboard.web.process"], stdin=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    try:
        until_open(port, process)
        yield port, token
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, web: tuple[int, str], certificate: Path, tmp_path: Path
) -> Iterator[tuple[int, int]]:
    """Start a proxy in front of it; give its ports, with TLS and without."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed: apt-get install {request.param}")
    secure, plain = free_ports(2)
    settings = documented(request.param).replace("127.0.0.1:8000", f"127.0.0.1:{web[0]}")
    path = tmp_path / "proxy.conf"
    if request.param == "nginx":
        for written, here in (
            ("listen 80;", f"listen {plain};"),
            ("listen 443 ssl;", f"listen {secure} ssl;"),
            ("/etc/ssl/board.pem", str(certificate)),
            ("/etc/ssl/board.key", str(certificate.with_suffix(".key"))),
            ("server_name board.example.org;", "server_name localhost;"),
            (f"client_max_body_size {CHUNK_BODY >> 20}m;", "client_max_body_size 64m;"),
        ):
            assert written in settings
            settings = settings.replace(written, here)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "\n".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
        path.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}\n{settings}}}\n")
        command = [program, "-c", str(path), "-e", str(tmp_path / "error.log"), "-g", "daemon off;"]
    else:
        here = f"{{\n admin off\n auto_https disable_certs\n http_port {plain}\n https_port {secure}\n}}\n"
        assert "board.example.org {\n" in settings
        tls = f"localhost {{\n    tls {certificate} {certificate.with_suffix('.key')}\n"
        path.write_text(here + settings.replace("board.example.org {\n", tls))
        command = [program, "run", "--adapter", "caddyfile", "--config", str(path)]
    process = subprocess.Popen(command, env={**os.environ, "HOME": str(tmp_path)})
    try:
        until_open(secure, process)
        yield secure, plain
    finally:
        process.terminate()
        process.wait()


def asked(
    port: int, certificate: Path, method: str, path: str, body: str = "", source: str = "127.0.0.1", **headers: str
) -> http.client.HTTPResponse:
    """Ask through TLS, from an address of this machine."""
    trusted = ssl.create_default_context(cafile=str(certificate))
    connection = http.client.HTTPSConnection("localhost", port, context=trusted, source_address=(source, 0))
    form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, path, body or None, {**form, **{key.replace("_", "-"): headers[key] for key in headers}})
    answer = connection.getresponse()
    answer.read()
    return answer


def test_a_board_behind_a_proxy(
    proxy: tuple[int, int], web: tuple[int, str], certificate: Path, tmp_path: Path
) -> None:
    secure, plain = proxy
    token = web[1]

    (file := tmp_path / "mine.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + os.urandom(9 << 20))
    command = [sys.executable, "-c", SUBMIT, "submit", str(file), "--to", f"https://localhost:{secure}"]
    told = {**os.environ, "VCC_TOKEN": token}
    told.pop("SSL_CERT_FILE", None)
    stranger = subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=60)
    assert stranger.returncode
    assert "SSL_CERT_FILE" in stranger.stdout + stranger.stderr
    told["SSL_CERT_FILE"] = str(certificate)
    sent = subprocess.run(command, env=told, capture_output=True, text=True, check=True, timeout=60)
    assert f"https://localhost:{secure}/entries/1" in sent.stdout.replace("\n", "")
    with session(open_board(f"sqlite:///{tmp_path}/web/board.db")) as now:
        (entry,) = now.scalars(select(Entry))
    assert (tmp_path / "web" / "entries" / "1" / entry.file).read_bytes() == file.read_bytes()

    answer = asked(secure, certificate, "POST", "/login", urlencode({"token": token}))
    assert answer.status == 303
    cookie = answer.getheader("set-cookie")
    assert cookie.startswith("__Host-visit=")
    assert "Secure" in cookie
    assert "max-age" in answer.getheader("strict-transport-security")
    assert asked(secure, certificate, "GET", "/team", Cookie=cookie.split(";")[0]).status == 200

    connection = http.client.HTTPConnection("localhost", plain)
    connection.request("GET", "/team")
    moved = connection.getresponse()
    assert moved.status in (301, 308)
    assert moved.getheader("location").startswith("https://localhost")

    def guess(number: int) -> int:
        # who guesses says each time that the request is another's
        other = f"203.0.113.{number}"
        body = urlencode({"token": f"guess {number}"})
        return asked(secure, certificate, "POST", "/login", body, "127.0.0.2", X_Forwarded_For=other).status

    with ThreadPoolExecutor(12) as pool:
        guesses = list(pool.map(guess, range(12)))
    assert set(guesses) <= {401, 429}
    assert guess(99) == 429, "the address that guessed is let wait, whoever it says it is"
    assert asked(secure, certificate, "POST", "/login", urlencode({"token": token})).status == 303, "others are not"


@pytest.mark.parametrize(
    ("web", "is_believed"), [(None, False), ("127.0.0.2", True), ("127.0.0.0/8", True)], indirect=["web"]
)
def test_a_proxy_elsewhere_is_believed_where_it_is_named(web: tuple[int, str], *, is_believed: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web[0], source_address=("127.0.0.2", 0))
    connection.request("GET", "/login", headers={"X-Forwarded-Proto": "https"})
    assert (connection.getresponse().getheader("strict-transport-security") is not None) == is_believed
