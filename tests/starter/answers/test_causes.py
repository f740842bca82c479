"""A cause is named where it explains all that is wrong, and never where it does not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.answers.causes import Answer, general_cause
from starter.answers.comparators import Close, Same

RNG = np.random.default_rng(21)
SHAPES = ((4, 7), (3, 11), (6, 5))
TABLES = [RNG.gamma(2.0, 0.6, shape) for shape in SHAPES]
SIGNED = [table - table.mean() for table in TABLES]
GENES = [list("ABCDEFGHIJK"[: shape[1]]) for shape in SHAPES]
FRAMES = [pd.DataFrame(table, columns=genes) for table, genes in zip(TABLES, GENES, strict=True)]


def cause(came: list, due: list, inputs: list | None = None, comparator: Close | Same | None = None) -> str | None:
    cases = zip(came, due, inputs or [{}] * len(due), strict=True)
    return general_cause([Answer(*case) for case in cases], comparator or Close())


NUMBERS = {
    "nothing": (lambda x: None, TABLES, "nothing came back: end with `return`"),
    "packed": (lambda x: [x], TABLES, "the result is packed into a list"),
    "transposed": (lambda x: x.T, TABLES, "the result is transposed"),
    "flat": (lambda x: x.ravel(), TABLES, "a dimension is lost"),
    "a dimension too many": (lambda x: x[:, None], [x[0] for x in TABLES], "a dimension is too many"),
    "text": (lambda x: x.astype(str), TABLES, "texts that look like numbers"),
    "a generator": (lambda x: iter(x), TABLES, "the results wait to be taken out"),
    "the function": (lambda x: np.mean, TABLES, "a function came, not its result"),
    "minus": (lambda x: -x, TABLES, "all signs are turned round"),
    "no abs": (lambda x: x * (-1) ** np.arange(x.shape[1]), TABLES, "absolute value is missing"),
    "abs": (np.abs, SIGNED, "the sign is lost"),
    "squared": (np.square, TABLES, "take the root"),
    "root": (np.sqrt, TABLES, "leave the root out"),
    "log": (np.log, TABLES, "undo the logarithm (np.exp)"),
    "log1p": (np.log1p, TABLES, "undo log1p"),
    "log2": (np.log2, TABLES, "base 2; undo the logarithm"),
    "log for log1p": (lambda x: np.log(np.expm1(x)), [np.log1p(x) for x in TABLES], "log came in place of log1p"),
    "base 2": (lambda x: x / np.log(2), TABLES, "to base 2 where the natural one"),
    "base 10": (lambda x: x / np.log(10), TABLES, "to base 10 where the natural one"),
    "percent": (lambda x: 100 * x, TABLES, "these are percent"),
    "twice": (lambda x: 2 * x, TABLES, "2 times too large: a factor is missing"),
    "minus a third": (lambda x: x / -3, TABLES, "3 times too small and have the wrong sign"),
    "the other share": (lambda x: 1 - x, [x / 10 for x in TABLES], "1 minus it is expected"),
    "upside down": (lambda x: 1 / x, TABLES, "upside down"),
    "one more": (lambda x: x + 1, TABLES, "1 too large: something is added"),
    "counted from 1": (lambda x: x + 1, [np.arange(5), np.arange(7)], "1 too large: counting starts"),
    "clipped": (lambda x: np.maximum(x, 0), SIGNED, "negative values were cut at 0"),
    "rounded": (lambda x: np.round(x, 2), TABLES, "rounded to 2 decimals"),
    "whole": (lambda x: x.astype(int), [10 * x for x in TABLES], "cut to whole ones"),
    "reversed": (lambda x: x[::-1], [x[0] for x in TABLES], "first for last"),
    "sorted": (np.sort, [x[0] for x in TABLES], "the values are right, but sorted"),
    "shuffled": (lambda x: x[[1, 0, 2, *range(3, len(x))]], TABLES, "in another order"),
    "columns": (lambda x: x[:, [1, 0, 2, *range(3, x.shape[1])]], TABLES, "the columns are right"),
    "the diagonal": (lambda x: x - np.diag(np.diag(x)), [np.cov(x) for x in TABLES], "all is right but the diagonal"),
    "zeros": (np.zeros_like, TABLES, "all are 0"),
    "one number": (lambda x: np.full_like(x, x.mean()), TABLES, "the same number came everywhere"),
    "NaN everywhere": (lambda x: np.full_like(x, np.nan), TABLES, "NaN everywhere"),
    "the first": (lambda x: x[0], [x[0] for x in TABLES], "`return` stands inside the loop"),
    "the last": (lambda x: x[-1], [x[0] for x in TABLES], "only the last value came"),
    "the mean of all": (np.mean, TABLES, "the mean of all"),
    "some number": (lambda x: 5.0, TABLES, "a single number came"),
    "one too few": (lambda x: x[:-1], [x[0] for x in TABLES], "ends one too early"),
    "from 1 on": (lambda x: x[1:], [x[0] for x in TABLES], "count from 0"),
    "one too many": (lambda x: np.append(x, 0), [x[0] for x in TABLES], "ends one too late"),
    "the mask": (lambda x: ~x, [x > 1 for x in TABLES], "True and False (1 and 0) are exchanged"),
    "a row": (lambda x: np.vstack([x[:1] ** 3, x[1:]]), TABLES, "look at what is special in the inputs of row 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_what_goes_wrong_everywhere_is_named(name: str):
    spoil, due, said = NUMBERS[name]
    assert said in (cause([spoil(value) for value in due], due) or "")


@pytest.mark.parametrize(
    ("came", "step", "said"),
    [
        (TABLES, np.log1p, "end with np.log1p"),
        (TABLES, np.log, "take np.log of it"),
        (SIGNED, lambda x: np.maximum(x, 0), "cut them at 0"),
        (TABLES, lambda x: x / x.sum(axis=1, keepdims=True), "divide each row by its sum"),
        (TABLES, lambda x: x - x.mean(axis=0), "the mean of each column"),
        (TABLES, np.mean, "take the mean of these"),
        (TABLES, np.median, "take the median of these"),
        (TABLES, lambda x: x.sum(axis=1), "take the sum of each row"),
    ],
)
def test_a_last_step_that_is_missing_is_named(came: list, step: Callable, said: str):
    assert said in (cause(came, [step(value) for value in came]) or "")


def test_other_forms_of_the_right_values_are_named():
    same = Same()
    assert "make a table" in cause(TABLES, FRAMES, comparator=same)
    assert "give the table its index" in cause([x.set_axis(range(5, 5 + len(x))) for x in FRAMES], FRAMES, None, same)
    named = [x.set_axis([f"cell {i}" for i in range(len(x))]) for x in FRAMES]
    assert "names stand in a column" in cause([x.reset_index() for x in named], named, comparator=same)
    assert "(.sort_index)" in cause([x[::-1] for x in named], named, comparator=same)
    pairs = [[x[0], x[1]] for x in TABLES]
    assert "exchange them" in cause([x[::-1] for x in pairs], pairs, comparator=same)
    assert "only the first part came" in cause([x[0] for x in pairs], pairs, comparator=same)
    dicts = [{"edges": a, "numbers": b} for a, b in pairs]
    assert "return them as a dict" in cause(pairs, dicts, comparator=same)
    sparse = [scipy.sparse.csr_matrix(x) for x in TABLES]
    assert "end with .toarray()" in cause(sparse, TABLES, comparator=same)
    assert "keep the matrix sparse" in cause(TABLES, sparse, comparator=same)
    masks = [x[0] > 1 for x in TABLES]
    assert "return the comparison itself" in cause([x.astype(int) for x in masks], masks, comparator=same)
    assert "the places of the True ones" in cause([np.flatnonzero(x) for x in masks], masks, comparator=same)


def test_a_part_of_a_dict_or_table_is_explained_alone():
    due = [{"loss": 0.5, "gradient": x} for x in TABLES]
    came = [{"loss": 0.5, "gradient": 2 * x} for x in TABLES]
    assert cause(came, due, comparator=Same()).startswith("all numbers are 2 times too large")
    frames = [x.assign(A=-x["A"]) for x in FRAMES]
    assert cause(frames, FRAMES, comparator=Same()).startswith("all signs")


def test_the_axis_and_the_sizes_of_inputs_are_recognised():
    inputs = [{"x": x} for x in TABLES]
    rows, columns = [x.mean(axis=1) for x in TABLES], [x.std(axis=0) for x in TABLES]
    assert "one value for each column of 'x'" in cause([x.max(axis=0) for x in TABLES], rows, inputs)
    assert "one value for each row of 'x'" in cause([x.max(axis=1) for x in TABLES], columns, inputs)
    assert cause([x.sum(axis=1) for x in TABLES], rows, inputs).endswith("divide by the columns of 'x'")
    assert "not by n - 1, n being the rows" in cause([x.std(axis=0, ddof=1) for x in TABLES], columns, inputs)
    ddof_1 = [x.var(axis=1, ddof=1) for x in TABLES]
    assert "divide by n - 1, not by n, n being the columns" in cause([x.var(axis=1) for x in TABLES], ddof_1, inputs)
    assert "this is the input 'x' as it was" in cause(TABLES, rows, inputs)


def test_nan_for_zero_and_the_reverse_are_told_apart():
    zeros = [np.where(x > 1, x, 0) for x in TABLES]
    with_nan = [np.where(x > 1, x, np.nan) for x in TABLES]
    assert cause(with_nan, zeros).startswith("NaN came where 0 is expected")
    assert cause(zeros, with_nan).startswith("0 came where NaN is expected")


def test_what_explains_one_case_alone_is_not_named():
    came = [2 * TABLES[0], 3 * TABLES[1], TABLES[2] ** 2]
    assert cause(came, TABLES) is None
    assert cause([-TABLES[0], *TABLES[:2]], [TABLES[0], -TABLES[0], TABLES[1] + 1]) is None
    assert cause([5.0], [2.0]) is None, "of one number, anything could be a factor"
    assert cause([np.array([4.0, 1.0])], [np.array([2.0, 1.0])]) is None


@pytest.mark.parametrize("seed", range(40))
def test_numbers_by_chance_have_no_cause(seed: int):
    rng = np.random.default_rng(seed)
    due = [rng.normal(0, 1, shape) for shape in SHAPES]
    came = [rng.normal(0, 1, shape) for shape in SHAPES]
    assert cause(came, due, [{"x": x} for x in TABLES]) is None
    assert cause(list(rng.random(3)), list(rng.random(3)), [{"x": x} for x in TABLES]) is None
    ranks = [rng.permutation(9) for _ in range(3)], [rng.integers(0, 9, 9) for _ in range(3)]
    assert cause(*ranks) is None


@pytest.mark.parametrize(
    "came",
    [
        object(),
        {1, 2},
        "x",
        b"x",
        np.array([1j]),
        [[1], [2, 3]],
        {"a": [None]},
        pd.DataFrame(),
        np.array([]),
        [None],
        1j,
    ],
)
def test_whatever_comes_it_does_not_stumble(came: object):
    for due in (TABLES[0], 3.0, FRAMES[0], ["a", "b"], {"a": 1.0}, [TABLES[0], None], np.array([True, False])):
        assert cause([came], [due], comparator=Same()) is None or isinstance(cause([came], [due], None, Same()), str)
