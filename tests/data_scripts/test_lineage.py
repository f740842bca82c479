import hashlib
import importlib.metadata
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from data_scripts import content
from data_scripts.catalogue import DataSet, RemoteFile
from data_scripts.content import describe
from data_scripts.lineage import find_place, lineage_path, read_lineage, write_lineage
from data_scripts.transfer.hashes import read_receipt, write_receipt
from starter.errors import InputError

ENTRY = DataSet(
    "toy", "A toy", "none", "CC0 1.0", "nowhere", "Nobody (1999)",
    (RemoteFile("raw.txt", ("http://a.org/raw.txt", "http://b.org/raw.txt"), local="toy/raw.txt"),
     RemoteFile("other.txt", ("http://a.org/other.txt",))),
)  # fmt: skip


def made(folder: Path, name: str, content: str, *inputs: Path, **parameters: object) -> Path:
    path = folder / name
    path.write_text(content)
    write_lineage(path, inputs, [ENTRY], parameters, __file__)
    return path


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_it_says_what_a_file_was_made_of(tmp_path: Path):
    raw = tmp_path / "downloads" / "raw.txt"
    raw.parent.mkdir()
    raw.write_text("raw")
    os.utime(raw, ns=(0, 1_700_000_000_123_456_789))
    found = read_lineage(lineage_path(made(tmp_path, "out.txt", "made", raw, k=3, names=("b", "a"), n=np.int64(7))))
    assert found["output"]["sha256"] == sha("made")
    assert found["output"]["bytes"] == 4
    (file,) = found["inputs"]
    assert file.pop("hashed")[:10] == datetime.now(UTC).isoformat()[:10]
    assert file == {
        "name": "raw.txt",
        "bytes": 3,
        "sha256": sha("raw"),
        "date": "2023-11-14T22:13:20.123456+00:00",
        "path": "downloads/raw.txt",
        "urls": ["http://a.org/raw.txt", "http://b.org/raw.txt"],
    }
    assert found["parameters"] == {"k": 3, "names": ["b", "a"], "n": 7}
    assert found["code"]["name"] == "test_lineage.py"
    assert found["code"]["sha256"] == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    assert found["code"]["version"].startswith("virtual-cell-course ")
    assert found["environment"]["libraries"]["numpy"] == importlib.metadata.version("numpy")
    assert found["environment"]["python"].count(".") == 2


def test_the_commit_is_that_of_the_builders_checkout(tmp_path: Path):
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], capture_output=True, check=True, text=True
        ).stdout

    git("init")
    for name in ("one.py", "two.py", "apart.py"):
        (tmp_path / name).write_text("pass\n")
    git("add", "one.py", "two.py")
    git("commit", "-m", "a")
    found = {}
    for name in ("one.py", "apart.py", "two.py"):
        if name == "two.py":
            (tmp_path / "two.py").write_text("changed\n")
        write_lineage(tmp_path / "one.py", [], [], {}, str(tmp_path / name))
        found[name] = read_lineage(tmp_path / "one.py.lineage.json")["code"]
    commit = git("rev-parse", "HEAD").strip()
    assert (found["one.py"]["commit"], found["one.py"]["changed_since"]) == (commit, False)
    assert (found["two.py"]["commit"], found["two.py"]["changed_since"]) == (commit, True)
    assert "commit" not in found["apart.py"]


def test_a_file_that_is_known_to_hold_something_else_has_no_address(tmp_path: Path):
    (tmp_path / "raw.txt").write_text("raw")
    wrong = DataSet("x", "", "", "", "", "", (RemoteFile("raw.txt", ("http://a.org/raw.txt",), sha256=sha("other")),))
    write_lineage(tmp_path / "raw.txt", [tmp_path / "raw.txt"], [wrong], {}, __file__)
    assert read_lineage(tmp_path / "raw.txt.lineage.json")["inputs"][0]["urls"] == []


