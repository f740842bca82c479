"""Cells as points: principal components of the measured cells, in which distances between cells are taken."""

from typing import NamedTuple

import numpy as np
import scipy.sparse

from starter.data.blocks import Cells

N_COMPONENTS = 50
ROUNDING = 1e-6
"""Variance of log1p expression that float32 rounding alone can make."""
MAX_CELLS = 5_000
"""Cells from which the components are computed, evenly spaced over the screen."""


class Components(NamedTuple):
    """Principal components of measured cells."""

    vectors: np.ndarray
    """Genes x components, float32."""
    offset: np.ndarray
    """What the mean cell projects to, which is taken off; one value a component."""


def components(cells: scipy.sparse.csr_matrix, seed: int) -> Components:
    """Compute the principal components of cells.

    Parameters
    ----------
    cells
        Cells x genes, log1p expression.
    seed
        Fixes the solver's start.
    """
    from sklearn.decomposition import PCA  # slow to import

    n = min(N_COMPONENTS, min(cells.shape) - 1)
    mean = np.asarray(cells.mean(axis=0)).ravel()
    spread = np.asarray(cells.multiply(cells).mean(axis=0)).ravel() - mean**2
    if n < 1 or spread.max() <= ROUNDING:
        vectors = np.eye(cells.shape[1], 1, dtype=np.float32)
        return Components(vectors, np.zeros(1, np.float32))
    pca = PCA(n, svd_solver="arpack", random_state=seed).fit(cells.astype(np.float64))
    vectors = pca.components_.T.astype(np.float32)
    return Components(vectors, (pca.mean_ @ pca.components_.T).astype(np.float32))


def project(cells: Cells, groups: np.ndarray, basis: Components) -> np.ndarray:
    """Give the perturbed cells as points, group after group.

    Parameters
    ----------
    cells
        Cells x genes, log1p expression.
    groups
        Group of each cell; only groups above 0 are projected.
    basis
        The components.

    Returns
    -------
    Cells x components, float32, in the order of their groups.
    """
    keep = groups > 0
    points, start = [], 0
    for block in cells.read(keep):
        kept = block[keep[start : start + block.shape[0]]]
        points.append(kept.astype(np.float32) @ basis.vectors - basis.offset)
        start += block.shape[0]
    return np.concatenate(points)[np.argsort(groups[keep], kind="stable")]
