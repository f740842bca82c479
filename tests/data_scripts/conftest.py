"""Small files in the publishers' formats, at addresses on this machine."""

import functools
import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_scripts import download, scgpt
from data_scripts.catalogue import DataSet, data_set
from data_scripts.priors import embeddings, gene_tables
from data_scripts.screens import build as screens


class Handler(http.server.SimpleHTTPRequestHandler):
    """Sends whole files, and byte ranges of them."""

    sent = 0
    """Bytes sent in ranges."""

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        start, size = int(asked[1]), path.stat().st_size
        end = min(int(asked[2] or size - 1), size - 1)
        self.send_response(206)
        self.send_header("Content-Length", str(end - start + 1))
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        self.end_headers()
        with path.open("rb") as file:
            file.seek(start)
            self.wfile.write(file.read(end - start + 1))
        Handler.sent += end - start + 1

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DataSet]]:
    """Put the files of a data set at addresses on this machine; the catalogue gives these, with their hashes.

    A file that is None is announced and not there.
    """
    folder = tmp_path / "published"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entries = {}

    def put(name: str, *contents: bytes | None) -> DataSet:
        entry = data_set(name)
        files = []
        for file, content in zip(entry.files, contents, strict=True):
            url = f"http://127.0.0.1:{server.server_port}/{file.name}"
            (folder / file.name).unlink(missing_ok=True)
            if content is not None:
                (folder / file.name).write_bytes(content)
            due = hashlib.sha256(content or b"").hexdigest()
            files.append(replace(file, urls=(url,), bytes=None, sha256=due, md5=None, crc32c=None, magic=None))
        entries[name] = replace(entry, files=tuple(files), cells=None, genes=None)
        return entries[name]

    for module in (download, screens, embeddings, gene_tables, scgpt):
        monkeypatch.setattr(module, "data_set", lambda name: entries.get(name) or data_set(name))
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.delenv("VCC_DATA", raising=False)
    yield put
    server.shutdown()
    server.server_close()
