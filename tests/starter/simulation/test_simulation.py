import dataclasses
import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from benchmarks.watch import watch
from starter.data import dataset, preprocess, pseudobulk, split
from starter.errors import InputError
from starter.files import sha256
from starter.models import baselines
from starter.priors import features, graphs
from starter.schema import CONTROL
from starter.scoring.metrics.correlation import pearson_delta
from starter.scoring.metrics.discrimination import discrimination_score_l1_midrank
from starter.scoring.screens.summary import Summary
from starter.simulation import biology
from starter.simulation import counts as simulated_counts
from starter.simulation.counts import draw_cells, expected_values
from starter.simulation.doubles import KINDS
from starter.simulation.human_genes import read_human_genes
from starter.simulation.setup import SIZES, Simulation, Size
from starter.simulation.write import BYTES_PER_VALUE, write

NO_DE = None


def whole_screen(simulation: Simulation, folder: Path) -> anndata.AnnData:
    return dataset.read_screen(write(simulation, folder))


class Trial:
    """A screen at its default size, 48 perturbations hidden, as a course would be graded."""

    def __init__(self, preset: str, seed: int, folder: Path) -> None:
        self.simulation = biology.draw(preset, seed)
        self.screen = whole_screen(self.simulation, folder)
        self.profiles = pseudobulk.profiles(self.screen).droplevel("context")
        self.rng = np.random.default_rng(seed)
        names = self.rng.permutation(self.simulation.targets)
        self.hidden, self.train = sorted(names[:48]), sorted(names[48:])
        self.truth = self.side(self.profiles.loc[self.hidden])

    def side(self, profiles: pd.DataFrame | np.ndarray) -> Summary:
        control = self.profiles.loc[CONTROL].to_numpy()
        genes = np.array(self.profiles.columns)
        return Summary(np.array(self.hidden), genes, NO_DE, np.asarray(profiles), control, NO_DE)

    def pds(self, prediction: Summary, truth: Summary | None = None) -> float:
        return discrimination_score_l1_midrank(truth or self.truth, prediction).mean()

    def train_mean_pearson(self) -> float:
        mean = self.side(np.tile(self.profiles.loc[self.train].mean(), (48, 1)))
        return pearson_delta(self.truth, mean).mean()

    def neighbour_pds(self, graph: pd.DataFrame) -> float:
        return self.pds(self.side(graphs.neighbour_mean(self.profiles.loc[self.train], graph, self.hidden)))

    def replicate_pds(self) -> float:
        code = {name: row for row, name in enumerate(self.hidden)}
        groups = self.screen.obs["target_gene"].astype(str).map(code).fillna(-1).to_numpy(int)
        first = self.rng.random(self.screen.n_obs) < 0.5
        x = preprocess.expression(self.screen)
        halves = (pseudobulk.group_means(x, np.where(half, groups, -1), 48) for half in (first, ~first))
        return self.pds(*(self.side(half) for half in halves))

    def effect_correlation(self) -> float:
        effects = self.profiles.drop(index=CONTROL) - self.profiles.loc[CONTROL]
        pairwise = np.corrcoef(effects)
        return float(np.median(pairwise[np.triu_indices_from(pairwise, 1)]))


@pytest.mark.parametrize("seed", [2, 3])
def test_the_default_preset_is_as_hard_as_it_should_be(seed: int, tmp_path: Path):
    trial = Trial("default", seed, tmp_path)
    assert 0.30 < trial.train_mean_pearson() < 0.5
    assert 0.07 < trial.effect_correlation() < 0.20
    assert trial.replicate_pds() > 0.75
    with_graph = trial.neighbour_pds(trial.simulation.graph)
    shuffled = trial.neighbour_pds(graphs.shuffle_graph(trial.simulation.graph, trial.rng))
    assert 0.57 < with_graph < 0.72
    assert shuffled == pytest.approx(0.5, abs=0.06)


