import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from starter.ranksum import p_values, rank_sum
from starter.schema import InputError

VALUES = st.one_of(st.just(0.0), st.sampled_from([0.5, 1.0, 2.0]), st.floats(0, 14, width=32, allow_subnormal=False))


@st.composite
def screens(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    n_groups = draw(st.integers(2, 4))
    n_cells = draw(st.integers(2, 30))
    n_genes = draw(st.integers(1, 3))
    x = np.array(draw(st.lists(VALUES, min_size=n_cells * n_genes, max_size=n_cells * n_genes)), dtype=np.float32)
    groups = np.array(draw(st.lists(st.integers(-1, n_groups - 1), min_size=n_cells, max_size=n_cells)))
    return x.reshape(n_cells, n_genes), groups, n_groups


@settings(deadline=None, max_examples=150)
@given(screens(), st.booleans())
def test_u_and_p_are_scipys(screen: tuple[np.ndarray, np.ndarray, int], sparse: bool):
    x, groups, n_groups = screen
    result = rank_sum(scipy.sparse.csr_matrix(x) if sparse else x, groups, n_groups)
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
        np.testing.assert_allclose(p[row], np.where(all_tied, 1, expected.pvalue), rtol=1e-11)


def test_more_genes_than_a_block_holds():
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(40, 2500, density=0.4, format="csr", dtype=np.float32, rng=rng)
    groups = rng.integers(0, 3, size=40)
    p = p_values(rank_sum(x, groups, 3))
    dense = x.toarray().astype(float)
    for row in range(2):
        expected = scipy.stats.mannwhitneyu(dense[groups == row + 1], dense[groups == 0], method="asymptotic").pvalue
        np.testing.assert_allclose(p[row], np.nan_to_num(expected, nan=1.0), rtol=1e-11)


def test_by_hand():
    # control 0 0 1, perturbation 0 2: U = (2 ties of 3) / 2 ... 0 beats none and ties two, 2 beats three
    result = rank_sum(np.array([[0.0], [0], [1], [0], [2]]), np.array([0, 0, 0, 1, 1]), 2)
    assert result.u.tolist() == [[0.5 + 0.5 + 3]]
    assert result.ties.tolist() == [[3**3 - 3]]
    assert (result.n_cells.tolist(), result.n_control) == ([2], 3)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_negative_and_nan_are_refused(bad: float):
    with pytest.raises(InputError, match="expression is never negative, NaN or infinite"):
        rank_sum(np.array([[1.0], [bad]]), np.array([0, 1]), 2)
