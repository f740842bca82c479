import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.blanks.fingerprint import fingerprint
from starter.errors import InputError

RNG = np.random.default_rng(0)
ARRAY = RNG.normal(size=(40, 30))
TABLE = pd.DataFrame({"mean": [1.0, 2.0], "name": ["x", "y"]}, index=["A", "B"])
SPARSE = scipy.sparse.csr_matrix(np.where(ARRAY > 1, ARRAY, 0))


def changed(array: np.ndarray) -> np.ndarray:
    other = array.copy()
    other[3, 4] += 0.01
    return other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ARRAY.astype(np.float32), ARRAY),
        (ARRAY * (1 + 1e-9), ARRAY),
        (np.array([np.nan, 1, np.inf]), np.array([np.nan, 1, np.inf])),
        (["a", 1, None], ("a", 1, None)),
        (np.array(["x", "y"]), np.array(["x", "y"], object)),
        (pd.Series([1, 2]), pd.Series([1, 2])),
        (SPARSE, SPARSE.tocoo()),
        ([], []),
    ],
)
def test_equal_arguments_are_known_again_also_after_rounding(one: object, other: object):
    assert fingerprint(one).is_like(fingerprint(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ARRAY, changed(ARRAY)),
        (ARRAY, ARRAY.T),
        (ARRAY, ARRAY[::-1]),
        (ARRAY, ARRAY.ravel()),
        (ARRAY, -ARRAY),
        (np.array([np.nan, 1.0]), np.array([1.0, 1.0])),
        (np.array([np.inf, 1.0]), np.array([-np.inf, 1.0])),
        (np.zeros(3), np.full(3, 1e-9)),
        (["ab", "c"], ["a", "bc"]),
        (["ab"], "ab"),
        (TABLE, TABLE.rename(index={"B": "C"})),
        (TABLE, TABLE.assign(name=["x", "z"])),
        (SPARSE, scipy.sparse.csr_matrix(SPARSE.toarray()[::-1])),
        ({"k": 3}, {"k": 4}),
        (True, 1),
    ],
)
def test_other_arguments_are_not(one: object, other: object):
    assert not fingerprint(one).is_like(fingerprint(other))


def test_what_cannot_be_known_again_is_refused():
    with pytest.raises(InputError, match="a Generator has no fingerprint"):
        fingerprint({"rng": RNG})


def test_a_tensor_is_known_by_its_numbers_but_not_where_gradients_are_asked():
    torch = pytest.importorskip("torch")
    assert fingerprint(torch.from_numpy(ARRAY)).is_like(fingerprint(ARRAY))
    with pytest.raises(InputError, match="a Tensor"):
        fingerprint(torch.zeros(3, requires_grad=True))
