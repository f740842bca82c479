import os
import signal
import threading
import time
from pathlib import Path

import anndata
import numpy as np
import pytest
from cell_screens import GENES, screen, source_of, store

from data_scripts.pieces import cluster, sums
from data_scripts.pieces.cluster import connected, sum_pieces
from data_scripts.pieces.folder import open_pieces
from data_scripts.pieces.source import open_source
from data_scripts.pieces.sums import write_sums
from data_scripts.pieces.write import write_pieces
from starter.data.pseudobulk import profiles
from starter.errors import InputError

N_CELLS = 90
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pieces")
    with open_source([store(screen(N_CELLS), folder / "a.h5ad")]) as source:
        return write_pieces(source, folder / "pieces", cells=20)


def by_hand() -> dict[tuple[str, str, str], tuple]:
    """Each group's number of cells, sums of counts, of logs and of squares, cell by cell."""
    adata = screen(N_CELLS)
    counts = adata.X.toarray().astype(float)
    logs = np.log1p(21 * counts / adata.obs["n_umis"].to_numpy()[:, None]).astype(np.float32).astype(float)
    found = {}
    for cell, (target, context, batch) in enumerate(
        zip(adata.obs["target_gene"], adata.obs["context"], adata.obs["batch"], strict=True)
    ):
        keys = [(context, target, "all")] + ([(context, target, batch)] if target == "non-targeting" else [])
        for key in keys:
            n, *total = found.get(key, (0, *np.zeros((3, len(GENES)))))
            added = (counts[cell], logs[cell], logs[cell] ** 2)
            found[key] = (n + 1, *(a + b for a, b in zip(total, added, strict=True)))
    return found


def assert_right(found: sums.Sums):
    due = by_hand()
    assert list(found.n_cells.index) == sorted(due)
    for row, (key, n) in enumerate(found.n_cells.items()):
        assert n == due[key][0]
        np.testing.assert_array_equal(found.counts[row], due[key][1])
        np.testing.assert_allclose(found.logs[row], due[key][2], rtol=1e-12)
        np.testing.assert_allclose(found.squares[row], due[key][3], rtol=1e-12)


def test_sums_equal_those_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sums, "BLOCK", 7)
    with connected() as client:
        assert_right(sum_pieces(open_pieces(folder), client))


def test_the_written_file_has_profiles_pseudobulk_and_variance(folder: Path, tmp_path: Path):
    pieces = open_pieces(folder)
    with connected() as client:
        write_sums(sum_pieces(pieces, client), pieces.genes, pieces.course, tmp_path / "a.h5ad")
    found, adata = anndata.read_h5ad(tmp_path / "a.h5ad"), screen(N_CELLS)
    whole = found[(found.obs["batch"] == "all").to_numpy()]
    table = profiles(adata)
    places = list(zip(whole.obs["context"], whole.obs["perturbation"], strict=True))
    np.testing.assert_allclose(whole.X, table.loc[places].to_numpy(), rtol=1e-12)
    assert len(table) == len(whole)
    of_a_batch = adata.obs.eval("target_gene == 'non-targeting' and context == 'A' and batch == 'b1'").to_numpy()
    row = found["A | non-targeting | b1"]
    assert row.obs["n_cells"].item() == of_a_batch.sum()
    counts = adata.X.toarray()[of_a_batch]
    logs = np.log1p(21 * counts / adata.obs["n_umis"].to_numpy()[of_a_batch, None])
    np.testing.assert_allclose(np.ravel(row.layers["variance"]), logs.var(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_array_equal(np.ravel(row.layers["counts"]), counts.sum(axis=0))
    assert found.uns["screen"]["target_sum"] == 21


def test_one_cell_has_no_variance(tmp_path: Path):
    adata = screen(20)
    adata.obs["target_gene"] = ["G3"] + ["non-targeting"] * 19
    adata.obs["target_gene"] = adata.obs["target_gene"].astype("category")
    found = sums.sum_piece(store(adata, tmp_path / "a.h5ad"), 21.0)
    write_sums(found, adata.var_names, {}, tmp_path / "b.h5ad")
    written = anndata.read_h5ad(tmp_path / "b.h5ad")
    assert np.isnan(written[f"{adata.obs['context'].iloc[0]} | G3 | all"].layers["variance"]).all()
    assert not np.isnan(written[written.obs["perturbation"] == "non-targeting"].layers["variance"]).any()


@pytest.mark.slow  # starts two workers
def test_a_worker_that_is_killed_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    pieces = open_pieces(folder)
    with connected() as client:
        alone = sum_pieces(pieces, client)
    real, flag = cluster._told, folder.parent / "killed"

    def slow(path: Path, target_sum: float) -> sums.Sums:
        if not flag.exists() and path.name == "piece-00003.zarr":
            time.sleep(30)  # until it is killed
        return real(path, target_sum)

    monkeypatch.setattr(cluster, "_told", slow)
    killed = []
    with connected(workers=2) as client:

        def kill() -> None:
            while not killed:
                for worker, keys in client.processing().items():
                    pid = client.scheduler_info()["workers"][worker]["nanny"] and client.run(os.getpid)[worker]
                    if any("slow" in str(key) for key in keys):
                        time.sleep(0.5)
                        flag.touch()
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                        break
                time.sleep(0.1)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        found = sum_pieces(pieces, client)
        thread.join()
    assert len(killed) == 1
    assert_right(found)
    for key in ("counts", "logs", "squares"):
        np.testing.assert_array_equal(getattr(found, key), getattr(alone, key))


def test_what_cannot_be_summed_is_refused(folder: Path, tmp_path: Path):
    adata = screen(20)
    adata.obs["target_gene"] = adata.obs["target_gene"].astype(str).replace("non-targeting", "G0").astype("category")
    del adata.uns["course"]["target_sum"]
    write_pieces(source_of(adata), tmp_path / "pieces")
    with connected() as client:
        with pytest.raises(InputError, match="no cell of the pieces is labelled 'non-targeting', so the scale of log"):
            sum_pieces(open_pieces(tmp_path / "pieces"), client)
        pieces = open_pieces(folder)
        damaged = tmp_path / "damaged.h5ad"
        damaged.write_text("x")
        with pytest.raises(InputError, match="damaged.h5ad is not an .h5ad file"):
            sum_pieces(type(pieces)((damaged,), np.array([1]), ("",), pieces.genes, pieces.course), client)


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    said = "no Dask scheduler answers at tcp://127.0.0.1:1 .*; see docs/cluster.md"
    with pytest.raises(InputError, match=said), connected("tcp://127.0.0.1:1"):
        pass
