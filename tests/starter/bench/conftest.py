from collections.abc import Callable
from pathlib import Path

import pytest

from starter.bench.ground import Ground, ground_of_screen

NEAREST = """
import pandas as pd

def fit(data):
    return data.effects, data.controls

def predict(model, pairs):
    effects, controls = model
    rows = [controls.loc[context] + 0.9 * effects.loc[context].mean() for context, _ in pairs]
    return pd.DataFrame(rows).set_index(pairs).clip(lower=0)
"""


@pytest.fixture(scope="session")
def ground(small_path: Path) -> Ground:
    return ground_of_screen(small_path, "vcc2025")


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str = NEAREST, name: str = "mine.py") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write
