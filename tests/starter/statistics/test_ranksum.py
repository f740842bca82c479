from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from starter.data.blocks import in_memory
from starter.errors import InputError
from starter.statistics.columns import columns
from starter.statistics.ranksum import exact_erfc, p_values, rank_columns, rank_sum
from starter.statistics.sorted_controls import SHORT, sort_controls


@st.composite
def screens(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Cells x genes with ties and zeros, groups that may be empty, float32 or float64."""
    width = draw(st.sampled_from([32, 64]))
    values = st.one_of(
        st.just(0.0), st.sampled_from([0.5, 1.0, 2.0]), st.floats(0, 14, width=width, allow_subnormal=False)
    )
    n_groups, n_cells, n_genes = draw(st.integers(2, 4)), draw(st.integers(2, 30)), draw(st.integers(1, 3))
    flat = draw(st.lists(values, min_size=n_cells * n_genes, max_size=n_cells * n_genes))
    groups = np.array(draw(st.lists(st.integers(-1, n_groups - 1), min_size=n_cells, max_size=n_cells)))
    return np.array(flat, dtype=f"f{width // 8}").reshape(n_cells, n_genes), groups, n_groups


def check_against_scipy(x: np.ndarray, groups: np.ndarray, n_groups: int, result: object) -> None:
    p = p_values(result)
    control = x[groups == 0].astype(float)
    for row in range(n_groups - 1):
        cells = x[groups == row + 1].astype(float)
        if not len(cells) or not len(control):
            assert np.isnan(p[row]).all()
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = scipy.stats.mannwhitneyu(cells, control, method="asymptotic")
        np.testing.assert_array_equal(result.u[row], expected.statistic)
        all_tied = np.isnan(expected.pvalue)  # scipy divides by 0 there
        np.testing.assert_allclose(p[row], np.where(all_tied, 1, expected.pvalue), rtol=1e-11, atol=1e-300)


@settings(deadline=None, max_examples=200)
@given(screens(), st.booleans(), st.booleans())
def test_u_and_p_are_scipys(screen: tuple[np.ndarray, np.ndarray, int], sparse: bool, foreign: bool):
    x, groups, n_groups = screen
    given = scipy.sparse.csr_matrix(x) if sparse else x
    if not foreign:
        check_against_scipy(x, groups, n_groups, rank_sum(given, groups, n_groups))
        return
    controls = sort_controls(given, groups == 0)
    assert controls.n_cells == (groups == 0).sum()
    check_against_scipy(x, groups, n_groups, rank_sum(given, groups, n_groups, controls))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_cells_and_genes(dtype: type):
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(600, 400, density=0.4, format="csr", dtype=dtype, rng=rng)
    x.data[:] = np.log1p(rng.poisson(2, x.nnz) / rng.integers(1, 40, 600)[np.repeat(np.arange(600), np.diff(x.indptr))])
    groups = rng.integers(-1, 5, size=600)
    check_against_scipy(x.toarray(), groups, 5, rank_sum(x, groups, 5))


def test_values_that_differ_in_their_last_bits_only():
    """More of them than are put in order by insertion: the sort must look at every bit."""
    rng = np.random.default_rng(1)
    n = 8 * SHORT
    close = 1 + rng.permutation(n) * np.finfo(float).eps
    spread = rng.random(n) * 14
    mixed = np.where(np.arange(n) % 2, close, spread)
    x = np.stack([close, spread, mixed, close[::-1]], axis=1)
    groups = rng.integers(0, 3, n)
    check_against_scipy(x, groups, 3, rank_sum(x, groups, 3))


def test_genes_in_several_parts_give_the_same():
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(60, 90, density=0.4, format="csr", dtype=np.float32, rng=rng)
    groups = rng.integers(0, 3, size=60)
    whole = rank_sum(x, groups, 3)
    seen = []
    for genes, part in columns(replace(in_memory(x), part_bytes=8 * 200), groups >= 0):
        seen.append(genes)
        result = rank_columns(part, groups[None], np.bincount(groups)[None])[0]
        np.testing.assert_array_equal(result.u, whole.u[:, genes])
        np.testing.assert_array_equal(result.ties, whole.ties[:, genes])
    assert len(seen) > 5
    assert [genes.stop for genes in seen[:-1]] == [genes.start for genes in seen[1:]]
    assert (seen[0].start, seen[-1].stop) == (0, 90)


def test_several_groupings_at_once_are_as_one_by_one():
    rng = np.random.default_rng(2)
    x = scipy.sparse.random(80, 30, density=0.5, format="csr", dtype=np.float32, rng=rng)
    layers = rng.integers(-1, 4, size=(3, 80))
    n_cells = np.stack([np.bincount(groups[groups >= 0], minlength=4) for groups in layers])
    _, part = next(columns(in_memory(x), np.ones(80, bool)))
    for groups, together in zip(layers, rank_columns(part, layers, n_cells), strict=True):
        alone = rank_sum(x, groups, 4)
        np.testing.assert_array_equal(together.u, alone.u)
        np.testing.assert_array_equal(together.ties, alone.ties)
        assert together.n_control == alone.n_control


def test_index_pointers_may_be_int64_and_zeros_may_be_stored():
    x = scipy.sparse.random(40, 20, density=0.4, format="csr", dtype=np.float32, rng=np.random.default_rng(3))
    groups = np.arange(40) % 3
    expected = rank_sum(x, groups, 3)
    wide = x.copy()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    stored = x.copy()
    stored.data[::5] = 0
    np.testing.assert_array_equal(rank_sum(wide, groups, 3).u, expected.u)
    np.testing.assert_array_equal(rank_sum(stored, groups, 3).u, rank_sum(stored.toarray(), groups, 3).u)


def test_large_whole_numbers_are_told_apart():
    x = np.array([[2**24], [2**24 + 1]], np.int64)  # one number in float32
    for kind in (np.asarray, scipy.sparse.csr_matrix):
        assert rank_sum(kind(x), np.array([0, 1]), 2).u.tolist() == [[1.0]]


def test_by_hand():
    # control 0 0 1, perturbation 0 2: U = (2 ties of 3) / 2 ... 0 beats none and ties two, 2 beats three
    result = rank_sum(np.array([[0.0], [0], [1], [0], [2]]), np.array([0, 0, 0, 1, 1]), 2)
    assert result.u.tolist() == [[0.5 + 0.5 + 3]]
    assert result.ties.tolist() == [[3**3 - 3]]
    assert (result.n_cells.tolist(), result.n_control) == ([2], 3)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_what_is_no_expression_is_refused(bad: float):
    with pytest.raises(InputError, match="expression is never negative, NaN or infinite"):
        rank_sum(np.array([[1.0], [bad]]), np.array([0, 1]), 2)


def test_the_exact_error_function_is_the_c_librarys():
    import math

    x = np.linspace(0, 26, 500)
    assert exact_erfc(x).tolist() == [math.erfc(value) for value in x]
    np.testing.assert_allclose(exact_erfc(x), scipy.special.erfc(x), rtol=1e-9)
