import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from starter import values
from starter.check import Close, check, describe
from starter.schema import InputError


@pytest.mark.parametrize(
    ("came", "due", "said"),
    [
        (1.0, 1.0 + 1e-7, None),
        (np.array([1.0, 2.0]), [1.0, 2.0], None),
        (scipy.sparse.csr_matrix(np.eye(2)), np.eye(2), None),
        (np.array([np.nan]), np.array([np.nan]), None),
        (3, 2.5, "3 came, and 2.5 is due"),
        (np.array([[1.0, 2.0]]), np.array([1.0, 2.0]), "shape (2,) is due, and shape (1, 2) came"),
        ("1.0", 1.0, "numbers are due, and '1.0' came"),
        (None, 1.0, "numbers are due, and None came"),
        ([1.0, [2.0]], [1.0, 2.0], "numbers are due, and list of 2: [1, [2.0]] came"),
        (np.array([np.nan, 2.0]), np.array([1.0, 2.0]), "1 of 2 values are NaN"),
        (
            np.array([[1.0, 2.5], [3.0, 9.0]]),
            np.array([[1.0, 2.0], [3.0, 4.0]]),
            "2 of 4 values differ; the largest difference is at [1, 1]: 9 came, and 4 is due",
        ),
        (
            np.array([np.inf, 2.0]),
            np.array([1.0, 2.0]),
            "1 of 2 values differ; the largest difference is at [0]: inf came, and 1 is due",
        ),
    ],
)
def test_close(came: object, due: object, said: str | None):
    assert Close().fault(came, due) == said


def test_an_object_that_equals_everything_equals_nothing():
    class Always:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None

    assert Close().fault(Always(), 1.0).startswith("numbers are due, and <")


def test_an_array_subclass_cannot_claim_to_be_close():
    class Sly(np.ndarray):
        def __eq__(self, other: object) -> bool:
            return True

        def __sub__(self, other: object) -> np.ndarray:
            return np.zeros(self.shape)

    assert Close().fault(np.array([5.0, 6.0]).view(Sly), np.array([1.0, 2.0])).startswith("2 of 2 values differ")


def test_a_few_words_for_every_value():
    assert describe(np.array([1.0, 2, 3])) == "[1, 2, 3] (shape (3,))"
    assert describe(np.arange(100)) == "[0, 1, 2, 3, 4, 5, ...] (shape (100,))"
    assert describe(scipy.sparse.csr_matrix(np.eye(3))) == "3 x 3 sparse matrix (3 stored values)"
    assert describe("x" * 100) == "'" + "x" * 56 + "..."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    case = {"inputs": {"x": np.array([1.0, 4.0])}, "due": 5.0, "mistakes": {"this is the mean; add instead": 2.5}}
    other = {"inputs": {"x": np.array([2.0, 7.0])}, "due": 9.0, "mistakes": {"this is the mean; add instead": 4.5}}
    question = {"comparator": {"name": "close", "rtol": 1e-5, "atol": 1e-8}, "cases": [case, other]}
    (tmp_path / "total.npz").write_bytes(values.encode(question))
    return tmp_path


def test_a_right_answer_is_said_and_nothing_comes_back(folder: Path, capsys: pytest.CaptureFixture):
    assert check("total", sum_of, folder) is None
    captured = capsys.readouterr()
    assert captured.out == "total: right in all 2 cases\n"
    assert captured.err == ""


def sum_of(x: np.ndarray) -> float:
    return x.sum()


def test_a_wrong_answer_says_what_was_called_what_came_and_what_it_means(folder: Path):
    def mean_of(x: np.ndarray) -> float:
        return x.mean()

    with pytest.raises(AssertionError) as caught:
        check("total", mean_of, folder)
    lines = str(caught.value).splitlines()
    assert lines == [
        "total: case 1 of 2 is not right",
        "  called   mean_of(x=[1, 4] (shape (2,)))",
        "  came     np.float64(2.5)",
        "  due      5.0",
        "  so       2.5 came, and 5 is due",
        "  usually  this is the mean; add instead",
    ]
    assert len(lines[0]) < 67


def test_an_empty_blank_is_named(folder: Path):
    def blank(x: np.ndarray) -> float:
        raise NotImplementedError

    with pytest.raises(AssertionError, match="total: the blank is still empty"):
        check("total", blank, folder)


def test_an_error_in_the_students_code_keeps_its_traceback_and_gains_the_call(folder: Path):
    def broken(x: np.ndarray) -> float:
        return x.total

    with pytest.raises(AttributeError) as caught:
        check("total", broken, folder)
    assert caught.value.__notes__ == [
        "total: case 1 of 2 is not right: it raised this error\n  called   broken(x=[1, 4] (shape (2,)))"
    ]


def test_without_its_cases_it_says_where_to_start(tmp_path: Path):
    with pytest.raises(InputError, match="no cases for 'total' at .*; start the notebook in its own folder"):
        check("total", sum_of, tmp_path)


def test_a_long_text_among_short_ones_takes_no_memory():
    """As an array, each of them would take the space of the longest."""
    tracemalloc.start()
    fault = Close().fault(["x" * 1_000_000] + [""] * 10_000, np.ones(10_001))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fault.startswith("numbers are due, and list of 10001")
    assert peak < 10_000_000


@pytest.mark.parametrize("came", [[1, 2.5, True], (1, 2.5, 1), [np.float32(1), 2.5, np.int8(1)]])
def test_lists_of_numbers_are_numbers(came: object):
    assert Close().fault(came, np.array([1, 2.5, 1])) is None
    assert Close().fault([came, came], np.array([[1, 2.5, 1]] * 2)) is None
