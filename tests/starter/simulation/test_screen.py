import numpy as np

from starter.data.dataset import contexts, read_screen
from starter.simulation.biology import draw
from starter.simulation.screen import simulated_screen
from starter.simulation.setup import Size
from starter.simulation.write import write


def test_a_screen_in_memory_is_the_one_that_is_written(tmp_path):
    simulation = draw(seed=3, size=Size(targets=4, genes=60, controls=30, min_cells=5, doubles=2, contexts=2))
    made, written = simulated_screen(simulation), read_screen(write(simulation, tmp_path))
    assert made.obs.astype(str).equals(written.obs.astype(str))
    np.testing.assert_array_equal(made.X.toarray(), written.X.toarray())
    assert list(made.var_names) == list(written.var_names)
    assert made.uns["course"] == dict(written.uns["course"])
    assert len(contexts(made)) == 2
