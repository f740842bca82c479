"""Packed text, and archives that are not what they seem."""

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from data_scripts.formats.packed import lines
from starter.errors import InputError

TEXT = "first\nsecond é\r\n\nlast"


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


PACKED = {"plain": TEXT.encode(), "gzip": gzip.compress(TEXT.encode()), "zip": zipped(text=TEXT.encode())}


@pytest.mark.parametrize("kind", PACKED)
def test_however_it_is_packed_the_lines_are_the_same(tmp_path: Path, kind: str):
    path = tmp_path / "text"
    path.write_bytes(PACKED[kind])
    assert list(lines(path, 100)) == ["first", "second é", "", "last"]


@pytest.mark.parametrize("kind", PACKED)
def test_the_limit_is_that_of_the_text(tmp_path: Path, kind: str):
    path = tmp_path / "text"
    path.write_bytes(PACKED[kind])
    n_bytes = len(TEXT.encode())
    assert len(list(lines(path, n_bytes))) == 4
    with pytest.raises(InputError, match=f"text unpacks to more than {n_bytes - 1} bytes, so it is not what was exp"):
        list(lines(path, n_bytes - 1))


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: zipped(bomb=content)], ids=["gzip", "zip"])
def test_a_bomb_fills_neither_memory_nor_disk(tmp_path: Path, pack):
    path = tmp_path / "bomb"
    path.write_bytes(pack(bytes(1 << 25)))  # 32 MiB in one line
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="bomb unpacks to more than 1,000 bytes"):
            list(lines(path, 1_000))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4_000_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped(), "holds 0 files where one is due"),
        (zipped(one=b"1", two=b"2"), "holds 2 files where one is due; download it again"),
        (PACKED["gzip"][:-12], "cannot be read .*; download it again"),
        (PACKED["zip"][:-30], "cannot be read .*; download it again"),
        (PACKED["gzip"][:12] + b"\xff\xff\xff" + PACKED["gzip"][15:], "cannot be read .*; download it again"),
        (b"caf\xe9\n", "cannot be read .*utf-8.*; download it again"),
    ],
    ids=["empty zip", "two files", "cut gzip", "cut zip", "damaged gzip", "latin-1"],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(lines(path, 1_000))


def test_what_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(InputError, match="nothing cannot be read .*No such file"):
        list(lines(tmp_path / "nothing", 10))
    with pytest.raises(InputError, match="cannot be read .*Is a directory"):
        list(lines(tmp_path, 10))
