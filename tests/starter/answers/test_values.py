import io
import json
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from starter.answers import values
from starter.errors import InputError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(PLAIN)
def test_plain_values_come_back(value: object):
    assert values.decode(values.encode(value)) == value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.asfortranarray(np.random.default_rng(0).random((3, 4), dtype=np.float32)),
        np.array([True, False]),
        np.array(["a", "béta"]),
        np.array(1.5),
        np.empty((0, 3)),
        np.array([np.nan, np.inf]),
    ],
)
def test_arrays_come_back(array: np.ndarray):
    back = values.decode(values.encode(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_matrices_and_tables_come_back():
    sparse = scipy.sparse.random(5, 3, density=0.4, format="csc", rng=np.random.default_rng(0))
    index = pd.MultiIndex.from_tuples([("x", "A"), ("y", "B")], names=["context", "perturbation"])
    frame = pd.DataFrame({"G": [1.0, 2.0], "H": ["a", "b"]}, index=index)
    series = pd.Series([1, 2, 3], index=["a", "b", "c"])
    back = values.decode(values.encode([sparse, frame, series, (np.int64(3), np.float32(0.5))]))
    assert (back[0] != sparse.tocsr()).nnz == 0
    pd.testing.assert_frame_equal(back[1], frame)
    pd.testing.assert_series_equal(back[2], series)
    assert back[3] == [3, 0.5]


VALUE = {
    "table": pd.DataFrame({"g": [0.1, 2.0], "name": ["a", "b"]}, index=["x", "y"]),
    "cells": scipy.sparse.csr_matrix(np.eye(2, dtype=np.float32)),
    "array": np.array([1.0, -3.0, np.nan, 0.0]),
    "n": 3,
    "share": 0.25,
}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"array": VALUE["array"] + [1e-16, -1e-14, 0, 1e-16]}, True),
        ({"share": 0.25 + 1e-16}, True),
        ({"cells": VALUE["cells"] * np.float32(1 + 1e-7)}, True),
        ({"array": VALUE["array"] + [1e-7, 0, 0, 0]}, False),
        ({"array": VALUE["array"].astype(np.float32)}, False),
        ({"array": VALUE["array"][:3]}, False),
        ({"array": np.array([1.0, -3.0, 0.0, 0.0])}, False),
        ({"share": 0.25001}, False),
        ({"n": 4}, False),
        ({"n": 3.0}, False),
        ({"cells": VALUE["cells"] * np.float32(1.001)}, False),
        ({"table": VALUE["table"].rename(index={"x": "z"})}, False),
        ({"table": VALUE["table"].assign(g=[0.1, 2.001])}, False),
        ({"more": None}, False),
    ],
)
def test_values_are_alike_but_for_rounding(changed: dict, same: bool):
    assert values.alike(values.encode(VALUE), values.encode(VALUE | changed)) == same


def test_what_is_damaged_is_like_nothing():
    with pytest.raises(InputError, match="the value is damaged"):
        values.alike(values.encode(VALUE), values.encode(VALUE)[:-3])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "a object cannot be handed over"),
        (lambda: 1, "a function cannot be handed over"),
        (np.array([object()]), "an array of type object cannot be handed over"),
        (np.array([1j]), "an array of type complex128 cannot be handed over"),
        ({"a": {1, 2}}, "a set cannot be handed over"),
    ],
)
def test_what_is_not_plain_is_refused(value: object, said: str):
    with pytest.raises(InputError, match=said):
        values.encode(value)


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def tree(value: object) -> bytes:
    return npy(np.frombuffer(json.dumps(value).encode(), np.uint8))


class Bomb:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("a pickle was opened",))