def test_the_lineage_of_an_input_becomes_part_of_it(tmp_path: Path):
    first = made(tmp_path, "first.txt", "1", k=1)
    second = made(tmp_path, "second.txt", "2", first, k=2)
    third = read_lineage(lineage_path(made(tmp_path, "third.txt", "3", second, k=3)))
    (parent,) = third["inputs"]
    assert parent["lineage"]["parameters"] == {"k": 2}
    assert parent["lineage"]["inputs"][0]["lineage"]["parameters"] == {"k": 1}
    second.write_text("changed by hand")
    assert "lineage" not in read_lineage(lineage_path(made(tmp_path, "third.txt", "3", second)))["inputs"][0]


def test_data_in_the_folder_that_vcc_data_names_is_found_where_that_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "raw.txt").write_text("raw")
    monkeypatch.setenv("VCC_DATA", str(here))
    (tmp_path / "out").mkdir()
    found = read_lineage(lineage_path(made(tmp_path / "out", "out.txt", "x", here / "raw.txt")))
    assert found["inputs"][0]["path"] == "VCC_DATA/raw.txt"
    monkeypatch.setenv("VCC_DATA", str(there))
    assert find_place(found["inputs"][0]["path"], tmp_path / "out") == there / "raw.txt"


def test_a_recorded_hash_is_taken_while_the_file_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "_read_before", {})
    raw = tmp_path / "raw.txt"
    raw.write_text("raw")
    out = made(tmp_path, "out.txt", "x", raw)
    recorded = json.loads(lineage_path(out).read_text())
    recorded["inputs"][0] |= {"sha256": "f" * 64, "hashed": "2001-01-01T00:00:00+00:00"}
    lineage_path(out).write_text(json.dumps(recorded))
    content._read_before.clear()
    again = read_lineage(lineage_path(made(tmp_path, "out.txt", "x", raw)))["inputs"][0]
    assert (again["sha256"], again["hashed"]) == ("f" * 64, "2001-01-01T00:00:00+00:00")
    content._read_before.clear()
    raw.write_text("war")  # of the same size
    assert read_lineage(lineage_path(made(tmp_path, "out.txt", "x", raw)))["inputs"][0]["sha256"] == sha("war")


def test_a_download_says_when_it_came_and_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    raw = tmp_path / "raw.txt"
    raw.write_text("raw")
    write_receipt(raw, "http://mirror.org/raw.txt", {"sha256": sha("raw")}, {"etag": "1"})
    monkeypatch.setattr(
        content, "read_hash", lambda path: sha(path.read_text()) if path != raw else pytest.fail("read")
    )
    (found,) = read_lineage(lineage_path(made(tmp_path, "out.txt", "x", raw)))["inputs"]
    assert found["received"] == found["hashed"] == read_receipt(raw)["date"]
    assert found["urls"] == ["http://mirror.org/raw.txt", "http://a.org/raw.txt", "http://b.org/raw.txt"]
    assert found["sha256"] == sha("raw")


def test_a_file_is_read_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a"
    path.write_text("a")
    read = []
    monkeypatch.setattr(content, "read_hash", lambda path: read.append(path) or "0" * 64)
    assert [describe(path)["sha256"] for _ in range(2)] == ["0" * 64] * 2
    assert read == [path]


def test_a_folder_is_named_by_all_its_files(tmp_path: Path):
    folder = tmp_path / "a.zarr"
    (folder / "X").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / "X" / "0").write_text("00")
    found = describe(folder)
    assert (found["bytes"], found["files"]) == (4, 2)
    assert found["sha256"] == sha(f"X/0 {sha('00')}\nzarr.json {sha('{}')}\n")
    (folder / "X" / "0").rename(folder / "X" / "1")
    assert describe(folder)["sha256"] != found["sha256"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no lineage (Expecting property name"),
        ("[1]", "is no lineage: it does not say what it describes; build its file again"),
        ('{"output": {"name": "x"}}', "is no lineage: it does not say what it describes"),
    ],
)
def test_what_is_no_lineage_is_refused(tmp_path: Path, content: str, said: str):
    path = tmp_path / "a.lineage.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_lineage(path)
    assert said in str(error.value)


def test_an_input_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read .*none.txt: No such file or directory"):
        made(tmp_path, "out.txt", "x", tmp_path / "none.txt")
