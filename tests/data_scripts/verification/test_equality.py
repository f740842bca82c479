from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from data_scripts.verification import values
from data_scripts.verification.equality import compare_screens
from data_scripts.verification.report import equality_table, faults_of, notes_of
from data_scripts.verification.values import Counts
from starter.errors import InputError

X = np.array([[0, 1, 2, 0], [3, 0, 0, 5], [0, 0, 7, 1], [2, 4, 0, 0], [1, 0, 0, 9]], np.float32)
GENES = ["G1", "G2", "G3", "G4"]
CELLS = ["c1", "c2", "c3", "c4", "c5"]
LABELS = ["A", "A", "non-targeting", "B", "non-targeting"]

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")


def screen(x: np.ndarray | scipy.sparse.spmatrix = X, **obs: list) -> anndata.AnnData:
    frame = pd.DataFrame(obs or {"target_gene": LABELS, "n_umis": [3.0, 8.0, 8.0, 6.0, 10.0]}, index=CELLS)
    adata = anndata.AnnData(x, frame, pd.DataFrame(index=GENES))
    adata.strings_to_categoricals()
    return adata


def store(adata: anndata.AnnData, path: Path) -> Path:
    adata.write_zarr(path) if path.suffix == ".zarr" else adata.write_h5ad(path)
    return path


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return store(screen(scipy.sparse.csr_matrix(X)), tmp_path / "here.h5ad")


@pytest.fixture(autouse=True, params=[4_000_000, 8])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(values, "VALUES_PER_BLOCK", request.param)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("layout", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csc_matrix])
def test_order_and_layout_do_not_matter(here: Path, tmp_path: Path, layout: type, suffix: str):
    other = screen()[[3, 0, 4, 2, 1], [2, 0, 3, 1]].copy()
    other.X = layout(other.X)
    found = compare_screens(here, store(other, tmp_path / f"there.{suffix}"))
    assert found.matrices["X"] == Counts(equal=20, not_zero=10)
    assert found.columns == {"target_gene": Counts(equal=5), "n_umis": Counts(equal=5, not_zero=5)}
    assert (found.cells.n_common, found.cells.same_order, found.genes.same_order) == (5, False, False)
    assert faults_of(found) == []
    assert "cells: in another order" in notes_of(found)


def test_values_are_equal_close_or_different(here: Path, tmp_path: Path):
    x = X.astype(np.float64)
    x[1, 3] *= 1 + 9e-6  # close
    x[2, 2] *= 1 - 2e-5  # not
    x[0, 0] = 1e-9  # 0 is close to nothing
    x[4, 3] = np.nan
    x[3, 0] = np.inf
    found = compare_screens(here, store(screen(x), tmp_path / "there.h5ad"))
    counts = found.matrices["X"]
    assert (counts.whole_here, counts.whole_there) == (True, False)
    assert (counts.equal, counts.close, counts.different, counts.missing, counts.extra) == (15, 1, 4, 0, 0)
    assert counts.not_zero == 11
    assert counts.largest == pytest.approx(7 * 2e-5)
    assert counts.where == "c3, G3: 7 here, 6.99986 there"
    assert faults_of(found) == ["X: 4 of 20 values differ, by 0.00014 at most (c3, G3: 7 here, 6.99986 there)"]
    assert found.layouts == {"X": ("csr float32", "array float64")}


def test_nan_equals_nan(tmp_path: Path):
    x = X.copy()
    x[1, 1] = np.nan
    a, b = (store(screen(x), tmp_path / name) for name in ("a.h5ad", "b.h5ad"))
    assert compare_screens(a, b).matrices["X"].equal == 20


def test_cells_and_genes_that_one_lacks_are_counted(here: Path, tmp_path: Path):
    other = screen()[[0, 1, 3], :].copy()
    other.var_names = ["G1", "G2", "new", "G4"]
    found = compare_screens(here, store(other, tmp_path / "there.h5ad"))
    assert (found.cells.missing, found.cells.extra) == ((), ("c3", "c5"))
    assert (found.genes.missing, found.genes.extra) == (("new",), ("G3",))
    counts = found.matrices["X"]
    assert (counts.equal, counts.missing, counts.extra) == (3 * 3, 3 * 4 - 9, 5 * 4 - 9)
    assert faults_of(found) == [
        "cells: 0 are missing here and 2 there", "genes: 1 are missing here and 1 there",
    ]  # fmt: skip


