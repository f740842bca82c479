from pathlib import Path

import pytest
from scored import predict

from starter.data import dataset, pseudobulk
from starter.schema import CONTROL
from starter.scoring import scorecard
from starter.scoring.truth.build import build_truth
from starter.scoring.truth.opened import Truth


@pytest.fixture(scope="session")
def small_truth(small_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """24 perturbations of the small screen, scored against themselves."""
    return build_truth(small_path, tmp_path_factory.mktemp("truth") / "t")


@pytest.fixture(scope="session")
def predictions(small_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    screen = dataset.read_screen(small_path)
    folder = tmp_path_factory.mktemp("predictions")
    profiles = pseudobulk.profiles(screen)
    table = profiles.drop(index=CONTROL, level="perturbation")
    tables = {"oracle": table, "mean": table * 0 + table.mean(), "half": (table + table.mean()) / 2}
    return {name: predict(screen, table, folder / f"{name}.h5ad") for name, table in tables.items()}


@pytest.fixture(scope="session")
def cards(small_truth: Truth, predictions: dict[str, Path]) -> dict[str, scorecard.Scorecard]:
    return {name: scorecard.score_prediction(path, small_truth, "course") for name, path in predictions.items()}
