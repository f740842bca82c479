import numpy as np
import pytest
import scipy.sparse

from starter.data.blocks import Cells, gather


@pytest.mark.parametrize(("n_bytes", "n_readings"), [(1 << 20, 1), (1_000, 3)])
def test_cells_that_fit_are_made_once(n_bytes: int, n_readings: int):
    x = scipy.sparse.random(300, 40, 0.3, "csr", np.float32, 1)
    made = []

    def read(keep: np.ndarray):
        made.append(len(keep))
        yield x[:100]
        yield x[100:]

    cells = Cells(x.shape, read).kept(n_bytes)
    everything = np.ones(300, bool)
    next(cells.read(everything))  # what is not read to its end is not kept
    made.clear()
    for _ in range(3):
        assert (gather(cells, everything) != x).nnz == 0
    assert len(made) == n_readings
