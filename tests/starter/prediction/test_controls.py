"""Control cells read from files, beside those of the screen in memory."""

import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data.preprocess import library_sizes
from starter.errors import FindingsError, InputError
from starter.prediction.controls import Controls, controls_of, read_controls
from starter.schema import CONTROL


@pytest.fixture
def control(small_screen: anndata.AnnData) -> np.ndarray:
    return (small_screen.obs["target_gene"] == CONTROL).to_numpy()


def write(screen: anndata.AnnData, folder: Path, name: str = "screen.h5ad") -> Path:
    screen.write_h5ad(folder / name)
    return folder / name


def assert_same(read: Controls, expected: Controls) -> None:
    assert (read.counts != expected.counts).nnz == 0
    np.testing.assert_array_equal(read.scale, expected.scale)
    assert read.genes == expected.genes
    for name in ("profile", "deviation", "rate", "dispersion"):
        np.testing.assert_allclose(getattr(read, name), getattr(expected, name), rtol=1e-12, atol=0, err_msg=name)


@pytest.mark.parametrize("stated", [True, False])
def test_they_are_those_of_the_screen_in_memory(small_screen: anndata.AnnData, tmp_path: Path, stated: bool):
    if not stated:
        small_screen = anndata.AnnData(small_screen.X, small_screen.obs[["target_gene"]], small_screen.var)
    found, target = read_controls(write(small_screen, tmp_path))
    assert list(found) == ["one context"]
    assert target == pytest.approx(np.median(library_sizes(small_screen)[small_screen.obs["target_gene"] == CONTROL]))
    assert_same(found["one context"], controls_of(small_screen))


def test_what_they_are_like_is_what_numpy_says(small_screen: anndata.AnnData):
    """Blocks of cells are summed; so many that there are two."""
    counts = small_screen.X[:1_500]
    controls = Controls(counts, np.linspace(0.3, 2, 1_500))
    logs, dense = controls.logs().toarray().astype(float), counts.toarray().astype(float)
    np.testing.assert_allclose(controls.profile, logs.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(controls.deviation, logs.std(axis=0), rtol=1e-9)
    exposure = 1 / controls.scale
    rate = dense.sum(axis=0) / exposure.sum()
    expected = exposure[:, None] * rate
    phi = ((dense - expected) ** 2 - expected).sum(axis=0) / (expected**2).sum(axis=0)
    np.testing.assert_allclose(controls.rate, rate, rtol=1e-12)
    np.testing.assert_allclose(controls.dispersion, np.clip(phi, 0, 10), rtol=1e-8, atol=1e-9)


def test_each_context_has_its_own(small_screen: anndata.AnnData, control: np.ndarray, tmp_path: Path):
    """In one file or in several; the target is the median of all of them."""
    del small_screen.uns["course"]
    context = np.where(np.arange(small_screen.n_obs) % 3, "B", "A")
    small_screen.obs["context"] = pd.Categorical(context)
    both, target = read_controls(write(small_screen, tmp_path))
    paths = [write(small_screen[context == name], tmp_path, f"{name}.h5ad") for name in "BA"]
    apart, again = read_controls(paths)
    assert list(both) == list(apart) == ["A", "B"]
    sizes = library_sizes(small_screen)
    assert target == again == np.median(sizes[control])
    for name in "AB":
        own = control & (context == name)
        expected = Controls(small_screen.X[own], target / sizes[own], tuple(small_screen.var_names))
        assert_same(both[name], expected)
        assert_same(apart[name], expected)
    assert read_controls(paths, 5_000.0)[1] == 5_000
    with pytest.raises(InputError, match=r"A has control cells in .*A.h5ad and in .*A.h5ad; name each file's context"):
        read_controls([paths[1], paths[1]])


def test_counts_beyond_two_bytes(small_screen: anndata.AnnData, control: np.ndarray, tmp_path: Path):
    small_screen.X.data[small_screen.X.indptr[np.flatnonzero(control)[-1]]] = 70_000
    del small_screen.obs["n_umis"]
    (read,) = read_controls(write(small_screen, tmp_path))[0].values()
    assert read.counts.dtype == np.uint32
    assert_same(read, controls_of(small_screen))


def test_files_that_do_not_go_together(small_screen: anndata.AnnData, control: np.ndarray, tmp_path: Path):
    path = write(small_screen, tmp_path)
    for change, said in (
        (
            small_screen[:, 1:],
            f"the genes of .*b.h5ad are not those of .*screen.h5ad: missing 1 .{small_screen.var_names[0]}",
        ),
        (small_screen[:, ::-1], "the genes of .*b.h5ad are in another order than those of"),
        (small_screen, "one context has control cells in .*screen.h5ad and in .*b.h5ad; name each file's context"),
    ):
        with pytest.raises(InputError, match=said):
            read_controls([path, write(change.copy(), tmp_path, "b.h5ad")])
    with pytest.raises(FindingsError, match="non-targeting"):
        read_controls(write(small_screen[~control].copy(), tmp_path, "b.h5ad"))


def test_a_control_cell_without_umis(small_screen: anndata.AnnData, control: np.ndarray, tmp_path: Path):
    counts = small_screen.X.tolil()
    counts[np.flatnonzero(control)[0]] = 0
    screen = anndata.AnnData(counts.tocsr(), small_screen.obs[["target_gene"]], small_screen.var)
    with pytest.raises(InputError, match="1 control cell without a single UMI; leave them out"):
        read_controls(write(screen, tmp_path))


def test_other_cells_take_no_memory(tmp_path: Path):
    n_cells, n_genes = 9_000, 1_500
    counts = scipy.sparse.csr_matrix(np.random.default_rng(0).poisson(0.6, (n_cells, n_genes)).astype(np.float32))
    labels = pd.Categorical(np.where(np.arange(n_cells) % 9, "G0", CONTROL))
    obs = pd.DataFrame({"target_gene": labels}, index=[f"c{i}" for i in range(n_cells)])
    path = write(anndata.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])), tmp_path)
    read_controls(path)  # which compiles
    tracemalloc.start()
    controls = read_controls(path)[0]["one context"]
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert controls.counts.shape == (1_000, n_genes)
    assert held < 1.2 * 6 * controls.counts.nnz + 2e6
    assert peak < counts.data.nbytes + counts.indices.nbytes
