import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.answers import values
from starter.answers.asked import asked
from starter.answers.comparators import Close, Same
from starter.answers.kinds import Function
from starter.answers.wording import describe, in_full
from starter.check import Check, NotRight, check
from starter.errors import InputError


@pytest.mark.parametrize(
    ("came", "due", "said"),
    [
        (1.0, 1.0 + 1e-7, None),
        (np.array([1.0, 2.0]), [1.0, 2.0], None),
        (scipy.sparse.csr_matrix(np.eye(2)), np.eye(2), None),
        (np.array([np.nan]), np.array([np.nan]), None),
        (3, 2.5, "expected 2.5, got 3"),
        (np.array([[1.0, 2.0]]), np.array([1.0, 2.0]), "expected shape (2,), got shape (1, 2)"),
        ("1.0", 1.0, "expected numbers, got '1.0'"),
        (None, 1.0, "expected numbers, got None"),
        ([1.0, [2.0]], [1.0, 2.0], "expected numbers, got list of 2: [1, [2.0]]"),
        (np.array([np.nan, 2.0]), np.array([1.0, 2.0]), "1 of 2 values are NaN"),
        (
            np.array([[1.0, 2.5], [3.0, 9.0]]),
            np.array([[1.0, 2.0], [3.0, 4.0]]),
            "2 of 4 values differ; the largest difference is at [1, 1]: expected 4, got 9",
        ),
        (
            np.array([np.inf, 2.0]),
            np.array([1.0, 2.0]),
            "1 of 2 values differ; the largest difference is at [0]: expected 1, got inf",
        ),
    ],
)
def test_close(came: object, due: object, said: str | None):
    assert Close().fault(came, due) == said


TABLE = pd.DataFrame({"mean": [1.0, 2.0], "name": ["x", "y"]}, index=["A", "B"])


@pytest.mark.parametrize(
    ("came", "due", "said"),
    [
        ("A", "A", None),
        ("a", "A", "expected 'A', got 'a'"),
        (1, True, "expected True, got 1"),
        (True, True, None),
        (None, None, None),
        (0, None, "expected None, got 0"),
        ([1.0, "x"], [1.0 + 1e-9, "x"], None),
        (("x", "y"), ["x", "y"], None),
        (np.array(["x", "y"]), ["x", "y"], None),
        (["x"], ["x", "y"], "expected 2 items, got 1"),
        (["y", "x"], ["x", "y"], "at [0]: expected 'x', got 'y'"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "at ['a'][1]: expected 3, got 2"),
        ({"a": 1, "c": 2}, {"a": 1, "b": 2}, "the keys differ: missing 1 (b), extra 1 (c)"),
        ({1: 0}, {"1": 0}, "the keys differ: text stands where a number should, or the reverse"),
        ([1], {"a": 1}, "expected a dict, got list of 1: [1]"),
        ("xy", ["x", "y"], "expected a list, got 'xy'"),
        (TABLE, TABLE, None),
        (TABLE.assign(mean=[1.0, 3.0]), TABLE, "in the column 'mean': 1 of 2 values differ; the largest difference is "
         "at [1]: expected 2, got 3"),
        (TABLE.assign(name=["x", "z"]), TABLE, "in the column 'name': at [1]: expected 'y', got 'z'"),
        (TABLE[["name", "mean"]], TABLE, None),
        (TABLE.iloc[::-1], TABLE, "the rows are in another order"),
        (TABLE.rename(index={"B": "C"}), TABLE, "the rows differ: missing 1 (B), extra 1 (C)"),
        (TABLE.drop(columns="mean"), TABLE, "the columns differ: missing 1 (mean)"),
        (pd.concat([TABLE, TABLE]), TABLE, "the rows have labels that come more than once"),
        (TABLE["mean"], TABLE["mean"], None),
        (TABLE["mean"].to_numpy(), TABLE["mean"],
         "expected a Series with row names, got [1, 2] (shape (2,))"),
    ],
)  # fmt: skip
def test_same(came: object, due: object, said: str | None):
    assert Same().fault(came, due) == said


def test_the_order_of_lists_and_rows_can_be_left_open():
    assert Same(ordered=False).fault(["y", "x"], ["x", "y"]) is None
    assert Same(ordered=False).fault(["y", "y"], ["x", "y"]) == "at [0]: expected 'x', got 'y'"
    assert Same(ordered=False).fault(TABLE.iloc[::-1], TABLE) is None
    assert Same(ordered=False).fault(TABLE.set_axis(["B", "A"]), TABLE) is not None


