"""Plain values in a file: numbers, text, arrays, matrices and tables, without pickle.

This is what crosses the border between a student's process and the grader's. An `.npz` holds a `tree` (JSON) and the
arrays that it refers to.
"""

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from starter.answers.comparators import Close
from starter.errors import InputError

MAX_BYTES = 256 << 20
"""Size limit of a value that is read."""
MAX_ARRAYS = 10_000
MAX_TREE_BYTES = 8 << 20
MAX_DEPTH = 50
"""Lists and dicts within each other."""
MAX_TEXTS = 4_000_000
"""Texts in all arrays: a letter there may take twenty times its room in a table."""
MAX_KEYS = 2_000
"""Keys of all dicts that are no text: only texts' hashes cannot be chosen so that all of them collide."""
MAX_DIRECTORY = 2 << 20
"""Bytes of the list of arrays in a file."""
END = struct.Struct("<4s4H2LH")
"""The last record of a zip file."""
LOCATOR_BYTES = 20
"""Of the record before it in a file beyond all limits here."""
CHUNK = 1 << 20
"""Bytes that are copied at a time."""
KINDS = "biufU"
"""Array types that cross: bool, whole numbers, floats, text."""
ROUNDING = Close(rtol=1e-9, atol=1e-10)
"""How far sums in double precision may lie apart between processors; no question compares as closely as this."""


def encode(value: object) -> bytes:
    """Write a value as `.npz`.

    Parameters
    ----------
    value
        None, bool, number, text, array, CSR or other sparse matrix, Series, data frame, or lists and dicts of these.

    Raises
    ------
    InputError
        If a part is of another type.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_to_tree(value, arrays)).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, tree=np.frombuffer(tree, np.uint8), **arrays)
    return buffer.getvalue()


def decode(content: bytes) -> Any:
    """Read what `encode` wrote, trusting nothing: sizes are checked before memory is taken.

    Raises
    ------
    InputError
        If it is not such a file, or larger than `MAX_BYTES`.
    """
    with _damaged_is_refused():
        return _from_tree(*_read(content))


def alike(content: bytes, other: bytes) -> bool:
    """Say whether two files hold the same value but for rounding, by which sums differ between processors.

    Raises
    ------
    InputError
        If one of them is not what `encode` writes.
    """
    with _damaged_is_refused():
        return _alike(_read(content), _read(other))


@contextmanager
def _damaged_is_refused() -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever a forged value makes the libraries raise
        msg = f"the value is damaged ({type(error).__name__})"
        raise InputError(msg) from error


def _read(content: bytes) -> tuple[object, dict[str, np.ndarray]]:
    """Give the tree and the arrays that it refers to."""
    _check_directory(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES or len(members) > MAX_ARRAYS:
            msg = f"the value is larger than {MAX_BYTES >> 20} MiB or has more than {MAX_ARRAYS:,} arrays"
            raise InputError(msg)
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            msg = "the value is compressed, which a handed-over value never is"
            raise InputError(msg)
        arrays = {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    if sum(array.size for array in arrays.values() if array.dtype.kind == "U") > MAX_TEXTS:
        msg = f"the value has more than {MAX_TEXTS:,} texts"
        raise InputError(msg)
    tree = arrays["tree"]
    if tree.dtype != np.uint8 or tree.size > MAX_TREE_BYTES:
        msg = "the value's tree is damaged or too large"
        raise InputError(msg)
    content = json.loads(arrays.pop("tree").tobytes())
    if _count_keys(content) > MAX_KEYS:
        msg = f"dicts have more than {MAX_KEYS:,} keys that are no text"
        raise InputError(msg)
    return content, arrays


def _count_keys(tree: object) -> int:
    """Count the keys of all dicts that are no text."""
    n_keys, waiting = 0, [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict) and "dict" in item:
            n_keys += sum(not isinstance(key, str) for key, _ in item["dict"])
        parts = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting += [part for part in parts if isinstance(part, list | dict)]
    return n_keys


def _alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return _alike([*one.items()], [*other.items()])
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, np.ndarray) and one.dtype != other.dtype:
        return False
    if isinstance(one, float) or (isinstance(one, np.ndarray) and one.dtype.kind == "f"):
        return ROUNDING.fault(one, other) is None
    return np.array_equal(one, other)


def _check_directory(content: bytes) -> None:
    """Refuse a list of arrays so long that a zip reader would take minutes and gigabytes to read it."""
    signature, *_, size, _, comment = END.unpack(content[-END.size :])
    is_last = signature == b"PK\5\6" and not comment
    if not is_last or content[: -END.size][-LOCATOR_BYTES:].startswith(b"PK\6\7") or size > MAX_DIRECTORY:
        msg = "the value is damaged: its list of arrays is too long or not at its end"
        raise InputError(msg)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read one array straight into its place, so that a large one is not there twice."""
    with archive.open(member) as file:
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        read_header = readers[np.lib.format.read_magic(file)]
        shape, fortran, dtype = read_header(file)
        if dtype.kind not in KINDS:
            msg = f"an array of type {dtype} cannot be handed over"
            raise InputError(msg)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size != member.file_size - file.tell():
            msg = "an array's size is not what its header says"
            raise InputError(msg)
        body, n_read = np.empty(size, np.uint8), 0
        while chunk := file.read(CHUNK):
            body[n_read : n_read + len(chunk)] = np.frombuffer(chunk, np.uint8)
            n_read += len(chunk)
        if n_read < size:
            msg = "an array is shorter than its header says"
            raise InputError(msg)
    return body.view(dtype).reshape(shape, order="F" if fortran else "C")


