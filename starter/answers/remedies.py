"""What would mend a wrong answer, whatever the question: each remedy with the sentence that names its cause.

A remedy that turns what came into what is expected shows what went wrong: if the negative is right, something was
subtracted the wrong way round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse


@dataclass(frozen=True)
class Remedy:
    """A cause, and what undoes it."""

    cause: str
    """What is wrong and what to do, for the student."""
    mends: Callable[[Any, Any], Any]
    """Takes what came and what is expected, and gives what should have come; whatever it raises says that it cannot."""


def _needs(fits: object) -> None:
    if not fits:
        msg = "this remedy is for something else"
        raise ValueError(msg)


def _only_item(came: Any, due: Any) -> Any:
    _needs(isinstance(came, list | tuple) and len(came) == 1)
    del due
    return came[0]


def _turned(came: Any, due: Any) -> Any:
    _needs(np.ndim(due) == 2 or scipy.sparse.issparse(due))
    return came.T if hasattr(came, "T") else np.asarray(came).T


def _reshaped(more: int) -> Callable[[Any, Any], Any]:
    """Give the same numbers another shape, where the dimensions that came are more, fewer or as many as expected."""

    def mends(came: Any, due: Any) -> Any:
        array, expected = np.asarray(came), np.asarray(due)
        _needs(array.size == expected.size and np.sign(array.ndim - expected.ndim) == more)
        return array.reshape(expected.shape)

    return mends


def _as_table(came: Any, due: Any) -> Any:
    _needs(isinstance(came, np.ndarray | list))
    if isinstance(due, pd.DataFrame):
        return pd.DataFrame(came, index=due.index, columns=due.columns)
    _needs(isinstance(due, pd.Series))
    return pd.Series(came, index=due.index)


def _with_row_names(came: Any, due: Any) -> Any:
    _needs(isinstance(came, pd.DataFrame) and len(came) == len(due))
    return came.set_axis(due.index, axis=0)


def _names_from_column(came: Any, due: Any) -> Any:
    del due
    return came.set_index(came.columns[0])


def _with_column_names(came: Any, due: Any) -> Any:
    _needs(isinstance(came, pd.DataFrame))
    return came.set_axis(due.columns, axis=1)


def _in_row_order(came: Any, due: Any) -> Any:
    _needs(len(came) == len(due))
    return came.loc[due.index]


def _as_dict(came: Any, due: Any) -> Any:
    _needs(isinstance(came, list | tuple))
    return dict(zip(due, came, strict=True))


def _as_list(came: Any, due: Any) -> Any:
    _needs(isinstance(came, dict) and isinstance(due, list))
    return list(came.values())


def _parts_exchanged(came: Any, due: Any) -> Any:
    _needs(isinstance(came, list | tuple) and isinstance(due, list) and len(due) > 1)
    return list(came)[::-1]


def _first_part(came: Any, due: Any) -> Any:
    _needs(isinstance(due, list) and len(due) > 1)
    return [came, *due[1:]]


def _dense(came: Any, due: Any) -> Any:
    _needs(came.shape == np.shape(due))
    return came.toarray()


def _kept_sparse(came: Any, due: Any) -> Any:
    _needs(scipy.sparse.issparse(due) and not scipy.sparse.issparse(came))
    return scipy.sparse.csr_matrix(came)


def _truth_of_numbers(came: Any, due: Any) -> Any:
    array = np.asarray(came)
    _needs(np.asarray(due).dtype.kind == "b" and array.dtype.kind in "iuf" and bool(np.isin(array, (0, 1)).all()))
    return array.astype(bool)


def _mask_of_places(came: Any, due: Any) -> Any:
    places = np.asarray(came)
    _needs(np.asarray(due).dtype.kind == "b" and places.dtype.kind in "iu" and np.ndim(due) == 1)
    mask = np.zeros(len(due), bool)
    mask[places] = True
    return mask


def _numbers_of_text(came: Any, due: Any) -> Any:
    _needs(np.asarray(due).dtype.kind in "iuf" and np.asarray(came).dtype.kind == "U")
    return np.asarray(came).astype(float)


FORMS = (
    Remedy("the result is packed into a list: leave out the brackets, or the comma behind `return ...`", _only_item),
    Remedy("rows and columns are exchanged: the result is transposed; turn it round with .T", _turned),
    Remedy(
        "the numbers are right, but a dimension is too many: .ravel() makes them flat, [0] or .item() takes one out",
        _reshaped(1),
    ),
    Remedy("the numbers are right, but a dimension is lost: keep it (keepdims=True, .reshape)", _reshaped(-1)),
    Remedy("the numbers are right, but their shape is not: .reshape them", _reshaped(0)),
    Remedy("the numbers are right, but their names are missing: make a table with index and columns of it", _as_table),
    Remedy("the numbers are right, but the rows have other names: give the table its index", _with_row_names),
    Remedy("the row names stand in a column: make them the index with .set_index", _names_from_column),
    Remedy("the numbers are right, but the columns have other names; the text above says which", _with_column_names),
    Remedy("the rows are right, but in another order: sort them by name (.sort_index)", _in_row_order),
    Remedy("the values are right, but without their keys: return them as a dict", _as_dict),
    Remedy("the values are right, but in a dict: return them one after the other, without keys", _as_list),
    Remedy("the parts are right, but in another order: exchange them behind `return`", _parts_exchanged),
    Remedy("only the first part came: return all of them, with commas between", _first_part),
    Remedy("the numbers are right, but a sparse matrix came: end with .toarray()", _dense),
    Remedy("the numbers are right, but an array came: keep the matrix sparse, without .toarray()", _kept_sparse),
    Remedy("these are 0 and 1, and True and False are expected: return the comparison itself", _truth_of_numbers),
    Remedy("these are the places of the True ones: return True or False for each (the mask itself)", _mask_of_places),
    Remedy("these are texts that look like numbers: turn them into numbers with float", _numbers_of_text),
)
"""For answers in another form than expected; the values must be right afterwards."""


def _from_first_to_last_but(n: int) -> Callable[[Any, Any], Any]:
    def mends(came: Any, due: Any) -> Any:
        return np.concatenate([came, due[len(due) - n :]]) if n > 0 else np.asarray(came)[:n]

    return mends


def _alone(where: int) -> Callable[[Any, Any], Any]:
    """Take one number that came for a place of what is expected."""

    def mends(came: Any, due: Any) -> Any:
        _needs(np.ndim(came) == 0 and np.ndim(due) == 1 and len(due) > 1)
        mended = np.array(due, float)
        mended[where] = came
        return mended

    return mends


def _with_first(came: Any, due: Any) -> Any:
    return np.concatenate([due[:1], came])


def _spread(statistic: Callable[..., Any], axis: int | None = None) -> Callable[[Any, Any], Any]:
    """Tell a statistic of what is expected by comparing it with what came."""

    def mends(came: Any, due: Any) -> Any:
        expected = np.asarray(due)
        _needs(np.ndim(came) < expected.ndim)
        _needs(np.allclose(came, statistic(expected, axis=axis), rtol=1e-5, atol=0))
        return due

    return mends


def _reduced(statistic: Callable[..., Any], axis: int | None) -> Callable[[Any, Any], Any]:
    def mends(came: Any, due: Any) -> Any:
        _needs(np.ndim(came) > np.ndim(due))
        return statistic(came, axis=axis)

    return mends


SIZES = (
    Remedy("only the first value came: `return` stands inside the loop; put it behind, and collect", _alone(0)),
    Remedy("only the last value came: collect all values in the loop (append), and return them", _alone(-1)),
    Remedy("this is the mean of all; give the numbers themselves (axis=... in the mean)", _spread(np.mean)),
    Remedy("this is the sum of all; give the numbers themselves (axis=... in the sum)", _spread(np.sum)),
    Remedy("these are sums of each row; give the numbers themselves", _spread(np.sum, 1)),
    Remedy("these are sums over the rows; give the numbers themselves", _spread(np.sum, 0)),
    Remedy("these are means of each row; give the numbers themselves", _spread(np.mean, 1)),
    Remedy("these are means over the rows; give the numbers themselves", _spread(np.mean, 0)),
    Remedy("the last step is missing: take the mean of these", _reduced(np.mean, None)),
    Remedy("the last step is missing: take the median of these", _reduced(np.median, None)),
    Remedy("the last step is missing: take the sum of these", _reduced(np.sum, None)),
    Remedy("the last step is missing: take the mean of each row (axis=1)", _reduced(np.mean, 1)),
    Remedy("the last step is missing: take the sum of each row (axis=1)", _reduced(np.sum, 1)),
    Remedy("the last step is missing: take the mean over the rows (axis=0)", _reduced(np.mean, 0)),
    Remedy("the last step is missing: take the sum over the rows (axis=0)", _reduced(np.sum, 0)),
    Remedy("the last value is missing: the loop, or the slice, ends one too early", _from_first_to_last_but(1)),
    Remedy("the first value is missing: count from 0, not from 1", _with_first),
    Remedy(
        "one value too many came at the end: the loop, or the slice, ends one too late", _from_first_to_last_but(-1)
    ),
)
"""For answers of another shape than expected."""


def _where(mends: Callable[[Any], Any], fits: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Mend by what came alone, where it fits."""

    def checked(came: Any, due: Any) -> Any:
        _needs(bool(fits(came, due)))
        return mends(came)

    return checked


