import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from cell_eval.utils import guess_is_lognorm

from starter.data import preprocess
from starter.data.blocks import in_memory
from starter.data.scale import natural_totals, scale_ratio
from starter.data.scan import scan_cells
from starter.errors import InputError
from starter.schema import CONTROL
from starter.scoring.screens.logs import is_log

COUNTS = scipy.sparse.csr_matrix(np.array([[1, 3, 0], [0, 0, 8]], dtype=np.float32))


def screen(**uns: object) -> anndata.AnnData:
    obs = pd.DataFrame({"target_gene": pd.Categorical([CONTROL, "A"]), "n_umis": [100, 50]}, index=["a", "b"])
    return anndata.AnnData(COUNTS, obs, pd.DataFrame(index=list("XYZ")), uns=uns)


def test_expression_is_log1p_of_target_sum_times_count_over_n_umis():
    # by hand: 100 is the controls' median; cell b has half of that
    expected = [[np.log1p(1.0), np.log1p(3.0), 0], [0, 0, np.log1p(100 * 8 / 50)]]
    np.testing.assert_allclose(preprocess.expression(screen()).toarray(), expected, rtol=1e-6)


def test_the_stated_target_sum_counts():
    x = preprocess.expression(screen(course={"target_sum": 1e4}))
    assert x[0, 0] == pytest.approx(np.log1p(1e4 * 1 / 100), rel=1e-6)
    assert x.dtype == np.float32


def test_without_n_umis_the_row_sum_counts():
    adata = screen()
    del adata.obs["n_umis"]
    assert preprocess.library_sizes(adata).tolist() == [4, 8]
    assert preprocess.target_sum(adata) == 4
    np.testing.assert_allclose(preprocess.expression(adata).toarray()[1], [0, 0, np.log1p(4)], rtol=1e-6)


def test_a_screen_without_controls_has_no_target_sum():
    adata = screen()
    adata.obs["target_gene"] = ["B", "A"]
    with pytest.raises(InputError, match="no cell is labelled 'non-targeting', so the target sum is unknown"):
        preprocess.target_sum(adata)


def test_an_empty_cell_stays_empty():
    empty = scipy.sparse.csr_matrix(np.array([[0, 0], [2, 2]], dtype=np.float32))
    x = preprocess.log_expression(empty, np.array([0, 4]), 4)
    assert x.toarray()[0].tolist() == [0, 0]


def test_counts_are_scaled_to_their_own_median_as_by_hand():
    # totals 4 and 8, median 6
    expected = np.log1p([[1 * 6 / 4, 3 * 6 / 4, 0], [0, 0, 6]])
    for x in (COUNTS, COUNTS.toarray()):
        got = preprocess.log_to_target(x, 6)
        assert scipy.sparse.issparse(got) == scipy.sparse.issparse(x)
        np.testing.assert_allclose(got.toarray() if scipy.sparse.issparse(got) else got, expected, rtol=1e-6)
    assert COUNTS.data.tolist() == [1, 3, 8]


@pytest.mark.parametrize(
    "values",
    [
        [[1.0, 2.0], [0, 30.0]],
        [[0.5, 2.0], [0, 3.0]],
        [[1.0009, 2.0], [0, 3.0]],
        [[1.0011, 2], [0, 3]],
        [[0.0, 0], [0, 0]],
    ],
)
def test_logs_are_told_from_counts_as_cell_eval_does(values: list):
    for x in (np.array(values, dtype=np.float32), scipy.sparse.csr_matrix(np.array(values, dtype=np.float32))):
        scan = scan_cells(in_memory(x), np.ones(len(values), bool))
        assert is_log(scan, "it") == guess_is_lognorm(anndata.AnnData(x))


def test_natural_totals_by_hand():
    logs = np.log1p([[1.0, 2, 0], [0, 0, 7]])
    for x in (logs, scipy.sparse.csr_matrix(logs)):
        np.testing.assert_allclose(natural_totals(x), [3, 7])


def test_a_scale_is_told_from_the_control_cells():
    course = np.random.default_rng(0).lognormal(6, 0.5, 2_000)
    assert scale_ratio(course[:30], course) == 1
    assert scale_ratio(np.sort(course)[:30], course) == 1
    assert scale_ratio(course * 1.05, course) == pytest.approx(1.05)
    assert scale_ratio(course[:50] * 5, course) == pytest.approx(5, rel=0.3)
    mostly = np.concatenate([course[:80], 1.5 * course[:20]])
    assert scale_ratio(mostly, course) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0.5, 15.0]], "it holds fractions and values up to 15, so it is neither counts nor log1p expression"),
        ([[0.5, -0.1]], "it holds negative values .lowest -0.1.; expression is never below 0"),
        ([[1.0, -2.0]], "it holds negative values"),
        ([[0.5, np.nan]], "it: NaN or infinite values: 1; write"),
        ([[1.0, np.inf]], "it: NaN or infinite values: 1; write"),
    ],
)
def test_what_is_neither_is_refused(values: list, said: str):
    with pytest.raises(InputError, match=said):
        is_log(scan_cells(in_memory(np.array(values)), np.ones(1, bool)), "it")


@pytest.mark.parametrize("odd", [0, -5, np.nan, np.inf, 1e9, "many"])
def test_an_odd_library_size_is_refused(small_screen: anndata.AnnData, odd: object):
    small_screen.obs["n_umis"] = small_screen.obs["n_umis"].astype(object)
    small_screen.obs.iloc[3, small_screen.obs.columns.get_loc("n_umis")] = odd
    with pytest.raises(InputError, match="cells whose n_umis is not a positive number of UMIs: "):
        preprocess.library_sizes(small_screen)
