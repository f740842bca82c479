"""From blocks of cells to columns of genes."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from starter.data.blocks import in_memory
from starter.data.scan import scan_cells
from starter.errors import InputError
from starter.statistics.columns import columns
from starter.statistics.sums import group_sums, sum_in_order

X = np.array([[0, 1.5, 0], [2, 0, 0], [0, 3, 4.25], [1, 0, 7]], dtype=np.float32)


@pytest.mark.parametrize(("bad", "n_not_finite", "lowest"), [(np.nan, 1, 0), (np.inf, 1, 0), (-2.5, 0, -2.5)])
def test_what_is_no_expression_is_refused(bad: float, n_not_finite: int, lowest: float):
    x = X.copy()
    x[2, 1] = bad
    scan = scan_cells(in_memory(x), np.ones(4, bool))
    assert (scan.n_not_finite, scan.lowest) == (n_not_finite, lowest)
    with pytest.raises(InputError, match="expression is never negative, NaN or infinite"):
        list(columns(in_memory(x), np.ones(4, bool)))


def test_columns_keep_the_order_of_the_cells():
    (genes, part), *rest = columns(in_memory(X), np.array([True, False, True, True]))
    assert (genes, rest) == (slice(0, 3), [])
    assert part.pointers.tolist() == [0, 1, 3, 5]
    assert part.cells.tolist() == [3, 0, 2, 2, 3]
    assert part.values.tolist() == [1, 1.5, 3, 4.25, 7]


@pytest.mark.parametrize("n_cells", [1, 2047, 5000])
def test_columns_are_scipys_over_many_blocks_and_strips(n_cells: int):
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(n_cells, 700, density=0.05, format="csr", dtype=np.float32, rng=rng)
    keep = rng.random(n_cells) < 0.7
    expected = scipy.sparse.csc_matrix(x.multiply(keep[:, None]))
    expected.eliminate_zeros()
    for genes, part in columns(replace(in_memory(x), part_bytes=8 * max(1, x.nnz // 3)), keep):
        span = slice(expected.indptr[genes.start], expected.indptr[genes.stop])
        np.testing.assert_array_equal(part.values, expected.data[span])
        np.testing.assert_array_equal(part.cells, expected.indices[span])


def test_sums_by_hand():
    _, part = next(columns(in_memory(X), np.ones(4, bool)))
    sums, squares = group_sums(part, np.array([0, 1, 1, -1]), 2)
    assert sums.tolist() == [[0, 1.5, 0], [2, 3, 4.25]]
    assert squares.tolist() == [[0, 2.25, 0], [4, 9, 4.25**2]]


def test_the_order_of_a_sum_shows_in_its_last_bits():
    values = np.array([1e8, 1, -0.0, 1, 1, 1, 1], dtype=np.float32)[:, None]
    _, part = next(columns(in_memory(values), np.ones(7, bool)))
    assert sum_in_order(part, np.zeros(7, int), np.ones(1)).tolist() == [[np.float32(1e8)]]
    backwards, group = in_memory(values[::-1].copy()), np.zeros(7, int)
    _, part = next(columns(backwards, np.ones(7, bool)))
    assert sum_in_order(part, group, np.ones(1)).tolist() == [[np.float32(1e8) + 8]]


def test_data_that_change_between_two_readings_are_noticed():
    known = scan_cells(in_memory(X), np.ones(4, bool))
    more = X.copy()
    more[0] = 5
    with pytest.raises(InputError, match="the file changed while it was read"):
        list(columns(in_memory(more), np.ones(4, bool), known))
