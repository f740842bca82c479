"""Tricks are caught and honest models are not, on a simulated screen of the default size and on the real one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from starter.data import dataset, preprocess, pseudobulk
from starter.data.dataset import PAIR
from starter.data.split import Split, make_split, read_split
from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.prediction.write import write_prediction
from starter.priors import graphs
from starter.schema import CONTROL
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import Truth
from starter.simulation import biology
from starter.simulation.write import write


@dataclass(frozen=True)
class Setting:
    """A split screen, its truth, and what models can use."""

    train: anndata.AnnData
    hidden: anndata.AnnData
    n_cells: dict[str, int]
    profiles: pd.DataFrame
    of_train: pd.DataFrame
    graph: pd.DataFrame
    features: pd.DataFrame
    truth: Truth
    folder: Path

    @property
    def control(self) -> pd.Series:
        return self.profiles.loc[CONTROL]


def setting(screen: anndata.AnnData, split: Split, priors: Path, folder: Path) -> Setting:
    """Half of the hidden cells is the truth; the other half is a replicate of the experiment."""
    parts = {
        "train": screen[split.select(screen.obs, "train", "public")].copy(),
        "hidden": screen[split.select(screen.obs, "hidden")].copy(),
    }
    control = (parts["hidden"].obs["target_gene"] == CONTROL).to_numpy()
    first = np.random.default_rng(0).random(len(control)) < 0.5
    parts["first"], parts["second"] = (parts["hidden"][half | control].copy() for half in (first, ~first))
    for name in ("train", "first"):
        parts[name].write_h5ad(folder / f"{name}.h5ad")
    split.write(folder / "split.json")
    truth = build_truth(
        folder / "first.h5ad",
        folder / "truth",
        split=folder / "split.json",
        part="hidden",
        train=folder / "train.h5ad",
        rule_set="course",
    )
    profiles = pseudobulk.profiles(parts["train"]).droplevel("context")
    graph = graphs.read_graph(next(priors.glob("*graph.tsv")))
    of_train = profiles.loc[list(split.pairs("train").get_level_values("perturbation"))]
    n_cells = parts["first"].obs["target_gene"].value_counts().drop(CONTROL).to_dict()
    return Setting(parts["train"], parts["second"], n_cells, profiles, of_train, graph, features(graph), truth, folder)


def features(graph: pd.DataFrame) -> pd.DataFrame:
    """Embed the genes of a graph by its strongest singular vectors."""
    genes = sorted(set(graph.iloc[:, 0]) | set(graph.iloc[:, 1]))
    adjacency = pd.DataFrame(0.0, genes, genes)
    for one, other in graph.iloc[:, :2].itertuples(index=False):
        adjacency.loc[one, other] = adjacency.loc[other, one] = 1
    vectors, values, _ = np.linalg.svd(adjacency.to_numpy())
    return pd.DataFrame(vectors[:, :24] * values[:24], genes)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("simulated")
    screen = dataset.read_screen(write(biology.draw(seed=2), folder))
    names = dataset.perturbations(screen)
    chosen = np.random.default_rng(0).permutation(names)
    return setting(screen, make_split(screen, chosen[:48], chosen[48:72]), folder / "priors", folder)


@pytest.fixture(scope="module")
def real(papalexi: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    screen = dataset.read_screen(papalexi / "papalexi_thp1.h5ad")
    split = read_split(papalexi / "papalexi_thp1.split.json")
    return setting(screen, split, papalexi / "priors", tmp_path_factory.mktemp("real"))


@pytest.fixture(params=["simulated", "real"])
def course(request: pytest.FixtureRequest) -> Setting:
    return request.getfixturevalue(request.param)


Blocks = Iterator[tuple[str, scipy.sparse.csr_matrix]]


def score(course: Setting, blocks: Blocks) -> Scorecard:
    write_prediction(course.folder / "prediction.h5ad", blocks, course.train.var_names)
    return score_prediction(course.folder / "prediction.h5ad", course.truth, "course")


def raised(card: Scorecard, level: str = "flag") -> set[str]:
    return {flag.name for flag in card.flags if flag.level == level}


def table(course: Setting, profiles: np.ndarray) -> pd.DataFrame:
    values = np.clip(np.broadcast_to(profiles, (len(course.n_cells), course.profiles.shape[1])), 0, None)
    return pd.DataFrame(values, sorted(course.n_cells), course.profiles.columns)


def made(course: Setting, profiles: pd.DataFrame, way: str = "thin") -> Blocks:
    indexed = pd.concat({"one context": profiles}, names=PAIR)
    return cells.make_cells(indexed, controls_of(course.train), course.n_cells, way)


def regression(course: Setting, model: Ridge | RandomForestRegressor) -> pd.DataFrame:
    of = course.features.reindex([*course.of_train.index, *sorted(course.n_cells)]).fillna(0).to_numpy()
    n_train = len(course.of_train)
    model.fit(of[:n_train], course.of_train - course.control)
    return table(course, model.predict(of[n_train:]) + course.control.to_numpy())


def neighbours(course: Setting) -> pd.DataFrame:
    return graphs.neighbour_mean(course.profiles.drop(index=CONTROL), course.graph, sorted(course.n_cells))


def replicate(course: Setting) -> Blocks:
    logs, labels = preprocess.expression(course.hidden), course.hidden.obs["target_gene"].astype(str).to_numpy()
    for label in [CONTROL, *sorted(course.n_cells)]:
        yield label, logs[labels == label]


HONEST = {
    "random forest": lambda c: made(c, regression(c, RandomForestRegressor(60, random_state=0))),
    "ridge": lambda c: made(c, regression(c, Ridge(10.0))),
    "neighbour mean": lambda c: made(c, neighbours(c)),
    "replicate": replicate,
}


@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=pytest.mark.slow if model == "random forest" else ()) for model in HONEST]
)
def test_honest_models_raise_no_flag(course: Setting, model: str):
    card = score(course, HONEST[model](course))
    assert [flag.text for flag in card.flags] == []


def test_the_train_mean_raises_no_flag_and_its_one_list_is_told(course: Setting):
    card = score(course, made(course, table(course, course.of_train.mean().to_numpy())))
    assert raised(card) == set()
    assert raised(card, "information") == {"one_gene_list"}
    assert all(flag.number > flag.limit for flag in card.flags)


def mean_effect(course: Setting) -> np.ndarray:
    return (course.of_train.mean() - course.control).to_numpy()


def second_log(course: Setting) -> Blocks:
    for label, block in made(course, table(course, course.of_train.mean().to_numpy())):
        if label != CONTROL:
            block.data = np.log1p(block.data)
        yield label, block


def edited_controls(course: Setting) -> Blocks:
    """Rare genes lose a fifth of their expression in the controls, which hardly shows in a cell's total."""
    order = np.argsort(course.control.to_numpy())
    rare = order[int(0.3 * len(order)) : int(0.5 * len(order))]
    for label, block in made(course, neighbours(course)):
        if label == CONTROL:
            block = block.tocsc()
            for gene in rare:
                block.data[block.indptr[gene] : block.indptr[gene + 1]] *= 0.8
        yield label, block.tocsr()


