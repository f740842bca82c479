import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse

from starter.data import dataset, preprocess
from starter.data.matching import match_screen
from starter.errors import InputError
from starter.schema import BATCH, CONTROL, COURSE, N_UMIS, TARGET_GENE

torch = pytest.importorskip("torch")
cell_sets = pytest.importorskip("starter.data.cell_sets")
SIZE = 8


@pytest.fixture
def names(small_screen: anndata.AnnData) -> list[str]:
    return dataset.perturbations(small_screen)[::-1]


@pytest.fixture
def plan(small_screen: anndata.AnnData, names: list[str]):
    return cell_sets.plan_sets(small_screen.obs, names, SIZE, np.random.default_rng(5))


@pytest.fixture
def labels(small_screen: anndata.AnnData) -> np.ndarray:
    return small_screen.obs[TARGET_GENE].astype(str).to_numpy()


def test_a_set_has_cells_of_its_perturbation_beside_controls_of_their_batches(plan, small_screen, names, labels):
    batch = small_screen.obs[BATCH].to_numpy()
    assert plan.control.shape == plan.perturbed.shape == (len(plan.perturbation), SIZE)
    assert (labels[plan.perturbed] == np.array(names)[plan.perturbation][:, None]).all()
    assert (labels[plan.control] == CONTROL).all()
    assert (batch[plan.control] == batch[plan.perturbed]).all()


def test_a_plan_uses_every_cell_once_but_for_what_is_left_over(plan, names, labels):
    assert len(np.unique(plan.perturbed)) == plan.perturbed.size
    n_cells = pd.Series(labels).value_counts()
    assert pd.Series(plan.perturbation).value_counts().sort_index().tolist() == [
        n_cells[name] // SIZE for name in names
    ]


def test_another_plan_deals_otherwise_and_the_same_generator_alike(plan, small_screen, names):
    again, other = (cell_sets.plan_sets(small_screen.obs, names, SIZE, np.random.default_rng(seed)) for seed in (5, 6))
    for part, same, different in zip(plan, again, other, strict=True):
        assert (part == same).all()
        assert part.shape == different.shape
    assert (plan.perturbed != other.perturbed).any()
    assert (plan.control != other.control).any()


def test_a_small_perturbation_makes_one_set_with_repetition(small_screen, names, labels):
    n = int((labels == names[3]).sum())
    plan = cell_sets.plan_sets(small_screen.obs, names[3:4], n + 1, np.random.default_rng(0))
    assert plan.perturbed.shape == (1, n + 1)
    assert (labels[plan.perturbed] == names[3]).all()


def test_matched_controls_are_kept_and_cells_without_are_left_out(small_screen, names, labels):
    control_of = match_screen(small_screen)
    control_of[np.flatnonzero(labels == names[0])[::2]] = -1
    plan = cell_sets.plan_sets(small_screen.obs, names[:2], 5, np.random.default_rng(0), control_of)
    assert (plan.control == control_of[plan.perturbed]).all()
    assert (plan.control >= 0).all()
    with pytest.raises(InputError, match=f"no perturbed cells that have a control of {names[1]}; there are of"):
        nobody = np.where(labels == names[1], -1, control_of)
        cell_sets.plan_sets(small_screen.obs, names[:2], 5, np.random.default_rng(0), nobody)


def test_sets_do_not_mix_contexts(small_screen, names):
    obs = small_screen.obs.assign(context=np.where(np.arange(len(small_screen)) % 3, "x", "y"))
    plan = cell_sets.plan_sets(obs, names, 4, np.random.default_rng(1))
    of_cell = obs["context"].to_numpy()
    assert (of_cell[plan.perturbed] == of_cell[plan.perturbed][:, :1]).all()
    assert (of_cell[plan.control] == of_cell[plan.perturbed]).all()


@pytest.mark.parametrize(
    ("wanted", "size", "said"),
    [
        (["NOBODY"], 4, "no perturbed cells of NOBODY; there are of SIM"),
        ([CONTROL], 4, "no perturbed cells of non-targeting"),
        ([], 4, "sets of 4 cells of 0 perturbations"),
        (["NOBODY"], 0, "sets of 0 cells of 1 perturbations"),
    ],
)
def test_what_cannot_be_planned_is_refused(small_screen, wanted: list[str], size: int, said: str):
    with pytest.raises(InputError, match=said):
        cell_sets.plan_sets(small_screen.obs, wanted, size, np.random.default_rng(0))


def test_a_batch_without_controls_is_named_by_a_cell_of_it(small_screen, names, labels):
    batch = np.where((small_screen.obs[BATCH] == "batch_2") & (labels == CONTROL), "batch_1", small_screen.obs[BATCH])
    with pytest.raises(InputError, match="cells, such as cell_.* batch without control cells; leave them out, or drop"):
        cell_sets.plan_sets(small_screen.obs.assign(batch=batch), names, 4, np.random.default_rng(0))


def by_hand(adata: anndata.AnnData, rows: np.ndarray) -> np.ndarray:
    """log1p(target x count / UMIs) of some cells, in double precision on dense counts."""
    counts = adata.X.toarray().astype(float)[rows]
    return np.log1p(adata.uns[COURSE]["target_sum"] * counts / adata.obs[N_UMIS].to_numpy()[rows][..., None])