def test_an_object_that_equals_everything_equals_nothing():
    class Always:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None

    assert Close().fault(Always(), 1.0).startswith("expected numbers, got <")


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
    question = {
        "asks": {"kind": "function", "name": "total", "tensors": False},
        "comparator": {"kind": "close", "rtol": 1e-5, "atol": 1e-8},
        "cases": [case, other],
    }
    (tmp_path / "total.npz").write_bytes(values.encode(question))
    return tmp_path


def test_a_right_answer_is_said_and_nothing_comes_back(folder: Path, capsys: pytest.CaptureFixture):
    assert check("total", sum_of, folder) is None
    captured = capsys.readouterr()
    assert captured.out == "total: right in all 2 cases\n"
    assert captured.err == ""


HELP_LINE = '  total(**check.case("total", 1)) asks the same again; check.hint("total") gives a hint'
HELP = HELP_LINE.replace("  ", "  help          ")


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
        "  called        total(x=[1, 4] (shape (2,)))",
        "  expected      5.0",
        "  got           2.5",
        "  difference    expected 5, got 2.5",
        "  likely cause  this is the mean; add instead",
        HELP,
    ]
    assert len(lines[0]) < 67


def test_a_function_that_changes_its_input_is_told_so_though_its_value_is_right(folder: Path):
    def spoils(x: np.ndarray) -> float:
        total = x.sum()
        x -= 1
        return total

    with pytest.raises(AssertionError) as caught:
        check("total", spoils, folder)
    assert str(caught.value).splitlines() == [
        "total: case 1 of 2 is not right",
        "  called        total(x=[1, 4] (shape (2,)))",
        "  likely cause  it changed its own input 'x'; work on a copy of it",
        HELP,
    ]


def test_the_order_that_scipy_brings_about_itself_is_no_change():
    x = scipy.sparse.csr_matrix(([2.0, 1.0, 0.0], [1, 0, 2], [0, 3]), shape=(1, 4))  # neither sorted nor without zeros

    def tidies(x: scipy.sparse.csr_matrix) -> float:
        x.sort_indices()
        x.eliminate_zeros()
        return x.sum()

    assert asked(Function("tidies"), tidies, {"x": x}) == (3.0, "")
    assert asked(Function("nested"), lambda table: table[0].append(1), {"table": [[0]]})[1].startswith("it changed")


def test_an_empty_blank_is_named(folder: Path):
    def blank(x: np.ndarray) -> float:
        raise NotImplementedError

    with pytest.raises(AssertionError, match="total: still empty") as caught:
        check("total", blank, folder)
    assert caught.value.__context__ is None, "one sentence, not two chained tracebacks"
    assert len(str(caught.value).splitlines()) == 1


