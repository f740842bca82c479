"""Comparators of answers."""

import numpy as np
import scipy.sparse

from starter.answers.comparators import NearEnough


def test_an_estimate_is_right_up_to_its_mean_squared_error():
    due = {"truth": np.array([[0.0, 2.0], [4.0, 6.0]]), "most": 1.0}
    near_enough = NearEnough().fault
    assert near_enough(np.array([[1.0, 1.0], [5.0, 5.0]]), due) is None  # (1 + 1 + 1 + 1) / 4
    assert near_enough(np.array([[2.0, 2.0], [4.0, 6.5]]), due) == (
        "the mean squared error is 1.062, and may be 1 at most"
    )  # (4 + .25) / 4
    assert near_enough(np.array([[0.0, np.nan], [4.0, np.inf]]), due) == "2 of 4 values are NaN or infinite"
    assert near_enough(np.zeros((2, 3)), due) == "expected shape (2, 2), got shape (2, 3)"
    assert near_enough(scipy.sparse.csr_matrix((2, 3)), due) == "expected shape (2, 2), got shape (2, 3)"
    assert "expected numbers" in str(near_enough({"truth": due["truth"]}, due))
    # what a mistake gives is known by its numbers, not by lying near
    assert near_enough(np.ones(2), np.ones(2)) is None
    assert near_enough(np.ones(2), np.full(2, 1.1))
