"""Reading uploads in tests."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from starter.data.blocks import gather
from starter.prediction.vcc import unpacked
from starter.scoring.screens.opened import open_screen


def in_upload(path: Path) -> anndata.AnnData:
    """Open what is in a `.vcc`."""
    with unpacked(path) as file, open_screen(file, controls=False) as screen:
        x = gather(screen.cells, np.ones(len(screen.obs), bool))
        return anndata.AnnData(x, screen.obs, pd.DataFrame(index=screen.genes))
