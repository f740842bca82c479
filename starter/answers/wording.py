"""Values and calls in words, for a student to read."""

import reprlib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from starter.answers.kinds import File, Kind, Object, Variable

SHOWN = 6
"""Numbers of an array that a message shows, where it does not show all."""
FULL = 60
"""Values up to which an array or table is shown in full."""
A_LINE = 8
"""Values of a flat array in a line."""
LONGEST = 20
"""Letters of a text."""
DEEPEST = 4
"""Lists and dicts within each other that are shown in full."""
SHORT = reprlib.Repr()
"""Writes what stands in a list without writing all of it."""
ARRAYS = (np.ndarray, pd.Series, pd.DataFrame, scipy.sparse.spmatrix, scipy.sparse.sparray)


def describe_call(kind: Kind, inputs: dict[str, Any]) -> str:
    """Write a call with a description of each argument."""
    if isinstance(kind, File | Variable):
        return kind.name
    if isinstance(kind, Object):
        calls = [f".{method}({_arguments(given)})" for method, given in inputs["calls"]]
        weights = " with given weights" if inputs.get("weights") else ""
        return f"{kind.name}({_arguments(inputs['build'])}){weights}, then {', '.join(calls)}"
    return f"{kind.name}({_arguments(inputs)})"


def _arguments(inputs: dict[str, Any]) -> str:
    return ", ".join(f"{key}={describe(value)}" for key, value in inputs.items())


def form_of(value: Any) -> str:
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


def describe(value: Any) -> str:
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
        parts = (
            [f"{str(key)[:LONGEST]}: {_part(value[key])}" for key in keys] if _holds_arrays(value) else [_first(keys)]
        )
        return f"dict of {len(value)}: {{{', '.join(parts)}{more}}}"
    if isinstance(value, list | tuple):
        more = ", ..." if len(value) > SHOWN else ""
        items = list(islice(value, SHOWN))
        parts = map(_part, items) if _holds_arrays(value) else [_first(items)]
        return f"{type(value).__name__} of {len(value)}: [{', '.join(parts)}{more}]"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_full(value: Any) -> str:
    """Write a small value in full, its numbers lined up below what it is; describe a larger one in one line."""
    return "\n".join(_lines(value)) if 0 < _n_values(value) <= FULL else describe(value)


def _n_values(value: Any, depth: int = 0) -> int:
    """Count numbers and texts, up to one more than are shown."""
    if isinstance(value, ARRAYS):
        return min(int(np.prod(np.shape(value), dtype=object)), FULL + 1)
    if not isinstance(value, list | tuple | dict):
        return 1
    if len(value) > FULL or depth == DEEPEST:
        return FULL + 1
    n = 0
    for part in value.values() if isinstance(value, dict) else value:
        n += _n_values(part, depth + 1)
        if n > FULL:
            break
    return n


def _lines(value: Any) -> list[str]:
    """Write a value line by line: what it is, then its numbers."""
    if isinstance(value, pd.DataFrame):
        rows = [["", *map(_cell, value.columns)]]
        rows += [
            [_cell(label), *map(_cell, row)] for label, row in zip(value.index, value.to_numpy(object), strict=True)
        ]
        return [form_of(value), *_lined_up(rows)]
    if isinstance(value, pd.Series):
        rows = [[_cell(label), _cell(item)] for label, item in value.items()]
        return [f"series of {len(value)}", *_lined_up(rows)]
    if scipy.sparse.issparse(value):
        return [form_of(value), *_lined_up([[*map(_cell, row)] for row in value.toarray()])]
    if isinstance(value, np.ndarray) and value.ndim:
        return [form_of(value), *_array_lines(value)]
    if isinstance(value, list | tuple) and not any(isinstance(item, (*ARRAYS, list, tuple, dict)) for item in value):
        return [form_of(value), *_lined_up(_in_lines([*map(_cell, value)]))]
    if isinstance(value, list | tuple | dict):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        lines = [form_of(value)]
        for name, part in parts:
            first, *rest = _lines(part)
            lines += [
                f"  {_cell(name) if isinstance(value, dict) else f'[{name}]'}: {first}",
                *(f"  {line}" for line in rest),
            ]
        return lines
    return [describe(value)]


def _array_lines(array: np.ndarray) -> list[str]:
    if array.ndim == 1:
        return _lined_up(_in_lines([*map(_cell, array)]))
    pages = array.reshape(-1, *array.shape[-2:])
    rows = [[*map(_cell, row)] for page in pages for row in page]
    lines, n = _lined_up(rows), array.shape[-2]
    return [line for i, line in enumerate(lines) for line in (["", line] if i and i % n == 0 else [line])]


def _in_lines(cells: list[str]) -> list[list[str]]:
    return [cells[start : start + A_LINE] for start in range(0, len(cells), A_LINE)]


def _lined_up(rows: list[list[str]]) -> list[str]:
    """Set cells below each other; numbers take the same room in all arrays, so that two can be read side by side."""
    widths = [max(10, *(len(row[i]) for row in rows if i < len(row))) for i in range(max(map(len, rows), default=0))]
    return [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False)) for row in rows]


def _cell(item: object) -> str:
    text = f"{item:.4g}" if isinstance(item, float | np.floating) else _word(item)[:LONGEST]
    return " ".join(text.splitlines())


def _holds_arrays(value: Mapping | Sequence) -> bool:
    items = islice(value.values() if isinstance(value, Mapping) else value, SHOWN)
    return any(isinstance(item, ARRAYS) or _is_list_of_arrays(item) for item in items)


def _is_list_of_arrays(item: object) -> bool:
    return isinstance(item, list | tuple) and any(isinstance(part, ARRAYS) for part in item[:SHOWN])


def _part(item: Any) -> str:
    """Describe an array in a list or dict, or the arrays in a list there; of all else the first letters."""
    if _is_list_of_arrays(item):
        return f"({'; '.join(describe(x) if isinstance(x, ARRAYS) else _first([x]) for x in item[:SHOWN])})"
    return describe(item) if isinstance(item, ARRAYS) else _first([item])


def _first(items: Sequence[object]) -> str:
    return ", ".join(f"{item:.4g}" if isinstance(item, float) else _word(item)[:LONGEST] for item in items)


def _word(item: object) -> str:
    return SHORT.repr(item) if isinstance(item, list | tuple | dict) else str(item)


def holds_numbers(items: Sequence[object]) -> bool:
    """Tell whether all items, however nested, are numbers or arrays of numbers."""
    return all(
        holds_numbers(item)
        if isinstance(item, list | tuple)
        else isinstance(item, bool | int | float | np.number | np.bool_)
        or (isinstance(item, np.ndarray) and item.dtype.kind in "biuf")
        for item in items
    )