def test_labels_are_compared_cell_by_cell(here: Path, tmp_path: Path):
    other = screen(X, target_gene=["A", "B", None, "B", "non-targeting"], n_umis=[3, 8, 8, 6, 11])
    found = compare_screens(here, store(other, tmp_path / "there.h5ad"))
    assert found.columns["target_gene"] == Counts(equal=3, different=1, extra=1)
    assert found.columns["n_umis"] == Counts(equal=4, different=1, not_zero=5, largest=1.0)
    assert faults_of(found) == ["obs/target_gene: 2 of 5 cells differ", "obs/n_umis: 1 of 5 cells differ"]
    assert found.renamed == ()


def test_labels_of_other_names_are_recognised(here: Path, tmp_path: Path):
    raw = ["a_1", "a_1", "ctrl", "b_1", "ctrl"]
    other = screen(X, raw=raw, condition=["A", "A", "ctrl", "B", "ctrl"], batch=["1", "2", "1", "1", "2"])
    found = compare_screens(here, store(other, tmp_path / "there.h5ad"))
    assert found.renamed == ("target_gene here is condition there, one to one: non-targeting = ctrl",)
    assert found.only_here == ("obs/target_gene", "obs/n_umis")
    assert found.only_there == ("obs/raw", "obs/condition", "obs/batch")
    assert faults_of(found) == []


def test_logs_beside_counts_are_told(here: Path, tmp_path: Path):
    found = compare_screens(here, store(screen(np.log1p(X)), tmp_path / "there.h5ad"))
    assert "X: whole numbers here, fractions there, as of counts and of logs" in notes_of(found)
    assert not any("whole" in note for note in notes_of(compare_screens(here, here)))


def test_layers_that_both_have_are_compared(tmp_path: Path):
    a, b = screen(), screen()
    a.layers["counts"], b.layers["counts"], b.layers["more"] = X, 2 * X, X
    found = compare_screens(store(a, tmp_path / "a.h5ad"), store(b, tmp_path / "b.h5ad"))
    assert found.matrices["layers/counts"] == Counts(
        equal=10, different=10, not_zero=10, largest=9.0, where="c5, G4: 9 here, 18 there"
    )
    assert found.only_there == ("layers/more",)


def test_what_cannot_be_matched_is_refused(here: Path, tmp_path: Path):
    twice, apart = screen(), screen()
    twice.var_names = ["G1", "G2", "G2", "G4"]
    apart.obs_names = [f"{name}-1" for name in CELLS]
    with pytest.raises(InputError, match="twice.h5ad names genes twice .G2., so they cannot be matched by name; make"):
        compare_screens(here, store(twice, tmp_path / "twice.h5ad"))
    with pytest.raises(InputError, match="no cell of .*here.h5ad .c1, .* has the name of one of .*apart.h5ad .c1-1, "):
        compare_screens(here, store(apart, tmp_path / "apart.h5ad"))
    (tmp_path / "packed.h5ad.gz").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(InputError, match="it is compressed with gzip; unpack it with: gunzip packed.h5ad.gz"):
        compare_screens(here, tmp_path / "packed.h5ad.gz")
    (tmp_path / "half.h5ad").write_bytes(here.read_bytes()[:-2000])
    with pytest.raises(InputError, match="half.h5ad cannot be read: it is truncated; download or write it again"):
        compare_screens(here, tmp_path / "half.h5ad")


def test_the_table_has_a_line_for_everything(here: Path):
    table = equality_table(compare_screens(here, here))
    assert list(table.columns[0].cells) == ["cells", "genes", "obs/target_gene", "obs/n_umis", "X"]
    assert list(table.columns[1].cells) == ["5", "4", "5", "5", "20"]