def test_the_hard_preset_is_harder(tmp_path: Path):
    trial = Trial("hard", 1, tmp_path)
    default = Trial("default", 1, tmp_path)
    assert trial.neighbour_pds(trial.simulation.graph) < default.neighbour_pds(default.simulation.graph) - 0.03
    assert trial.effect_correlation() < default.effect_correlation()
    silent = np.median(np.abs(trial.simulation.effects[0]), axis=1) < 0.03
    assert silent.mean() == pytest.approx(0.35, abs=0.06)


SMALL = Size(targets=24, genes=200, controls=300, min_cells=60)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(biology.draw(seed=1, size=SMALL), tmp_path_factory.mktemp("drawn"))


def test_the_same_seed_gives_the_same_files(tmp_path: Path, drawn: Path):
    again = write(biology.draw(seed=1, size=SMALL), tmp_path / "again")
    other = write(biology.draw(seed=2, size=SMALL), tmp_path / "other")
    assert sha256(again) == sha256(drawn) != sha256(other)
    for name in ("simulated_graph.tsv", "simulated_features.parquet"):
        assert sha256(again.parent / "priors" / name) == sha256(drawn.parent / "priors" / name)


def test_every_processor_draws_the_same_cells(tmp_path: Path, drawn: Path, old_processor: dict[str, str]):
    code = (
        "import sys; from starter.simulation import biology, setup, write; "
        "size = setup.Size(targets=24, genes=200, controls=300, min_cells=60); "
        "write.write(biology.draw(seed=1, size=size), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], env=old_processor, check=True)
    here, there = dataset.read_screen(drawn), dataset.read_screen(tmp_path / drawn.name)
    assert (there.X != here.X).nnz == 0
    pd.testing.assert_frame_equal(there.obs, here.obs)


def test_it_says_that_it_is_simulated_and_never_from_which_seed(small_path: Path, small_screen: anndata.AnnData):
    assert small_path.name == "simulated_default.h5ad"
    course = small_screen.uns["course"]
    assert bool(course["simulated"])
    assert course["title"] == "Simulated screen (default preset)"
    assert "seed" not in str(course)


def test_cells_and_depth_are_as_asked(tmp_path: Path):
    size = Size(targets=30, genes=300, controls=400, min_cells=40, batches=4)
    screen = whole_screen(biology.draw(seed=4, size=size), tmp_path)
    counts = screen.obs["target_gene"].value_counts()
    assert counts[CONTROL] == 400
    assert counts.drop(CONTROL).min() >= 40
    assert len(counts) == 31
    assert screen.n_vars == 300
    assert sorted(screen.obs["batch"].unique()) == [f"batch_{i}" for i in range(1, 5)]
    assert screen.obs["n_umis"].median() == pytest.approx(3_000, rel=0.05)
    deep = whole_screen(biology.draw(seed=4, size=Size(30, 300, 400, 40, depth=50_000)), tmp_path / "deep")
    assert deep.obs["n_umis"].median() == pytest.approx(50_000, rel=0.05)
    assert deep.X.nnz > 1.4 * screen.X.nnz


def test_targets_are_knocked_down_in_the_cells_that_did_not_escape(tmp_path: Path):
    size = Size(targets=20, genes=200, controls=600, min_cells=200)
    simulation = biology.draw(seed=5, size=size)
    screen = whole_screen(simulation, tmp_path)
    rate = screen.X.multiply(1 / screen.obs["n_umis"].to_numpy()[:, None]).tocsr()
    position = screen.var_names.get_indexer(simulation.targets)
    residual = np.exp(simulation.effects[0, np.arange(20), position])
    assert (residual > 0.05).all()
    assert (residual < 0.3).all()
    escape = simulation.escape.mean(axis=1)
    expected = escape + (1 - escape) * residual
    labels = screen.obs["target_gene"].astype(str).to_numpy()
    measured = [
        rate[labels == target, gene].mean() / rate[labels == CONTROL, gene].mean()
        for target, gene in zip(simulation.targets, position, strict=True)
    ]
    assert np.median(np.array(measured) / expected) == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, anndata.AnnData]:
    """Many cells of few targets."""
    size = Size(targets=40, genes=400, controls=2_000, min_cells=300, depth=12_000)
    simulation = biology.draw(seed=12, size=size)
    return simulation, whole_screen(simulation, tmp_path_factory.mktemp("deep"))


