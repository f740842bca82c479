"""Screens in a challenge's layout, which the challenge's own tools and the kit read."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from typer.testing import CliRunner
from vcc.prep import run_prep

from starter.cli import app
from starter.errors import InputError
from starter.files import sha256
from starter.prediction.requirements import requirements_of_lists
from starter.schema import CONTROL
from starter.scoring.truth.build import build_truth
from starter.simulation import biology, challenge
from starter.simulation import counts as simulated_counts
from starter.simulation.setup import SIZES, Size

SIZE = Size(targets=20, genes=300, controls=150, min_cells=10, batches=48, damaged=0)


@pytest.fixture(scope="module")
def season_2025(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season_2025")
    challenge.write_2025(biology.draw("vcc", 1, SIZE), folder)
    return folder


@pytest.fixture(scope="module")
def season_2026(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season_2026")
    challenge.write_2026(biology.draw("vcc", 1, dataclasses.replace(SIZE, contexts=3)), folder)
    return folder


def labels(screen: anndata.AnnData) -> np.ndarray:
    return screen.obs["target_gene"].astype(str).to_numpy()


def parts(folder: Path) -> list[anndata.AnnData]:
    return [anndata.read_h5ad(folder / f"simulated_adata_{name}.h5ad") for name in ("Training", "Validation")]


def is_counts(x: scipy.sparse.csr_matrix) -> bool:
    whole = np.array_equal(x.data, np.rint(x.data)) and x.data.min() >= 1
    return x.format == "csr" and x.dtype == np.float32 and whole


def test_files_of_2025_hold_what_that_seasons_hold(season_2025: Path):
    for screen in parts(season_2025):
        assert is_counts(screen.X)
        assert list(screen.obs.columns) == ["target_gene", "guide_id", "batch"]
        assert all(isinstance(dtype, pd.CategoricalDtype) for dtype in screen.obs.dtypes)
        assert not screen.uns
        assert not list(screen.var.columns)
        assert screen.obs_names.is_unique
        assert screen.obs_names.str.startswith("simulated_cell_").all()
        assert screen.obs["batch"].isin([f"Flex_{run}_{lane:02d}" for run in (1, 2, 3) for lane in range(1, 17)]).all()
        same_gene = screen.obs["guide_id"].astype(str).str.match(r"(.+)_(\d)_A\|\1_\2_B$")
        assert same_gene.all()
        assert (screen.obs["guide_id"].astype(str).str.rpartition("_A|")[0].str[:-2] == labels(screen)).all()
    with h5py.File(season_2025 / "simulated_adata_Training.h5ad") as file:
        assert file["X/data"].compression is None


def test_training_and_validation_share_their_controls_and_nothing_else(season_2025: Path):
    training, validation = parts(season_2025)
    of_training, of_validation = set(labels(training)), set(labels(validation))
    assert of_training & of_validation == {CONTROL}
    assert (len(of_training), len(of_validation)) == (16, 6)
    controls = [screen[labels(screen) == CONTROL] for screen in (training, validation)]
    assert controls[0].n_obs == 150
    pd.testing.assert_frame_equal(controls[0].obs.astype(str), controls[1].obs.astype(str))
    assert (controls[0].X != controls[1].X).nnz == 0
    perturbed = [screen[labels(screen) != CONTROL] for screen in (training, validation)]
    assert not set(perturbed[0].obs_names) & set(perturbed[1].obs_names)
    rows = [{row.tobytes() for row in screen.X.toarray()} for screen in perturbed]
    assert not rows[0] & rows[1]


def test_lists_of_2025_say_what_is_due_as_the_real_ones_do(season_2025: Path, vcc_data: Path):
    training, validation = parts(season_2025)
    for name, screen in (("Training", training), ("Validation", validation)):
        table = pd.read_csv(season_2025 / f"pert_counts_{name}.csv")
        real = pd.read_csv(vcc_data / "vcc2025" / "pert_counts_Validation.csv")
        assert list(table.columns) == list(real.columns)
        assert table["n_cells"].is_monotonic_decreasing
        counts = pd.Series(labels(screen)).value_counts().drop(CONTROL)
        assert dict(table[["target_gene", "n_cells"]].to_numpy()) == dict(counts)
    due = requirements_of_lists(season_2025 / "gene_names.csv", season_2025 / "pert_counts_Validation.csv")
    assert list(due.genes) == list(training.var_names) == list(validation.var_names)
    assert set(due.n_cells) == set(labels(validation)) - {CONTROL}
    assert (season_2025 / "priors" / "simulated_other_context.parquet").is_file()


def test_a_truth_of_2025_is_built_of_the_two_files(season_2025: Path, tmp_path: Path):
    real, train = (season_2025 / f"simulated_adata_{name}.h5ad" for name in ("Validation", "Training"))
    truth = build_truth(real, tmp_path / "truth", train=train, rule_set="vcc2025")
    assert [len(names) for names in truth.contexts.values()] == [5]


def test_files_of_2026_hold_what_that_seasons_hold(season_2026: Path):
    truth = anndata.read_h5ad(season_2026 / "truth" / "simulated_truth.h5ad")
    counts = truth.obs.groupby("context", observed=True)["target_gene"].value_counts().unstack()
    assert counts.shape == (3, 21)
    assert (counts.pop(CONTROL) == 150).all()
    assert (counts == 10).all(axis=None)
    for name in "ABC":
        screen = anndata.read_h5ad(season_2026 / f"simulated_context_{name}.h5ad")
        assert is_counts(screen.X)
        assert list(screen.obs.columns) == ["target_gene", "context", "ntc_id"]
        assert set(labels(screen)) == {CONTROL}
        assert set(screen.obs["context"]) == {name}
        assert 40 <= screen.obs["ntc_id"].nunique() <= 46
        assert not screen.uns
        assert not list(screen.var.columns)
        here = truth[screen.obs_names]
        assert (here.obs["context"] == name).all()
        assert (here.X != screen.X).nnz == 0
    assert json.loads((season_2026 / "manifest.json").read_text()) == {
        "season": 2026,
        "partition": "val",
        "panel_id": "simulated-vcc",
        "contexts": ["A", "B", "C"],
    }


def test_the_challenges_own_tool_takes_the_truth_of_2026_as_a_prediction(season_2026: Path, tmp_path: Path):
    truth = anndata.read_h5ad(season_2026 / "truth" / "simulated_truth.h5ad")
    prediction = tmp_path / "prediction.h5ad"
    truth[labels(truth) != CONTROL].copy().write_h5ad(prediction)
    lists = {"genes": season_2026 / "gene_names.csv", "perts": season_2026 / "pert_counts.csv"}
    done = run_prep(
        input_path=str(prediction),
        output_path=str(tmp_path / "prediction.vcc"),
        genes_path=str(lists["genes"]),
        perts_path=str(lists["perts"]),
        required_contexts=("A", "B", "C"),
        expected_gene_dim=None,
    )
    assert done.n_cells == 3 * 20 * 10
    due = requirements_of_lists(*lists.values())
    assert due.contexts == ("A", "B", "C")
    assert due.panel_id == "simulated-vcc"


def test_a_list_of_2026_names_no_numbers_where_they_are_the_seasons(tmp_path: Path):
    size = Size(targets=2, genes=20, controls=10, min_cells=400, contexts=2)
    challenge.write_2026(biology.draw("vcc", 1, size), tmp_path)
    assert list(pd.read_csv(tmp_path / "pert_counts.csv").columns) == ["target_gene"]


def test_the_same_seed_gives_the_same_files(season_2025: Path, tmp_path: Path):
    for path in challenge.write_2025(biology.draw("vcc", 1, SIZE), tmp_path):
        assert sha256(path) == sha256(season_2025 / path.name)


def test_what_a_season_did_not_have_is_refused(tmp_path: Path):
    several, doubles = (dataclasses.replace(SIZE, **change) for change in ({"contexts": 2}, {"doubles": 3}))
    for size in (several, doubles):
        with pytest.raises(InputError, match="season 2025 had one context and no doubles; leave contexts and doubles"):
            challenge.write_2025(biology.draw("vcc", 1, size), tmp_path)
    with pytest.raises(InputError, match="season 2026 had no doubles; leave them out"):
        challenge.write_2026(biology.draw("vcc", 1, doubles), tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_small_a_disk_is_refused_before_a_cell_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
    monkeypatch.setattr(challenge, "draw_counts", None)
    for write, contexts in ((challenge.write_2025, 1), (challenge.write_2026, 3)):
        with pytest.raises(InputError, match=r"0\.0 GB free, and this needs 0\.0 GB; make room there"):
            write(biology.draw("vcc", 1, dataclasses.replace(SIZE, contexts=contexts)), tmp_path / "screen")
    assert not (tmp_path / "screen").exists()


def test_what_was_stopped_half_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw_counts = simulated_counts.draw_counts

    def stopped(*arguments: object):
        yield from draw_counts(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(challenge, "draw_counts", stopped)
    with pytest.raises(KeyboardInterrupt):
        challenge.write_2025(biology.draw("vcc", 1, SIZE), tmp_path)
    assert not list(tmp_path.iterdir())


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_writes_a_screen_of_a_size_and_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SIZES, "vcc", SIZE)
    monkeypatch.setitem(SIZES, "vcc2026", dataclasses.replace(SIZE, contexts=3))
    monkeypatch.setitem(SIZES, "course", SIZE)
    said = run("simulate", "--layout", "vcc2025", "--seed", 1, "-o", tmp_path / "2025")
    assert "simulated_adata_Training.h5ad" in said
    assert "simulated_adata_Validation.h5ad" in said
    said = run("simulate", "--layout", "vcc2026", "--contexts", 2, "--seed", 1, "-o", tmp_path / "2026")
    assert sorted(path.name for path in (tmp_path / "2026").glob("*.h5ad")) == [
        "simulated_context_A.h5ad",
        "simulated_context_B.h5ad",
    ]
    assert "simulated_truth.h5ad" in said
    run("simulate", "--preset", "hard", "--contexts", 2, "--doubles", 4, "--seed", 1, "-o", tmp_path / "course")
    screen = anndata.read_h5ad(tmp_path / "course" / "simulated_hard.h5ad")
    assert set(screen.obs["context"]) == {"context_1", "context_2"}
    assert sum("+" in name for name in set(labels(screen))) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--layout", "vcc"), "there is no layout 'vcc'; the layouts are course, vcc2025, vcc2026"),
        (("--size", "huge"), "there is no size 'huge'; the sizes are course, vcc, vcc-small, vcc2025, vcc2026"),
        (("--preset", "easy"), "there is no preset 'easy'; the presets are default, papalexi, hard, vcc"),
    ],
)
def test_the_command_names_what_there_is(arguments: tuple[str, ...], said: str, tmp_path: Path):
    with pytest.raises(InputError, match=said):
        run("simulate", *arguments, "--seed", 1, "-o", tmp_path)
