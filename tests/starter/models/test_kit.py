"""Every model of the kit holds the contract, in one context and in several."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from starter.data import dataset
from starter.data.dataset import PAIR
from starter.errors import InputError
from starter.models import baselines, kit
from starter.models.contract import predict, spread
from starter.models.training_data import TrainingData, read_training
from starter.priors.knowledge import read_knowledge
from starter.schema import CONTEXT, CONTROL, COURSE, PERTURBATION
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

SIZE = Size(targets=24, genes=150, controls=120, min_cells=12, contexts=3, batches=1)
NETWORKS = ("conditional VAE", "graph network", "attention over genes", "attention over cells", "mini scGPT")


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Three contexts; of the second only control cells, of the third four perturbations to learn from."""
    folder = tmp_path_factory.mktemp("screen")
    path = write(biology.draw("default", 3, SIZE), folder)
    data = read_training(path, read_knowledge(folder / "priors"))
    _, second, third = data.contexts
    contexts = data.pairs.get_level_values(CONTEXT)
    left_out = data.pairs[contexts == second].append(data.pairs[contexts == third][4:])
    hidden = data.pairs[contexts == data.contexts[0]][20:]
    return data.without(left_out.append(hidden))


def asked(data: TrainingData, place: int) -> pd.MultiIndex:
    context = data.contexts[place]
    targets = data.pairs.get_level_values(PERTURBATION)[:2]
    return pd.MultiIndex.from_tuples([(context, name) for name in (*targets, "unheard of")], names=PAIR)


SLOW = ("mini scGPT", "conditional VAE")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in kit.KIT]
)
def test_every_model_holds_the_contract(screen: TrainingData, name: str):
    pytest.importorskip("torch") if name in NETWORKS else None
    contract = kit.KIT[name]
    model = contract.fit(screen)
    genes = screen.profiles.columns
    pairs = asked(screen, 0).append(asked(screen, 2))
    table = predict(contract, model, pairs, genes)
    assert table.index.equals(pairs)
    # one context more or less that is asked changes nothing, and nor does asking twice
    alone = predict(contract, model, asked(screen, 2), genes)
    np.testing.assert_allclose(alone, table.loc[asked(screen, 2)], atol=1e-6)
    doubt = spread(contract, model, pairs, genes)
    assert (doubt is None) == (name not in ("train mean", "kNN"))


@pytest.mark.parametrize("name", list(kit.KIT))
def test_a_context_of_controls_alone_is_refused_or_said_to_be_carried_over(screen: TrainingData, name: str):
    if name in NETWORKS:
        pytest.skip("networks are adapted by the same function, and take long to train")
    contract = kit.KIT[name]
    model, pairs = contract.fit(screen), asked(screen, 1)
    if name in (*kit.ACROSS, "control mean"):
        assert predict(contract, model, pairs, screen.profiles.columns).shape == (3, SIZE.genes)
    else:
        with pytest.raises(InputError, match=f"{name} learns in each context on its own, and no perturbation of"):
            predict(contract, model, pairs, screen.profiles.columns)


@pytest.mark.parametrize("name", ["train mean", "kNN", "random forest"])
def test_contexts_do_not_mix(screen: TrainingData, name: str):
    """What is predicted of a context is what the model of one context predicts of it, whatever else was measured."""
    contract, context = kit.KIT[name], screen.contexts[0]
    pairs = asked(screen, 0)
    both = predict(contract, contract.fit(screen), pairs, screen.profiles.columns)
    part = screen.in_context(context)
    features = kit.of_genes(part)
    model = {"train mean": baselines.train_mean, "kNN": baselines.knn, "random forest": baselines.random_forest}[name]
    alone = model(part.one_context(), features, list(pairs.get_level_values(PERTURBATION)))
    np.testing.assert_allclose(both, alone, atol=1e-9)


def test_networks_learn_and_predict_as_in_one_go(screen: TrainingData):
    pytest.importorskip("torch")
    from starter.models import gnn, message_passing

    part = screen.in_context(screen.contexts[0])
    targets = ["unheard of", *part.pairs.get_level_values(PERTURBATION)[:3]]
    graphs = dict(part.graphs)
    once = gnn.gnn(part.one_context(), graphs, targets)
    learned = message_passing.fit(part.one_context(), graphs, gnn.PARTS)
    np.testing.assert_allclose(learned(targets), once, atol=1e-6)
    np.testing.assert_allclose(learned(targets[:1]), once.iloc[:1], atol=1e-6)


