"""What several questions of notebook 01 share."""

import numpy as np
import scipy.sparse

WITHOUT = ("starter.statistics", "starter.data.preprocess")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""


def screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three sparse screens: cells of very different depth, which is more than the row sum."""
    cases = []
    for n_cells, n_genes in ((13, 8), (31, 5), (7, 19)):
        n_umis = np.rint(rng.lognormal(np.log(900), 0.8, n_cells)) + 200
        rate = rng.gamma(0.8, 1.5e-3, n_genes) + 2e-4
        counts = np.minimum(rng.poisson(np.outer(n_umis, rate)), np.floor(n_umis / n_genes)[:, None])
        counts[0] += 1  # no gene without counts
        cases.append({"counts": scipy.sparse.csr_matrix(counts, dtype=np.float32), "n_umis": n_umis})
    return cases
