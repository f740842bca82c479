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
"""Numbers of an array that a message shows."""
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


def _part(item: Any) -> str:
    """Describe an array in a list or dict, or the arrays in a list there; of all else the first letters."""
    if _is_list_of_arrays(item):
        return f"({'; '.join(describe(x) if isinstance(x, ARRAYS) else _first([x]) for x in item[:SHOWN])})"
    return describe(item) if isinstance(item, ARRAYS) else _first([item])


def _first(items: Sequence[object]) -> str:
    return ", ".join(f"{item:.4g}" if isinstance(item, float) else _word(item)[:20] for item in items)


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
