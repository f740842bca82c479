"""Downloads against a server on this machine that breaks off, lies, and recovers."""

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_scripts import download
from data_scripts.catalogue import RemoteFile, catalogue, data_set
from data_scripts.download import DownloadError, fetch
from starter.errors import InputError

BODY = bytes(range(256)) * 4_000  # 1,024,000 bytes
FILE = RemoteFile("body.bin", (), "local/body.bin", len(BODY), hashlib.sha256(BODY).hexdigest())


class Server:
    """Answers with one behaviour after the other, then as it should; remembers what was asked."""

    def __init__(self) -> None:
        self.behaviours: list[Callable] = []
        self.ranges: list[str | None] = []
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


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path):
    path = fetch(server.file(), tmp_path / "new")
    assert path.read_bytes() == BODY
    assert fetch(server.file(), tmp_path / "new") == path
    assert server.ranges == [None]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["body.bin"]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path):
    server.behaviours = [breaks_off, breaks_off]
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    begun = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.ranges[1:]]
    assert server.ranges[0] is None
    assert len(begun) == 2
    assert 300_000 - download.CHUNK < begun[0] <= 300_000
    assert begun[0] + 300_000 - download.CHUNK < begun[1] <= begun[0] + 300_000


def test_an_unfinished_download_of_an_earlier_run_is_taken_up(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(BODY[:777_000])
    assert fetch(server.file(), tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=777000-"]


def test_without_a_hash_an_earlier_runs_start_is_not_trusted(server: Server, tmp_path: Path):
    (tmp_path / "body.bin.part").write_bytes(b"?" * 1000)
    assert fetch(server.file(sha256=None, magic="0001"), tmp_path).read_bytes() == BODY
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
    assert list(tmp_path.iterdir()) == []
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
        (sends_a_page, "the server sent a web page instead of the file"),
        (status(404), "the server answered 404 Not Found"),
        (status(403), "the server answered 403 Forbidden"),
        (empty, "the server answered 202 Accepted"),
        (sends_no_number, "the server's answer makes no sense .ValueError"),
        (never_ends, "the server's answer makes no sense .ValueError: the server sent more than 1,024,000 bytes"),
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
    with pytest.raises(DownloadError, match="the connection broke .ConnectionError., 5 times"):
        fetch(server.file(), tmp_path)
    assert len(server.ranges) == 5


def test_a_body_that_always_breaks_off_keeps_what_there_is(server: Server, tmp_path: Path):
    server.behaviours = [breaks_off] * 3 + [status(503)] * 7
    with pytest.raises(DownloadError, match="5 times"):
        fetch(server.file(), tmp_path)
    kept = (tmp_path / "body.bin.part").stat().st_size
    assert 900_000 - 3 * download.CHUNK < kept <= 900_000
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
    with pytest.raises(DownloadError, match="cannot write to .*file/x: Not a directory; choose another folder"):
        fetch(server.file(), tmp_path / "file" / "x")


def test_the_catalogue_is_complete():
    entries = catalogue()
    stand_ins = {"go": "go_terms", "reactome": "reactome_gmt", "dorothea": "dorothea_abc"}
    stand_ins["string_v12"] = "string_v12_symbols"
    at_hand = {"replogle_ranks", "gene_names"}
    others = ["norman_k562", "pbmc68k", "replogle_ranks", "vcc2025_genes", "core_essential", "gene_names"]
    assert list(entries) == ["papalexi_thp1", *(n for pair in stand_ins.items() for n in pair), "scgpt_human", *others]
    assert {name: entry.stand_in for name, entry in entries.items() if entry.stand_in} == stand_ins
    for entry in entries.values():
        assert entry.licence
        assert "doi:10." in entry.citation
        for file in entry.files:
            assert file.urls or entry.name in {*stand_ins.values(), *at_hand}
            assert all(url.startswith("https://") and url.endswith("/" + file.name) for url in file.urls)
            assert (file.sha256 and re.fullmatch("[0-9a-f]{64}", file.sha256)) or file.magic
            assert file.local
    assert (
        data_set("papalexi_thp1")
        .files[0]
        .urls[0]
        .startswith("https://raw.githubusercontent.com/Katsevich-Lab/sceptredata/")
    )
    with pytest.raises(InputError, match="no data set 'nobody'; it has papalexi_thp1"):
        data_set("nobody")
