"""What one pass over a matrix tells of its values."""

from collections.abc import Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data.blocks import Cells, in_memory
from starter.data.h5ad import CELLS_PER_BLOCK, read_blocks
from starter.data.scan import Scan, as_uploaded, scan_cells, scan_upload
from starter.errors import InputError

X = np.array([[0, 1.5, 0], [2, 0, 0], [0, 3, 4.25], [1, 0, 7]], dtype=np.float32)


def test_a_scan_by_hand():
    keep = np.array([True, True, True, False])
    scan = scan_cells(in_memory(X), keep, weigh=np.array([True, False, False, True]))
    assert scan.n_values.tolist() == [1, 2, 1]
    assert scan.totals.tolist() == [1.5, 2, 7.25, 0]
    assert scan.weighed.tolist() == [True, False, False, False]
    assert scan.natural_totals.tolist() == pytest.approx([np.expm1(1.5), 0, 0, 0])
    assert (scan.lowest, scan.largest, scan.n_stored, scan.itemsize) == (0, 4.25, 4, 4)
    assert (scan.fraction, scan.off_whole, scan.fractional, scan.canonical) == (0.5, 0.5, True, True)
    assert not scan_cells(in_memory(np.rint(X)), keep).fractional


def test_a_scan_counts_what_is_no_expression():
    x = scipy.sparse.csr_matrix(X)
    x.data[:5] = [np.nan, -np.inf, -2.75, 0, np.inf]
    scan = scan_cells(in_memory(x), np.ones(4, bool))
    assert (scan.n_nan, scan.n_infinite, scan.n_negative, scan.n_zeros, scan.n_not_finite) == (1, 2, 1, 1, 3)
    assert (scan.lowest, scan.largest, scan.fraction, scan.off_whole) == (-2.75, 7, 0.75, 0.25)


def broken(indices: list[int]) -> Cells:
    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        block = scipy.sparse.csr_matrix(X)
        block.indices[:] = np.array(indices, np.int32)
        yield block

    return Cells((4, 3), read)


def test_an_index_beyond_the_genes_is_refused_before_anything_is_written():
    with pytest.raises(InputError, match="1 of its column indices lie beyond its 3 genes"):
        scan_cells(broken([1, 0, 1, 2, 0, 99]), np.ones(4, bool))
    with pytest.raises(InputError, match="1 of its column indices lie beyond its 3 genes"):
        scan_cells(broken([1, 0, -7, 2, 0, 2]), np.ones(4, bool))
    assert not scan_cells(broken([1, 0, 2, 1, 0, 2]), np.ones(4, bool)).canonical


def scan_of_file(x: scipy.sparse.spmatrix | np.ndarray, control: np.ndarray, folder: Path) -> Scan:
    anndata.AnnData(x, pd.DataFrame(index=[str(cell) for cell in range(x.shape[0])])).write_h5ad(folder / "x.h5ad")
    with h5py.File(folder / "x.h5ad") as file:
        cells = Cells(x.shape, lambda keep: read_blocks(file["X"], keep=keep))
        return scan_upload(cells.mapped(as_uploaded), control)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_an_upload_is_what_numpy_says_of_it_as_float32(tmp_path: Path, layout: str):
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(3 * CELLS_PER_BLOCK + 5, 40, density=0.3, format="csr", rng=rng)
    x.data = 3 * x.data - 0.1
    x.data[[7, 70, 700]] = [1e300, np.nan, -np.inf]
    control = rng.random(x.shape[0]) < 0.4
    stored = {"csr": x, "csc": x.tocsc(), "dense": x.toarray()}[layout]
    scan = scan_of_file(stored, control, tmp_path)
    with np.errstate(over="ignore"):
        values = x.data.astype(np.float32)
    finite = values[np.isfinite(values)]
    assert (scan.n_nan, scan.n_infinite, scan.n_negative) == (1, 2, (finite < 0).sum())
    assert (scan.n_stored, scan.n_zeros) == (x.nnz, 0)
    assert (scan.lowest, scan.largest) == (finite.min(), finite.max())
    assert scan.fraction == np.abs(finite - np.trunc(finite)).max()
    np.testing.assert_array_equal(scan.totals, scipy.sparse.csr_matrix((values, x.indices, x.indptr)) @ np.ones(40))


def test_natural_totals_are_taken_as_long_as_the_values_can_be_logs(tmp_path: Path):
    x = np.full((3 * CELLS_PER_BLOCK, 2), 1.5, np.float32)
    control = np.arange(len(x)) % 2 == 0
    scan = scan_of_file(x, control, tmp_path)
    np.testing.assert_array_equal(scan.weighed, control)
    np.testing.assert_allclose(scan.natural_totals[control], 2 * np.expm1(1.5))
    for no_log in (np.nan, 15):
        x[CELLS_PER_BLOCK + 7, 1] = no_log
        scan = scan_of_file(x, control, tmp_path)
        np.testing.assert_array_equal(np.flatnonzero(scan.weighed), np.flatnonzero(control[:CELLS_PER_BLOCK]))


def test_an_upload_may_be_unsorted_and_may_not_store_an_entry_twice(tmp_path: Path):
    none = np.zeros(4, bool)
    unsorted = scipy.sparse.csr_matrix(
        (np.ones(4, np.float32), np.array([2, 0, 1, 1]), np.array([0, 2, 3, 4, 4])), shape=(4, 3)
    )
    assert scan_of_file(unsorted, none, tmp_path).canonical
    unsorted.indices[1] = 2
    assert not scan_of_file(unsorted, none, tmp_path).canonical
