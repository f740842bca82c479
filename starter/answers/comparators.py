"""How an answer is compared with the value due, and how a usual mistake is recognised by its value."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse

from starter.answers.kinds import Kind
from starter.answers.wording import describe, holds_numbers
from starter.errors import difference

SINGLE = 1e-6
"""Share of the largest value due that is rounding in single precision."""
MAX_EXTRA = 10_000
"""Labels of a table beyond those that are due; to tell millions apart may take for ever."""


@dataclass(frozen=True)
class Close:
    """Compares numbers and arrays of numbers up to rounding, as `numpy.allclose` does.

    Where one side has single precision, a millionth of the largest value due is rounding too: sums of such numbers
    differ by that with the order of summation.
    """

    rtol: float = 1e-5
    """Relative to what is due."""
    atol: float = 1e-8
    """Absolute."""

    def fault(self, came: Any, due: Any) -> str | None:
        """Say what is wrong with a value, or None if it is right."""
        expected = _numbers(due)
        if expected is None:
            msg = f"this comparator is for numbers, and {type(due).__name__} is due"
            raise AssertionError(msg)
        found = _shaped(came, expected.shape)
        if isinstance(found, str):
            return found
        single = any(array.dtype.kind == "f" and array.dtype.itemsize < 8 for array in (found, expected))
        found, expected = found.astype(float), expected.astype(float)
        finite = np.abs(expected[np.isfinite(expected)])
        atol = max(self.atol, SINGLE * finite.max()) if single and finite.size else self.atol
        if missing := int((np.isnan(found) & ~np.isnan(expected)).sum()):
            return f"{missing} of {found.size} values are NaN"
        wrong = ~np.isclose(found, expected, rtol=self.rtol, atol=atol, equal_nan=True)
        if not wrong.any():
            return None
        if not found.ndim:
            return f"expected {expected:.6g}, got {found:.6g}"
        with np.errstate(invalid="ignore"):  # infinity less infinity, where both are right
            where = np.unravel_index(np.argmax(np.where(wrong, np.abs(found - expected), -1)), found.shape)
        place = ", ".join(str(int(i)) for i in where)
        return (
            f"{int(wrong.sum())} of {found.size} values differ; the largest difference is at [{place}]: "
            f"expected {expected[where]:.6g}, got {found[where]:.6g}"
        )


@dataclass(frozen=True)
class Same:
    """Compares text, truth values, lists, dicts and tables part by part; numbers in them up to rounding.

    Where a sparse matrix is due, a dense one is wrong, and the reverse; where truth values are due, numbers are.
    """

    rtol: float = 1e-5
    """Of numbers, relative to what is due."""
    atol: float = 1e-8
    """Of numbers, absolute."""
    ordered: bool = True
    """Whether the order of lists and of a table's rows counts."""

    def fault(self, came: Any, due: Any) -> str | None:
        """Say what is wrong with a value and where, or None if it is right."""
        return self._fault(came, due, "")

    def _fault(self, came: Any, due: Any, where: str) -> str | None:
        prefix = f"at {where}: " if where else ""
        if isinstance(due, pd.DataFrame | pd.Series):
            return self._table_fault(came, due, prefix)
        if isinstance(due, dict):
            if not isinstance(came, dict):
                return f"{prefix}expected a dict, got {describe(came)}"
            if set(came) != set(due):
                what = (
                    difference([str(key) for key in due], [str(key) for key in came])
                    or "text stands where a number should, or the reverse"
                )
                return f"{prefix}the keys differ: {what}"
            return self._first_fault((came[key], due[key], f"{where}[{key!r}]") for key in due)
        if isinstance(due, list | tuple):
            if not isinstance(came, list | tuple) and not (isinstance(came, np.ndarray) and came.ndim):
                return f"{prefix}expected a list, got {describe(came)}"
            if len(came) != len(due):
                return f"{prefix}expected {len(due)} items, got {len(came)}"
            # one dimension at a time, since the others may be of any length
            came = [item.item() if isinstance(item, np.generic) else item for item in came]
            if not self.ordered:
                came, due = sorted(came, key=repr), sorted(due, key=repr)
            return self._first_fault(
                (one, other, f"{where}[{i}]") for i, (one, other) in enumerate(zip(came, due, strict=True))
            )
        if isinstance(due, np.ndarray) and due.dtype.kind == "U":
            return self._fault(came, due.tolist(), where)
        if due is None or isinstance(due, str | bool | np.bool_):
            # 1 == True, but a number is no truth value
            kind = bool | np.bool_ if isinstance(due, bool | np.bool_) else type(due)
            if isinstance(came, kind) and came == due:
                return None
            return f"{prefix}expected {describe(due)}, got {describe(came)}"
        fault = Close(self.rtol, self.atol).fault(came, due) or _fault_of_kind(came, due)
        return fault and f"{prefix}{fault}"

    def _first_fault(self, parts: Iterable[tuple[Any, Any, str]]) -> str | None:
        return next((fault for came, due, where in parts if (fault := self._fault(came, due, where))), None)

    def _table_fault(self, came: Any, due: pd.DataFrame | pd.Series, prefix: str) -> str | None:
        if not isinstance(came, type(due)):
            what = "a Series with row names" if isinstance(due, pd.Series) else "a table (DataFrame)"
            return f"{prefix}expected {what}, got {describe(came)}"
        if isinstance(due, pd.Series):
            came, due = came.to_frame("values"), due.to_frame("values")
        for labels, given, expected in (("columns", came.columns, due.columns), ("rows", came.index, due.index)):
            if len(given) > len(expected) + MAX_EXTRA:
                return f"{prefix}expected {len(expected)} {labels}, got {len(given)}"
            if not given.is_unique:
                return f"{prefix}the {labels} have labels that come more than once"
            if set(given) != set(expected):
                what = difference([*map(str, expected)], [*map(str, given)]) or "text stands where a number should"
                return f"{prefix}the {labels} differ: {what}"
        if self.ordered and list(came.index) != list(due.index):
            return f"{prefix}the rows are in another order"
        came = came.loc[due.index, due.columns]
        for name in due.columns:
            given, expected = came[name].to_numpy(), due[name].to_numpy()
            if expected.dtype.kind in "biuf":
                fault = Close(self.rtol, self.atol).fault(given, expected)
            else:
                fault = Same(self.rtol, self.atol).fault(given, list(expected))
            if fault:
                return f"{prefix}in the column {name!r}: {fault}"
        return None


