import numpy as np
import pytest
import scipy.sparse
import scipy.stats

from starter.statistics.de import CELL_EVAL_066, CELL_EVAL_082, DERule, de_table


def small() -> tuple[np.ndarray, np.ndarray]:
    """6 control cells, 4 of one perturbation, 30 of another; gene 0 has no ties, gene 3 is silent in controls."""
    rng = np.random.default_rng(1)
    groups = np.repeat([0, 1, 2], [6, 4, 30])
    x = rng.poisson(1.5, (40, 5)).astype(np.float32) / 2
    x[:, 0] = rng.permutation(40) / 10 + 0.05
    x[groups == 0, 3] = 0
    x[:, 4] = 0
    return x, groups


@pytest.mark.parametrize("rule", [CELL_EVAL_082, CELL_EVAL_066])
@pytest.mark.parametrize("sparse", [True, False])
def test_p_is_scipys_and_exact_where_0_6_6_was(rule: DERule, sparse: bool):
    x, groups = small()
    table = de_table(scipy.sparse.csr_matrix(x) if sparse else x, groups, 3, rule)
    for row in range(2):
        for gene in range(5):
            method = "auto" if rule is CELL_EVAL_066 else "asymptotic"
            cells, control = x[groups == row + 1, gene].astype(float), x[groups == 0, gene].astype(float)
            with np.errstate(invalid="ignore"):
                expected = scipy.stats.mannwhitneyu(cells, control, method=method).pvalue
            expected = 1.0 if np.isnan(expected) else expected
            assert table.p_value[row, gene] == pytest.approx(expected, rel=1e-6), (row, gene)


def test_0_8_2_adjusts_within_a_perturbation_and_keeps_infinite_changes():
    x, groups = small()
    table = de_table(x, groups, 3, CELL_EVAL_082)
    for row in range(2):
        np.testing.assert_allclose(table.fdr[row], scipy.stats.false_discovery_control(table.p_value[row]))
        by_hand = np.log2(np.expm1(x[groups == row + 1, 1].mean()) / np.expm1(x[groups == 0, 1].mean()))
        assert table.log2_fold_change[row, 1] == pytest.approx(by_hand, rel=1e-5)
    assert table.log2_fold_change[:, 3].tolist() == [np.inf, np.inf]
    assert table.log2_fold_change[:, 4].tolist() == [0, 0]


def test_0_6_6_adjusts_over_all_tests_and_cuts_at_20():
    x, groups = small()
    table = de_table(x, groups, 3, CELL_EVAL_066)
    pooled = scipy.stats.false_discovery_control(table.p_value.ravel()).reshape(2, 5)
    np.testing.assert_allclose(table.fdr, pooled)
    np.testing.assert_allclose(table.log2_fold_change[:, 3], np.log2(20), rtol=1e-6)
    assert table.log2_fold_change[:, 4].tolist() == [0, 0]
    reverse = de_table(x, np.array([1, 0, 2])[groups], 3, CELL_EVAL_066)
    np.testing.assert_allclose(reverse.log2_fold_change[0, 3], np.log2(1 / 20), rtol=1e-6)


def test_the_threshold_is_float32():
    # 0.049999999 rounds to float32(0.05), which is not below it
    from starter.statistics.de import DETable

    fdr = np.array([[0.049999999, 0.0499, 0.05, 0.06]])
    assert DETable(fdr, fdr, fdr).significant().tolist() == [[False, True, False, False]]


def test_a_perturbation_without_cells_has_no_de_gene():
    x, groups = small()
    table = de_table(x, groups, 4, CELL_EVAL_082)
    assert table.p_value[2].tolist() == [1] * 5
    assert not table.significant()[2].any()


@pytest.mark.parametrize("n_cells", [1, 7, 8, 9, 128, 129, 137, 1_000, 5_933])
def test_means_of_0_6_6_are_numpys_to_the_last_bit(n_cells: int):
    rng = np.random.default_rng(n_cells)
    groups = rng.permutation(np.repeat([0, 1, -1], [n_cells, 40, 3]))
    x = (rng.random((len(groups), 50)) * (rng.random((len(groups), 50)) < 0.5)).astype(np.float32)
    table = de_table(scipy.sparse.csr_matrix(x), groups, 2, CELL_EVAL_066)
    of_control, of_target = (np.expm1(np.ascontiguousarray(x[groups == group].T).mean(axis=1)) for group in (0, 1))
    where = (of_control > 0) & (of_target > 0)
    expected = np.log2(of_target[where] / of_control[where])
    assert table.log2_fold_change[0, where].tobytes() == expected.tobytes()