def test_spread_of_the_train_mean_by_hand():
    index = pd.MultiIndex.from_tuples([("A", CONTROL), ("A", "V"), ("A", "W")], names=PAIR)
    table = pd.DataFrame([[1.0, 2.0], [2.0, 2.0], [4.0, 1.0]], index, ["g", "h"])
    data = TrainingData(table, pd.Series([100, 10, 20], index))
    contract = kit.KIT["train mean"]
    pairs = pd.MultiIndex.from_tuples([("A", "X")], names=PAIR)
    doubt = spread(contract, contract.fit(data), pairs, ["g", "h"])
    assert doubt is not None
    # deviations of 2, 4 and 2, 1 are sqrt 2 and sqrt .5; times sqrt(1 + 1/2)
    np.testing.assert_allclose(doubt, [[3**0.5, 0.75**0.5]])


def test_cells_are_those_of_the_profiles(screen: TrainingData, tmp_path: Path):
    cells = screen.read_cells()
    labels = pd.MultiIndex.from_frame(cells.obs[[CONTEXT, "target_gene"]].astype(str), names=PAIR)
    assert set(labels) == set(screen.profiles.index)
    assert labels.value_counts().reindex(screen.n_cells.index).tolist() == screen.n_cells.tolist()
    controls = screen.read_cells(perturbed=False)
    assert (controls.obs["target_gene"] == CONTROL).all()
    assert controls.n_obs == 3 * SIZE.controls
    with pytest.raises(InputError, match="profiles alone, and this model learns from single cells"):
        TrainingData(screen.profiles, screen.n_cells).read_cells()


def test_contexts_in_files_of_their_own_are_read_as_in_one(screen: TrainingData, tmp_path: Path):
    (whole,) = screen.screens
    cells, files = dataset.read_screen(whole), []
    for name in screen.contexts:
        files.append(tmp_path / f"{name}.h5ad")
        part = cells[cells.obs[CONTEXT] == name].copy()
        del part.uns[COURSE]["target_sum"], part.obs["n_umis"]
        del part.uns[COURSE]
        part.write_h5ad(files[-1])
    del cells.uns[COURSE], cells.obs["n_umis"]
    cells.write_h5ad(tmp_path / "all.h5ad")
    one, several = read_training(tmp_path / "all.h5ad"), read_training(files)
    assert several.target_sum == one.target_sum  # the median of all control cells
    pd.testing.assert_frame_equal(several.profiles, one.profiles)
    assert several.n_cells.tolist() == one.n_cells.tolist()
    assert (one.read_cells().X[_order(one, several)] != several.read_cells().X).nnz == 0
    with pytest.raises(InputError, match="has the context .*, which was read already; rename it"):
        read_training([files[0], files[0]])
    fewer = dataset.read_screen(files[1])[:, 1:].copy()
    fewer.write_h5ad(tmp_path / "fewer.h5ad")
    with pytest.raises(InputError, match=r"the genes of .*fewer.h5ad are not those of .*: missing 1"):
        read_training([files[0], tmp_path / "fewer.h5ad"])


def _order(one: TrainingData, several: TrainingData) -> np.ndarray:
    """Where each cell of the several files stands among those of the one."""
    names = [name.rpartition("-")[0] for name in several.read_cells().obs_names]
    return one.read_cells().obs_names.get_indexer(names)


def test_other_screens_are_read_on_the_genes_and_the_scale_of_the_first(tmp_path: Path):
    """A screen of half the genes and of another depth tells what the first one tells of itself."""
    size = Size(targets=6, genes=60, controls=40, min_cells=10, batches=1)
    path = write(biology.draw("default", 5, size), tmp_path / "one")
    screen = dataset.read_screen(path)
    half = screen[:, 30:].copy()
    half.uns[COURSE]["target_sum"] = 77.0
    half.obs[CONTEXT] = "another"
    half.write_h5ad(tmp_path / "half.h5ad")
    data = read_training(path, others=[tmp_path / "half.h5ad"])
    assert data.elsewhere is not None
    there = data.elsewhere.xs("another", level=CONTEXT)
    assert there.iloc[:, :30].isna().to_numpy().all()
    own = data.one_context().loc[there.index]
    np.testing.assert_allclose(there.iloc[:, 30:], own.iloc[:, 30:])
    with pytest.raises(InputError, match="half.h5ad has the context another, which was read already"):
        read_training(path, others=[tmp_path / "half.h5ad"] * 2)
    half.var_names = [f"unknown {i}" for i in range(30)]
    half.write_h5ad(tmp_path / "strange.h5ad")
    with pytest.raises(InputError, match="strange.h5ad has none of the genes of the first screen"):
        read_training(path, others=[tmp_path / "strange.h5ad"])
