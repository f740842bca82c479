"""Local checks in a notebook, and the comparators that grading uses too, so that the two cannot disagree."""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter import values
from starter.answers import KINDS, File, Kind, Object, Variable
from starter.schema import InputError, difference

FOLDER = "checks"
"""Beside a notebook: what its checks ask and what is due, one file a question."""
SHOWN = 6
"""Numbers of an array that a message shows."""
SINGLE = 1e-6
"""Share of the largest value due that is rounding in single precision."""
MAX_EXTRA = 10_000
"""Labels of a table beyond those that are due; to tell millions apart may take for ever."""
SHORT = reprlib.Repr()
"""Writes what stands in a list without writing all of it."""
SHORT.maxlevel = 2
ARRAYS = (np.ndarray, pd.Series, pd.DataFrame, scipy.sparse.spmatrix, scipy.sparse.sparray)


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

    def fault(self, came: object, due: object) -> str | None:
        """Say what is wrong with a value, or None if it is right."""
        expected = _numbers(due)
        if expected is None:
            msg = f"this comparator is for numbers, and {type(due).__name__} is due"
            raise AssertionError(msg)
        # before it is made dense: a sparse matrix may state any shape
        if scipy.sparse.issparse(came) and came.shape != expected.shape:
            return f"shape {expected.shape} is due, and shape {came.shape} came"
        found = _numbers(came)
        if found is None:
            return f"numbers are due, and {describe(came)} came"
        if found.shape != expected.shape:
            return f"shape {expected.shape} is due, and shape {found.shape} came"
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
            return f"{found:.6g} came, and {expected:.6g} is due"
        with np.errstate(invalid="ignore"):  # infinity less infinity, where both are right
            where = np.unravel_index(np.argmax(np.where(wrong, np.abs(found - expected), -1)), found.shape)
        place = ", ".join(str(int(i)) for i in where)
        return (
            f"{int(wrong.sum())} of {found.size} values differ; the largest difference is at [{place}]: "
            f"{found[where]:.6g} came, and {expected[where]:.6g} is due"
        )


@dataclass(frozen=True)
class Same:
    """Compares text, truth values, lists, dicts and tables part by part; numbers in them up to rounding."""

    rtol: float = 1e-5
    """Of numbers, relative to what is due."""
    atol: float = 1e-8
    """Of numbers, absolute."""
    ordered: bool = True
    """Whether the order of lists and of a table's rows counts."""

    def fault(self, came: object, due: object) -> str | None:
        """Say what is wrong with a value and where, or None if it is right."""
        return self._fault(came, due, "")

    def _fault(self, came: object, due: object, where: str) -> str | None:
        prefix = f"at {where}: " if where else ""
        if isinstance(due, pd.DataFrame | pd.Series):
            return self._table_fault(came, due, prefix)
        if isinstance(due, dict):
            if not isinstance(came, dict):
                return f"{prefix}a dict is due, and {describe(came)} came"
            if set(came) != set(due):
                what = (
                    difference([str(key) for key in due], [str(key) for key in came])
                    or "text stands where a number should, or the reverse"
                )
                return f"{prefix}the keys differ: {what}"
            return self._first_fault((came[key], due[key], f"{where}[{key!r}]") for key in due)
        if isinstance(due, list | tuple):
            if not isinstance(came, list | tuple) and not (isinstance(came, np.ndarray) and came.ndim):
                return f"{prefix}a list is due, and {describe(came)} came"
            if len(came) != len(due):
                return f"{prefix}{len(due)} items are due, and {len(came)} came"
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
            return f"{prefix}{describe(due)} is due, and {describe(came)} came"
        fault = Close(self.rtol, self.atol).fault(came, due)
        return fault and f"{prefix}{fault}"

    def _first_fault(self, parts: Iterable[tuple[object, object, str]]) -> str | None:
        return next((fault for came, due, where in parts if (fault := self._fault(came, due, where))), None)

    def _table_fault(self, came: object, due: pd.DataFrame | pd.Series, prefix: str) -> str | None:
        if not isinstance(came, type(due)):
            return f"{prefix}{describe(due)} is due, and {describe(came)} came"
        if isinstance(due, pd.Series):
            came, due = came.to_frame("values"), due.to_frame("values")
        for labels, given, expected in (("columns", came.columns, due.columns), ("rows", came.index, due.index)):
            if len(given) > len(expected) + MAX_EXTRA:
                return f"{prefix}{len(expected)} {labels} are due, and {len(given)} came"
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


