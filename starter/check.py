"""Local checks in a notebook, and the comparators that grading uses too, so that the two cannot disagree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter import values
from starter.schema import InputError

FOLDER = "checks"
"""Beside a notebook: what its checks ask and what is due, one file a question."""
SHOWN = 6
"""Numbers of an array that a message shows."""


@dataclass(frozen=True)
class Close:
    """Compares numbers and arrays of numbers up to rounding, as `numpy.allclose` does."""

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
        found, expected = found.astype(float), expected.astype(float)
        if missing := int((np.isnan(found) & ~np.isnan(expected)).sum()):
            return f"{missing} of {found.size} values are NaN"
        wrong = ~np.isclose(found, expected, rtol=self.rtol, atol=self.atol, equal_nan=True)
        if not wrong.any():
            return None
        if not found.ndim:
            return f"{found:.6g} came, and {expected:.6g} is due"
        where = np.unravel_index(np.argmax(np.where(wrong, np.abs(found - expected), -1)), found.shape)
        place = ", ".join(str(int(i)) for i in where)
        return (
            f"{int(wrong.sum())} of {found.size} values differ; the largest difference is at [{place}]: "
            f"{found[where]:.6g} came, and {expected[where]:.6g} is due"
        )


COMPARATORS = {"close": Close}
"""Ways to compare, by the name under which a question's public file keeps them."""


def check(name: str, function: Callable, folder: str | Path | None = None) -> None:
    """Try a function on the public cases of a question, and say how it did.

    Parameters
    ----------
    name
        The question.
    function
        The student's function.
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
    settings = dict(question["comparator"])
    comparator = COMPARATORS[settings.pop("name")](**settings)
    for number, case in enumerate(cases, start=1):
        headline = f"{name}: case {number} of {len(cases)} is not right"
        call = describe_call(function.__name__, case["inputs"])
        try:
            came = function(**case["inputs"])
        except NotImplementedError as error:
            msg = f"{name}: the blank is still empty\n  write it where it says NotImplementedError, then run both cells"
            raise AssertionError(msg) from error
        except Exception as error:
            error.add_note(f"{headline}: it raised this error\n  called   {call}")
            raise
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


def usual_meaning(came: object, mistakes: dict[str, object], comparator: Close) -> str | None:
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


def describe_call(name: str, inputs: dict[str, object]) -> str:
    """Write a call with a description of each argument."""
    return f"{name}({', '.join(f'{key}={describe(value)}' for key, value in inputs.items())})"


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
    if isinstance(value, list | tuple):
        more = ", ..." if len(value) > SHOWN else ""
        return f"{type(value).__name__} of {len(value)}: [{_first(list(value)[:SHOWN])}{more}]"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _first(items: Sequence[object]) -> str:
    return ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item)[:20] for item in items)


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
