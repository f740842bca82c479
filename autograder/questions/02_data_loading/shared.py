"""What several questions of notebook 02 share."""

import numpy as np
import scipy.sparse

WITHOUT = ("starter.statistics", "starter.data.pseudobulk", "starter.data.matching", "starter.data.cell_sets")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""


def expression_of_cells(rng: np.random.Generator, n_cells: int, n_genes: int) -> scipy.sparse.csr_matrix:
    """log1p expression with many zeros; no gene is zero in all cells."""
    counts = rng.poisson(rng.gamma(1.0, 1.5, n_genes), (n_cells, n_genes))
    counts[rng.integers(n_cells, size=n_genes), np.arange(n_genes)] += 1
    return scipy.sparse.csr_matrix(np.log1p(counts * rng.uniform(0.5, 2.0, (n_cells, 1))).astype(np.float32))
