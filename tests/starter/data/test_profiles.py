"""Profiles of a screen on disk beside those of the screen in memory, of other layouts, and of files that are wrong."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data import pseudobulk
from starter.data.preprocess import expression, target_sum
from starter.data.profiles import Profiles, read_profiles
from starter.errors import InputError
from starter.schema import CONTROL


def as_the_challenge_has_it(screen: anndata.AnnData) -> anndata.AnnData:
    """No `n_umis` and no `uns`: a cell's total is its row sum, the target their median among the controls."""
    return anndata.AnnData(
        screen.X, screen.obs[["target_gene", "guide_id", "batch"]], pd.DataFrame(index=screen.var_names)
    )


def two_contexts(screen: anndata.AnnData) -> anndata.AnnData:
    screen = screen.copy()
    screen.obs["context"] = pd.Categorical(np.where(np.arange(screen.n_obs) % 3, "x", "y"))
    return screen


def write(screen: anndata.AnnData, folder: Path) -> Path:
    screen.write_h5ad(folder / "screen.h5ad")
    return folder / "screen.h5ad"


def assert_as_in_memory(read: Profiles, screen: anndata.AnnData) -> None:
    expected = pseudobulk.profiles(screen)
    pd.testing.assert_frame_equal(read.table, expected, rtol=1e-12, atol=0)
    assert read.target_sum == target_sum(screen)
    logs, pairs = expression(screen).toarray().astype(float), read.n_cells.index
    contexts = screen.obs["context"] if "context" in screen.obs else pd.Series("one context", screen.obs_names)
    for context, label in [pairs[0], pairs[-1], (pairs[0][0], CONTROL)]:
        cells = ((contexts == context) & (screen.obs["target_gene"] == label)).to_numpy()
        assert read.n_cells[context, label] == cells.sum()
        np.testing.assert_allclose(read.deviations.loc[(context, label)], logs[cells].std(axis=0), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("change", [lambda screen: screen, as_the_challenge_has_it, two_contexts])
def test_they_are_those_of_the_screen_in_memory(small_screen: anndata.AnnData, tmp_path: Path, change: Callable):
    screen = change(small_screen)
    read = read_profiles(write(screen, tmp_path))
    assert_as_in_memory(read, screen)
    pd.testing.assert_frame_equal(read.controls, read.table.xs(CONTROL, level="perturbation"))


def test_counts_beyond_the_table_of_logs(small_screen: anndata.AnnData, tmp_path: Path):
    screen = as_the_challenge_has_it(small_screen)
    screen.X.data[::7] += 1_000
    assert_as_in_memory(read_profiles(write(screen, tmp_path)), screen)


def layouts() -> dict[str, Callable]:
    def unsorted(x: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        turned = x[:, ::-1].tocsr()
        turned.indices = (x.shape[1] - 1 - turned.indices).astype(turned.indices.dtype)
        turned.has_sorted_indices = False
        return turned

    return {
        "csc": lambda x: x.tocsc(),
        "dense": lambda x: x.toarray(),
        "int64": lambda x: x.astype(np.int64),
        "float64": lambda x: x.astype(np.float64),
        "unsorted": unsorted,
    }


@pytest.mark.parametrize("layout", layouts())
def test_in_any_layout(small_screen: anndata.AnnData, tmp_path: Path, layout: str):
    screen = as_the_challenge_has_it(small_screen)
    expected = pseudobulk.profiles(screen)
    screen.X = layouts()[layout](screen.X)
    read = read_profiles(write(screen, tmp_path))
    pd.testing.assert_frame_equal(read.table, expected, rtol=1e-12, atol=0)
    assert read.target_sum == np.median(np.asarray(screen.X.sum(axis=1)).ravel()[screen.obs["target_gene"] == CONTROL])


def test_some_cells_alone_keep_the_screens_target(small_screen: anndata.AnnData, tmp_path: Path):
    """The target sum is that of all controls, though half of them are not taken."""
    screen = as_the_challenge_has_it(small_screen)
    path, labels = write(screen, tmp_path), sorted(set(screen.obs["target_gene"]))
    chosen = (screen.obs["target_gene"].isin(labels[:3]) | (np.arange(screen.n_obs) % 2 == 0)).to_numpy()
    read = read_profiles(path, lambda obs: chosen)
    logs = expression(screen).toarray()
    for label in (labels[0], CONTROL):
        cells = chosen & (screen.obs["target_gene"] == label).to_numpy()
        np.testing.assert_allclose(read.table.loc[("one context", label)], logs[cells].mean(axis=0), rtol=1e-6)
    with pytest.raises(InputError, match=r"no cell of .*screen.h5ad is to be taken"):
        read_profiles(path, lambda obs: np.zeros(len(obs), bool))


def spoiled(value: float) -> Callable:
    def change(screen: anndata.AnnData) -> None:
        screen.X.data[5] = value

    return change


def unlabelled(screen: anndata.AnnData) -> None:
    del screen.obs["target_gene"]


def too_few(screen: anndata.AnnData) -> None:
    screen.obs["n_umis"] = np.ones(screen.n_obs)


def no_controls(screen: anndata.AnnData) -> None:
    screen.obs["target_gene"] = screen.obs["target_gene"].cat.rename_categories({CONTROL: "ctrl"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoiled(np.nan), r"cells 0 to 1,023: values that are negative, NaN or not whole: 1; give the file of raw UMI"),
        (spoiled(-1), "values that are negative, NaN or not whole: 1"),
        (spoiled(0.5), "values that are negative, NaN or not whole: 1"),
        (spoiled(np.inf), "values that are negative, NaN or not whole: 1"),
        (unlabelled, "obs has no column 'target_gene'"),
        (too_few, "counts of a cell add up to more than its n_umis"),
        (no_controls, "non-targeting"),
    ],
)
def test_a_screen_that_is_wrong_is_refused(small_screen: anndata.AnnData, tmp_path: Path, change: Callable, said: str):
    change(small_screen)
    with pytest.raises(InputError, match=said):
        read_profiles(write(small_screen, tmp_path))


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("indices", 200, r"X is damaged \(1 column indices beyond its 200 genes\)"),
        ("indices", "twice", "entries of one cell and gene stored more than once: 1; call X.sum_duplicates"),
        ("indptr", 10**6, r"X is damaged \(its pointers do not fit"),
    ],
)
def test_a_damaged_matrix_is_refused(
    small_screen: anndata.AnnData, tmp_path: Path, part: str, value: int | str, said: str
):
    path = write(as_the_challenge_has_it(small_screen), tmp_path)
    with h5py.File(path, "r+") as file:
        column = file["X"][part]
        column[3] = column[2] if value == "twice" else value
    with pytest.raises(InputError, match=said):
        read_profiles(path)


def test_no_file_and_half_a_file(small_screen: anndata.AnnData, tmp_path: Path):
    path = write(small_screen, tmp_path)
    path.write_bytes(path.read_bytes()[:-1_000])
    with pytest.raises(InputError, match="it is truncated; download or write it again"):
        read_profiles(path)
    with pytest.raises(InputError, match="cannot read .*nothing.h5ad"):
        read_profiles(tmp_path / "nothing.h5ad")


def test_memory_is_that_of_a_few_blocks(tmp_path: Path):
    n_cells, n_genes = 8_000, 1_500
    counts = scipy.sparse.csr_matrix(np.random.default_rng(0).poisson(0.6, (n_cells, n_genes)).astype(np.float32))
    labels = pd.Categorical(np.where(np.arange(n_cells) % 3, CONTROL, "G0"))
    obs = pd.DataFrame({"target_gene": labels}, index=[f"c{i}" for i in range(n_cells)])
    path = write(anndata.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])), tmp_path)
    read_profiles(path)  # which compiles
    tracemalloc.start()
    read_profiles(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < counts.data.nbytes + counts.indices.nbytes