def mean_rate(screen: anndata.AnnData, cells: np.ndarray, gene: int) -> float:
    """UMIs of a gene in a cell of average depth."""
    return float(screen.X[cells][:, gene].sum() / screen.obs["n_umis"].to_numpy()[cells].sum())


def test_guides_of_a_target_differ_in_how_many_cells_escape(deep):
    simulation, screen = deep
    guides = screen.obs["guide_id"].astype(str).to_numpy()
    assert len(set(guides)) == 40 * 3 + 9
    assert (screen.obs["target_gene"].astype(str) == [guide.rpartition("_")[0] for guide in guides]).all()
    control = np.flatnonzero(screen.obs["target_gene"] == CONTROL)
    left, expected = [], []
    for row, (target, gene) in enumerate(zip(simulation.targets, simulation.position, strict=True)):
        residual = np.exp(simulation.effects[0, row, gene])
        for number, escape in enumerate(simulation.escape[row]):
            cells = np.flatnonzero(guides == f"{target}_{number + 1}")
            left.append(mean_rate(screen, cells, gene) / mean_rate(screen, control, gene))
            expected.append(escape + (1 - escape) * residual)
    assert np.std(expected) > 0.1
    assert np.corrcoef(left, expected)[0, 1] > 0.85
    assert simulation.escape.max() <= 0.9
    assert np.mean(simulation.escape) == pytest.approx(0.2, abs=0.03)


def test_one_guide_silences_another_gene_and_some_targets_their_neighbour(deep):
    simulation, screen = deep
    guides = screen.obs["guide_id"].astype(str).to_numpy()
    control = np.flatnonzero(screen.obs["target_gene"] == CONTROL)
    hits = np.argwhere(simulation.off_target >= 0)
    assert len(hits) == 4
    of_hit, of_sisters = [], []
    for row, number in hits:
        gene = simulation.off_target[row, number]
        for other in range(3):
            cells = np.flatnonzero(guides == f"{simulation.targets[row]}_{other + 1}")
            ratio = mean_rate(screen, cells, gene) / mean_rate(screen, control, gene)
            (of_hit if other == number else of_sisters).append(ratio)
    assert np.median(of_hit) < 0.6 < np.median(of_sisters)
    beside = simulation.effects[0][np.arange(39), simulation.position[:39] + 1]
    assert (beside <= np.log(0.4)).sum() >= 6


def test_damaged_cells_have_few_umis_and_many_of_mitochondria(deep):
    _, screen = deep
    damaged = screen.obs["percent_mito"] > 15
    assert damaged.mean() == pytest.approx(0.02, abs=0.005)
    assert screen.obs.loc[damaged, "n_umis"].median() < 0.25 * screen.obs.loc[~damaged, "n_umis"].median()
    assert screen.obs.loc[~damaged, "percent_mito"].mean() == pytest.approx(4.5, abs=0.1)


def test_half_of_the_targets_were_measured_in_another_context(tmp_path: Path):
    simulation = biology.draw(seed=3)
    path = write(simulation, tmp_path)
    other = pd.read_parquet(tmp_path / "priors" / "simulated_other_context.parquet")
    assert other.shape == (121, 1_500)
    assert other.index.name == "perturbation"
    here = pseudobulk.profiles(dataset.read_screen(path)).droplevel("context")
    targets = list(other.index.drop(CONTROL))
    there, effect = other.loc[targets] - other.loc[CONTROL], here.loc[targets] - here.loc[CONTROL]
    own = [np.corrcoef(effect.loc[name], there.loc[name])[0, 1] for name in targets]
    mixed = [np.corrcoef(effect.loc[a], there.loc[b])[0, 1] for a, b in itertools.pairwise(targets)]
    # twenty cells a target are noisy
    assert 0.15 < np.median(own) < 0.6
    assert np.median(mixed) < np.median(own) - 0.1
    # cell lines express much the same genes, and not as much of each
    assert 0.5 < np.corrcoef(here.loc[CONTROL], other.loc[CONTROL])[0, 1] < 0.95