def test_an_error_in_the_students_code_keeps_its_traceback_and_gains_the_call(folder: Path):
    def broken(x: np.ndarray) -> float:
        return x.total

    with pytest.raises(AttributeError) as caught:
        check("total", broken, folder)
    assert caught.value.__notes__ == [
        f"total: case 1 of 2 is not right: it raised this error\n  called   total(x=[1, 4] (shape (2,)))\n{HELP_LINE}"
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
    assert fault.startswith("expected numbers, got list of 10001")
    assert peak < 10_000_000


def test_the_order_of_summation_in_single_precision_costs_nothing():
    """Two honest modules of 200 lost points by these values of a product whose largest is about 3."""
    due = np.array([3.1, 0.0034579, 0.000511229])
    came = np.array([3.1, 0.00345802, 0.000511289])
    assert Close().fault(came.astype(np.float32), due) is None
    assert Close().fault(came, due.astype(np.float32)) is None
    assert Close().fault(came, due) is not None, "in double precision this is no rounding"
    assert Close().fault((came + 1e-5).astype(np.float32), due) is not None
    assert Close().fault(np.float32(0.1), 0.1) is None
    assert Close().fault(np.array([np.inf, 1e-3], np.float32), np.array([np.inf, 1.1e-3])) is not None


@pytest.mark.parametrize("came", [[1, 2.5, True], (1, 2.5, 1), [np.float32(1), 2.5, np.int8(1)]])
def test_lists_of_numbers_are_numbers(came: object):
    assert Close().fault(came, np.array([1, 2.5, 1])) is None
    assert Close().fault([came, came], np.array([[1, 2.5, 1]] * 2)) is None


def test_a_table_of_endless_labels_is_refused_by_their_number():
    many = pd.DataFrame({"mean": np.ones(20_000)})
    assert Same().fault(many, TABLE[["mean"]]) == "expected 2 rows, got 20000"


def test_a_huge_array_where_a_short_list_is_due_takes_no_memory():
    """As lists, its 20 MB would be 700."""
    came = np.zeros((2, 10_000_000), np.uint8)
    tracemalloc.start()
    faults = [Same().fault(came, due) for due in (["x", "y", "z"], ["x", "y"], [1, 2])]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert faults[0] == "expected 3 items, got 2"
    assert faults[1].startswith("at [0]: expected 'x', got [0, 0, 0, 0, 0, 0, ...] (shape (10000000,))")
    assert faults[2] == "at [0]: expected shape (), got shape (10000000,)"
    assert peak < 1_000_000


def test_lists_of_text_that_came_as_an_array_are_compared_row_by_row():
    due = np.array([["x", "y"], ["z", "w"]])
    assert Same().fault(due, due) is None
    assert Same().fault([["x", "y"], ["z", "v"]], due) == "at [1][1]: expected 'w', got 'v'"


def test_what_lies_deep_in_a_list_is_not_written_out():
    written = []

    class Slow:
        def __repr__(self) -> str:
            written.append(self)
            return "slow"

    assert describe([[[Slow()] * 1000] * 1000, [[[Slow()]]]]) == "list of 2: [[[slow, slow, slow, , [[[...]]]]"
    assert len(written) == 36


def test_arrays_in_lists_and_dicts_are_described_one_by_one():
    array = np.arange(4.0).reshape(2, 2)
    assert describe({"loss": np.float64(0.5), "gradient": array}) == (
        "dict of 2: {loss: 0.5, gradient: [0, 1, 2, 3] (shape (2, 2))}"
    )
    assert describe([[array[0], array[1]], array]) == (
        "list of 2: [([0, 1] (shape (2,)); [2, 3] (shape (2,))), [0, 1, 2, 3] (shape (2, 2))]"
    )
    assert describe({"a": 1, "b": [2, 3]}) == "dict of 2: {a, b}"


def test_the_inputs_of_a_case_are_given_and_are_nobody_elses(folder: Path):
    inputs = check.case("total", 2, folder)
    assert sum_of(**inputs) == 9
    inputs["x"][:] = 0
    assert sum_of(**check.case("total", 2, folder)) == 9
    for number in (0, 3, "1"):
        with pytest.raises(InputError, match=f"total has the cases 1 to 2, and no case {number}"):
            check.case("total", number, folder)


def test_hints_go_further_each_time(folder: Path, capsys: pytest.CaptureFixture):
    question = values.decode((folder / "total.npz").read_bytes())
    with pytest.raises(InputError, match="total has no hints"):
        check.hint("total", folder)
    (folder / "total.npz").write_bytes(values.encode(question | {"hints": ["add", "sum of x", "n numbers become one"]}))
    own = Check()
    for _ in range(4):
        own.hint("total", folder)
    said = [
        "total, hint 1 of 3 (the idea): add",
        "total, hint 2 of 3 (the formula): sum of x",
        "total, hint 3 of 3 (the steps and their shapes): n numbers become one",
    ]
    assert capsys.readouterr().out.splitlines() == said + said


def test_a_notebook_shows_the_message_without_the_lines_of_the_kit(folder: Path):
    from IPython.core.interactiveshell import InteractiveShell

    with pytest.raises(NotRight) as caught:
        check("total", lambda x: None, folder)
    shell = InteractiveShell()
    shown = []
    shell._showtraceback = lambda kind, error, lines: shown.extend(lines)  # where a kernel sends them
    shell.showtraceback((NotRight, caught.value, caught.tb))
    assert shown == [str(caught.value)]
    assert caught.value.__context__ is None


def test_small_values_are_shown_in_full_and_large_ones_by_their_beginning():
    assert in_full(np.array([1.0, 22.5, 3])) == "array of shape (3,)\n         1       22.5          3"
    table = pd.DataFrame({"mean": [0.5, 12.25], "name": ["x", "a long name"]}, index=["A", "B"])
    assert in_full(table).splitlines() == [
        "table of 2 rows x 2 columns",
        "                 mean        name",
        "         A        0.5           x",
        "         B      12.25 a long name",
    ]
    assert in_full([np.array([1, 2]), {"a": 3}]).splitlines() == [
        "list of 2",
        "  [0]: array of shape (2,)",
        "           1          2",
        "  [1]: dict of 1",
        "    a: 3",
    ]
    assert in_full(np.zeros(61)) == describe(np.zeros(61))
    assert len(in_full(np.zeros((2, 3, 5))).splitlines()) == 1 + 2 * 3 + 1
    assert in_full(np.float64(2.5)) == "2.5"
    assert in_full(pd.DataFrame()) == "table of 0 rows x 0 columns"


def test_what_holds_itself_ends():
    endless: list = [1, 2]
    endless.append(endless)
    assert in_full(endless).startswith("list of 3: [1, 2, ")
