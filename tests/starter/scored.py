"""Predictions of the small screen, as tests of scoring make them."""

from pathlib import Path

import anndata
import pandas as pd

from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.prediction.write import write_prediction


def predict(screen: anndata.AnnData, table: pd.DataFrame, path: Path) -> Path:
    n_cells = screen.obs["target_gene"].value_counts().to_dict()
    write_prediction(path, cells.make_cells(table, controls_of(screen), n_cells), screen.var_names)
    return path
