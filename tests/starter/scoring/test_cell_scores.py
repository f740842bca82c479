"""Scores of cells in memory, against SciPy and scikit-learn on the same cells."""

import anndata
import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from starter.data.preprocess import expression
from starter.errors import InputError
from starter.schema import CONTROL, TARGET_GENE
from starter.scoring.cell_scores import cell_scores


@pytest.fixture(scope="module")
def cells(small_path) -> dict[str, scipy.sparse.csr_matrix]:
    """Control cells and those of six perturbations, log1p; of genes that are in all, so folds are finite."""
    screen = anndata.read_h5ad(small_path)
    labels, logs = screen.obs[TARGET_GENE].astype(str).to_numpy(), expression(screen)
    names = sorted(set(labels) - {CONTROL})[:6]
    found = {name: logs[labels == name] for name in (CONTROL, *names)}
    everywhere = np.all([np.asarray(block.sum(axis=0)).ravel() > 0 for block in found.values()], axis=0)
    return {name: block[:, everywhere] for name, block in found.items()}


def genes_of(cells: dict[str, scipy.sparse.csr_matrix]) -> list[str]:
    return [f"G{number}" for number in range(cells[CONTROL].shape[1])]


def called(block: scipy.sparse.csr_matrix, controls: scipy.sparse.csr_matrix) -> np.ndarray:
    """Give the differentially expressed genes, the largest absolute log fold change first, by SciPy."""
    x, y = (part.toarray().astype(float) for part in (block, controls))
    p = scipy.stats.mannwhitneyu(x, y, axis=0, method="asymptotic").pvalue
    fold = np.log2(np.expm1(x).mean(axis=0) / np.expm1(y).mean(axis=0))
    order = np.argsort(-np.abs(fold), kind="stable")
    return order[scipy.stats.false_discovery_control(np.nan_to_num(p, nan=1.0))[order] < 0.05]


def test_des_is_the_overlap_of_the_genes_that_scipy_calls(cells: dict[str, scipy.sparse.csr_matrix]):
    controls, names = cells[CONTROL], [name for name in cells if name != CONTROL]
    turned = dict(zip(names, [cells[name] for name in names[1:] + names[:1]], strict=True))  # each has another's cells
    scores = cell_scores(cells, {"turned": turned}, genes_of(cells))["turned"]
    due = []
    for name in names:
        measured, predicted = called(cells[name], controls), called(turned[name], controls)
        due.append(len(set(measured) & set(predicted[: len(measured)])) / len(measured) if len(measured) else np.nan)
    assert list(scores.index) == names
    assert 0 < np.nanmean(due) < 1
    np.testing.assert_allclose(scores["overlap_at_N"], due)


def test_the_e_distance_is_that_of_points_in_the_measured_cells_components(cells: dict[str, scipy.sparse.csr_matrix]):
    names = [name for name in cells if name != CONTROL]
    few = {name: cells[CONTROL][: cells[name].shape[0]] for name in names}
    scores = cell_scores(cells, {"control cells": few, "measured": cells}, genes_of(cells))
    pca = PCA(50, svd_solver="full").fit(np.vstack([block.toarray() for block in cells.values()]))
    for name in names:
        x, y = (pca.transform(block[name].toarray()) for block in (few, cells))
        n = len(x)
        within = sum(cdist(side, side).sum() / (n * (n - 1)) for side in (x, y))
        due = 2 * cdist(x, y).mean() - within
        assert scores["control cells"].loc[name, "e_distance"] == pytest.approx(due, rel=1e-3, abs=1e-3)
    assert (scores["measured"]["overlap_at_N"].dropna() == 1).all()
    assert (scores["measured"]["e_distance"] < scores["control cells"]["e_distance"]).all()


def test_other_perturbations_and_broken_values_are_refused(cells: dict[str, scipy.sparse.csr_matrix]):
    first = next(name for name in cells if name != CONTROL)
    with pytest.raises(InputError, match=f"cells of mine are not those that were measured.*{first}"):
        cell_scores(cells, {"mine": {name: x for name, x in cells.items() if name != first}}, genes_of(cells))
    for value in (np.nan, -1.0):
        broken = cells[first].copy()
        broken.data[0] = value
        with pytest.raises(InputError):
            cell_scores(cells, {"mine": {**cells, first: broken}}, genes_of(cells))