def _to_tree(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _to_tree(value.item(), arrays)
    if isinstance(value, list | tuple):
        return [_to_tree(item, arrays) for item in value]
    if isinstance(value, dict):
        return {"dict": [[_to_tree(key, arrays), _to_tree(item, arrays)] for key, item in value.items()]}
    if isinstance(value, pd.DataFrame):
        columns = [_to_tree(value.iloc[:, i].to_numpy(), arrays) for i in range(value.shape[1])]
        return {
            "frame": columns,
            "columns": _labels(value.columns, arrays),
            "index": _labels(value.index, arrays),
        }
    if isinstance(value, pd.Series):
        return {"series": _to_tree(value.to_numpy(), arrays), "index": _labels(value.index, arrays)}
    if scipy.sparse.issparse(value):
        csr = scipy.sparse.csr_matrix(value)
        parts = [_to_tree(part, arrays) for part in (csr.data, csr.indices, csr.indptr)]
        return {"csr": parts, "shape": [int(size) for size in csr.shape]}
    if isinstance(value, np.ndarray):
        plain = np.asarray(value)
        if plain.dtype == object and all(isinstance(item, str) for item in plain.ravel()):
            plain = plain.astype(str)
        if plain.dtype.kind in KINDS:
            name = f"array{len(arrays)}"
            arrays[name] = plain
            return {"array": name}
        msg = f"an array of type {plain.dtype} cannot be handed over; make it numbers or text"
        raise InputError(msg)
    msg = f"a {type(value).__name__} cannot be handed over; give numbers, text, arrays, sparse matrices or tables"
    raise InputError(msg)


def _labels(index: pd.Index, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    levels = [index.get_level_values(i).to_numpy() for i in range(index.nlevels)]
    names = [None if name is None else str(name) for name in index.names]
    return {"levels": [_to_tree(level, arrays) for level in levels], "names": names}


def _from_tree(tree: Any, arrays: dict[str, np.ndarray], depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        msg = f"the value is nested more than {MAX_DEPTH} deep"
        raise InputError(msg)
    if isinstance(tree, list):
        return [_from_tree(item, arrays, depth + 1) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays.pop(tree["array"])  # each is there once, so that a small file cannot stand for a large value
    if "dict" in tree:
        return {_from_tree(key, arrays, depth + 1): _from_tree(item, arrays, depth + 1) for key, item in tree["dict"]}
    if "csr" in tree:
        parts = _from_tree(tree["csr"], arrays)
        if any(part.dtype.kind not in "biuf" for part in parts):
            msg = "a sparse matrix holds numbers"
            raise InputError(msg)
        matrix = scipy.sparse.csr_matrix(tuple(parts), shape=tuple(tree["shape"]))
        matrix.check_format(full_check=True)
        return matrix
    if "series" in tree:
        index = _index(tree["index"], arrays)
        return pd.Series(_column(tree["series"], arrays, len(index)), index=index)
    index = _index(tree["index"], arrays)
    frame = pd.DataFrame(
        {i: _column(column, arrays, len(index)) for i, column in enumerate(tree["frame"])}, index=index
    )
    frame.columns = _index(tree["columns"], arrays)
    return frame


def _column(tree: object, arrays: dict[str, np.ndarray], n_rows: int) -> np.ndarray:
    column = _from_tree(tree, arrays)
    if not isinstance(column, np.ndarray) or column.shape != (n_rows,):
        msg = f"a column is no array of {n_rows} values"
        raise InputError(msg)
    return column


def _index(tree: dict, arrays: dict[str, np.ndarray]) -> pd.Index:
    levels = [_from_tree(level, arrays) for level in tree["levels"]]
    if any(not isinstance(level, np.ndarray) or level.shape != (len(levels[0]),) for level in levels):
        msg = "the labels of a table are no arrays of one length"
        raise InputError(msg)
    if len(levels) == 1:
        return pd.Index(levels[0], name=tree["names"][0])
    # pandas hashes numbers in a way that lets all of them collide; sorting takes no longer for any
    parts = [np.unique(level, return_inverse=True) for level in levels]
    return pd.MultiIndex(
        [labels for labels, _ in parts], [codes for _, codes in parts], names=tree["names"], verify_integrity=False
    )
