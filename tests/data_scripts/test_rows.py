from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse

from data_scripts import rows
from data_scripts.rows import row_reader
from starter.data.h5ad import open_h5ad
from starter.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")
X = scipy.sparse.random(40, 9, density=0.4, format="csr", rng=np.random.default_rng(5), dtype=np.float32)
LAYOUTS = {"csr": scipy.sparse.csr_matrix, "csc": scipy.sparse.csc_matrix, "dense": lambda x: x.toarray()}


@pytest.fixture(params=[(1 << 16, 1 << 22), (0, 1 << 22), (12, 60)])
def near(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "GAP", request.param[0])
    monkeypatch.setattr(rows, "SPAN", request.param[1])


def write(path: Path, x: object) -> Path:
    adata = anndata.AnnData(x)
    adata.write_zarr(path) if path.suffix == ".zarr" else adata.write_h5ad(path)
    return path


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("due", [[7], [3, 4, 5, 6], [0, 39, 5, 6, 7, 20, 1], list(range(39, -1, -1)), list(range(40))])
def test_rows_come_in_the_order_asked_for(tmp_path: Path, near: None, name: str, layout: str, due: list[int]):
    with open_h5ad(write(tmp_path / name, LAYOUTS[layout](X))) as file:
        found = row_reader(file["X"], name)(np.array(due))
    found = found if isinstance(found, np.ndarray) else found.toarray()
    np.testing.assert_array_equal(found, X[due].toarray())


def test_empty_rows_are_given(tmp_path: Path):
    x = X.tolil()
    x[3:30] = 0
    with open_h5ad(write(tmp_path / "a.h5ad", scipy.sparse.csr_matrix(x))) as file:
        read = row_reader(file["X"], "a")
        assert read(np.arange(5, 10)).nnz == 0
        np.testing.assert_array_equal(read(np.array([2, 10, 30])).toarray(), x.toarray()[[2, 10, 30]])


@pytest.mark.parametrize("column", [-1, 9])
def test_a_column_beyond_the_genes_is_found(tmp_path: Path, column: int):
    path = write(tmp_path / "a.h5ad", X)
    with h5py.File(path, "r+") as file:
        file["X/indices"][X.indptr[20]] = column
    with open_h5ad(path) as file:
        read = row_reader(file["X"], path)
        read(np.arange(5))
        with pytest.raises(InputError, match="a.h5ad: X is damaged .a column index lies beyond its 9 genes."):
            read(np.arange(15, 25))


def test_pointers_that_do_not_fit_are_found(tmp_path: Path):
    path = write(tmp_path / "a.h5ad", X)
    with h5py.File(path, "r+") as file:
        file["X/indptr"][5] = 10_000
    with open_h5ad(path) as file, pytest.raises(InputError, match="X is damaged .its pointers do not fit its 40 rows."):
        row_reader(file["X"], path)