COMPARATORS = {"close": Close, "same": Same}
"""Ways to compare, by the name under which a question's public file keeps them."""
Comparator = Close | Same


def check(name: str, given: object, folder: str | Path | None = None) -> None:
    """Try what a question asks for on its public cases, and say how it did.

    Parameters
    ----------
    name
        The question.
    given
        The student's function, class, value or file, as the question asks.
    folder
        Where the cases are; default: `checks` beside the notebook.

    Raises
    ------
    AssertionError
        At the first case that is not right: what was called, what came, what is due, what that usually means.
    InputError
        If the question has no public cases here.
    """
    path = Path(folder or FOLDER) / f"{name}.npz"
    try:
        question = values.decode(path.read_bytes())
    except OSError as error:
        msg = f"no cases for {name!r} at {path.absolute()}; start the notebook in its own folder, beside {FOLDER}/"
        raise InputError(msg) from error
    cases = question["cases"]
    kind, comparator = (
        _from_plain(kinds, question[key]) for key, kinds in (("asks", KINDS), ("comparator", COMPARATORS))
    )
    for number, case in enumerate(cases, start=1):
        headline = f"{name}: case {number} of {len(cases)} is not right"
        call = describe_call(kind, case["inputs"])
        try:
            came = kind.answer(given, case["inputs"])
        except NotImplementedError as error:
            msg = f"{name}: the blank is still empty\n  write it where it says NotImplementedError, then run both cells"
            raise AssertionError(msg) from error
        except Exception as error:
            error.add_note(f"{headline}: it raised this error\n  called   {call}")
            raise
        if "form" in case:
            if (form := form_of(came)) != case["form"]:
                msg = f"{headline}\n  came     {form}\n  due      {case['form']}"
                raise AssertionError(msg)
            print(f"{name}: {form}, as is due; the values are compared when you hand in")
            return
        if fault := comparator.fault(came, case["due"]):
            lines = [
                headline,
                f"  called   {call}",
                f"  came     {describe(came)}",
                f"  due      {describe(case['due'])}",
            ]
            lines.append(f"  so       {fault}")
            if meaning := usual_meaning(came, case["mistakes"], comparator):
                lines.append(f"  usually  {meaning}")
            raise AssertionError("\n".join(lines))
    print(f"{name}: right in all {len(cases)} cases")


def as_plain(thing: Kind | Comparator, kinds: Mapping[str, type]) -> dict[str, object]:
    """Write a kind of question or a comparator as plain values, which `check` reads."""
    return {"kind": next(name for name, kind in kinds.items() if isinstance(thing, kind)), **asdict(thing)}


def _from_plain(kinds: Mapping[str, type], content: dict[str, object]) -> object:
    settings = dict(content)
    return kinds[settings.pop("kind")](**settings)


def usual_meaning(came: object, mistakes: dict[str, object], comparator: Comparator) -> str | None:
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


def describe_call(kind: Kind, inputs: dict[str, object]) -> str:
    """Write a call with a description of each argument."""
    if isinstance(kind, File | Variable):
        return kind.name
    if isinstance(kind, Object):
        calls = [f".{method}({_arguments(given)})" for method, given in inputs["calls"]]
        weights = " with given weights" if inputs.get("weights") else ""
        return f"{kind.name}({_arguments(inputs['build'])}){weights}, then {', '.join(calls)}"
    return f"{kind.name}({_arguments(inputs)})"


