import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse
from cell_screens import GENES, screen, source_of, store

from data_scripts.history.ancestors import State, read_output
from data_scripts.pieces import write as module
from data_scripts.pieces.folder import open_pieces
from data_scripts.pieces.source import Source, open_source
from data_scripts.pieces.write import write_pieces
from data_scripts.verification.files import verify
from starter.data.dataset import read_screen
from starter.errors import InputError


def cut(folder: Path, *paths: Path, **options: object) -> Path:
    with open_source(paths) as source:
        return write_pieces(source, folder, **options)


def joined(folder: Path) -> anndata.AnnData:
    return anndata.concat([read_screen(path) for path in open_pieces(folder).paths])


@pytest.mark.parametrize("kind", ["zarr", "h5ad"])
def test_pieces_hold_the_cells_in_order(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    adata = screen(50)
    folder = cut(tmp_path / "pieces", store(adata, tmp_path / "a.h5ad"), cells=20, kind=kind)
    pieces = open_pieces(folder)
    assert [path.name for path in pieces.paths] == [f"piece-0000{number}.{kind}" for number in range(3)]
    assert pieces.n_cells.tolist() == [20, 20, 10]
    assert list(pieces.genes) == GENES
    assert pieces.course["target_sum"] == 21
    found = joined(folder)
    assert (found.X != adata.X).nnz == 0
    assert list(found.obs_names) == list(adata.obs_names)
    for column in adata.obs:
        assert found.obs[column].astype(str).tolist() == adata.obs[column].astype(str).tolist(), column
    assert [each.faults for each in verify(folder)] == [()] * 4
    made = read_output(folder / "pieces.json")
    assert [(one.name, one.state) for one in made.all()] == [("pieces.json", State.same), ("a.h5ad", State.same)]


def test_shards_hold_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from data_scripts.pieces import sharded

    monkeypatch.setattr(sharded, "CHUNK", 8)
    monkeypatch.setattr(sharded, "SHARD", 32)
    monkeypatch.setattr(module, "BLOCK", 7)
    adata = screen(60)
    folder = cut(tmp_path / "pieces", store(adata, tmp_path / "a.h5ad"), cells=40)
    assert (joined(folder).X != adata.X).nnz == 0
    first = read_screen(folder / "piece-00000.zarr")
    files = list((folder / "piece-00000.zarr" / "X" / "data" / "c").iterdir())
    assert len(files) == -(-first.X.nnz // 32)
    meta = json.loads((folder / "piece-00000.zarr" / "X" / "data" / "zarr.json").read_text())
    assert meta["codecs"][0]["name"] == "sharding_indexed"


def test_files_are_read_one_after_the_other(tmp_path: Path):
    one, two = screen(30, seed=1), screen(25, seed=2, batches=3, target_sum=30.0)
    two.obs["more"] = 1
    two.X = scipy.sparse.csr_matrix(two.X)
    paths = [store(one, tmp_path / "1.h5ad"), store(two, tmp_path / "2.h5ad")]
    folder = cut(tmp_path / "pieces", *paths, cells=22)
    found = joined(folder)
    assert (scipy.sparse.vstack([one.X, two.X]) != found.X).nnz == 0
    names = [*(f"{name}-1" for name in one.obs_names), *(f"{name}-2" for name in two.obs_names)]
    assert list(found.obs_names) == names
    assert found.obs["batch"].astype(str).tolist() == [*one.obs["batch"], *two.obs["batch"]]
    assert "more" not in found.obs
    controls = found.obs.loc[found.obs["target_gene"] == "non-targeting", "n_umis"]
    assert open_pieces(folder).course["target_sum"] == np.median(controls)


def test_what_has_no_totals_gets_those_of_its_counts(tmp_path: Path):
    adata = screen(30)
    del adata.obs["n_umis"]
    folder = cut(tmp_path / "pieces", store(adata, tmp_path / "a.h5ad"), cells=20)
    assert joined(folder).obs["n_umis"].tolist() == np.asarray(adata.X.sum(axis=1)).ravel().tolist()


def test_it_goes_on_where_it_stopped(tmp_path: Path):
    adata = screen(50)
    read = []

    def reading(until: int) -> Source:
        def counts(start: int, stop: int) -> scipy.sparse.csr_matrix:
            if start >= until:
                raise KeyboardInterrupt
            read.append(start)
            return adata.X[start:stop]

        return source_of(adata, counts)

    with pytest.raises(KeyboardInterrupt):
        write_pieces(reading(30), tmp_path / "pieces", cells=10)
    with pytest.raises(InputError, match="pieces has 3 of 5 pieces; run the command that writes them again, to go on"):
        open_pieces(tmp_path / "pieces")
    assert [each.name for each in sorted((tmp_path / "pieces").glob(".*"))] == []
    write_pieces(reading(99), tmp_path / "pieces", cells=10)
    assert read == [0, 10, 20, 30, 40]
    assert (joined(tmp_path / "pieces").X != adata.X).nnz == 0


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from cell_screens import screen, source_of
from data_scripts.pieces.write import write_pieces
from data_scripts.pieces import write
write.BLOCK = 5
adata = screen(50)
def counts(start, stop):
    if start == 15:
        print("half a piece", flush=True)
        time.sleep(60)
    return adata.X[start:stop]
write_pieces(source_of(adata, counts), {folder!r}, cells=10, kind={kind!r})
"""


@pytest.mark.slow  # starts a Python of its own
@pytest.mark.parametrize("kind", ["zarr", "h5ad"])
def test_half_a_piece_is_not_counted_after_the_work_was_killed(tmp_path: Path, kind: str):
    folder = tmp_path / "pieces"
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]), folder=str(folder), kind=kind)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "half a piece\n"
        time.sleep(0.2)
        with pytest.raises(InputError, match="another process writes .*pieces; wait until it is done, or choose"):
            write_pieces(source_of(screen(50)), folder, cells=10, kind=kind)
        child.send_signal(signal.SIGKILL)
    left = {path.name for path in folder.iterdir()}
    assert {"plan.json", f"piece-00000.{kind}"} < left
    assert len(left) == 3  # and what was being written
    assert not (folder / f"piece-00001.{kind}").exists()
    with pytest.raises(InputError, match="has 1 of 5 pieces"):
        open_pieces(folder)
    adata = screen(50)
    source = source_of(adata)
    write_pieces(source, folder, cells=10, kind=kind)
    assert (joined(folder).X != adata.X).nnz == 0
    assert {path.name for path in folder.glob(".*")} == set()


def test_other_pieces_are_not_mixed_in(tmp_path: Path):
    path = store(screen(50), tmp_path / "a.h5ad")
    folder = cut(tmp_path / "pieces", path, cells=20)
    with pytest.raises(InputError, match="pieces holds pieces of other cells; choose another folder"):
        cut(folder, path, cells=10)
    adata = screen(50)
    adata.X[0, 0] += 1
    path.unlink()
    with pytest.raises(InputError, match="pieces holds pieces of other inputs; choose another folder"):
        cut(folder, store(adata, path), cells=20)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x").touch()
    with pytest.raises(InputError, match="notes holds something else than pieces; choose another folder"):
        cut(tmp_path / "notes", path)


def test_a_piece_that_is_missing_or_damaged_is_found(tmp_path: Path):
    folder = cut(tmp_path / "pieces", store(screen(50), tmp_path / "a.h5ad"), cells=20)
    next((folder / "piece-00001.zarr" / "X" / "data" / "c").iterdir()).write_bytes(b"x")
    (folder / "piece-00002.zarr").rename(tmp_path / "away.zarr")
    faults = [fault for each in verify(folder) for fault in each.faults]
    assert len(faults) == 2
    assert faults[0].startswith(f"{folder / 'piece-00001.zarr'} has ")
    assert "as pieces.json says; copy or write the pieces again" in faults[0]
    assert faults[1] == f"{folder} lacks piece-00002.zarr; copy it, or write the pieces again"
    with pytest.raises(InputError, match="pieces lacks piece-00002.zarr and 0 more; copy or write the pieces again"):
        open_pieces(folder)


def test_a_damaged_plan_or_list_is_named(tmp_path: Path):
    path = store(screen(50), tmp_path / "a.h5ad")
    folder = cut(tmp_path / "pieces", path, cells=20)
    (folder / "pieces.json").write_text('{"pieces": [{}]}')
    with pytest.raises(InputError, match="pieces.json is damaged .KeyError: 'name'.; write the pieces again"):
        open_pieces(folder)
    (fault,) = [fault for each in verify(folder / "pieces.json") for fault in each.faults]
    assert "bytes, and not " in fault
    (folder / "plan.json").write_text("{")
    with pytest.raises(InputError, match="plan.json is damaged .JSONDecodeError: .*; write the pieces into"):
        cut(folder, path, cells=20)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match="cannot write .*file/pieces: (Not a directory|File exists); choose another folder"
    ):
        cut(tmp_path / "file" / "pieces", store(screen(50), tmp_path / "a.h5ad"))


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
def test_what_are_no_counts_are_refused(tmp_path: Path, value: float):
    adata = screen(50)
    cell, gene = 41, int(adata.X[41].indices[1])
    adata.X.data[adata.X.indptr[cell] + 1] = value
    source = source_of(adata)
    with pytest.raises(InputError, match=f"cell41, G{gene}: {value:g} is no count; give a screen whose X holds raw"):
        write_pieces(source, tmp_path / "pieces", cells=30)
    assert [path.name for path in sorted((tmp_path / "pieces").iterdir())] == ["piece-00000.zarr", "plan.json"]


def test_screens_that_do_not_fit_are_refused(tmp_path: Path):
    one, two = screen(30), screen(20)
    two = two[:, ::-1].copy()
    paths = [store(one, tmp_path / "1.h5ad"), store(two, tmp_path / "2.h5ad")]
    with pytest.raises(InputError, match="2.h5ad has other genes than .*1.h5ad: their order differs; give files with"):
        cut(tmp_path / "pieces", *paths)
    one.obs = one.obs.rename(columns={"target_gene": "gene"})
    one.write_h5ad(tmp_path / "3.h5ad")
    with pytest.raises(InputError, match="obs has no column 'target_gene'"):
        cut(tmp_path / "pieces", tmp_path / "3.h5ad")
    with pytest.raises(InputError, match="pieces are written as zarr or h5ad, not as 'csv'; choose one"):
        cut(tmp_path / "pieces", paths[0], kind="csv")
    with pytest.raises(InputError, match="pieces is no folder of pieces; write one with: python -m data_scripts piece"):
        open_pieces(tmp_path / "pieces")