def header(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + (len(text)).to_bytes(2, "little") + text


INDEX = {"levels": [{"array": "a"}], "names": [None]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the value is damaged"),
        (values.encode(1) + b"behind its end", "list of arrays is too long or not at its end"),
        (npz(tree=tree({"series": {"array": "a"}, "index": {"levels": [[1]], "names": [None]}})), "labels of a table"),
        (b"no zip at all", "the value is damaged"),
        (pickle.dumps(1), "the value is damaged"),
        (npz(other=tree(1)), "the value is damaged .KeyError."),
        (npz(tree=tree({"array": "missing"})), "the value is damaged .KeyError."),
        (npz(tree=tree({"array": "a"}), a=npy(np.array([Bomb()], dtype=object), allow_pickle=True)), "of type object"),
        (npz(tree=tree({"array": "a"}), a=header("(10**9, 10**9)")), "the value is damaged"),
        (npz(tree=tree({"array": "a"}), a=header("(1000000000, 1000000000)")), "size is not what its header says"),
        (npz(tree=tree({"array": "a"}), a=header("(3,)") + b"123"), "size is not what its header says"),
        (npz(tree=npy(np.ones(3))), "tree is damaged"),
        (npz(tree=npy(np.frombuffer(b"[" * 100_000, np.uint8))), "the value is damaged"),
        (
            npz(tree=tree({"csr": [{"array": "a"}] * 3, "shape": [2, 2]}), a=npy(np.array([9, 9]))),
            "the value is damaged",
        ),
        (npz(tree=tree({"frame": [1], "columns": 3})), "the value is damaged"),
        (npz(tree=tree({"csr": [[1e400], [0], [0, 1]], "shape": [1, 10**30]})), "the value is damaged"),
        (npz(tree=tree({"dict": [[[1], 2]]})), "the value is damaged"),
        (npz(tree=tree([{"array": "a"}] * 2), a=npy(np.ones(3))), "the value is damaged .KeyError."),
        (
            npz(
                tree=tree({"frame": [1, 2], "columns": {"levels": [[1, 2]], "names": [None]}, "index": INDEX}),
                a=npy(np.ones(3)),
            ),
            "a column is no array of 3 values",
        ),
        (
            npz(tree=tree({"series": {"array": "b"}, "index": INDEX}), a=npy(np.ones(3)), b=npy(np.ones(2))),
            "no array of 3",
        ),
        (
            npz(
                tree=tree({"csr": [{"array": "a"}, {"array": "b"}, {"array": "c"}], "shape": [1, 1]}),
                a=npy(np.array(["x"])),
                b=npy(np.array([0])),
                c=npy(np.array([0, 1])),
            ),
            "a sparse matrix holds numbers",
        ),
        (npz(tree=npy(np.frombuffer(b"[" * 60 + b"]" * 60, np.uint8))), "nested more than 50 deep"),
        (npz(tree=npy(np.frombuffer(b"9" * 5000, np.uint8))), "the value is damaged"),
    ],
)
def test_hostile_files_are_refused(content: bytes, said: str):
    with pytest.raises(InputError, match=said):
        values.decode(content)


def test_a_zip_bomb_is_refused_before_it_is_unpacked():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tree.npy", bytes(300 << 20))
    with pytest.raises(InputError, match="larger than 256 MiB"):
        values.decode(buffer.getvalue())
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tree.npy", bytes(1 << 20))
    with pytest.raises(InputError, match="compressed, which a handed-over value never is"):
        values.decode(buffer.getvalue())


def colliding(n: int) -> np.ndarray:
    """Whole numbers of which pandas' hash is 0: (number >> 33) ^ number ^ (number << 11), cut to 32 bits."""
    high = np.arange(1, n + 1)
    low = np.zeros(n, np.int64)
    for bit in range(32):
        low |= ((high >> bit & 1) ^ (low >> (bit - 11) & 1 if bit >= 11 else 0)) << bit
    return high << 33 | low


def long_directory() -> bytes:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", *[0] * 18)
    n = values.MAX_DIRECTORY // len(entry) + 1
    return entry * n + values.END.pack(b"PK\5\6", 0, 0, n, n, n * len(entry), 0, 0)


SLOW = {
    "keys that collide": (npz(tree=tree({"dict": [[k * (2**61 - 1), 0] for k in range(1, 50_000)]})), "2,000 keys"),
    "keys that collide in many dicts": (
        npz(tree=tree([{"dict": [[k * (2**61 - 1), {"dict": []}] for k in range(1, 1_000)]}] * 155)),
        "2,000 keys",
    ),
    "a long directory": (long_directory(), "list of arrays is too long"),
    "millions of texts": (
        npz(tree=tree({"array": "a"}), a=npy(np.full(values.MAX_TEXTS + 1, "界"))),
        "4,000,000 texts",
    ),
}


@pytest.mark.parametrize("bomb", SLOW)
def test_what_would_take_minutes_or_gigabytes_to_read_is_refused_at_once(bomb: str):
    content, said = SLOW[bomb]
    with pytest.raises(InputError, match=said):
        values.decode(content)


def test_a_large_array_is_in_memory_once_beside_its_file():
    content = values.encode(np.arange(4 << 20, dtype=np.int64))
    tracemalloc.start()
    value = values.decode(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (value[-1], len(value)) == ((4 << 20) - 1, 4 << 20)
    assert peak < 1.2 * value.nbytes
    value[0] = 5  # and can be written to


def test_an_array_that_is_shorter_than_the_list_of_arrays_says_is_refused():
    content = npy(np.arange(3)).replace(b"(3,)", b"(5,)")
    forged = npz(a=content, tree=tree({"array": "a"}))
    sizes = struct.pack("<2L", len(content), len(content))
    at = forged.index(sizes, forged.index(b"PK\1\2"))
    forged = forged[:at] + struct.pack("<2L", len(content) + 16, len(content) + 16) + forged[at + 8 :]
    with pytest.raises(InputError, match="the value is damaged|shorter than its header says"):
        values.decode(forged)


def test_labels_that_collide_are_read_as_fast_as_others():
    """200,000 of these take over a minute where they are hashed, and a million would take half an hour."""
    index = {"levels": [{"array": "a"}, {"array": "b"}], "names": ["one", None]}
    labels = colliding(200_000)
    content = npz(
        tree=tree({"series": {"array": "v"}, "index": index}), a=npy(labels), b=npy(labels), v=npy(np.ones(200_000))
    )
    start = time.monotonic()
    series = values.decode(content)
    assert time.monotonic() - start < 20
    assert series.index.names == ["one", None]
    assert series.index[-1] == (labels[-1], labels[-1])