def _arguments(inputs: dict[str, object]) -> str:
    return ", ".join(f"{key}={describe(value)}" for key, value in inputs.items())


def form_of(value: object) -> str:
    """Say of what kind and size a value is, and nothing of what it holds."""
    if scipy.sparse.issparse(value):
        return f"{value.shape[0]} x {value.shape[1]} sparse matrix"
    if isinstance(value, pd.DataFrame):
        return f"table of {value.shape[0]} rows x {value.shape[1]} columns"
    if isinstance(value, np.ndarray | pd.Series) and np.ndim(value):
        return f"array of shape {np.shape(value)}"
    if isinstance(value, list | tuple | dict):
        return f"{'dict' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, bool | np.bool_):
        return "truth value"
    return "number" if isinstance(value, int | float | np.generic | np.ndarray) else type(value).__name__


def describe(value: object) -> str:
    """Describe a value in a few words: type, shape, first numbers."""
    if scipy.sparse.issparse(value):
        return f"{value.shape[0]} x {value.shape[1]} sparse matrix ({value.nnz} stored values)"
    if isinstance(value, pd.DataFrame):
        return f"table of {value.shape[0]} rows x {value.shape[1]} columns"
    if isinstance(value, np.ndarray | pd.Series):
        array = np.asarray(value)
        start = _first(array.ravel()[:SHOWN].tolist())
        more = ", ..." if array.size > SHOWN else ""
        return f"[{start}{more}] (shape {array.shape})"
    if isinstance(value, dict):
        more = ", ..." if len(value) > SHOWN else ""
        keys = list(islice(value, SHOWN))
        parts = [f"{str(key)[:20]}: {_part(value[key])}" for key in keys] if _holds_arrays(value) else [_first(keys)]
        return f"dict of {len(value)}: {{{', '.join(parts)}{more}}}"
    if isinstance(value, list | tuple):
        more = ", ..." if len(value) > SHOWN else ""
        items = list(islice(value, SHOWN))
        parts = map(_part, items) if _holds_arrays(value) else [_first(items)]
        return f"{type(value).__name__} of {len(value)}: [{', '.join(parts)}{more}]"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _holds_arrays(value: Mapping | Sequence) -> bool:
    items = islice(value.values() if isinstance(value, Mapping) else value, SHOWN)
    return any(isinstance(item, ARRAYS) or _is_list_of_arrays(item) for item in items)


def _is_list_of_arrays(item: object) -> bool:
    return isinstance(item, list | tuple) and any(isinstance(part, ARRAYS) for part in item[:SHOWN])


def _part(item: object) -> str:
    """Describe an array in a list or dict, or the arrays in a list there; of all else the first letters."""
    if _is_list_of_arrays(item):
        return f"({'; '.join(describe(x) if isinstance(x, ARRAYS) else _first([x]) for x in item[:SHOWN])})"
    return describe(item) if isinstance(item, ARRAYS) else _first([item])


def _first(items: Sequence[object]) -> str:
    return ", ".join(f"{item:.4g}" if isinstance(item, float) else _word(item)[:20] for item in items)


def _word(item: object) -> str:
    return SHORT.repr(item) if isinstance(item, list | tuple | dict) else str(item)


def _holds_numbers(items: Sequence[object]) -> bool:
    return all(
        _holds_numbers(item)
        if isinstance(item, list | tuple)
        else isinstance(item, bool | int | float | np.number | np.bool_)
        or (isinstance(item, np.ndarray) and item.dtype.kind in "biuf")
        for item in items
    )


def _numbers(value: object) -> np.ndarray | None:
    if isinstance(value, list | tuple) and not _holds_numbers(value):
        return None  # as an array, a text among short ones would take its length for each of them
    if scipy.sparse.issparse(value):
        value = value.toarray()
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.dtype.kind in "biuf" else None