def _of(mends: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda came, due: mends(came)


def _undone(spoils: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Spoil what is expected: where that is what came, this is what happened."""

    def mends(came: Any, due: Any) -> Any:
        _needs(bool(np.allclose(came, spoils(due), rtol=1e-6, atol=1e-12, equal_nan=True)))
        return due

    return mends


def _never_negative(came: Any, due: Any) -> bool:
    del due
    return not (came < 0).any()


def _is_mask(came: Any, due: Any) -> bool:
    return bool(np.isin(came, (0, 1)).all() and np.isin(due, (0, 1)).all())


POINTWISE = (
    Remedy("True and False (1 and 0) are exchanged: turn the condition round", _where(lambda x: 1 - x, _is_mask)),
    Remedy(
        "all signs are turned round: subtract the other way round, or leave out a minus",
        _where(np.negative, lambda came, due: bool((due < 0).any() or not (came == 0).any())),
    ),
    Remedy("the absolute value is missing: some numbers are negative that must not be (np.abs)", _of(np.abs)),
    Remedy(
        "the sign is lost: leave out the absolute value (or the square)",
        _undone(np.abs),
    ),
    Remedy(
        "these are squares of what is expected: take the root (a deviation, not a variance)",
        _where(np.sqrt, _never_negative),
    ),
    Remedy(
        "this is the root of what is expected: leave the root out (a variance, not a deviation)",
        _where(np.square, _never_negative),
    ),
    Remedy(
        "log1p came in place of log: do not add 1 before the logarithm",
        _where(lambda x: np.log(np.expm1(x)), _never_negative),
    ),
    Remedy("log came in place of log1p: add 1 before the logarithm", _of(lambda x: np.log1p(np.exp(x)))),
    Remedy("the logarithm is missing: end with np.log1p", _where(np.log1p, _never_negative)),
    Remedy("the logarithm is missing: take np.log of it", _where(np.log, _never_negative)),
    Remedy("the logarithm is missing: take np.log2 of it", _where(np.log2, _never_negative)),
    Remedy("the logarithm is missing: take np.log10 of it", _where(np.log10, _never_negative)),
    Remedy("these are logarithms; undo the logarithm (np.exp)", _of(np.exp)),
    Remedy("these are logarithms of 1 + x; undo log1p (np.expm1)", _of(np.expm1)),
    Remedy("these are logarithms to base 2; undo the logarithm (2 ** x)", _of(np.exp2)),
    Remedy("this is the other part of the whole: 1 minus it is expected", _of(lambda x: 1 - x)),
    Remedy("this is the fraction upside down: exchange what is divided and by what (1 / x)", _of(lambda x: 1 / x)),
    Remedy(
        "negative values came where 0 is expected: cut them at 0 (np.maximum(x, 0))", _of(lambda x: np.maximum(x, 0))
    ),
    Remedy("negative values were cut at 0: keep them", _undone(lambda due: np.maximum(due, 0))),
    Remedy("NaN came where 0 is expected: 0 was divided by 0; give 0 there", _of(np.nan_to_num)),
    Remedy("0 came where NaN is expected: give np.nan there", _undone(np.nan_to_num)),
    Remedy("the numbers were cut to whole ones: divide by /, and make the array one of floats", _undone(np.trunc)),
    *(
        Remedy(
            f"the numbers were rounded to {n or 'no'} decimals: do not round",
            _undone(lambda due, n=n: np.round(due, n)),
        )
        for n in range(5)
    ),
)
"""For numbers of the right shape, one by one."""


def _sorted_rows(array: Any) -> Any:
    return array[np.lexsort(array.T[::-1])] if array.ndim == 2 else np.sort(array)


def _other_order(came: Any, due: Any) -> Any:
    _needs(np.ndim(due) in (1, 2) and len(due) > 2)
    _needs(bool(np.allclose(_sorted_rows(np.asarray(came)), _sorted_rows(np.asarray(due)), rtol=1e-6)))
    return due


def _sorted(came: Any, due: Any) -> Any:
    _needs(np.ndim(due) == 1 and any(np.array_equal(came, np.sort(came)[::step]) for step in (1, -1)))
    return _other_order(came, due)


def _columns_in_other_order(came: Any, due: Any) -> Any:
    _needs(np.ndim(due) == 2)
    return _other_order(np.asarray(came).T, np.asarray(due).T).T


def _off_diagonal(came: Any, due: Any) -> Any:
    _needs(np.ndim(due) == 2 and len(due) > 2 and came.shape[0] == came.shape[1])
    mended = np.array(came, float)
    np.fill_diagonal(mended, np.diagonal(due))
    return mended


def _shares(axis: int | None) -> Callable[[Any, Any], Any]:
    return _where(
        lambda came: came / came.sum(axis=axis, keepdims=True), lambda came, due: axis is None or np.ndim(came) == 2
    )


def _centred(axis: int) -> Callable[[Any, Any], Any]:
    return _where(lambda came: came - came.mean(axis=axis, keepdims=True), lambda came, due: np.ndim(came) == 2)


ARRAYS = (
    Remedy(
        "the order is turned round, first for last: leave out [::-1], or add it",
        _where(lambda x: x[::-1], lambda x, due: len(x) > 1),
    ),
    Remedy("the values are right, but sorted: keep the order that the text asks for", _sorted),
    Remedy("the values are right, but in another order: keep the order that the text asks for", _other_order),
    Remedy("the columns are right, but in another order", _columns_in_other_order),
    Remedy("all is right but the diagonal: look at what a row has with itself", _off_diagonal),
    Remedy("the rows do not sum to 1: divide each row by its sum", _shares(1)),
    Remedy("the columns do not sum to 1: divide each column by its sum", _shares(0)),
    Remedy("the numbers do not sum to 1: divide by their sum", _shares(None)),
    Remedy("the mean of each column is still in it: subtract it (axis=0)", _centred(0)),
    Remedy("the mean of each row is still in it: subtract it (axis=1)", _centred(1)),
)
"""For arrays of the right shape, each as a whole."""