def gaussian(course: Setting) -> Blocks:
    rng = np.random.default_rng(0)
    profile = course.of_train.mean().to_numpy()
    for label, block in made(course, table(course, profile)):
        if label != CONTROL:
            block = scipy.sparse.csr_matrix(np.maximum(rng.normal(profile, 1.0, block.shape), 0).astype(np.float32))
        yield label, block


def one_list(course: Setting, n_genes: dict[str, int]) -> pd.DataFrame:
    """The genes that change most often in training, changed in every perturbation alike."""
    often = (course.of_train - course.control).abs().mean().sort_values(ascending=False).index
    profiles = table(course, course.control.to_numpy())
    step = np.sign(mean_effect(course)) * np.maximum(0.3, 1.5 * np.abs(mean_effect(course)))
    step = pd.Series(step, course.profiles.columns)
    for label, n in n_genes.items():
        profiles.loc[label, often[:n]] += step[often[:n]]
    return profiles.clip(lower=0)


def by_power(course: Setting) -> Blocks:
    """How many genes change is taken from the published number of cells and UMIs."""
    of_hidden = course.truth.measured(get_rule_set("course"))
    rank = pd.Series(of_hidden.power, of_hidden.perturbations).rank() / len(of_hidden.power)
    return made(course, one_list(course, {label: int(5 + 100 * rank[label]) for label in course.n_cells}))


TRICKS = {
    "every cell equal": ("identical_cells", lambda c: made(c, neighbours(c), "constant")),
    "a second log1p on perturbed cells": ("library_size", second_log),
    "Gaussian noise": ("inflated_variance", gaussian),
    "the train mean's effects x 5": (
        "scaled_effects",
        lambda c: made(c, table(c, c.control.to_numpy() + 5 * mean_effect(c))),
    ),
    "edited controls": ("changed_controls", edited_controls),
    "DE counts by cells x UMIs": ("counts_follow_power", by_power),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_are_caught(course: Setting, trick: str):
    name, make = TRICKS[trick]
    card = score(course, make(course))
    assert name in raised(card)
    flag = next(flag for flag in card.flags if flag.name == name)
    assert f"{flag.number:.2g}" in flag.text or f"{flag.number:.2f}" in flag.text


def test_one_fixed_gene_list_is_told(course: Setting):
    card = score(course, made(course, one_list(course, dict.fromkeys(course.n_cells, 60))))
    assert "one_gene_list" in raised(card, "information")


def test_the_measured_cells_themselves_are_above_the_replicate(course: Setting):
    first = anndata.read_h5ad(course.folder / "first.h5ad")
    logs, labels = preprocess.expression(first), first.obs["target_gene"].astype(str).to_numpy()
    card = score(course, ((label, logs[labels == label]) for label in [CONTROL, *sorted(course.n_cells)]))
    assert raised(card) == {"above_replicate"}