def test_control_cells_vary_along_the_same_programmes(tmp_path: Path):
    simulation = biology.draw(seed=6, size=Size(targets=40, genes=400, controls=3_000, min_cells=5))
    screen = whole_screen(simulation, tmp_path)
    control = screen[screen.obs["target_gene"] == CONTROL]
    x = preprocess.expression(control.copy()).toarray()
    strong = np.flatnonzero(x.mean(axis=0) > np.quantile(x.mean(axis=0), 0.6))
    loadings = simulation.loadings[0]
    strong = strong[np.abs(loadings[:, strong]).sum(axis=0) > 0]
    measured, expected = np.corrcoef(x[:, strong].T), np.corrcoef(loadings[:, strong].T)
    upper = np.triu_indices(len(strong), 1)
    assert np.corrcoef(measured[upper], expected[upper])[0, 1] > 0.3


def correlations(simulation: Simulation) -> np.ndarray:
    """Of each target's effects, its own gene left out, in every two contexts; pairs of contexts x targets."""
    effects = simulation.effects.copy()
    effects[:, np.arange(len(simulation.targets)), simulation.position] = 0
    pairs = itertools.combinations(effects, 2)
    return np.array([[np.corrcoef(a, b)[0, 1] for a, b in zip(*pair, strict=True)] for pair in pairs])


@pytest.mark.parametrize("asked", [0.3, 0.6, 0.8])
def test_effects_correlate_as_asked_in_every_two_contexts(asked: float):
    simulation = biology.draw(seed=7, size=Size(contexts=4, correlation=asked))
    found = correlations(simulation)
    assert found.shape == (6, 240)
    np.testing.assert_allclose(found.mean(axis=1), asked, atol=0.05)
    # some are much the same everywhere, some are not
    low, high = np.quantile(found, [0.1, 0.9])
    assert high - low > 0.35
    # in none are effects weaker, or spread over more genes
    size = np.sqrt((simulation.effects**2).mean(axis=(1, 2)))
    changed = (np.abs(simulation.effects) > 0.1).mean(axis=(1, 2))
    assert size.max() / size.min() < 1.05
    assert changed.max() / changed.min() < 1.1


def test_effects_of_different_targets_do_not_correlate_more_across_contexts_than_within_one():
    simulation = biology.draw(seed=7, size=Size(contexts=2))
    here, there = simulation.effects
    others = np.roll(np.arange(240), 1)
    within = np.mean([np.corrcoef(here[a], here[b])[0, 1] for a, b in enumerate(others)])
    across = np.mean([np.corrcoef(here[a], there[b])[0, 1] for a, b in enumerate(others)])
    assert 0 < across < 0.8 * within
    assert across < 0.5 * correlations(simulation).mean()


def test_a_context_is_the_same_in_a_screen_of_more():
    one, two, three = (
        biology.draw(seed=3, size=Size(targets=24, genes=200, contexts=contexts, doubles=5)) for contexts in (1, 2, 3)
    )
    for name in ("effects", "base", "loadings"):
        np.testing.assert_array_equal(getattr(two, name)[:1], getattr(one, name))
        np.testing.assert_array_equal(getattr(three, name)[:2], getattr(two, name))
    for name in ("batch_shift", "dispersion", "escape"):
        np.testing.assert_array_equal(getattr(three, name), getattr(one, name))
    pd.testing.assert_frame_equal(three.graph, one.graph)


def test_cell_lines_express_much_the_same_genes_and_not_as_much_of_each():
    base = np.log(biology.draw(seed=7, size=Size(contexts=3)).base)
    differences = [np.std(a - b) for a, b in itertools.combinations(base, 2)]
    np.testing.assert_allclose(differences, 0.8, atol=0.06)
    assert 0.75 < np.corrcoef(base)[np.triu_indices(3, 1)].min() < 0.95