@dataclass(frozen=True)
class NearEnough:
    """Compares an estimate with the truth by its mean squared error: for open tasks, where many answers are right.

    What is due is a dictionary: `truth`, an array, and `most`, the largest error that is right. Any other value, such
    as that of a usual mistake, is compared as `Close` does.
    """

    def fault(self, came: Any, due: Any) -> str | None:
        """Say what is wrong with an estimate, or None if it is near enough."""
        if not isinstance(due, dict):
            return Close().fault(came, due)
        truth, most = _numbers(due["truth"]), float(due["most"])
        if truth is None:
            msg = "the truth that an estimate is compared with is no array of numbers"
            raise AssertionError(msg)
        found = _shaped(came, truth.shape)
        if isinstance(found, str):
            return found
        if n_odd := int((~np.isfinite(found)).sum()):
            return f"{n_odd} of {found.size} values are NaN or infinite"
        error = float(np.mean((found.astype(float) - truth) ** 2))
        if error <= most:
            return None
        return f"the mean squared error is {error:.4g}, and may be {most:.4g} at most"


Comparator = Close | Same | NearEnough
COMPARATORS: dict[str, type[Comparator]] = {"close": Close, "same": Same, "near_enough": NearEnough}
"""Ways to compare, by the name under which a question's public file keeps them."""
Made = TypeVar("Made")


def as_plain(thing: Kind | Comparator, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Write a kind of question or a comparator as plain values, which `check` reads."""
    return {"kind": next(name for name, kind in kinds.items() if isinstance(thing, kind)), **asdict(thing)}


def from_plain(kinds: Mapping[str, type[Made]], content: Mapping[str, Any]) -> Made:
    """Make of stored content what `as_plain` stored."""
    settings = dict(content)
    return kinds[settings.pop("kind")](**settings)


def usual_meaning(came: Any, mistakes: Mapping[str, Any], comparator: Comparator) -> str | None:
    """Recognise a common mistake by its value.

    Parameters
    ----------
    came
        What the student's function gave.
    mistakes
        What it usually means -> the value that this mistake gives.
    comparator
        How the question compares.
    """
    return next((meaning for meaning, value in mistakes.items() if comparator.fault(came, value) is None), None)


def _fault_of_kind(came: Any, due: Any) -> str | None:
    """Say that the values are right, and of another kind than is due."""
    if scipy.sparse.issparse(came) and not scipy.sparse.issparse(due):
        return f"expected a dense array, got {describe(came)}; make it dense with .toarray()"
    if scipy.sparse.issparse(due) and not scipy.sparse.issparse(came):
        return f"expected a sparse matrix, got {describe(came)}; keep it sparse"
    if isinstance(due, np.ndarray) and due.dtype.kind == "b" and np.asarray(came).dtype.kind != "b":
        return f"expected True or False for each, got {describe(came)}"
    return None


def _shaped(came: Any, shape: tuple[int, ...]) -> np.ndarray | str:
    """Give numbers of the shape that is due, or say what is wrong."""
    # before it is made dense: a sparse matrix may state any shape
    if scipy.sparse.issparse(came) and came.shape != shape:
        return f"expected shape {shape}, got shape {came.shape}"
    found = _numbers(came)
    if found is None:
        return f"expected numbers, got {describe(came)}"
    return found if found.shape == shape else f"expected shape {shape}, got shape {found.shape}"


def _numbers(value: Any) -> np.ndarray | None:
    if scipy.sparse.issparse(value):
        value = value.toarray()
    if isinstance(value, list | tuple) and not holds_numbers(value):
        return None  # as an array, a text among short ones would take its length for each of them
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.dtype.kind in "biuf" else None
