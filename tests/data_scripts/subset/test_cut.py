"""A part of a screen on the web, against the whole file; the server is on this machine, the screen made up."""

import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import requests
import scanpy
import scipy.sparse
from elsewhere import GENES, Made, replogle, scperturb

from data_scripts.catalogue import DataSet
from data_scripts.download import DownloadError
from data_scripts.subset import cut as cutting
from data_scripts.subset import remote
from data_scripts.subset.cells import Part
from data_scripts.subset.cut import cut, variable_genes
from data_scripts.subset.remote import Remote
from starter import files
from starter.errors import InputError

TARGETS = ("STAT1", "KLF1", "SPI1", "MAP2K6", "CD58")
PART = Part(perturbations=3, cells=20, controls=30, genes=15, seed=4)


@pytest.fixture
def screen(tmp_path: Path) -> Made:
    labels = [*TARGETS * 30, *["GAPDH"] * 9, *["NOWHERE"] * 40, *["non-targeting"] * 50]
    return replogle(tmp_path / "made.h5ad", list(np.random.default_rng(3).permutation(labels)))


@pytest.fixture
def published(screen: Made, publish: Callable[..., DataSet]) -> DataSet:
    return publish("replogle_k562_essential", screen.path.read_bytes())


def test_a_part_has_the_files_own_cells(screen: Made, published: DataSet, tmp_path: Path):
    path = cut(published, tmp_path / "out", PART, tmp_path / "downloads")
    part = anndata.read_h5ad(path)
    rows = screen.obs.index.get_indexer(part.obs_names)
    assert (rows >= 0).all()
    whole = pd.DataFrame(screen.counts, index=screen.obs.index).iloc[rows]
    columns = [int(name.removeprefix("ENSG000001")) for name in part.var_names]
    np.testing.assert_array_equal(part.X.toarray(), whole.iloc[:, columns].to_numpy())
    for column in ("gene", "sgID_AB", "gem_group", "UMI_count", "mitopercent"):
        assert part.obs[column].tolist() == screen.obs[column].iloc[rows].tolist()
    n_cells = part.obs["gene"].value_counts()
    assert n_cells.pop("non-targeting") == 30
    assert n_cells.tolist() == [20, 20, 20]
    assert set(n_cells.index) < set(TARGETS)  # GAPDH has too few cells, NOWHERE is not measured
    assert set(n_cells.index) <= set(part.var["gene_name"])
    assert 15 <= part.n_vars <= 18


def test_the_same_part_is_the_same_and_is_cut_once(published: DataSet, tmp_path: Path):
    first = cut(published, tmp_path / "out", PART, tmp_path / "downloads")
    again = cut(published, tmp_path / "other", PART, tmp_path / "downloads")
    assert anndata.read_h5ad(first).obs_names.tolist() == anndata.read_h5ad(again).obs_names.tolist()
    time = first.stat().st_mtime_ns
    assert cut(published, tmp_path / "out", PART, tmp_path / "downloads").stat().st_mtime_ns == time
    other = cut(published, tmp_path / "out", replace(PART, seed=5), tmp_path / "downloads")
    assert anndata.read_h5ad(first).obs_names.tolist() != anndata.read_h5ad(other).obs_names.tolist()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        name + end for name in (first.name, other.name) for end in ("", ".lineage.json")
    )


def test_the_whole_file_is_taken_where_it_is_at_hand(screen: Made, published: DataSet, tmp_path: Path):
    from_web = cut(published, tmp_path / "web", PART, tmp_path / "nothing")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / published.files[0].name).write_bytes(screen.path.read_bytes())
    offline = replace(published, files=(replace(published.files[0], urls=("http://127.0.0.1:9/none",)),))
    from_disk = cut(offline, tmp_path / "disk", PART, tmp_path / "downloads")
    np.testing.assert_array_equal(anndata.read_h5ad(from_web).X.toarray(), anndata.read_h5ad(from_disk).X.toarray())


