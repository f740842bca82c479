import hashlib
import json
from pathlib import Path

import pytest

from data_scripts.catalogue import DataSet, RemoteFile
from data_scripts.history.croissant import write_croissant
from data_scripts.lineage import write_lineage
from starter.errors import InputError

ENTRY = DataSet(
    "toy", "A toy", "none", "CC0 1.0", "nowhere.org", "Nobody (1999)",
    (RemoteFile("raw.txt", ("http://a.org/raw.txt",)),),
)  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("gene\tscore\tshare\nA1\t7\t0.5\nB2\t3\t1.5\n")
    (tmp_path / "raw.txt").write_text("raw")
    write_lineage(path, [tmp_path / "raw.txt"], [ENTRY], {}, __file__)
    return path


def test_it_says_what_the_lineage_says(table: Path, tmp_path: Path):
    write_croissant(table, tmp_path / "croissant.json")
    found = json.loads((tmp_path / "croissant.json").read_text())
    assert found["license"] == ["CC0 1.0"]
    assert found["citeAs"] == "Nobody (1999)"
    (file,) = found["distribution"]
    assert file["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert file["contentSize"] == f"{table.stat().st_size} B"
    (origin,) = found["prov:wasDerivedFrom"]
    assert origin == {"@id": "http://a.org/raw.txt", "name": "raw.txt", "sha256": hashlib.sha256(b"raw").hexdigest()}
    fields = {field["name"]: field["dataType"] for field in found["recordSet"][0]["field"]}
    assert fields == {"gene": "sc:Text", "score": "sc:Integer", "share": "sc:Float"}


def test_of_a_store_each_file_is_named_and_no_records_are_announced(tmp_path: Path):
    store = tmp_path / "a.zarr"
    (store / "X").mkdir(parents=True)
    for name in ("zarr.json", "X/0"):
        (store / name).write_text(name)
    write_lineage(store, [], [ENTRY], {}, __file__)
    write_croissant(store, tmp_path / "croissant.json")
    found = json.loads((tmp_path / "croissant.json").read_text())
    assert {file["@id"]: file["sha256"] for file in found["distribution"]} == {
        f"a.zarr/{name}": hashlib.sha256(name.encode()).hexdigest() for name in ("zarr.json", "X/0")
    }
    assert "recordSet" not in found


def test_the_standards_own_tool_reads_it(table: Path, tmp_path: Path):
    mlcroissant = pytest.importorskip("mlcroissant")
    write_croissant(table, tmp_path / "croissant.json")
    dataset = mlcroissant.Dataset(tmp_path / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert list(dataset.records("rows")) == [
        {"rows/gene": b"A1", "rows/score": 7, "rows/share": 0.5},
        {"rows/gene": b"B2", "rows/score": 3, "rows/share": 1.5},
    ]


def test_a_file_that_changed_since_is_not_described(table: Path, tmp_path: Path):
    table.write_text("gene\n")
    with pytest.raises(InputError, match="pairs.tsv is not as its lineage says .changed since.; build it again"):
        write_croissant(table, tmp_path / "croissant.json")
    assert not (tmp_path / "croissant.json").exists()
