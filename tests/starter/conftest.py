from pathlib import Path

import anndata
import pandas as pd
import pytest

from starter import cells, pseudobulk, submission
from starter.dataset import open_course
from starter.due import Due, due_in_course


@pytest.fixture(scope="session")
def due(released) -> Due:
    return due_in_course(released.public_folder)


@pytest.fixture(scope="session")
def good(released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction without fault: the mean of the training profiles for every hidden perturbation."""
    course = open_course(released.public_folder)
    train, n_cells = course.train(), course.split().n_cells("hidden")
    profiles = pseudobulk.profiles(train)
    index = pd.MultiIndex.from_product([["one context"], list(n_cells)], names=pseudobulk.PAIR)
    table = pd.DataFrame([profiles.mean()] * len(index), index=index)
    path = tmp_path_factory.mktemp("good") / "good.h5ad"
    submission.write_prediction(path, cells.make_cells(table, cells.controls_of(train), n_cells), train.var_names)
    return path


@pytest.fixture
def adata(good: Path) -> anndata.AnnData:
    return anndata.read_h5ad(good)