def test_a_set_is_the_expression_of_its_cells(plan, small_screen):
    sets = cell_sets.CellSets(preprocess.expression(small_screen), plan)
    assert len(sets) == len(plan.perturbation)
    for index in (3, len(sets) - 1, -1):
        one = sets[index]
        assert (one.control.dtype, one.perturbation.dtype) == (torch.float32, torch.int64)
        assert one.perturbation == plan.perturbation[index]
        for part, rows in ((one.control, plan.control), (one.perturbed, plan.perturbed)):
            np.testing.assert_allclose(part.numpy(), by_hand(small_screen, rows[index]), rtol=1e-6)
    with pytest.raises(IndexError, match="out of bounds"):
        sets[len(sets)]


def test_a_loader_makes_batches(plan, small_screen):
    sets = cell_sets.CellSets(preprocess.expression(small_screen), plan)
    batches = list(torch.utils.data.DataLoader(sets, batch_size=6))
    assert sum(len(batch.perturbation) for batch in batches) == len(sets)
    assert batches[0].control.shape == batches[0].perturbed.shape == (6, SIZE, small_screen.n_vars)
    assert batches[1].perturbation.tolist() == plan.perturbation[6:12].tolist()
    assert torch.equal(batches[1].perturbed[2], sets[8].perturbed)


def test_a_file_gives_what_memory_gives(plan, small_screen, small_path: Path):
    expression = preprocess.expression(small_screen)
    with cell_sets.ScreenFile(small_path) as file:
        assert (file.shape, len(file)) == (small_screen.shape, small_screen.n_obs)
        assert list(file.genes) == list(small_screen.var_names)
        assert list(file.obs.index) == list(small_screen.obs_names)
        rows = np.array([400, 3, 3, 251])
        for asked in (rows, slice(7, 9), np.arange(len(file)) % 50 == 1):
            assert (file[asked] != expression[asked]).nnz == 0
        some, same = cell_sets.CellSets(file, plan)[5], cell_sets.CellSets(expression, plan)[5]
        assert torch.equal(some.control, same.control)
        assert torch.equal(some.perturbed, same.perturbed)
        with pytest.raises(IndexError, match="out of bounds"):
            file[np.array([len(file)])]


def test_a_stream_gives_every_set_once_and_in_another_order_each_time(plan, small_path: Path):
    with cell_sets.ScreenFile(small_path) as file:
        sets = cell_sets.CellSets(file, plan)
        stream = cell_sets.stream(sets, batch_size=7, seed=3, block_size=4, fetch_factor=5)
        epochs = [list(stream) for _ in range(2)]
        assert len(stream) == len(epochs[0])
    assert epochs[0][0].control.shape == (7, SIZE, file.shape[1])
    seen = [np.concatenate([batch.perturbed.sum(dim=(1, 2)).numpy() for batch in epoch]) for epoch in epochs]
    due = np.array(
        [
            one.perturbed.sum().item()
            for one in cell_sets.CellSets(preprocess.expression(dataset.read_screen(small_path)), plan)
        ]
    )
    for totals in seen:
        np.testing.assert_allclose(np.sort(totals), np.sort(due), rtol=1e-5)
    assert (seen[0] != seen[1]).any()
    first = epochs[0][0]
    which = [int(np.abs(due - float(total)).argmin()) for total in first.perturbed.sum(dim=(1, 2))]
    assert plan.perturbation[which].tolist() == first.perturbation.tolist()


def test_without_stated_depths_and_target_it_does_what_scanpy_does(small_screen, tmp_path: Path):
    """The challenge's own files state neither: a cell's depth is its row sum, the target the controls' median."""
    bare = anndata.AnnData(small_screen.X, small_screen.obs[[TARGET_GENE]], small_screen.var)
    bare.write_h5ad(tmp_path / "bare.h5ad")
    scanpy.pp.normalize_total(
        bare, target_sum=np.median(bare.X[(bare.obs[TARGET_GENE] == CONTROL).to_numpy()].sum(axis=1).A1)
    )
    scanpy.pp.log1p(bare)
    with cell_sets.ScreenFile(tmp_path / "bare.h5ad") as file:
        np.testing.assert_allclose(file[np.arange(30)].toarray(), bare.X[:30].toarray(), rtol=1e-5)


def write(path: Path, x: object) -> Path:
    obs = pd.DataFrame({TARGET_GENE: pd.Categorical([CONTROL, "A", "A"])}, index=list("abc"))
    anndata.AnnData(x, obs, pd.DataFrame(index=["G", "H"])).write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (scipy.sparse.csc_matrix, "stores X as 'csc_matrix', and single cells are read from 'csr_matrix'"),
        (np.asarray, "stores X as 'array', and"),
    ],
)
def test_counts_that_are_not_stored_by_cells_are_refused(tmp_path: Path, kind: type, said: str):
    x = np.array([[1, 0], [2, 5], [0, 3]], dtype=np.float32)
    with pytest.raises(InputError, match=said):
        cell_sets.ScreenFile(write(tmp_path / "odd.h5ad", kind(x)))


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read .*nothing.h5ad"):
        cell_sets.ScreenFile(tmp_path / "nothing.h5ad")
    (tmp_path / "text.h5ad").write_text("cells")
    with pytest.raises(InputError, match="is not an .h5ad file"):
        cell_sets.ScreenFile(tmp_path / "text.h5ad")


def test_a_closed_file_is_closed(small_path: Path):
    file = cell_sets.ScreenFile(small_path)
    file.close()
    with pytest.raises((ValueError, RuntimeError), match="(?i)closed|not a|invalid|unable"):
        file[np.arange(3)]


def test_the_rest_of_the_kit_does_without_torch():
    code = "import sys, starter, starter.data.matching, starter.data.dataset; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
