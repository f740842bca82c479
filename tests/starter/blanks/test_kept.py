from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.answers import values
from starter.blanks.kept import cell_file, packed, unpacked
from starter.errors import InputError

TABLE = pd.DataFrame({"mean": [1.0, 2.0], "name": ["x", "y"]}, index=pd.Index(["A", "B"], name="gene"))


def kept(value: object) -> Any:
    return unpacked(values.decode(values.encode(packed(value))))


@pytest.mark.parametrize(
    "value",
    [(1, [2.5, "x"], {"a": None, 3: True}), np.float64(0.5), np.float32(0.5), {"x", "y"}, ((), [], {})],
)
def test_values_come_back_with_their_types(value: object):
    assert kept(value) == value
    assert isinstance(kept(value), type(value) if not isinstance(value, np.floating) else np.floating)


def test_arrays_and_tables_come_back():
    pd.testing.assert_frame_equal(kept(TABLE), TABLE)
    pd.testing.assert_series_equal(kept(TABLE["mean"]), TABLE["mean"])
    pd.testing.assert_index_equal(kept(TABLE.index), TABLE.index)
    (matrix,) = kept([scipy.sparse.csr_matrix(np.eye(2))])
    assert isinstance(matrix, scipy.sparse.csr_matrix)
    np.testing.assert_array_equal(matrix.toarray(), np.eye(2))


def test_a_tensor_comes_back_as_one():
    torch = pytest.importorskip("torch")
    value = torch.arange(3.0, requires_grad=True)
    assert torch.equal(kept({"z": value})["z"], value.detach())


@pytest.mark.parametrize("value", [object(), lambda: 1, np.array([object()]), [slice(1)]])
def test_what_would_come_back_as_something_else_is_refused(value: object):
    with pytest.raises(InputError):
        values.encode(packed(value))


def test_a_cell_is_known_by_its_lines_but_not_by_spaces_at_their_ends():
    assert cell_file("a = 1 \nb = 2\n") == cell_file("a = 1\nb = 2")
    assert cell_file("a = 1\nb = 2") != cell_file("a = 1\n b = 2")
