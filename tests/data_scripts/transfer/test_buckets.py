"""Objects in buckets, against a server on this machine that answers as Google's does."""

import base64
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest

from data_scripts import download
from data_scripts.catalogue import RemoteFile
from data_scripts.download import DownloadError, fetch
from data_scripts.transfer import buckets
from starter.errors import InputError

OBJECTS = {
    "atlas/h5ad/plate10.h5ad": b"\x89HDF ten" * 1000,
    "atlas/h5ad/plate2.h5ad": b"\x89HDF two" * 900,
    "atlas/metadata/plates.csv": b"plate\n2\n10\n",
    "a b+c.csv": b"1",
}
PAYS = (
    b"<?xml version='1.0'?><Error><Code>UserProjectMissing</Code><Message>User project specified in the request is "
    b"invalid.</Message><Details>Bucket is a requester pays bucket but no user project provided.</Details></Error>"
)


def crc32c(body: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(body).digest()).decode()


class Bucket(http.server.BaseHTTPRequestHandler):
    asked: list[str]
    damaged = False

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path, _, query = self.path.partition("?")
        if path == "/storage/v1/b/open/o":
            self.list_objects(dict(urllib.parse.parse_qsl(query)))
        elif path.startswith("/open/") and (name := urllib.parse.unquote(path[6:])) in OBJECTS:
            body = OBJECTS[name]
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            sent = body[start:] if not self.damaged else b"x" * len(body[start:])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("ETag", f'"{name}"')
            self.send_header("x-goog-hash", f"crc32c={crc32c(body)},md5=unused==")
            self.end_headers()
            self.wfile.write(sent)
        else:
            self.send_response(400 if path.startswith("/paid/") else 403)
            self.send_header("Content-Length", str(len(PAYS)))
            self.end_headers()
            self.wfile.write(PAYS if path.startswith("/paid/") else PAYS[:0].ljust(len(PAYS)))

    def list_objects(self, asked: dict[str, str]) -> None:
        names = sorted(name for name in OBJECTS if name.startswith(asked["prefix"]))
        number = int(asked.get("pageToken") or 0)  # a page for every object
        content: dict = {}
        if number < len(names):
            body = OBJECTS[names[number]]
            content["items"] = [{"name": names[number], "size": str(len(body)), "crc32c": crc32c(body)}]
        if number + 1 < len(names):
            content["nextPageToken"] = str(number + 1)
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Bucket]]:
    handler = type("Handler", (Bucket,), {"asked": [], "damaged": False})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(buckets, "GOOGLE", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(buckets, "AMAZON", f"http://127.0.0.1:{server.server_port}/{{bucket}}")
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.delenv("VCC_DATA", raising=False)
    yield handler
    server.shutdown()
    server.server_close()


def test_addresses_on_the_web():
    assert buckets.address_of("gs://atlas/2025/a b.h5ad") == "https://storage.googleapis.com/atlas/2025/a%20b.h5ad"
    assert buckets.address_of("s3://bio/public/x.h5ad") == "https://bio.s3.amazonaws.com/public/x.h5ad"
    assert buckets.address_of("https://host/x?download=1") == "https://host/x?download=1"


def test_an_object_is_downloaded_and_compared_with_its_stated_hash(server: type[Bucket], tmp_path: Path):
    for scheme in ("gs", "s3"):
        file = RemoteFile("a.csv", (f"{scheme}://open/a b+c.csv",))
        assert fetch(file, tmp_path / scheme).read_bytes() == b"1"
    server.damaged = True
    with pytest.raises(DownloadError, match="gs://open/a b.c.csv: it arrived damaged: its CRC32C is .*, the server's"):
        fetch(RemoteFile("a.csv", ("gs://open/a b+c.csv",)), tmp_path / "damaged")


def test_an_unfinished_object_is_gone_on_with(server: type[Bucket], tmp_path: Path):
    body = OBJECTS["atlas/h5ad/plate2.h5ad"]
    file = RemoteFile("plate2.h5ad", ("gs://open/atlas/h5ad/plate2.h5ad",), bytes=len(body), crc32c=crc32c(body))
    (tmp_path / "plate2.h5ad.part").write_bytes(body[:1000])
    assert fetch(file, tmp_path).read_bytes() == body


def test_names_with_a_star_are_listed(server: type[Bucket]):
    files = [
        RemoteFile("*.h5ad", ("gs://open/atlas/h5ad/*.h5ad",), local="atlas/*.h5ad"),
        RemoteFile("plates.csv", ("gs://open/atlas/metadata/plates.csv",)),
    ]
    listed = buckets.chosen(files, [])
    assert [(file.name, file.bytes, file.urls, file.local) for file in listed] == [
        ("plate10.h5ad", 8000, ("gs://open/atlas/h5ad/plate10.h5ad",), "atlas/plate10.h5ad"),
        ("plate2.h5ad", 7200, ("gs://open/atlas/h5ad/plate2.h5ad",), "atlas/plate2.h5ad"),
        ("plates.csv", None, ("gs://open/atlas/metadata/plates.csv",), None),
    ]
    assert listed[0].crc32c == crc32c(OBJECTS["atlas/h5ad/plate10.h5ad"])
    assert [file.name for file in buckets.chosen(files, ["plate2*", "*.csv"])] == ["plate2.h5ad", "plates.csv"]
    server.asked.clear()
    assert buckets.chosen(files, ["plates*"]) == files[1:]
    assert server.asked == []
    with pytest.raises(InputError, match="no file is named 'plate3'; there are plate10.h5ad, plate2.h5ad, plates.csv"):
        buckets.chosen(files, ["plate3"])


def test_what_cannot_be_listed_is_said(server: type[Bucket]):
    with pytest.raises(InputError, match=r"gs://open/none/\*.h5ad matches no object; see whether the bucket has moved"):
        buckets.chosen([RemoteFile("*.h5ad", ("gs://open/none/*.h5ad",))], [])
    with pytest.raises(InputError, match=r"gs://shut/\*.h5ad cannot be listed"):
        buckets.chosen([RemoteFile("*.h5ad", ("gs://shut/*.h5ad",))], [])


def test_a_bucket_whose_reader_pays_is_named_as_one(server: type[Bucket], tmp_path: Path):
    with pytest.raises(
        DownloadError, match="the bucket is requester-pays, so it is not read without an account; .*gs://paid/x.h5ad"
    ):
        fetch(RemoteFile("x.h5ad", ("gs://paid/x.h5ad",)), tmp_path)