def test_a_screen_of_several_contexts_has_every_perturbation_in_each(tmp_path: Path):
    simulation = biology.draw(seed=7, size=Size(targets=60, genes=500, controls=50, min_cells=5, contexts=3))
    screen = whole_screen(simulation, tmp_path)
    assert dataset.contexts(screen) == ["context_1", "context_2", "context_3"]
    counts = screen.obs.groupby("context", observed=True)["target_gene"].nunique()
    assert counts.tolist() == [61, 61, 61]
    position = simulation.position
    knocked_down = simulation.effects[:, np.arange(60), position]
    assert (knocked_down == knocked_down[0]).all()
    assert (np.exp(knocked_down) < 0.31).all()


def test_the_students_graph_has_lost_and_false_edges():
    simulation = biology.draw(seed=8)
    true, given = (set(map(tuple, graph.to_numpy())) for graph in (simulation.true_graph, simulation.graph))
    assert len(given) == len(true)
    assert len(true & given) / len(true) == pytest.approx(0.8, abs=0.01)


def test_features_tell_targets_of_a_block_apart_and_hold_noise():
    simulation = biology.draw(seed=9)
    assert simulation.features.shape == (240, 32)
    connected = simulation.true_graph
    rng = np.random.default_rng(0)

    def alike(columns: slice, a: np.ndarray, b: np.ndarray) -> float:
        values = simulation.features.iloc[:, columns]
        return float(np.mean([np.corrcoef(values.loc[x], values.loc[y])[0, 1] for x, y in zip(a, b, strict=True)]))

    a, b = connected["gene_a"].to_numpy()[:300], connected["gene_b"].to_numpy()[:300]
    assert alike(slice(0, 24), a, b) > alike(slice(0, 24), a, rng.permutation(b)) + 0.1
    assert abs(alike(slice(24, 32), a, b)) < 0.08


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="no preset 'easy'; the presets are default, papalexi, hard"):
        biology.draw("easy")
    with pytest.raises(InputError, match="4 doubles cannot be drawn from the 3 pairs of 3 targets"):
        biology.draw(size=Size(targets=3, genes=200, doubles=4))
    with pytest.raises(InputError, match="300 targets cannot be drawn from 200 genes"):
        biology.draw(size=Size(targets=300, genes=200))


def few_cells(name: str) -> Size:
    """All genes and targets of a named size, and few cells."""
    return dataclasses.replace(SIZES[name], controls=400, min_cells=1, extra_cells=0, contexts=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_targets", "n_genes", "seen", "umis"),
    [
        ("vcc", 200, 18_080, 0.483 * 18_080, 53_900),
        ("vcc2025", 50, 18_080, 0.43 * 18_080, 54_000),
        ("vcc2026", 300, 18_533, 5_970, 20_000),
    ],
)
def test_cells_of_a_challenge_have_its_umis_and_zeros(
    tmp_path: Path, name: str, n_targets: int, n_genes: int, seen: float, umis: float
):
    simulation = biology.draw(size=few_cells(name))
    screen = anndata.read_h5ad(write(simulation, tmp_path, compression=None))
    assert screen.shape == (400 + n_targets, n_genes)
    assert screen.X.nnz / screen.n_obs == pytest.approx(seen, rel=0.04)
    assert np.median(screen.X.sum(axis=1).A1) == pytest.approx(umis, rel=0.05)
    assert expected_values(simulation, screen.obs) == pytest.approx(1.05 * screen.X.nnz, rel=0.05)


def test_sizes_of_the_challenges():
    season_2025, season_2026 = SIZES["vcc2025"], SIZES["vcc2026"]
    few_genes = {"genes": 400}
    obs, code = draw_cells(biology.draw(size=dataclasses.replace(season_2025, **few_genes)))
    assert (code < 0).sum() == 38_176
    assert (code >= 0).sum() == pytest.approx(60_750, rel=0.01)
    obs, code = draw_cells(biology.draw(size=dataclasses.replace(season_2026, **few_genes)))
    n_cells = obs.groupby(["context", "target_gene"], observed=True).size().unstack()
    assert n_cells.shape == (3, 301)
    assert (n_cells.pop(CONTROL) == 18_400).all()
    assert (n_cells == 400).all(axis=None)


