"""LaminDB 2.12.1 itself is tried by hand, in an environment of its own; here a stand-in writes down what it is told."""

import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from data_scripts.catalogue import DataSet, RemoteFile
from data_scripts.history.lamin import register
from data_scripts.lineage import write_lineage
from starter.errors import InputError

ENTRY = DataSet("toy", "", "", "CC0 1.0", "", "", (RemoteFile("raw.txt", ("http://a.org/raw.txt",)),))


class Record:
    def __init__(self, *of: object, **stated: object) -> None:
        self.of, self.stated, self.inputs = of, stated, []
        self.input_artifacts = SimpleNamespace(add=lambda *given: self.inputs.extend(given))

    def save(self) -> "Record":
        return self


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    made = []

    def artifact(path: str, **stated: object) -> Record:
        made.append(Record(path, **stated))
        return made[-1]

    settings = SimpleNamespace(instance=SimpleNamespace(is_on_hub=False))
    stand_in = SimpleNamespace(Artifact=artifact, Transform=Record, Run=Record)
    monkeypatch.setitem(sys.modules, "lamindb", stand_in)
    monkeypatch.setitem(sys.modules, "lamindb_setup", SimpleNamespace(settings=settings))
    return made


@pytest.fixture
def end(tmp_path: Path) -> Path:
    """raw.txt and table.tsv made mid.txt; mid.txt and raw.txt made end.txt."""
    for name in ("raw.txt", "table.tsv", "mid.txt", "end.txt"):
        (tmp_path / name).write_text(name)
    write_lineage(tmp_path / "mid.txt", [tmp_path / "raw.txt", tmp_path / "table.tsv"], [ENTRY], {"k": 5}, __file__)
    write_lineage(tmp_path / "end.txt", [tmp_path / "mid.txt", tmp_path / "raw.txt"], [ENTRY], {}, __file__)
    return tmp_path / "end.txt"


def test_each_file_is_registered_once_with_the_run_that_made_it(end: Path, artifacts: list[Record]):
    assert register(end) == (4, [])
    by_name = {one.stated["key"]: one for one in artifacts}
    assert [Path(one.of[0]).resolve() for one in artifacts] == [
        end.with_name(name) for name in ("raw.txt", "table.tsv", "mid.txt", "end.txt")
    ]
    assert by_name["raw.txt"].stated["run"] is by_name["table.tsv"].stated["run"] is False
    assert by_name["raw.txt"].stated["description"] == "raw.txt, from http://a.org/raw.txt"
    run = by_name["mid.txt"].stated["run"]
    assert run.inputs == [by_name["raw.txt"], by_name["table.tsv"]]
    assert run.stated["params"] == {"k": 5}
    assert run.of[0].stated["key"] == "data_scripts/test_lamin.py"
    assert by_name["end.txt"].stated["run"].inputs == [by_name["mid.txt"], by_name["raw.txt"]]


def test_what_is_missing_is_left_out(end: Path, artifacts: list[Record]):
    end.with_name("table.tsv").unlink()
    assert register(end) == (3, ["table.tsv"])
    assert artifacts[1].stated["run"].inputs == [artifacts[0]]


def test_without_its_hub_nothing_is_registered(end: Path, artifacts: list[Record], monkeypatch: pytest.MonkeyPatch):
    class Offline:
        @property
        def is_on_hub(self) -> bool:
            raise OSError("Name or service not known")

    settings = SimpleNamespace(instance=Offline())
    monkeypatch.setitem(sys.modules, "lamindb_setup", SimpleNamespace(settings=settings))
    with pytest.raises(
        InputError, match="LaminDB asks hub.lamin.ai before it registers a file, and that failed .OSErr"
    ):
        register(end)
    assert artifacts == []


def test_where_it_is_not_installed_it_says_how(end: Path):
    with (
        mock.patch.dict(sys.modules, {"lamindb": None}),
        pytest.raises(InputError, match="lamindb is not installed here; pip install lamindb==2.12.1 .some 120 package"),
    ):
        register(end)
