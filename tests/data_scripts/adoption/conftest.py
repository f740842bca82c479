import os
from pathlib import Path

import pytest

DATA = os.environ.get("VCC_DATA")


@pytest.fixture
def vcc_data_before() -> Path:
    """The folder of real data, for tests of which all others see none."""
    if not DATA:
        pytest.skip("VCC_DATA is not set: it names the folder with real data sets")
    return Path(DATA)
