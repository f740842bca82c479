"""Downloads against a server on this machine that breaks off, lies, and recovers."""

import base64
import contextlib
import email.utils
import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import google_crc32c
import pytest

from data_scripts import download
from data_scripts.catalogue import RemoteFile
from data_scripts.download import DownloadError, fetch
from data_scripts.transfer import web
from starter import files
from starter.errors import InputError

BODY = bytes(range(256)) * 4_000  # 1,024,000 bytes
FILE = RemoteFile("body.bin", (), "local/body.bin", len(BODY), hashlib.sha256(BODY).hexdigest())


class Server:
    """Answers with one behaviour after the other, then as it should; remembers what was asked."""

    def __init__(self) -> None:
        self.behaviours: list[Callable] = []
        self.ranges: list[Any] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.ranges.append(self.headers.get("Range"))
                behave = outer.behaviours.pop(0) if outer.behaviours else as_it_should
                behave(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def file(self, **changes: object) -> RemoteFile:
        return replace(FILE, urls=(f"http://127.0.0.1:{self.http.server_port}/body.bin",), **changes)


def start_of(handler: http.server.BaseHTTPRequestHandler) -> int:
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
    return int(asked[1]) if asked else 0


def head(handler: http.server.BaseHTTPRequestHandler, status: int, length: int, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def as_it_should(handler: http.server.BaseHTTPRequestHandler, body: bytes = BODY) -> None:
    start = start_of(handler)
    if start:
        head(handler, 206, len(body) - start, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        head(handler, 200, len(body))
    handler.wfile.write(body[start:])


def breaks_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    start = start_of(handler)
    head(handler, 206 if start else 200, len(BODY) - start, Content_Range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
    handler.wfile.write(BODY[start : start + 300_000])
    handler.close_connection = True


def knows_no_ranges(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 200, len(BODY))
    handler.wfile.write(BODY)


def sends_another_range(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 206, len(BODY), Content_Range=f"bytes 0-{len(BODY) - 1}/{len(BODY)}")
    handler.wfile.write(BODY)


def sends_other_content(handler: http.server.BaseHTTPRequestHandler) -> None:
    as_it_should(handler, b"x" * len(BODY))


def sends_a_page(handler: http.server.BaseHTTPRequestHandler) -> None:
    page = b"<html>too busy</html>"
    head(handler, 200, len(page), Content_Type="text/html; charset=utf-8")
    handler.wfile.write(page)


def sends_a_titled_page(handler: http.server.BaseHTTPRequestHandler) -> None:
    page = b"<!doctype html><head><title>\n Access denied &amp; logged</title></head><body>no</body>"
    head(handler, 403, len(page), Content_Type="text/html")
    handler.wfile.write(page)


def of_version(etag: str, behave: Callable | None = None, body: bytes = BODY) -> Callable:
    """Answer as one version of the file; a range of another version gives the whole, as HTTP has it."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        other = handler.headers.get("If-Range") not in (None, etag)
        start = 0 if other else start_of(handler)
        ranges = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        head(handler, 206 if start else 200, len(body) - start, ETag=etag, **ranges)
        if behave is breaks_off:
            handler.wfile.write(body[start : start + 300_000])
            handler.close_connection = True
        else:
            handler.wfile.write(body[start:])

    return answer


def ignores_versions(etag: str, body: bytes) -> Callable:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        start = start_of(handler)
        head(handler, 206, len(body) - start, ETag=etag, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.wfile.write(body[start:])

    return answer


def busy_for(pause: str, code: int = 429) -> Callable:
    return lambda handler: head(handler, code, 0, Retry_After=pause)


def status(code: int) -> Callable:
    return lambda handler: head(handler, code, 0)


def sends_no_number(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "many")
    handler.end_headers()


def never_ends(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(bytes(1 << 16))


def empty(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 202, 0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.delenv("VCC_DATA", raising=False)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def shown(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path):
    path = fetch(server.file(), tmp_path / "new")
    assert path.read_bytes() == BODY
    assert fetch(server.file(), tmp_path / "new") == path
    assert server.ranges == [None]
    assert shown(tmp_path / "new") == ["body.bin", "body.bin.received.json"]
    received = json.loads((tmp_path / "new" / "body.bin.received.json").read_text())
    assert received["url"] == server.file().urls[0]
    assert received["sha256"] == FILE.sha256
    assert received["bytes"] == len(BODY)


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path):
    server.behaviours = [breaks_off, breaks_off]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    begun = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.ranges[1:]]
    assert server.ranges[0] is None
    assert len(begun) == 2
    assert 300_000 - web.CHUNK < begun[0] <= 300_000
    assert begun[0] + 300_000 - web.CHUNK < begun[1] <= begun[0] + 300_000


def test_an_unfinished_download_of_an_earlier_run_is_taken_up(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(BODY[:777_000])
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=777000-"]


def test_without_a_hash_an_earlier_runs_start_is_not_trusted(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(b"?" * 1000)
    assert fetch(server.file(sha256=None, magic="0001"), tmp_path).read_bytes() == BODY
    assert server.ranges == [None]


def test_without_a_hash_a_version_that_the_server_names_is_gone_on_with(server: Server, tmp_path: Path):
    server.behaviours = [of_version('"one"', breaks_off), of_version('"one"')]
    assert fetch(server.file(sha256=None), tmp_path).read_bytes() == BODY
    assert server.ranges[0] is None
    assert server.ranges[1].startswith("bytes=")


def test_a_file_that_changes_meanwhile_is_begun_anew(server: Server, tmp_path: Path):
    other = BODY[::-1]
    server.behaviours = [of_version('"one"', breaks_off), of_version('"two"', body=other)]
    assert fetch(server.file(sha256=None), tmp_path).read_bytes() == other
    server.behaviours = [
        of_version('"one"', breaks_off),
        ignores_versions('"two"', other),
        of_version('"two"', body=other),
    ]
    assert fetch(server.file(sha256=None), tmp_path / "new").read_bytes() == other
    assert server.ranges[-1] is None


def test_a_run_that_was_killed_is_taken_up_by_the_next(server: Server, tmp_path: Path):
    server.behaviours = [of_version('"one"', breaks_off), status(404)]
    with pytest.raises(DownloadError, match="404"):
        fetch(server.file(sha256=None), tmp_path)
    kept = (tmp_path / "body.bin.part").stat().st_size
    assert kept > 200_000
    server.behaviours = [of_version('"one"')]
    assert fetch(server.file(sha256=None), tmp_path).read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={kept}-"
    assert shown(tmp_path) == ["body.bin", "body.bin.received.json"]


def test_a_process_that_is_killed_loses_less_than_a_chunk(server: Server, tmp_path: Path):
    def stalls(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 200, len(BODY), ETag='"one"')
        handler.wfile.write(BODY[:500_000])
        handler.wfile.flush()
        killed.wait(20)

    killed = threading.Event()
    server.behaviours = [stalls]
    file = f"RemoteFile('body.bin', ({server.file().urls[0]!r},), bytes={len(BODY)}, sha256={FILE.sha256!r})"
    code = f"from data_scripts.download import *; fetch({file}, {str(tmp_path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    part = tmp_path / "body.bin.part"
    while not part.is_file() or part.stat().st_size < 500_000 - 2 * web.CHUNK:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    killed.set()
    kept = part.stat().st_size
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={kept}-"]


def test_a_server_sends_on_to_another_address(server: Server, tmp_path: Path):
    def elsewhere(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/store/4711?signature=abc")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.behaviours = [elsewhere, breaks_off, elsewhere]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges[:2] == [None, None]
    assert server.ranges[2] == server.ranges[3]
    assert server.ranges[3].startswith("bytes=")
    server.behaviours = [elsewhere] * 50
    with pytest.raises(DownloadError, match="the server's answer makes no sense .TooManyRedirects"):
        fetch(server.file(), tmp_path / "new")


def test_an_error_page_that_says_it_is_data_is_told_by_how_it_begins(server: Server, tmp_path: Path):
    page = b"<!DOCTYPE html><html>too many requests</html>"
    server.behaviours = [lambda handler: as_it_should(handler, page)]
    with pytest.raises(DownloadError, match="its content is of another kind .an error page"):
        fetch(server.file(sha256=None, bytes=None, magic="894844460d0a1a0a"), tmp_path)
    assert shown(tmp_path) == []


def test_a_server_says_when_to_come_back(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.behaviours = [busy_for("7"), busy_for(soon, 503), busy_for("no idea"), status(408)]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert pauses[0] == 7
    assert 30 < pauses[1] <= 40
    assert pauses[2:] == [0, 0]
    server.behaviours = [busy_for("7200")]
    with pytest.raises(DownloadError, match="the server is busy and asks to come back in 120 minutes"):
        fetch(server.file(), tmp_path / "new")


def test_a_slow_line_gets_there_however_often_it_breaks(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(download, "TRIES", 2)
    server.behaviours = [breaks_off] * 3
    assert fetch(server.file(), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize(
    ("algorithm", "due"),
    [
        ("md5", hashlib.md5(BODY).hexdigest()),
        ("crc32c", base64.b64encode(google_crc32c.Checksum(BODY).digest()).decode()),
    ],
)
def test_other_hashes_are_checked(server: Server, tmp_path: Path, algorithm: str, due: str):
    file = server.file(sha256=None, **{algorithm: due})
    assert fetch(file, tmp_path).read_bytes() == BODY
    server.behaviours = [sends_other_content]
    with pytest.raises(DownloadError, match=f"its {algorithm.upper()} is .*, and should be {re.escape(due)}"):
        fetch(file, tmp_path / "new")


def test_crc32c_is_as_google_states_it():
    # the check value of the Castagnoli polynomial, RFC 3720 B.4: 32 bytes of zeros give 8a9136aa
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA


def test_what_a_third_party_states_is_compared_and_said(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fetch(server.file(third_party=True), tmp_path)
    assert f"SHA-256 {FILE.sha256} (as a third party has stated)" in " ".join(capsys.readouterr().err.split())
    file = server.file(sha256="0" * 64, third_party=True)
    fetch(file, tmp_path / "new")
    said = " ".join(capsys.readouterr().err.split())
    assert f"a third party has stated another hash: its SHA-256 is {FILE.sha256}, and should be {'0' * 64}" in said
    fetch(server.file(sha256=None, bytes=None), tmp_path / "none")
    assert "its publisher states no hash" in " ".join(capsys.readouterr().err.split())


def test_a_full_disk_is_told_before_the_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="GB free, and this needs 0.0 GB; make room there"):
        fetch(server.file(), tmp_path)
    assert shown(tmp_path) == []


def test_two_processes_get_a_file_once(server: Server, tmp_path: Path):
    begun = threading.Event()

    def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
        begun.set()
        time.sleep(0.3)
        as_it_should(handler)

    server.behaviours = [slow]
    first = threading.Thread(target=fetch, args=(server.file(), tmp_path))
    first.start()
    begun.wait(5)
    code = (
        "import sys; from data_scripts.download import fetch; from data_scripts.catalogue import RemoteFile; "
        f"print(fetch(RemoteFile('body.bin', ({server.file().urls[0]!r},), bytes={len(BODY)}, sha256={FILE.sha256!r}), "
        f"{str(tmp_path)!r}))"
    )
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first.join()
    assert second.stdout.strip() == str(tmp_path / "body.bin")
    assert server.ranges == [None]


def test_what_is_in_the_way_is_named(server: Server, tmp_path: Path):
    (tmp_path / "body.bin").mkdir()
    with pytest.raises(DownloadError, match="body.bin is in the way and is no file; move it away"):
        fetch(server.file(), tmp_path)
    (tmp_path / "new" / "body.bin.part").mkdir(parents=True)
    with pytest.raises(DownloadError, match="cannot write .*body.bin.part"):
        fetch(server.file(), tmp_path / "new")


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(b"stale" * 100)
    server.behaviours = [knows_no_ranges]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY


def test_another_range_than_asked_for_is_not_appended(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(BODY[:777_000])
    server.behaviours = [sends_another_range]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=777000-", None]


def test_a_stale_start_is_found_by_the_hash_and_thrown_away(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(b"?" * 1000)
    with pytest.raises(DownloadError, match="its SHA-256 is .*, and should be"):
        fetch(server.file(), tmp_path)
    assert shown(tmp_path) == []
    assert fetch(server.file(), tmp_path).read_bytes() == BODY


def test_a_server_that_has_less_than_we_have_starts_anew(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(BODY[:500])
    server.behaviours = [status(416)]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=500-", None]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (sends_other_content, "its SHA-256 is .*, and should be"),
        (sends_a_page, "the server sent a web page instead of the file, saying: too busy"),
        (status(404), "the server answered 404 Not Found"),
        (status(403), "the server answered 403 Forbidden"),
        (empty, "the server answered 202 Accepted with an empty body .some sites send that to programs"),
        (sends_a_titled_page, "the server answered 403 Forbidden, saying: Access denied & logged"),
        (sends_no_number, "the server's answer makes no sense .a length of 'many'"),
        (never_ends, "the server's answer makes no sense .it sent more than 1,024,000 bytes"),
    ],
)
def test_what_will_not_get_better_is_said_at_once(server: Server, tmp_path: Path, behaviour: Callable, said: str):
    server.behaviours = [behaviour]
    with pytest.raises(
        DownloadError, match=rf"body.bin could not be downloaded .*{said}.*; try again later, put the file"
    ):
        fetch(server.file(), tmp_path)
    assert len(server.ranges) == 1
    assert not (tmp_path / "body.bin").exists()


def test_another_size_is_refused_before_it_is_downloaded(server: Server, tmp_path: Path):
    with pytest.raises(DownloadError, match="the server offers 1,024,000 bytes where 5 are due"):
        fetch(server.file(bytes=5), tmp_path)


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path):
    server.behaviours = [status(503), status(500)]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY


def test_a_server_that_stays_down_is_given_up(server: Server, tmp_path: Path):
    server.behaviours = [status(503)] * 10
    with pytest.raises(DownloadError, match="the server answered 503 Service Unavailable, 5 times"):
        fetch(server.file(), tmp_path)
    assert len(server.ranges) == 5


def test_a_body_that_always_breaks_off_keeps_what_there_is(server: Server, tmp_path: Path):
    server.behaviours = [breaks_off] * 3 + [status(503)] * 7
    with pytest.raises(DownloadError, match="5 times"):
        fetch(server.file(), tmp_path)
    kept = (tmp_path / "body.bin.part").stat().st_size
    assert 900_000 - 3 * web.CHUNK < kept <= 900_000
    server.behaviours = []
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={kept}-"


def test_a_machine_without_a_network_is_told_at_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    nowhere = replace(FILE, urls=("https://no-such-host.invalid/body.bin",))
    with pytest.raises(
        DownloadError, match="no such host is known .is this machine online.*folder that has local/body.bin"
    ):
        fetch(nowhere, tmp_path)
    assert pauses == []


def test_a_mirror_stands_in(server: Server, tmp_path: Path):
    server.behaviours = [status(404)]
    url = server.file().urls[0]
    assert fetch(replace(server.file(), urls=(url, url + "?mirror")), tmp_path).read_bytes() == BODY


def test_without_a_hash_the_kind_of_content_is_checked(server: Server, tmp_path: Path):
    with pytest.raises(DownloadError, match="its content is of another kind"):
        fetch(server.file(sha256=None, bytes=None, magic="1f8b"), tmp_path)
    assert fetch(server.file(sha256=None, bytes=None, magic="0001"), tmp_path).read_bytes() == BODY


def test_a_file_that_was_damaged_later_is_downloaded_again(server: Server, tmp_path: Path):
    fetch(server.file(), tmp_path).write_bytes(b"x" * len(BODY))
    assert fetch(server.file(), tmp_path).read_bytes() == BODY


def test_a_local_copy_is_taken_and_checked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "local").mkdir()
    local = tmp_path / "local" / "body.bin"
    local.write_bytes(BODY)
    monkeypatch.setenv("VCC_DATA", str(tmp_path))
    assert fetch(server.file(), tmp_path / "new") == local
    assert server.ranges == []
    local.write_bytes(b"x" * len(BODY))
    with pytest.raises(DownloadError, match="replace it, or unset VCC_DATA to download"):
        fetch(server.file(), tmp_path / "new")


def test_a_place_that_cannot_be_written_is_named(server: Server, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="cannot write .*file/x: Not a directory; choose another folder"):
        fetch(server.file(), tmp_path / "file" / "x")