def test_the_whole_challenge_has_as_many_cells_of_each_target(vcc_data: Path):
    obs, code = draw_cells(biology.draw("vcc", 1, dataclasses.replace(SIZES["vcc"], genes=400)))
    real = pd.read_csv(vcc_data / "vcc2025" / "pert_counts_Validation.csv")["n_cells"]
    drawn = obs.loc[code >= 0, "target_gene"].astype(str).value_counts()
    assert (code < 0).sum() == 38_176
    assert drawn.mean() == pytest.approx(real.mean(), rel=0.02)
    assert drawn.median() == pytest.approx(real.median(), rel=0.1)
    assert drawn.min() == pytest.approx(real.min(), rel=0.02)
    assert obs["batch"].nunique() == 48


def test_cells_do_not_depend_on_threads_or_compression(tmp_path: Path):
    simulation = biology.draw(seed=11, size=Size(targets=5, genes=6_000, controls=1_000, min_cells=20))
    alone, many = (write(simulation, tmp_path / str(n), threads=n) for n in (1, 3))
    assert sha256(alone) == sha256(many)
    plain = write(simulation, tmp_path / "plain", compression=None)
    of_plain = anndata.read_h5ad(plain)
    assert (of_plain.X != anndata.read_h5ad(alone).X).nnz == 0
    values = expected_values(simulation, of_plain.obs)
    for path, compression in ((alone, "gzip"), (plain, None)):
        assert 0.7 < path.stat().st_size / (BYTES_PER_VALUE[compression] * values) < 1.1


def test_too_small_a_disk_is_refused_before_a_cell_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5_000_000))
    monkeypatch.setattr(simulated_counts, "draw_counts", None)
    with pytest.raises(InputError, match=r"0\.0 GB free, and this needs 0\.0 GB; make room there"):
        write(biology.draw(size=few_cells("vcc2025")), tmp_path / "screen", compression=None)
    assert not (tmp_path / "screen").exists()


WRITE = """
import sys
from starter.simulation import biology, setup, write
write.write(biology.draw(size=setup.SIZES["vcc2025"]), sys.argv[1], compression=None)
"""


@pytest.mark.slow
def test_a_whole_challenge_is_written_in_little_memory(tmp_path: Path):
    done = watch([sys.executable, "-c", WRITE, tmp_path], tmp_path / "log")
    assert done.failure == ""
    assert done.peak < 2 * 2**30
    path = tmp_path / "simulated_default.h5ad"
    with h5py.File(path) as file:
        n_cells, n_genes = file["X"].attrs["shape"]
        assert n_genes == 18_080
        assert n_cells == pytest.approx(98_926, rel=0.01)
        assert file["X"]["data"].size / n_cells / n_genes == pytest.approx(0.43, abs=0.01)
    path.unlink()


@pytest.fixture(scope="module")
def with_doubles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, anndata.AnnData]:
    simulation = biology.draw(seed=13, size=Size(targets=40, genes=400, controls=500, min_cells=20, doubles=60))
    return simulation, whole_screen(simulation, tmp_path_factory.mktemp("doubles"))


def test_doubles_take_out_both_targets_and_are_not_quite_the_sum_of_the_singles(with_doubles):
    simulation, screen = with_doubles
    assert len(simulation.perturbations) == 100
    assert set(screen.obs["target_gene"]) == {*simulation.perturbations, CONTROL}
    effects, pairs = simulation.effects[0], simulation.pairs
    for double, pair in zip(effects[40:], pairs, strict=True):
        for target in pair:
            assert double[simulation.position[target]] == effects[target, simulation.position[target]]
    others = np.setdiff1d(np.arange(400), simulation.position)
    summed, measured = effects[pairs].sum(axis=1)[:, others], effects[40:, others]
    heard = np.linalg.norm(summed, axis=1) > np.median(np.linalg.norm(summed, axis=1))
    alike = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(summed[heard], measured[heard], strict=True)])
    assert 0.8 < np.median(alike) < 0.99
    assert alike.min() < 0.85
    size = np.linalg.norm(measured[heard], axis=1) / np.linalg.norm(summed[heard], axis=1)
    assert 0.7 < np.median(size) < 1


