from collections.abc import Iterator
from pathlib import Path

import anndata
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from starter.data import pseudobulk
from starter.data.course import open_course
from starter.data.dataset import PAIR
from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.prediction.requirements import Requirements, requirements_of_course
from starter.prediction.write import write_prediction


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Give small networks one thread: a compiled kernel of an earlier test leaves OpenMP as many as there are cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def due(released) -> Requirements:
    return requirements_of_course(released.public_folder)


@pytest.fixture(scope="session")
def good(released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction without fault: the mean of the training profiles for every hidden perturbation."""
    course = open_course(released.public_folder)
    train, n_cells = course.train(), course.split().n_cells("hidden")
    profiles = pseudobulk.profiles(train)
    index = pd.MultiIndex.from_product([["one context"], list(n_cells)], names=PAIR)
    table = pd.DataFrame([profiles.mean()] * len(index), index=index)
    path = tmp_path_factory.mktemp("good") / "good.h5ad"
    write_prediction(path, cells.make_cells(table, controls_of(train), n_cells), train.var_names)
    return path


@pytest.fixture
def adata(good: Path) -> anndata.AnnData:
    return anndata.read_h5ad(good)
