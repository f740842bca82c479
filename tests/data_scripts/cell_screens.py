"""Small screens to be cut into pieces."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.pieces.source import Source
from starter.data.dataset import write_screen
from starter.schema import COURSE

GENES = [f"G{number}" for number in range(7)]


def screen(n_cells: int, seed: int = 0, batches: int = 2, **course: object) -> anndata.AnnData:
    """Draw counts of cells of two contexts and four targets; what a cell has depends on its place too."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(["non-targeting", "G0", "G3", "G6"], n_cells, p=[0.4, 0.3, 0.2, 0.1])
    counts = rng.poisson(np.linspace(0.2, 4, len(GENES)) * (1 + np.arange(n_cells)[:, None] / n_cells))
    obs = pd.DataFrame(
        {
            "target_gene": pd.Categorical(targets),
            "context": pd.Categorical(rng.choice(["A", "B"], n_cells, p=[0.7, 0.3])),
            "batch": pd.Categorical([f"b{number}" for number in rng.integers(batches, size=n_cells)]),
            "n_umis": counts.sum(axis=1) + rng.integers(1, 30, n_cells),
        },
        index=[f"cell{number}" for number in range(n_cells)],
    )  # fmt: skip
    about = {
        "name": "toy", "title": "Simulated", "organism": "none", "licence": "CC0-1.0", "source": "a test",
        "citation": "none", "simulated": True, "target_sum": 21.0,
    }  # fmt: skip
    x = scipy.sparse.csr_matrix(counts, dtype=np.float32)
    return anndata.AnnData(x, obs, pd.DataFrame(index=GENES), uns={COURSE: {**about, **course}})


def store(adata: anndata.AnnData, path: Path) -> Path:
    """Write a screen."""
    write_screen(path, [adata.X], adata.obs, adata.var, adata.uns[COURSE], compression=None)
    return path


def source_of(adata: anndata.AnnData, counts: Callable[[int, int], scipy.sparse.csr_matrix] | None = None) -> Source:
    """Give the cells of a screen in memory, to be cut into pieces."""
    rows = counts or (lambda start, stop: adata.X[start:stop])
    return Source(adata.n_obs, lambda start, stop: adata.obs.iloc[start:stop], rows, adata.var, adata.uns[COURSE])