def test_the_kind_of_a_double_says_how_its_effect_follows_from_those_of_the_singles():
    simulation = biology.draw(seed=13, size=Size(targets=40, genes=400, doubles=200, contexts=2))
    table, pairs = simulation.interactions, simulation.pairs
    others = np.setdiff1d(np.arange(400), simulation.position)
    weights = table[["weight_a", "weight_b"]].to_numpy()
    for of_context in simulation.effects[:, :, others]:
        explained = (weights[:, :, None] * of_context[pairs]).sum(axis=1)
        left = np.abs(of_context[40:] - np.clip(explained, -2.5, 2.5)).max(axis=1)
        np.testing.assert_array_equal(left > 1e-9, table["kind"] == "neomorphic")
    apart = np.abs(weights[:, 0] - weights[:, 1])
    mean = weights.mean(axis=1)
    by_kind = {kind: rows.index.to_numpy() for kind, rows in table.groupby("kind")}
    assert sorted(by_kind) == sorted(KINDS)
    assert min(len(rows) for rows in by_kind.values()) >= 10
    assert (apart[by_kind["epistatic"]] >= 0.6).all()
    assert (mean[by_kind["buffering"]] < 0.6).all()
    assert (mean[by_kind["synergistic"]] > 1).all()
    assert ((apart < 0.6) & (mean >= 0.6) & (mean <= 1))[by_kind["additive"]].all()


def test_the_kit_splits_describes_and_scores_doubles(with_doubles):
    simulation, screen = with_doubles
    hidden = [str(name) for name in simulation.perturbations[-20:]]
    parts = split.make_split(screen, hidden, list(simulation.perturbations[:4]))
    assert list(parts.n_cells("hidden")) == sorted(hidden)
    profiles = pseudobulk.profiles(screen).droplevel("context")
    of_train = profiles.drop(index=[CONTROL, *hidden])
    known = features.of_targets(simulation.features, hidden)
    a, b = hidden[0].split("+")
    np.testing.assert_allclose(known.loc[hidden[0]], simulation.features.loc[a] + simulation.features.loc[b])
    near = graphs.neighbour_mean(of_train, simulation.graph, hidden)
    added = baselines.additive(profiles.drop(index=hidden), None, hidden)

    def summary(table: pd.DataFrame) -> Summary:
        values = table.loc[hidden].to_numpy()
        return Summary(
            np.array(hidden), np.array(table.columns), NO_DE, values, profiles.loc[CONTROL].to_numpy(), NO_DE
        )

    scores = [discrimination_score_l1_midrank(summary(profiles), summary(table)).mean() for table in (near, added)]
    assert scores[1] > 0.65 > 0.55 > abs(scores[0] - 0.5) + 0.3


def test_cells_stand_unevenly_in_batches_and_lethal_targets_leave_fewer_and_shallower_ones():
    simulation = biology.draw(seed=14)
    obs, code = draw_cells(simulation)
    of_target = obs[code >= 0].groupby("target_gene", observed=True)
    n_cells, depth = of_target.size(), np.log(of_target["n_umis"].median())
    lethal = simulation.targets[simulation.growth == 0]
    assert len(lethal) == 29
    assert (n_cells[lethal] == 48).all()
    assert n_cells.drop(lethal).mean() > 60
    assert depth[lethal].mean() < depth.drop(lethal).mean() - 0.15
    shares = pd.crosstab(obs.loc[code >= 0, "target_gene"], obs.loc[code >= 0, "batch"], normalize="index")
    share = shares["batch_1"].mean()
    by_chance = share * (1 - share) / 67
    assert shares["batch_1"].var() > 1.4 * by_chance
    human = read_human_genes()
    essential = set(human.symbols[human.is_essential])
    assert np.mean([gene in essential for gene in lethal]) > 0.5 > np.mean([g in essential for g in simulation.targets])
