from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse

from data_scripts.adoption import logs
from starter.errors import InputError


def screen(n_genes: int = 120, n_cells: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of some genes, and the cells' totals over more genes."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.7, 2, n_genes) * rng.lognormal(0, 0.4, (n_cells, 1)))
    counts[:, 0], counts[0, 1] = 1, 4_000
    return counts, counts.sum(axis=1) + rng.integers(500, 900, n_cells)


def logged(counts: np.ndarray, totals: np.ndarray, target: float = 1e4) -> scipy.sparse.csr_matrix:
    scaled = counts / totals[:, None] * target
    return scipy.sparse.csr_matrix(np.log1p(scaled).astype(np.float32))


def in_blocks(matrix: scipy.sparse.csr_matrix) -> Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]]:
    for start in range(0, matrix.shape[0], 17):
        here = np.arange(start, min(start + 17, matrix.shape[0]))
        yield here, matrix[here]


@pytest.mark.parametrize("target", [1e4, 1e6, 3_217.5])
@pytest.mark.parametrize("known", [True, False])
def test_counts_come_back_one_by_one(target: float, known: bool):
    counts, totals = screen()
    matrix = logged(counts, totals, target)
    units = logs.find_units(in_blocks(matrix), len(counts), totals if known else None)
    np.testing.assert_allclose(units, target / totals, rtol=1e-5)
    np.testing.assert_array_equal(logs.scaled_back(matrix, units).toarray(), counts)
    assert not logs.cells_without_counts(units, np.ones(len(counts), bool), with_totals=known).any()


def test_a_cell_without_a_gene_of_one_umi_is_undone_too():
    counts, totals = screen()
    counts[3] = np.where(counts[3] == 1, 0, counts[3])
    counts[3, :3] = 2, 3, 0
    matrix = logged(counts, totals)
    np.testing.assert_array_equal(
        logs.scaled_back(matrix, logs.find_units(in_blocks(matrix), len(counts), totals)).toarray(), counts
    )


def test_a_cell_whose_counts_are_all_even_needs_its_total():
    counts, totals = screen()
    counts[5] *= 2
    totals[5] *= 2
    counts[6] = 0
    counts[6, 2:5] = 4, 2, 8  # three values, all even
    totals[6] = 900
    matrix = logged(counts, totals)
    known = logs.find_units(in_blocks(matrix), len(counts), totals)
    np.testing.assert_array_equal(logs.scaled_back(matrix, known).toarray(), counts)
    alone = logs.find_units(in_blocks(matrix), len(counts), None)
    assert np.isnan(alone[6])
    assert np.isfinite(alone[:5]).all()


def test_totals_that_are_others_are_noticed():
    counts, totals = screen()
    matrix = logged(counts, totals)
    wrong = totals * np.random.default_rng(1).uniform(1, 1.8, len(totals))
    units = logs.find_units(in_blocks(matrix), len(counts), wrong)
    n = int(np.isnan(units).sum())
    assert n > 30
    with pytest.raises(InputError, match=f"{n} of 60 cells do not come out as counts when their logs are undone"):
        logs.cells_without_counts(units, np.ones(60, bool), with_totals=True)


def test_what_never_was_counts_does_not_come_out():
    counts, totals = screen()
    noisy = logged(counts, totals)
    noisy.data += np.random.default_rng(2).normal(0, 0.02, noisy.nnz).astype(np.float32)
    units = logs.find_units(in_blocks(noisy), len(counts), None)
    assert np.isnan(units).all()


def test_few_cells_are_left_out_and_more_are_refused():
    units = np.ones(300)
    units[:3] = np.nan
    keep = np.ones(300, bool)
    assert np.flatnonzero(logs.cells_without_counts(units, keep, with_totals=False)).tolist() == [0, 1, 2]
    keep[200:] = False
    with pytest.raises(InputError, match=r"3 of 200 cells do not come out .* one UMI of 20 values"):
        logs.cells_without_counts(units, keep, with_totals=False)


def test_a_cell_without_values_stays_empty():
    counts, totals = screen()
    counts[2] = 0
    matrix = logged(counts, totals)
    units = logs.find_units(in_blocks(matrix), len(counts), totals)
    np.testing.assert_array_equal(logs.scaled_back(matrix, units).toarray(), counts)