def test_little_of_a_large_file_is_read(
    publish: Callable[..., DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = replogle(tmp_path / "made.h5ad", [*["STAT1", "KLF1"] * 200, *["non-targeting"] * 3000])
    with h5py.File(made.path, "a") as file:  # a row of 8 kB, as the real ones have 34
        wide = np.zeros((len(made.counts), 2000), np.float32)
        wide[:, : made.counts.shape[1]] = made.counts
        del file["X"], file["var"]
        file.create_dataset("X", data=wide)
        genes = [*GENES, *(f"MORE{number}" for number in range(2000 - len(GENES)))]
        anndata.io.write_elem(
            file, "var", pd.DataFrame({"gene_name": genes}, index=[f"ENSG{n:011d}" for n in range(2000)])
        )
    entry = publish("replogle_k562_essential", made.path.read_bytes())
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    opened = []
    monkeypatch.setattr(cutting, "Remote", type("Watched", (Remote,), {"__init__": lambda self, file: (
        Remote.__init__(self, file), opened.append(self))[0]}))  # fmt: skip
    path = cut(entry, tmp_path / "out", Part(2, 20, 20, 2000), tmp_path / "downloads")
    size = made.path.stat().st_size
    assert anndata.read_h5ad(path).shape == (60, 2000)
    assert size > 27e6
    assert 60 * 8000 < opened[0].received < 0.06 * size


def test_a_process_that_was_killed_goes_on(published: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cutting, "ROWS", 10)
    whole = anndata.read_h5ad(cut(published, tmp_path / "whole", PART, tmp_path / "downloads"))
    asked: list[int] = []
    pieces = Remote.pieces

    def dies(self: Remote, spans: list) -> object:
        asked.append(len(spans))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return pieces(self, spans)

    monkeypatch.setattr(Remote, "pieces", dies)
    with pytest.raises(KeyboardInterrupt):
        cut(published, tmp_path / "out", PART, tmp_path / "downloads")
    path = cut(published, tmp_path / "out", PART, tmp_path / "downloads")
    assert asked == [10] * 10  # of 9 batches the fourth was asked for twice
    np.testing.assert_array_equal(anndata.read_h5ad(path).X.toarray(), whole.X.toarray())


def test_a_file_that_changes_meanwhile_is_refused(published: DataSet, tmp_path: Path):
    source = Remote(published.files[0])
    at = tmp_path / "published" / published.files[0].name
    at.write_bytes(at.read_bytes()[::-1])
    with pytest.raises(DownloadError, match="the file has changed meanwhile; begin again"):
        source.read(100)


def test_a_line_that_breaks_while_cells_are_looked_up_is_named(
    published: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ask = Remote._ask

    def breaks(self: Remote, start: int, end: int) -> object:
        if end - start > 8:
            msg = "the host: the connection broke, 5 times"
            raise DownloadError(msg)
        return ask(self, start, end)

    monkeypatch.setattr(Remote, "_ask", breaks)
    with pytest.raises(InputError, match="^the host: the connection broke, 5 times$"):
        cut(published, tmp_path / "out", PART, tmp_path / "downloads")


def test_an_address_that_sends_on_is_asked_for_the_way_once(published: DataSet, tmp_path: Path):
    real = published.files[0].urls[0]
    asked: list[str] = []
    valid = [3]

    class Store(http.server.BaseHTTPRequestHandler):
        """Sends on to a signed address, which is good for so many pieces."""

        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path == "/file":
                valid[0] = 20
                self.send_response(302)
                self.send_header("Location", f"/signed/{len(asked)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            valid[0] -= 1
            if valid[0] < 0:
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            with requests.get(real, headers={"Range": self.headers["Range"]}, timeout=5) as answer:
                self.send_response(answer.status_code)
                for name in ("Content-Range", "Content-Length", "ETag"):
                    self.send_header(name, answer.headers[name])
                self.end_headers()
                self.wfile.write(answer.content)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/file"
        entry = replace(published, files=(replace(published.files[0], urls=(url,)),))
        path = cut(entry, tmp_path / "out", PART, tmp_path / "downloads")
        server.shutdown()
    due = anndata.read_h5ad(cut(published, tmp_path / "due", PART, tmp_path / "downloads"))
    np.testing.assert_array_equal(anndata.read_h5ad(path).X.toarray(), due.X.toarray())
    n_pieces = sum(path != "/file" for path in asked)
    assert n_pieces > 90
    assert 4 < asked.count("/file") < n_pieces / 2


def test_a_file_of_another_size_or_a_server_without_ranges_is_refused(
    published: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = replace(published, files=(replace(published.files[0], bytes=77),))
    with pytest.raises(DownloadError, match="cannot be read in pieces .*bytes where 77 are due"):
        cut(other, tmp_path, PART, tmp_path)
    monkeypatch.setattr(remote, "PAUSE", 0)
    gone = replace(published.files[0], urls=(published.files[0].urls[0] + ".gone", "http://127.0.0.1:9/x"))
    with pytest.raises(
        DownloadError, match="404 File not found.*; http://127.0.0.1:9/x: the connection broke .*5 times"
    ):
        cut(replace(published, files=(gone,)), tmp_path, PART, tmp_path)


def test_a_sparse_file_is_taken_whole(publish: Callable[..., DataSet], tmp_path: Path):
    made = scperturb(tmp_path / "made.h5ad", ["STAT1", "control"] * 10)
    entry = publish("norman2019", made.path.read_bytes())
    with pytest.raises(InputError, match="holds no dense matrix in one place, so no part of it can be had; take all"):
        cut(entry, tmp_path, PART, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"perturbations": 6}, "only 5 perturbations of the screen have 20 cells and a gene that is measured"),
        ({"cells": 31}, "only 0 perturbations of the screen have 31 cells"),
        ({"controls": 51}, "the screen has 50 control cells; take at most as many"),
        ({"cells": 0}, "a part with 0 cells is none"),
        ({"seed": -1}, "a part with -1 seed is none"),
    ],
)
def test_more_than_there_is_is_refused(published: DataSet, tmp_path: Path, changes: dict, said: str):
    with pytest.raises(InputError, match=said):
        cut(published, tmp_path / "out", replace(PART, **changes), tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_disk_without_room_is_told_first(published: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10})())
    with pytest.raises(InputError, match="make room there"):
        cut(published, tmp_path, PART, tmp_path)


def test_the_most_variable_genes_are_scanpys(screen: Made):
    counts = screen.counts
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    mean, variance = np.expm1(logs).mean(axis=0), np.expm1(logs).var(axis=0, ddof=1)
    dispersion = np.log(variance / mean)
    due = anndata.AnnData(logs.astype(np.float32))
    scanpy.pp.highly_variable_genes(due, n_top_genes=12, flavor="seurat")
    np.testing.assert_allclose(due.var["dispersions"], dispersion, rtol=1e-4)
    taken = variable_genes(scipy.sparse.csr_matrix(counts), 12)
    assert taken.sum() == 12
    assert (taken & due.var["highly_variable"].to_numpy()).sum() >= 11  # one may lie at the edge of a bin of means


def test_the_lineage_names_the_sizes(published: DataSet, tmp_path: Path):
    path = cut(published, tmp_path / "out", PART, tmp_path / "downloads")
    lineage = json.loads(path.with_name(path.name + ".lineage.json").read_text())
    assert lineage["parameters"]["perturbations"] == 3
    assert lineage["parameters"]["version"]["etag"]
    assert lineage["data_sets"][0]["name"] == "replogle_k562_essential"
