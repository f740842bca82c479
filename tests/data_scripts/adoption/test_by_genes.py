from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse

from data_scripts.adoption import by_genes
from starter.errors import InputError


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, np.ndarray]:
    counts = np.random.default_rng(0).poisson(0.4, (2_600, 31)).astype(np.float32)
    counts[1_500:1_510] = 0
    path = tmp_path / "a.h5ad"
    anndata.AnnData(scipy.sparse.csc_matrix(counts)).write_h5ad(path)
    return path, counts


@pytest.mark.parametrize("values", [1, 20_000, 10**9])
def test_cells_come_in_order_however_little_memory_there_is(
    stored: tuple, values: int, monkeypatch: pytest.MonkeyPatch
):
    path, counts = stored
    monkeypatch.setattr(by_genes, "STEP", 1_237)
    keep = np.ones(len(counts), bool)
    with h5py.File(path) as file:
        blocks = list(by_genes.read_by_genes(file["X"], keep, values))
        assert [block.shape[0] for block in blocks] == [1_024, 1_024, 552]
        np.testing.assert_array_equal(scipy.sparse.vstack(blocks).toarray(), counts)
        keep[1_024:] = False
        some = list(by_genes.read_by_genes(file["X"], keep, 1))
    assert [block.nnz > 0 for block in some] == [True, False, False]
    assert [block.shape[0] for block in some] == [1_024, 1_024, 552]


@pytest.mark.parametrize(("part", "change", "message"), [
    ("indices", lambda values: values + 2_000, r"a matrix is damaged \(values of cells beyond its 2,600\)"),
    ("indptr", lambda values: values[::-1], r"its pointers do not fit its 2600 cells x 31 genes"),
])  # fmt: skip
def test_a_damaged_matrix_is_refused(stored: tuple, part: str, change, message: str):
    path, counts = stored
    with h5py.File(path, "a") as file:
        file[f"X/{part}"][...] = change(file[f"X/{part}"][:])
        with pytest.raises(InputError, match=message):
            list(by_genes.read_by_genes(file["X"], np.ones(len(counts), bool)))
