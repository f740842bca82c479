from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from starter.answers.kinds import File, Function, Object, Variable, plain
from starter.answers.wording import describe_call
from starter.errors import InputError


def test_a_function_is_called_with_its_arguments_by_name():
    assert Function("minus").answer(lambda a, b: a - b, {"b": 1, "a": 5}) == 4


def test_what_is_not_there_is_named():
    for kind in (Function("f"), Variable("f"), Object("f")):
        with pytest.raises(InputError, match="the notebook defines no f"):
            kind.find({"g": 1})


def test_an_object_is_built_and_its_methods_are_called_in_order():
    class Counter:
        def __init__(self, start: int) -> None:
            self.n = start

        def add(self, k: int) -> None:
            self.n += k

        def value(self) -> int:
            return self.n

    calls = [["add", {"k": 2}], ["value", {}], ["add", {"k": 3}], ["value", {}]]
    inputs = {"build": {"start": 10}, "calls": calls}
    assert Object("Counter").answer(Counter, inputs) == [None, 12, None, 15]
    assert describe_call(Object("Counter"), inputs) == (
        "Counter(start=10), then .add(k=2), .value(), .add(k=3), .value()"
    )


def test_a_torch_module_gets_its_weights_and_tensors_and_gives_arrays():
    torch = pytest.importorskip("torch")

    class Layer(torch.nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(n))
            self.dropout = torch.nn.Dropout(0.5)

        def forward(self, x: torch.Tensor) -> tuple:
            assert not torch.is_grad_enabled()
            return self.dropout(x * self.weight), {"half": x.to(torch.bfloat16)}

    x, weight = np.array([1.0, 2.0, 3.0], np.float32), np.array([2.0, 0.5, -1.0], np.float32)
    inputs = {"build": {"n": 3}, "weights": {"weight": weight}, "calls": [["forward", {"x": x}]]}
    ((product, half),) = Object("Layer").answer(Layer, inputs)
    np.testing.assert_array_equal(product, [2.0, 1.0, -3.0])
    assert half["half"].dtype == np.float32
    with pytest.raises(RuntimeError, match="Missing key.*weight"):
        Object("Layer").answer(Layer, inputs | {"weights": {"other": weight}})


def test_a_function_of_tensors_gets_tensors():
    torch = pytest.importorskip("torch")
    seen = []

    def double(x: object, names: list) -> object:
        seen.append(type(x))
        return [x * 2 for _ in names]

    given = {"x": np.array([1.0, 2.0]), "names": ["a", "b"]}
    answer = Function("double", tensors=True).answer(double, given)
    assert seen == [torch.Tensor]
    np.testing.assert_array_equal(answer, [[2.0, 4.0]] * 2)
    assert type(plain((torch.ones(1, requires_grad=True),))[0]) is np.ndarray


def test_files_are_read_by_their_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"gene": ["A", "B"], "mean": [1.5, 2.5]})
    table.to_csv("t.csv", index=False)
    table.to_csv("t.tsv", index=False, sep="\t")
    table.to_parquet("t.parquet")
    np.savez("t.npz", x=np.arange(3), y=np.eye(2))
    np.save("t.npy", np.arange(4))
    Path("t.json").write_text('{"genes": ["A"]}')
    for name in ("t.csv", "t.tsv", "t.parquet"):
        pd.testing.assert_frame_equal(File(name).answer(name, {}), table)
    assert sorted(File("t.npz").answer("t.npz", {})) == ["x", "y"]
    np.testing.assert_array_equal(File("t.npy").answer("t.npy", {}), np.arange(4))
    assert File("t.json").answer("t.json", {}) == {"genes": ["A"]}


def test_links_pickles_and_what_is_no_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("link.csv").symlink_to("/etc/hostname")
    np.save("object.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="there is no file gone.csv beside the notebook"):
        File("gone.csv").answer("gone.csv", {})
    for name in ("link.csv", "."):
        with pytest.raises(InputError, match="is not a regular file of at most 64 MiB"):
            File(name).answer(name, {})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        File("object.npy").answer("object.npy", {})
