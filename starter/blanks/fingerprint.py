"""A few numbers by which the arguments of a call are known again, on another machine too."""

import hashlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse

from starter.errors import InputError

N_DIRECTIONS = 3
ROUNDING = 1e-6
"""By how much of an array's length sums over it differ between processors, in single precision."""


class Fingerprint(NamedTuple):
    """What is alike in equal arguments."""

    form: str
    """Hash of all but the numbers: types, shapes, texts."""
    numbers: np.ndarray
    """Of each array its length (the root of its sum of squares), then its products with random directions."""

    def is_like(self, other: "Fingerprint") -> bool:
        """Tell whether two are of the same arguments but for rounding."""
        if self.form != other.form:
            return False
        one, two = (print_.numbers.reshape(-1, N_DIRECTIONS + 1) for print_ in (self, other))
        return bool((np.abs(one - two).max(axis=1) <= ROUNDING * (one[:, 0] + 1e-12)).all()) if len(one) else True


def fingerprint(value: Any) -> Fingerprint:
    """Give the fingerprint of arguments.

    Parameters
    ----------
    value
        None, numbers, text, arrays, sparse matrices, tables, and lists and dicts of these.

    Raises
    ------
    InputError
        If a part is of another type.
    """
    form, numbers = hashlib.sha256(), []
    for part in _parts(value):
        if isinstance(part, str):
            form.update(f"{len(part)} {part};".encode())
        else:
            flat = part.ravel().astype(float)
            odd = np.flatnonzero(~np.isfinite(flat))
            form.update(f"array {part.shape} {odd.tolist()} {flat[odd].tolist()};".encode())
            flat[odd] = 0
            numbers.append(_directions(flat))
    return Fingerprint(form.hexdigest(), np.concatenate([np.empty(0), *numbers]))


def _directions(flat: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    products = [flat @ rng.standard_normal(len(flat)) for _ in range(N_DIRECTIONS)]
    return np.array([np.linalg.norm(flat), *products])


def _parts(value: Any) -> Iterator[str | np.ndarray]:
    torch = sys.modules.get("torch")
    if value is None or isinstance(value, bool | np.bool_ | str):
        yield str(value)
    elif isinstance(value, int | float | np.number):
        yield np.array(value, float)
    elif isinstance(value, list | tuple):
        yield f"list of {len(value)}"
        for item in value:
            yield from _parts(item)
    elif isinstance(value, dict):
        yield f"dict of {len(value)}"
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, pd.DataFrame):
        yield from _parts(value.columns)
        yield from _parts(value.index)
        for number in range(value.shape[1]):
            yield from _parts(value.iloc[:, number].to_numpy())
    elif isinstance(value, pd.Series):
        yield from _parts(value.index)
        yield from _parts(value.to_numpy())
    elif isinstance(value, pd.MultiIndex):
        for level in range(value.nlevels):
            yield from _parts(value.get_level_values(level))
    elif isinstance(value, pd.Index):
        yield from _parts(value.to_numpy())
    elif scipy.sparse.issparse(value):
        csr = scipy.sparse.csr_matrix(value, copy=True)
        csr.sum_duplicates()
        yield f"sparse {csr.shape}"
        yield from (csr.indptr, csr.indices, csr.data)
    elif torch is not None and isinstance(value, torch.Tensor) and not value.requires_grad:
        yield from _parts(value.cpu().numpy())
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        yield value
    elif isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        yield f"texts {value.shape}"
        for item in value.ravel():
            yield from _parts(item)
    else:
        msg = f"a {type(value).__name__} has no fingerprint"
        raise InputError(msg)
