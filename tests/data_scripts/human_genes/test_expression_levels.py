"""Measured and filled-in levels."""

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats

from data_scripts.human_genes.expression_levels import draw_of, fill_in, mean_level


def test_mean_level_by_hand():
    counts = scipy.sparse.csr_matrix([[1, 0], [3, 2]])
    level = mean_level(counts, np.array([1_000, 4_000]), np.array(["A", "B"]))
    # A: (10 + 7.5) / 2, B: (0 + 5) / 2
    assert level.to_dict() == {"A": 8.75, "B": 2.5}


def test_a_draw_belongs_to_its_symbol():
    # SHA-256 of "STAT1" begins with these six bytes
    number = int.from_bytes(bytes.fromhex("49930e8f1fd4"))
    assert draw_of("STAT1") == scipy.stats.norm.ppf((number + 0.5) / 2**48)
    draws = [draw_of(f"GENE{number}") for number in range(2_000)]
    assert scipy.stats.kstest(draws, "norm").pvalue > 0.01


def test_filled_in_levels_follow_what_is_known():
    rng = np.random.default_rng(0)
    genes = [f"GENE{number}" for number in range(400)]
    known = pd.DataFrame({"links": rng.standard_normal(400), "other": rng.standard_normal(400)}, index=genes)
    true = 2 * known["links"] + rng.standard_normal(400) - 1
    levels, correlation = fill_in(true[:200], known, genes[200:])
    assert list(levels.index) == genes[200:]
    assert 0.8 < correlation < 0.95  # 2 / sqrt(5) = .89 at best
    assert np.corrcoef(levels, true[200:])[0, 1] > 0.7
    assert abs(levels.std() / true[:200].std() - 1) < 0.05
    assert abs(levels.mean() - true[200:].mean()) < 0.3
