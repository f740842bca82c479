import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import pytest

from data_scripts.catalogue import DataSet, RemoteFile
from data_scripts.lineage import write_lineage
from data_scripts.transfer.hashes import hashes_of, write_receipt
from data_scripts.verification import files
from data_scripts.verification.files import verify
from starter.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")


@pytest.fixture
def screen(small_path: Path, tmp_path: Path) -> Path:
    path = tmp_path / "screen.h5ad"
    shutil.copy(small_path, path)
    write_lineage(path, [], [], {}, __file__)
    return path


def faults(path: Path) -> list[str]:
    return [fault for each in verify(path) for fault in each.faults]


def test_a_screen_agrees_with_its_lineage_and_the_rules(screen: Path):
    (found,) = verify(screen)
    assert found.held_against == ("its lineage", "the rules of a course data set")
    assert found.faults == ()
    assert verify(screen.with_name("screen.h5ad.lineage.json")) == [found]


def test_other_content_of_the_same_size_and_date_is_found(screen: Path):
    content = bytearray(screen.read_bytes())
    times = screen.stat().st_mtime_ns
    content[-1] ^= 1
    screen.write_bytes(content)
    os.utime(screen, ns=(times, times))
    (fault,) = faults(screen)
    assert fault.startswith(f"{screen} has the SHA-256 ")
    assert fault.endswith("... as its lineage says; build or copy it again")


def test_a_truncated_file_is_found(screen: Path):
    size = screen.stat().st_size
    screen.write_bytes(screen.read_bytes()[:-100])
    said = f"{screen} has {size - 100:,} bytes, and not {size:,} as its lineage says; build or copy it again"
    assert faults(screen) == [said]


def test_each_broken_rule_is_a_sentence(screen: Path):
    adata = anndata.read_h5ad(screen)
    adata.X.data[0], adata.X.data[1] = -1, 0.5
    adata.write_h5ad(screen)
    write_lineage(screen, [], [], {}, __file__)
    assert faults(screen) == [
        f"{screen}: negative values in X: 1; store raw counts, not scaled data",
        f"{screen}: values in X that are not whole numbers: 1 of {adata.X.nnz:,}; store raw UMI counts; "
        "starter.data.preprocess makes logs of them",
    ]


def test_a_folder_is_verified_file_by_file(screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entry = DataSet("a", *[""] * 5, (RemoteFile("got.txt", (), bytes=3),))
    monkeypatch.setattr(files, "catalogue", lambda: {"a": entry})
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "got.txt").write_text("123")
    (tmp_path / "more" / "notes.txt").write_text("nobody knows of it")
    (tmp_path / "table.tsv").write_text("x")
    write_lineage(tmp_path / "table.tsv", [], [], {}, __file__)
    found = {each.path.name: (each.held_against, each.faults) for each in verify(tmp_path)}
    assert found == {
        "got.txt": (("the catalogue (a)",), ()),
        "screen.h5ad": (("its lineage", "the rules of a course data set"), ()),
        "table.tsv": (("its lineage",), ()),
    }
    (tmp_path / "more" / "got.txt").write_text("1234")
    (tmp_path / "table.tsv").unlink()
    (tmp_path / "big.h5ad.part").write_text("half")
    assert faults(tmp_path) == [
        f"{tmp_path}/big.h5ad.part is unfinished; run again what was writing it, or delete it",
        f"{tmp_path}/more/got.txt is not as the catalogue has it (a): it has 4 bytes and should have 3; delete it and "
        "fetch it again",
        f"{tmp_path}/table.tsv is not there, and its lineage is; build it again, or delete table.tsv.lineage.json",
    ]


def test_a_download_is_as_it_was_received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "catalogue", dict)
    path = tmp_path / "got.txt"
    path.write_text("123")
    write_receipt(path, "http://a.org/got.txt", hashes_of(path, ("sha256", "md5")), {})
    assert [(each.held_against, each.faults) for each in verify(tmp_path)] == [(("what was received",), ())]
    times = path.stat().st_mtime_ns
    path.write_text("132")
    os.utime(path, ns=(times, times))
    assert [fault.rpartition(" was ")[0] for fault in faults(path)] == [
        f"{path} has changed since it was received: its SHA-256", f"{path} has changed since it was received: its MD5",
    ]  # fmt: skip
    path.write_text("12")
    assert faults(path) == [f"{path} has 2 bytes, and had 3 when it was received; delete it and fetch it again"]
    (tmp_path / "got.txt.received.json").write_text("{")
    assert faults(path) == [f"got.txt.received.json is damaged (JSONDecodeError); fetch {path} again"]


def test_the_folder_one_stands_in_is_verified(screen: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(screen.parent)
    assert [(str(each.path), each.faults) for each in verify(".")] == [("screen.h5ad", ())]


def test_a_zarr_store_is_verified_as_one(screen: Path, tmp_path: Path):
    store = tmp_path / "screen.zarr"
    anndata.read_h5ad(screen).write_zarr(store)
    write_lineage(store, [], [], {}, __file__)
    assert [(each.path.name, each.faults) for each in verify(tmp_path)] == [("screen.h5ad", ()), ("screen.zarr", ())]
    next((store / "X" / "data").rglob("0")).write_bytes(b"x")
    (fault,) = faults(store)
    assert "bytes, and not " in fault


def test_a_file_of_which_nothing_is_known_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    for path, whose in ((tmp_path / "notes.txt", "it"), (tmp_path, "a file in it")):
        with pytest.raises(InputError) as error:
            verify(path)
        assert f"nothing says what {path} should be: no lineage stands beside {whose}, the cat" in str(error.value)
    with pytest.raises(InputError, match="there is no .*none; name a file or a folder that is there"):
        verify(tmp_path / "none")


def test_the_command_ends_with_status_2_and_a_sentence(screen: Path):
    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "data_scripts", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    ended = run("verify", screen)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{screen}: agrees with its lineage and the rules of a course data set\n"
    other = screen.with_name("other.h5ad")
    adata = anndata.read_h5ad(screen)
    adata.X.data[0] += 1
    adata.write_h5ad(other)
    ended = run("verify", screen, "--against", other)
    assert ended.returncode == 2
    assert f"{screen} differs from {other}" in ended.stdout
    assert ended.stderr.startswith("error: X: 1 of ")


def test_what_was_made_here_may_be_named_as_a_download(screen: Path):
    named = screen.with_name("devel.h5ad")  # PerturBench's fixture in the catalogue, of another size
    screen.rename(named)
    write_lineage(named, [], [], {}, __file__)
    assert [each.faults for each in verify(named)] == [()]
    named.with_name("devel.h5ad.lineage.json").unlink()
    (fault,) = faults(named)
    assert "is not as the catalogue has it (norman_k562)" in fault
