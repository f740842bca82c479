"""The control cells from which predicted cells are made."""

from dataclasses import dataclass
from functools import cached_property

import anndata
import numpy as np
import scipy.sparse

from starter.data.preprocess import library_sizes, target_sum
from starter.errors import InputError
from starter.schema import CONTROL, TARGET_GENE

MAX_DISPERSION = 10.0
"""Upper limit of a gene's estimated negative binomial dispersion."""
NO_DISPERSION = 1e-6
"""Below this a negative binomial is Poisson."""


@dataclass(frozen=True)
class Controls:
    """Control cells, from which predicted cells are made."""

    counts: scipy.sparse.csr_matrix
    """Cells x genes, raw UMI counts."""
    scale: np.ndarray
    """Expression of one UMI in each cell (target_sum / n_umis): log expression = log1p(scale x count)."""
    genes: tuple[str, ...] | None = None
    """Their genes, where known, by which the columns of a profile table are checked."""

    def logs(self) -> scipy.sparse.csr_matrix:
        """Give log1p expression, CSR float32."""
        return scaled_logs(self.counts, self.scale)

    @cached_property
    def profile(self) -> np.ndarray:
        """Mean log1p expression of each gene."""
        return np.asarray(self.logs().mean(axis=0)).ravel()

    @cached_property
    def deviation(self) -> np.ndarray:
        """Standard deviation among cells of each gene's log1p expression."""
        logs = self.logs().astype(np.float64)
        mean, mean_square = (np.asarray(x.mean(axis=0)).ravel() for x in (logs, logs.multiply(logs)))
        return np.sqrt(np.maximum(mean_square - mean**2, 0))  # rounding can fall below 0

    @cached_property
    def rate(self) -> np.ndarray:
        """Mean expression of each gene on the natural scale; divided by a cell's scale, the UMIs to expect in it."""
        return np.asarray(self.counts.sum(axis=0, dtype=np.float64)).ravel() / (1 / self.scale).sum()

    @cached_property
    def dispersion(self) -> np.ndarray:
        """Negative binomial dispersion of each gene (var = mu + phi mu^2), by the method of moments.

        One value a gene, in [0, MAX_DISPERSION]; 1 for genes without counts.
        """
        counts, exposure = self.counts.astype(np.float64), 1 / self.scale
        squares = np.asarray(counts.multiply(counts).sum(axis=0)).ravel()
        cross = exposure @ counts
        expected = self.rate**2 * (exposure**2).sum()
        excess = squares - 2 * self.rate * cross + expected - self.rate * exposure.sum()
        phi = np.divide(excess, expected, out=np.ones(len(squares)), where=expected > 0)
        return np.clip(phi, 0, MAX_DISPERSION)


def controls_of(adata: anndata.AnnData) -> Controls:
    """Take the control cells of a course data set.

    Raises
    ------
    InputError
        If there are none.
    """
    control = (adata.obs[TARGET_GENE] == CONTROL).to_numpy()
    if not control.any():
        msg = f"no cell is labelled {CONTROL!r}; cells are made from control cells"
        raise InputError(msg)
    scale = target_sum(adata) / library_sizes(adata)[control]
    return Controls(adata.X[control], scale, tuple(adata.var_names))


def counts_from_logs(logs: scipy.sparse.csr_matrix) -> Controls | None:
    """Recover raw counts from log1p expression: a cell's smallest value is one UMI.

    Parameters
    ----------
    logs
        Cells x genes, log1p(scale x count) with a scale for each cell.

    Returns
    -------
    Counts and scales; None if the values are not whole multiples of a unit.
    """
    counts = scipy.sparse.csr_matrix(logs, dtype=np.float64, copy=True)
    counts.eliminate_zeros()
    np.expm1(counts.data, out=counts.data)
    n_values = np.diff(counts.indptr)
    filled = np.flatnonzero(n_values)
    scale = np.ones(counts.shape[0])
    scale[filled] = np.minimum.reduceat(counts.data, counts.indptr[filled])
    counts.data /= np.repeat(scale, n_values)
    whole = np.rint(counts.data)
    if (np.abs(counts.data - whole) > 0.02 + 1e-5 * whole).any():
        return None
    counts.data = whole
    return Controls(counts.astype(np.float32), scale)


def scaled_logs(counts: scipy.sparse.csr_matrix, scale: np.ndarray) -> scipy.sparse.csr_matrix:
    """Make log1p(scale x count), scale of each cell: CSR float32."""
    logs = scipy.sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    logs.data = np.log1p(logs.data * np.repeat(scale, np.diff(logs.indptr)))
    return logs.astype(np.float32)
